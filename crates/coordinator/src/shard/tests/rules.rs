//! The rules that a scenario shows badly, one by one.

use std::time::Duration;

use chronik_protocol::codec::Encode as _;
use chronik_protocol::codec::Writer;
use chronik_protocol::messages::*;
use chronik_types::{ErrorCode, ProducerId};

use super::bench::{Bench, Event, at, config, join_request};
use crate::offsets::CommittedOffset;
use crate::record::{self, ReplayError};
use crate::shard::GroupShard;
use crate::{ClientInfo, GroupState, Phase, Release, Reply, Request, RequestId};

fn join(bench: &mut Bench, who: &str, protocols: &[&str]) -> Vec<Event> {
    let protocols: Vec<_> = protocols.iter().map(|name| (*name, &["t"][..])).collect();
    let request = join_request("g", "", &protocols);
    let member_uuid = bench.uuid();
    bench.send(who, 3, Request::JoinGroup { request: &request, member_uuid })
}

fn joined(events: &[Event]) -> &JoinGroupResponse<'static> {
    match events {
        [.., Event::Reply(_, Reply::JoinGroup(response))] => response,
        other => panic!("no JoinGroup was answered: {other:?}"),
    }
}

#[test]
fn the_protocol_most_members_prefer_is_elected_among_those_all_support() {
    let mut bench = Bench::new();
    join(&mut bench, "a", &["only-a", "range", "sticky"]);
    join(&mut bench, "b", &["sticky", "range"]);
    join(&mut bench, "c", &["sticky", "range"]);
    bench.advance(6_000);
    assert_eq!(bench.shard.groups["g"].protocol.as_deref(), Some("sticky"));
    // Whoever shares nothing with all others stays out.
    let events = join(&mut bench, "d", &["only-a"]);
    assert_eq!(joined(&events).error_code, ErrorCode::InconsistentGroupProtocol.code());
}

#[test]
fn the_initial_delay_grows_with_arrivals_up_to_the_rebalance_timeout() {
    let mut bench = Bench::new();
    join(&mut bench, "a", &["range"]);
    for who in ["b", "c", "d"] {
        assert!(bench.advance(2_900).iter().all(|(_, events)| events.is_empty()));
        join(&mut bench, who, &["range"]);
    }
    // a at 0, then arrivals at 2.9, 5.8 and 8.7 s: delays end at 3, 6, 9, and 12 s.
    let ended = bench.advance(60_000);
    let (when, _) = ended.iter().find(|(_, events)| !events.is_empty()).unwrap();
    assert_eq!(*when, 12_000);
}

#[test]
fn a_full_group_takes_nobody_in() {
    let mut bench = Bench::new();
    for n in 0..config().group_members_max {
        assert!(join(&mut bench, &format!("m{n}"), &["range"]).is_empty());
    }
    let events = join(&mut bench, "late", &["range"]);
    let response = joined(&events);
    assert_eq!(response.error_code, ErrorCode::GroupMaxSizeReached.code());
    assert_eq!(response.member_id, "");
    bench.advance(6_000);
    let events = join(&mut bench, "late", &["range"]);
    assert_eq!(joined(&events).error_code, ErrorCode::GroupMaxSizeReached.code());
}

#[test]
fn a_group_over_a_lowered_limit_rebalances_when_it_is_loaded_and_loses_who_comes_last() {
    let mut bench = Bench::new();
    let ids = stable_group(&mut bench, &["a", "b", "c"]);
    let mut config = config();
    config.group_members_max = 2;
    bench.shard.set_config(config);
    bench.restart();
    assert!(matches!(bench.shard.groups["g"].state(), GroupState::PreparingRebalance(_)));
    let mut answers = Vec::new();
    for (who, id) in ["a", "b", "c"].iter().zip(&ids) {
        let request = join_request("g", id, &[("range", &["t"])]);
        let member_uuid = bench.uuid();
        answers.extend(bench.send(who, 3, Request::JoinGroup { request: &request, member_uuid }));
    }
    let refused = answers.iter().any(|event| {
        matches!(event, Event::Reply(who, Reply::JoinGroup(response))
            if who == "c" && response.error_code == ErrorCode::GroupMaxSizeReached.code())
    });
    assert!(refused);
    assert_eq!(bench.shard.groups["g"].members().len(), 2);
}

