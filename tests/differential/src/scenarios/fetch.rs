//! Fetch: from every position, within every limit, with and without sessions.

use chronik_protocol::api::ApiKey;
use chronik_protocol::compression::Codec;
use chronik_protocol::messages::*;
use chronik_types::Uuid;

use super::setup::{ends, produce, topic, versions};
use crate::batches::records;
use crate::session::{Failure, Reply, Session};

fn partition(partition: i32, fetch_offset: i64) -> FetchPartition {
    FetchPartition { partition, fetch_offset, partition_max_bytes: 1 << 20, ..Default::default() }
}

/// A request without a session; the topic goes by name up to version 12, by id from 13 on.
fn request(
    version: i16,
    name: &'static str,
    id: Uuid,
    partitions: Vec<FetchPartition>,
) -> FetchRequest<'static> {
    let topic_id = if version >= 13 { id } else { Uuid::ZERO };
    FetchRequest {
        max_wait_ms: 0,
        min_bytes: 1,
        topics: vec![FetchTopic { topic: name.into(), topic_id, partitions }],
        ..Default::default()
    }
}

/// Offsets inside and outside the log, and partitions there are not.
pub fn positions(s: &mut Session) -> Result<(), Failure> {
    let id = topic(s, "reading", 2, &[])?;
    for codec in [Codec::None, Codec::Gzip, Codec::Lz4] {
        produce(s, "reading", 0, &records(5, codec))?;
    }
    for version in versions(ApiKey::Fetch) {
        for offset in [0, 1, 4, 5, 7, 14, 15, 16, -1, i64::MIN, i64::MAX] {
            let at = request(version, "reading", id, vec![partition(0, offset)]);
            s.ask(&format!("from {offset} v{version}"), version, &at)?;
        }
        for index in [1, 2, -1] {
            let of = request(version, "reading", id, vec![partition(index, 0)]);
            s.ask(&format!("partition {index} v{version}"), version, &of)?;
        }
        let unknown = request(version, "nowhere", Uuid([9; 16]), vec![partition(0, 0)]);
        s.ask(&format!("unknown topic v{version}"), version, &unknown)?;
        let unnamed = request(version, "", Uuid::ZERO, vec![partition(0, 0)]);
        s.ask(&format!("no topic v{version}"), version, &unnamed)?;
        let invalid = request(version, "a/../b", Uuid([1; 16]), vec![partition(0, 0)]);
        s.ask(&format!("invalid topic v{version}"), version, &invalid)?;
        let twice = request(version, "reading", id, vec![partition(0, 0), partition(0, 5)]);
        s.ask(&format!("partition twice v{version}"), version, &twice)?;
        let none = request(version, "reading", id, vec![]);
        s.ask(&format!("no partition v{version}"), version, &none)?;
        let nothing = FetchRequest { max_wait_ms: 0, ..Default::default() };
        s.ask(&format!("nothing v{version}"), version, &nothing)?;
        let both = vec![partition(1, 0), partition(0, 0), partition(7, 0)];
        s.ask(&format!("several v{version}"), version, &request(version, "reading", id, both))?;
    }
    Ok(())
}

