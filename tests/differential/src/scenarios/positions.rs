//! ListOffsets, DeleteRecords and OffsetForLeaderEpoch: where things are in a log.

use chronik_protocol::api::ApiKey;
use chronik_protocol::compression::Codec;
use chronik_protocol::messages::*;

use super::produce::stored;
use super::setup::{produce, topic, versions};
use crate::batches::{T0, record, records, records_at};
use crate::session::{Failure, Session};

fn offsets_request(
    name: &'static str,
    partition_index: i32,
    timestamp: i64,
) -> ListOffsetsRequest<'static> {
    let partition = ListOffsetsPartition { partition_index, timestamp, ..Default::default() };
    ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic { name: name.into(), partitions: vec![partition] }],
        ..Default::default()
    }
}

/// Every kind of timestamp, in an empty log and one with records.
pub fn list_offsets(s: &mut Session) -> Result<(), Failure> {
    topic(s, "searched", 2, &[])?;
    topic(s, "searched-append-time", 1, &[("message.timestamp.type", "LogAppendTime")])?;
    for (first, codec) in [(T0, Codec::None), (T0 + 100, Codec::Gzip), (T0 + 50, Codec::Lz4)] {
        produce(s, "searched", 0, &records_at(first, 5, codec))?;
    }
    produce(s, "searched", 0, &record(-1, None, Some(b"no time")))?;
    produce(s, "searched-append-time", 0, &records(4, Codec::Zstd))?;
    let times = [
        -1,
        -2,
        -3,
        -4,
        -5,
        -6,
        -7,
        i64::MIN,
        0,
        T0 - 1,
        T0,
        T0 + 2,
        T0 + 4,
        T0 + 5,
        T0 + 50,
        T0 + 54,
        T0 + 100,
        T0 + 103,
        T0 + 104,
        T0 + 105,
        i64::MAX,
    ];
    for version in versions(ApiKey::ListOffsets) {
        for time in times {
            for partition in [0, 1] {
                let request = offsets_request("searched", partition, time);
                s.ask(&format!("{time} in {partition} v{version}"), version, &request)?;
            }
            let request = offsets_request("searched-append-time", 0, time);
            s.ask(&format!("{time} by append time v{version}"), version, &request)?;
        }
        list_offsets_edges(s, version)?;
    }
    Ok(())
}

fn list_offsets_edges(s: &mut Session, version: i16) -> Result<(), Failure> {
    let mut ask = |label: &str, request: &ListOffsetsRequest<'_>| {
        s.ask(&format!("{label} v{version}"), version, request).map(|_| ())
    };
    ask("unknown partition", &offsets_request("searched", 2, -1))?;
    ask("partition -1", &offsets_request("searched", -1, -1))?;
    ask("unknown topic", &offsets_request("nowhere", 0, -1))?;
    ask("invalid topic", &offsets_request("a/b", 0, -1))?;
    ask("no topic name", &offsets_request("", 0, -1))?;
    let mut twice = offsets_request("searched", 0, -1);
    let again = twice.topics[0].partitions[0].clone();
    twice.topics[0].partitions.push(again);
    ask("partition twice", &twice)?;
    let mut topics = offsets_request("searched", 0, -1);
    topics.topics.push(topics.topics[0].clone());
    ask("topic twice", &topics)?;
    ask("no topics", &ListOffsetsRequest { replica_id: -1, ..Default::default() })?;
    for replica in [0, 1, 7, -2, -3] {
        let request =
            ListOffsetsRequest { replica_id: replica, ..offsets_request("searched", 0, -1) };
        ask(&format!("as replica {replica}"), &request)?;
    }
    if version >= 2 {
        for isolation in [1, 2, -1] {
            for time in [-1, T0] {
                let request = ListOffsetsRequest {
                    isolation_level: isolation,
                    ..offsets_request("searched", 0, time)
                };
                ask(&format!("isolation {isolation} of {time}"), &request)?;
            }
        }
    }
    if version >= 4 {
        for epoch in [0, 1, -1, -2, i32::MAX] {
            let mut request = offsets_request("searched", 0, -1);
            request.topics[0].partitions[0].current_leader_epoch = epoch;
            ask(&format!("in epoch {epoch}"), &request)?;
        }
    }
    Ok(())
}