/// Joins and syncs members; their ids.
fn stable_group(bench: &mut Bench, names: &[&str]) -> Vec<String> {
    for name in names {
        join(bench, name, &["range"]);
    }
    bench.advance(6_000);
    let group = &bench.shard.groups["g"];
    let ids: Vec<_> = group.members().map(|member| member.id.to_string()).collect();
    let leader = group.leader.clone().unwrap();
    let request = SyncGroupRequest {
        group_id: "g".into(),
        generation_id: group.generation,
        member_id: leader.to_string().into(),
        ..Default::default()
    };
    bench.send("leader", 5, Request::SyncGroup(&request));
    assert_eq!(bench.shard.groups["g"].state(), GroupState::Stable);
    ids
}

#[test]
fn a_request_that_is_sent_again_while_it_waits_answers_the_first() {
    let mut bench = Bench::new();
    let ids = stable_group(&mut bench, &["a", "b"]);
    let request = join_request("g", &ids[0], &[("range", &["t"])]);
    let member_uuid = bench.uuid();
    let request = Request::JoinGroup { request: &request, member_uuid };
    assert!(bench.send("first", 3, request).is_empty());
    let events = bench.send("second", 3, request);
    let [Event::Reply(who, Reply::JoinGroup(response))] = &events[..] else { panic!("{events:?}") };
    assert_eq!((who.as_str(), response.error_code), ("first", 27));
}

#[test]
fn version_0_rebalances_within_the_session_timeout() {
    let mut bench = Bench::new();
    let mut request = join_request("g", "", &[("range", &["t"])]);
    request.rebalance_timeout_ms = -1;
    let member_uuid = bench.uuid();
    bench.send("a", 0, Request::JoinGroup { request: &request, member_uuid });
    assert_eq!(bench.shard.groups["g"].rebalance_timeout(), Duration::from_secs(10));
}

#[test]
fn a_wrong_protocol_in_sync_group_is_refused() {
    let mut bench = Bench::new();
    let ids = stable_group(&mut bench, &["a"]);
    let mut request = SyncGroupRequest {
        group_id: "g".into(),
        generation_id: 1,
        member_id: ids[0].as_str().into(),
        protocol_name: Some("sticky".into()),
        ..Default::default()
    };
    let events = bench.send("a", 5, Request::SyncGroup(&request));
    let [Event::Reply(_, Reply::SyncGroup(response))] = &events[..] else { panic!("{events:?}") };
    assert_eq!(response.error_code, ErrorCode::InconsistentGroupProtocol.code());
    request.protocol_name = Some("range".into());
    request.protocol_type = Some("consumer".into());
    let events = bench.send("a", 5, Request::SyncGroup(&request));
    let [Event::Reply(_, Reply::SyncGroup(response))] = &events[..] else { panic!("{events:?}") };
    assert_eq!(response.error_code, 0);
}

#[test]
fn metadata_is_measured_in_utf16_units_and_refused_one_by_one() {
    let mut bench = Bench::new();
    let partition = |index, metadata: String| OffsetCommitRequestPartition {
        partition_index: index,
        committed_metadata: Some(metadata.into()),
        ..Default::default()
    };
    let partitions = vec![
        partition(0, "ü".repeat(4096)),
        partition(1, "x".repeat(4097)),
        // 2049 surrogate pairs.
        partition(2, "\u{1F600}".repeat(2049)),
    ];
    let request = OffsetCommitRequest {
        group_id: "g".into(),
        topics: vec![OffsetCommitRequestTopic { name: "t".into(), partitions }],
        ..Default::default()
    };
    let events = bench.send("x", 9, Request::OffsetCommit(&request));
    let [Event::Record(..), Event::Reply(_, Reply::OffsetCommit(response))] = &events[..] else {
        panic!("{events:?}");
    };
    let codes: Vec<_> = response.topics[0].partitions.iter().map(|p| p.error_code).collect();
    assert_eq!(codes, [0, 12, 12]);
}