/// Limits of bytes and time, isolation levels, and who asks.
pub fn limits(s: &mut Session) -> Result<(), Failure> {
    let id = topic(s, "limits", 2, &[])?;
    for _ in 0..4 {
        produce(s, "limits", 0, &records(10, Codec::None))?;
        produce(s, "limits", 1, &records(10, Codec::None))?;
    }
    let batch = i32::try_from(records(10, Codec::None).len()).unwrap_or(0);
    for version in [4, 11, 12, 18] {
        for bytes in [-1, 0, 1, batch - 1, batch, batch + 1, 2 * batch, 2 * batch + 1] {
            let one = FetchPartition { partition_max_bytes: bytes, ..partition(0, 0) };
            let two = FetchPartition { partition_max_bytes: bytes, ..partition(1, 10) };
            let limited = request(version, "limits", id, vec![one, two]);
            s.ask(&format!("{bytes} of a partition v{version}"), version, &limited)?;
            let whole = vec![partition(1, 0), partition(0, 0)];
            let whole = FetchRequest { max_bytes: bytes, ..request(version, "limits", id, whole) };
            s.ask(&format!("{bytes} in all v{version}"), version, &whole)?;
        }
        waiting(s, version, id)?;
        for level in [0, 1, 2, -1] {
            let request = FetchRequest {
                isolation_level: level,
                ..request(version, "limits", id, vec![partition(0, 30)])
            };
            s.ask(&format!("isolation level {level} v{version}"), version, &request)?;
        }
        let request = request(version, "limits", id, vec![partition(0, 30)]);
        let rack = if version >= 11 { "rack-1" } else { "" };
        let racked = FetchRequest { rack_id: rack.into(), ..request.clone() };
        s.ask(&format!("from a rack v{version}"), version, &racked)?;
        for replica in [0, 1, 7, -2] {
            let request = if version >= 15 {
                let replica_state = FetchReplicaState { replica_id: replica, replica_epoch: -1 };
                FetchRequest { replica_state, ..request.clone() }
            } else {
                FetchRequest { replica_id: replica, ..request.clone() }
            };
            s.ask(&format!("as replica {replica} v{version}"), version, &request)?;
        }
    }
    Ok(())
}

fn waiting(s: &mut Session, version: i16, id: Uuid) -> Result<(), Failure> {
    for (min_bytes, max_wait_ms, offset) in
        [(1, 50, 40), (1 << 20, 50, 0), (0, 50, 40), (-1, 50, 40), (1, -1, 40), (i32::MAX, 1, 0)]
    {
        let request = FetchRequest {
            min_bytes,
            max_wait_ms,
            ..request(version, "limits", id, vec![partition(0, offset)])
        };
        let label = format!("at least {min_bytes} in {max_wait_ms} ms from {offset} v{version}");
        s.ask(&label, version, &request)?;
    }
    Ok(())
}

/// Incremental fetch sessions (KIP-227).
pub fn sessions(s: &mut Session) -> Result<(), Failure> {
    let id = topic(s, "sessions", 3, &[])?;
    produce(s, "sessions", 0, &records(2, Codec::None))?;
    for version in versions(ApiKey::Fetch).filter(|v| *v >= 7) {
        one_session(s, version, id)?;
        for (session_id, session_epoch) in [
            (0, -1),
            (0, 1),
            (0, 5),
            (12345, 1),
            (12345, 0),
            (12345, -1),
            (-1, 0),
            (0, -2),
            (0, i32::MAX),
        ] {
            let request = FetchRequest {
                session_id,
                session_epoch,
                ..request(version, "sessions", id, vec![partition(0, 0)])
            };
            s.ask(
                &format!("session {session_id} epoch {session_epoch} v{version}"),
                version,
                &request,
            )?;
        }
        let empty = FetchRequest { session_epoch: 0, max_wait_ms: 0, ..Default::default() };
        s.ask(&format!("a session of nothing v{version}"), version, &empty)?;
    }
    names_and_ids(s, id)
}