/// Moving the start of a log.
pub fn delete_records(s: &mut Session) -> Result<(), Failure> {
    topic(s, "shortened", 2, &[])?;
    topic(s, "shortened-compacted", 1, &[("cleanup.policy", "compact")])?;
    topic(s, "shortened-both", 1, &[("cleanup.policy", "compact,delete")])?;
    for name in ["shortened", "shortened-compacted", "shortened-both"] {
        produce(s, name, 0, &records(10, Codec::None))?;
        produce(s, name, 0, &records(10, Codec::None))?;
    }
    let request = |name: &'static str, partition_index, offset| DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: name.into(),
            partitions: vec![DeleteRecordsPartition { partition_index, offset }],
        }],
        timeout_ms: 5000,
    };
    for version in versions(ApiKey::DeleteRecords) {
        for (name, partition, offset) in [
            ("shortened", 0, 0),
            ("shortened", 0, 3),
            ("shortened", 0, 2),
            ("shortened", 0, -2),
            ("shortened", 0, 21),
            ("shortened", 0, i64::MAX),
            ("shortened", 1, 0),
            ("shortened", 1, 1),
            ("shortened", 1, -1),
            ("shortened", 2, 0),
            ("shortened", -1, 0),
            ("nowhere", 0, 0),
            ("", 0, 0),
            ("a/b", 0, 0),
            ("shortened-compacted", 0, 5),
            ("shortened-both", 0, 5),
            ("__consumer_offsets", 0, 0),
        ] {
            let label = format!("{name:?} {partition} to {offset} v{version}");
            s.ask(&label, version, &request(name, partition, offset))?;
        }
        let nothing = DeleteRecordsRequest { topics: vec![], timeout_ms: 5000 };
        s.ask(&format!("nothing v{version}"), version, &nothing)?;
        let mut twice = request("shortened", 0, 4);
        twice.topics[0].partitions.push(DeleteRecordsPartition { partition_index: 0, offset: 5 });
        s.ask(&format!("partition twice v{version}"), version, &twice)?;
    }
    stored(s, "shortened", "from before the start")?;
    s.ask("earliest", 7, &offsets_request("shortened", 0, -2))?;
    s.ask("by time", 7, &offsets_request("shortened", 0, T0))?;
    s.ask("all of it", 2, &request("shortened", 0, -1))?;
    s.ask("earliest of nothing", 7, &offsets_request("shortened", 0, -2))?;
    s.ask("latest of nothing", 7, &offsets_request("shortened", 0, -1))?;
    s.ask("greatest time of nothing", 7, &offsets_request("shortened", 0, -3))?;
    s.ask("again", 2, &request("shortened", 0, -1)).map(|_| ())
}

/// Where leader epochs end.
pub fn leader_epochs(s: &mut Session) -> Result<(), Failure> {
    topic(s, "led", 2, &[])?;
    produce(s, "led", 0, &records(3, Codec::None))?;
    let request =
        |version, name: &'static str, partition, current, epoch| OffsetForLeaderEpochRequest {
            replica_id: if version >= 3 { -1 } else { -2 },
            topics: vec![OffsetForLeaderTopic {
                topic: name.into(),
                partitions: vec![OffsetForLeaderPartition {
                    partition,
                    current_leader_epoch: current,
                    leader_epoch: epoch,
                }],
            }],
        };
    for version in versions(ApiKey::OffsetForLeaderEpoch) {
        for (name, partition, current, epoch) in [
            ("led", 0, -1, 0),
            ("led", 0, 0, 0),
            ("led", 0, 1, 0),
            ("led", 0, -2, 0),
            ("led", 0, -1, 1),
            ("led", 0, -1, -1),
            ("led", 0, -1, -2),
            ("led", 0, -1, i32::MAX),
            ("led", 1, -1, 0),
            ("led", 1, -1, 1),
            ("led", 2, -1, 0),
            ("led", -1, -1, 0),
            ("nowhere", 0, -1, 0),
            ("", 0, -1, 0),
        ] {
            let label = format!("{name:?} {partition} current {current} epoch {epoch} v{version}");
            s.ask(&label, version, &request(version, name, partition, current, epoch))?;
        }
        let mut twice = request(version, "led", 0, -1, 0);
        let again = twice.topics[0].partitions[0].clone();
        twice.topics[0].partitions.push(again);
        s.ask(&format!("partition twice v{version}"), version, &twice)?;
        let nothing = OffsetForLeaderEpochRequest { topics: vec![], ..twice };
        s.ask(&format!("nothing v{version}"), version, &nothing)?;
    }
    Ok(())
}