#[test]
fn a_staged_offset_is_unstable_until_the_marker_and_then_wins_or_is_gone() {
    let offset = |offset| CommittedOffset {
        offset,
        leader_epoch: -1,
        metadata: "".into(),
        committed_at: at(0).wall,
        expires_at: None,
    };
    let record = |n| record::encode_offset("g", "t", 0, Some(&offset(n)));
    for committed in [true, false] {
        let mut shard = GroupShard::new(config());
        let (key, value) = record(5);
        shard.replay_transactional(ProducerId(1), &key, value.as_ref()).unwrap();
        // A plain commit between the staging and the marker.
        let (key, value) = record(9);
        shard.replay(&key, value.as_ref()).unwrap();
        assert!(shard.loaded(at(0)).is_empty());
        shard.check();
        assert_eq!(fetch(&mut shard), (-1, ErrorCode::UnstableOffsetCommit.code()));
        shard.end_transaction(ProducerId(1), committed);
        shard.check();
        assert_eq!(fetch(&mut shard), (if committed { 5 } else { 9 }, 0));
    }
}

fn fetch(shard: &mut GroupShard) -> (i64, i16) {
    let group = OffsetFetchRequestGroup {
        group_id: "g".into(),
        topics: Some(vec![OffsetFetchRequestTopics {
            name: "t".into(),
            partition_indexes: vec![0],
        }]),
        ..Default::default()
    };
    let request = Request::OffsetFetch { group: &group, require_stable: true };
    let effects = shard.handle(at(1), RequestId(1), request, &CLIENT);
    assert_eq!(effects.release, Release::WhenDurable, "what is shown must not be lost");
    let Some((_, Reply::OffsetFetch(found))) = effects.replies.first() else { panic!() };
    let partition = &found.topics[0].partitions[0];
    (partition.committed_offset, partition.error_code)
}

const CLIENT: ClientInfo<'static> = ClientInfo { client_id: "c", host: "/::1", api_version: 9 };

#[test]
fn a_shard_that_loads_or_has_resigned_refuses_every_request_with_its_code() {
    let (join, sync) = (join_request("g", "m", &[]), SyncGroupRequest::default());
    let (heartbeat, leave) = (HeartbeatRequest::default(), LeaveGroupRequest::default());
    let (commit, fetch) = (OffsetCommitRequest::default(), OffsetFetchRequestGroup::default());
    let (offsets, delete) = (OffsetDeleteRequest::default(), DeleteGroupsRequest::default());
    let (describe, list) = (DescribeGroupsRequest::default(), ListGroupsRequest::default());
    let requests = [
        Request::JoinGroup { request: &join, member_uuid: chronik_types::Uuid::ZERO },
        Request::SyncGroup(&sync),
        Request::Heartbeat(&heartbeat),
        Request::LeaveGroup(&leave),
        Request::OffsetCommit(&commit),
        Request::OffsetFetch { group: &fetch, require_stable: false },
        Request::OffsetDelete(&offsets),
        Request::DeleteGroups(&delete),
        Request::DescribeGroups(&describe),
        Request::ListGroups(&list),
    ];
    let mut shard = GroupShard::new(config());
    for phase in [Phase::Loading, Phase::Resigned] {
        assert_eq!(shard.phase(), phase);
        let code = if phase == Phase::Loading { 14 } else { 16 };
        for request in &requests {
            let effects = shard.handle(at(0), RequestId(1), *request, &CLIENT);
            assert_eq!(effects.replies.len(), 1);
            assert!(effects.records.is_empty());
            match &effects.replies[0].1 {
                Reply::JoinGroup(r) => assert_eq!(r.error_code, code),
                Reply::Heartbeat(r) if code == 14 => assert_eq!(r.error_code, 0),
                Reply::Heartbeat(r) => assert_eq!(r.error_code, code),
                Reply::ListGroups(r) => assert_eq!(r.error_code, code),
                Reply::OffsetFetch(r) => assert_eq!(r.error_code, code),
                _ => {}
            }
        }
        assert!(shard.resign().is_empty());
    }
}

#[test]
fn a_heartbeat_waits_for_nothing_and_an_assignment_for_the_log() {
    let mut shard = GroupShard::new(config());
    assert!(shard.loaded(at(0)).is_empty());
    let heartbeat = HeartbeatRequest { group_id: "g".into(), ..Default::default() };
    let request = Request::Heartbeat(&heartbeat);
    let effects = shard.handle(at(0), RequestId(1), request, &CLIENT);
    assert_eq!(effects.release, Release::Now);
}