fn one_session(s: &mut Session, version: i16, id: Uuid) -> Result<(), Failure> {
    let all = vec![partition(0, 0), partition(1, 0), partition(2, 0)];
    let full = FetchRequest { session_epoch: 0, ..request(version, "sessions", id, all) };
    let session_id = session_of(&s.ask(&format!("opened v{version}"), version, &full)?)?;
    let next = |session_epoch, topics| FetchRequest {
        session_id,
        session_epoch,
        topics,
        max_wait_ms: 0,
        min_bytes: 1,
        ..Default::default()
    };
    let of = |partitions| request(version, "sessions", id, partitions).topics;
    s.ask(&format!("nothing new v{version}"), version, &next(1, of(vec![partition(0, 2)])))?;
    s.ask(&format!("epoch again v{version}"), version, &next(1, vec![]))?;
    s.ask(&format!("epoch skipped v{version}"), version, &next(4, vec![]))?;
    s.ask(&format!("unchanged v{version}"), version, &next(2, vec![]))?;
    produce(s, "sessions", 1, &records(1, Codec::None))?;
    s.ask(&format!("new records v{version}"), version, &next(3, vec![]))?;
    s.ask(&format!("still there v{version}"), version, &next(4, vec![]))?;
    s.ask(&format!("moved v{version}"), version, &next(5, of(vec![partition(1, 100_000)])))?;
    s.ask(&format!("still wrong v{version}"), version, &next(6, vec![]))?;
    s.ask(&format!("unknown one v{version}"), version, &next(7, of(vec![partition(9, 0)])))?;
    s.ask(&format!("still unknown v{version}"), version, &next(8, vec![]))?;
    let topic_id = if version >= 13 { id } else { Uuid::ZERO };
    let forget =
        |partitions| vec![ForgottenTopic { topic: "sessions".into(), topic_id, partitions }];
    let forgets = FetchRequest { forgotten_topics_data: forget(vec![1, 9]), ..next(9, vec![]) };
    s.ask(&format!("forgotten v{version}"), version, &forgets)?;
    let unknown = FetchRequest { forgotten_topics_data: forget(vec![77]), ..next(10, vec![]) };
    s.ask(&format!("forgotten what is not there v{version}"), version, &unknown)?;
    produce(s, "sessions", 1, &records(1, Codec::None))?;
    s.ask(&format!("no longer wanted v{version}"), version, &next(11, vec![]))?;
    let renewed = FetchRequest { session_epoch: 0, ..next(0, of(vec![partition(2, 0)])) };
    let renewed = s.ask(&format!("renewed v{version}"), version, &renewed)?;
    let request = FetchRequest { session_id: session_of(&renewed)?, ..next(1, vec![]) };
    s.ask(&format!("renewed goes on v{version}"), version, &request)?;
    let request = FetchRequest { session_epoch: -1, ..request };
    s.ask(&format!("closed v{version}"), version, &request)?;
    let request = FetchRequest { session_epoch: 2, ..request };
    s.ask(&format!("after the end v{version}"), version, &request).map(|_| ())
}

fn session_of(reply: &Reply) -> Result<i32, Failure> {
    Ok(reply.read::<FetchRequest<'_>>()?.session_id)
}

/// A session that begins with names and goes on with ids, and the reverse.
fn names_and_ids(s: &mut Session, id: Uuid) -> Result<(), Failure> {
    for (before, after) in [(12, 13), (13, 12)] {
        let full = FetchRequest {
            session_epoch: 0,
            ..request(before, "sessions", id, vec![partition(0, 0)])
        };
        let session_id =
            session_of(&s.ask(&format!("v{before} before v{after}"), before, &full)?)?;
        let next = FetchRequest {
            session_id,
            session_epoch: 1,
            ..request(after, "sessions", id, vec![partition(1, 0)])
        };
        s.ask(&format!("v{after} after v{before}"), after, &next)?;
    }
    Ok(())
}

/// Leader epochs that the client believes in, and ends of epochs that diverge.
pub fn epochs(s: &mut Session) -> Result<(), Failure> {
    let id = topic(s, "epochs", 1, &[])?;
    produce(s, "epochs", 0, &records(3, Codec::None))?;
    for version in ends(ApiKey::Fetch).into_iter().chain([9, 11, 13, 16]) {
        for epoch in [-2, -1, 0, 1, i32::MAX] {
            let one = FetchPartition { current_leader_epoch: epoch, ..partition(0, 0) };
            s.ask(
                &format!("epoch {epoch} v{version}"),
                version,
                &request(version, "epochs", id, vec![one]),
            )?;
        }
        if version < 12 {
            continue;
        }
        for (offset, last) in [(0, 0), (2, 0), (3, 0), (4, 0), (2, 1), (3, 1), (2, -2), (3, 7)] {
            let one = FetchPartition { last_fetched_epoch: last, ..partition(0, offset) };
            let label = format!("{offset} after epoch {last} v{version}");
            s.ask(&label, version, &request(version, "epochs", id, vec![one]))?;
        }
    }
    Ok(())
}