#[test]
fn unknown_record_types_are_told_apart_from_broken_records() {
    let mut shard = GroupShard::new(config());
    assert_eq!(shard.replay(&[0, 5, 1, 2], None), Err(ReplayError::UnknownType(5)));
    assert!(matches!(shard.replay(&[0, 2, 9, 9], None), Err(ReplayError::Malformed(_))));
    assert_eq!(shard.groups(), 0);
}

#[test]
fn a_client_id_of_any_length_gets_an_answer_that_can_be_written() {
    let mut bench = Bench::new();
    for length in [32_730, 32_731, 32_767] {
        let events = join(&mut bench, &"c".repeat(length), &["range"]);
        if length > 32_730 {
            assert_eq!(joined(&events).error_code, ErrorCode::InvalidRequest.code());
        }
    }
    let (_, events) = bench.advance(6_000).into_iter().find(|(_, e)| !e.is_empty()).unwrap();
    joined(&events).encode(&mut Writer::new(), 3).unwrap();
    assert_eq!(bench.shard.groups["g"].members().len(), 1);
}

#[test]
fn replies_can_be_written_in_every_version() {
    for version in 0..=9 {
        let mut bench = Bench::new();
        let request = join_request("g", "", &[("range", &["t"])]);
        let member_uuid = bench.uuid();
        let mut events =
            bench.send("a", version, Request::JoinGroup { request: &request, member_uuid });
        for (_, more) in bench.advance(6_000) {
            events.extend(more);
        }
        joined(&events).encode(&mut Writer::new(), version).unwrap();
        if version <= 6 {
            let describe =
                DescribeGroupsRequest { groups: vec!["none".into()], ..Default::default() };
            let events = bench.send("a", version, Request::DescribeGroups(&describe));
            let [Event::Reply(_, Reply::DescribeGroups(response))] = &events[..] else { panic!() };
            response.encode(&mut Writer::new(), version).unwrap();
            let unknown = if version == 6 { 69 } else { 0 };
            assert_eq!(response.groups[0].error_code, unknown);
        }
        if version <= 5 {
            let list = ListGroupsRequest::default();
            let events = bench.send("a", version, Request::ListGroups(&list));
            let [Event::Reply(_, Reply::ListGroups(response))] = &events[..] else { panic!() };
            response.encode(&mut Writer::new(), version).unwrap();
            let leave = LeaveGroupRequest { group_id: "g".into(), ..Default::default() };
            let events = bench.send("a", version, Request::LeaveGroup(&leave));
            let [Event::Reply(_, Reply::LeaveGroup(response))] = &events[..] else { panic!() };
            response.encode(&mut Writer::new(), version).unwrap();
        }
    }
}

#[test]
fn listing_filters_by_state_and_type_whatever_the_case() {
    let mut bench = Bench::new();
    stable_group(&mut bench, &["a"]);
    let mut listed = |states: &[&'static str], types: &[&'static str]| {
        let list = ListGroupsRequest {
            states_filter: states.iter().map(|state| (*state).into()).collect(),
            types_filter: types.iter().map(|kind| (*kind).into()).collect(),
        };
        let events = bench.send("admin", 5, Request::ListGroups(&list));
        let [Event::Reply(_, Reply::ListGroups(response))] = &events[..] else { panic!() };
        response.groups.len()
    };
    assert_eq!(listed(&[], &[]), 1);
    assert_eq!(listed(&["empty", "STABLE"], &["Classic"]), 1);
    assert_eq!(listed(&["Empty"], &[]), 0);
    assert_eq!(listed(&[], &["consumer"]), 0);
}

#[test]
fn what_a_topic_leaves_behind_is_removed_in_bounded_steps() {
    let mut bench = Bench::new();
    let mut config = config();
    config.tombstones_max = 2;
    bench.shard.set_config(config);
    for partition_index in 0..5 {
        let partition = OffsetCommitRequestPartition { partition_index, ..Default::default() };
        let request = OffsetCommitRequest {
            group_id: "g".into(),
            topics: vec![OffsetCommitRequestTopic {
                name: "t".into(),
                partitions: vec![partition],
            }],
            ..Default::default()
        };
        bench.send("x", 9, Request::OffsetCommit(&request));
    }
    let mut steps = Vec::new();
    loop {
        let now = bench.now();
        let (effects, more) = bench.shard.topics_deleted(now, &["t"]);
        steps.push(bench.act(effects).len());
        if !more {
            break;
        }
    }
    assert_eq!(steps, [2, 2, 1]);
    bench.check_log();
}
