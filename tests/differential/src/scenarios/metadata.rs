//! Metadata, DescribeCluster and DescribeTopicPartitions.

use chronik_protocol::api::ApiKey;
use chronik_protocol::messages::*;
use chronik_types::Uuid;

use super::setup::{await_partitions, brief, metadata_of, topic, versions};
use crate::session::{Failure, Session};

fn named(name: &'static str) -> MetadataRequestTopic<'static> {
    MetadataRequestTopic { name: Some(name.into()), ..Default::default() }
}

fn of(topics: Vec<MetadataRequestTopic<'static>>) -> MetadataRequest<'static> {
    MetadataRequest { topics: Some(topics), allow_auto_topic_creation: true, ..Default::default() }
}

/// Topics by name and id, known and unknown, and creation by asking.
pub fn topics(s: &mut Session) -> Result<(), Failure> {
    let id = topic(s, "asked", 2, &[])?;
    let long: &'static str = Box::leak("x".repeat(250).into_boxed_str());
    for version in versions(ApiKey::Metadata) {
        let mut ask = |label: &str, request: &MetadataRequest<'_>| {
            s.ask(&format!("{label} v{version}"), version, request).map(|_| ())
        };
        for name in ["", ".", "..", "a/b", "a b", "\u{e4}", "__consumer_offsets", long] {
            ask(&format!("named {}", brief(name)), &of(vec![named(name)]))?;
        }
        ask("twice", &of(vec![named("asked"), named("asked")]))?;
        ask("known and not", &of(vec![named("asked"), named("a\0b")]))?;
        if version >= 1 {
            ask("no topics", &of(vec![]))?;
        }
        if version >= 4 {
            ask("not to be created", &metadata_of("never", false))?;
        }
        if version >= 8 {
            let request = MetadataRequest {
                include_topic_authorized_operations: true,
                ..of(vec![named("asked")])
            };
            ask("operations of topics", &request)?;
        }
        if (8..=10).contains(&version) {
            let request = MetadataRequest {
                include_cluster_authorized_operations: true,
                ..of(vec![named("asked")])
            };
            ask("operations of the cluster", &request)?;
        }
        if version >= 10 {
            let by = |topic_id, name: Option<&'static str>| MetadataRequestTopic {
                topic_id,
                name: name.map(Into::into),
            };
            ask("by id", &of(vec![by(id, None)]))?;
            ask("by unknown id", &of(vec![by(Uuid([3; 16]), None)]))?;
            ask("by id and name", &of(vec![by(id, Some("asked"))]))?;
            ask("by neither", &of(vec![by(Uuid::ZERO, None)]))?;
            ask("by both kinds", &of(vec![by(id, None), named("asked")]))?;
        }
        creation(s, version)?;
    }
    Ok(())
}

/// What is created by asking is there a moment later.
fn creation(s: &mut Session, version: i16) -> Result<(), Failure> {
    let name: &'static str = Box::leak(format!("created-by-v{version}").into_boxed_str());
    s.ask(&format!("to be created v{version}"), version, &of(vec![named(name)]))?;
    await_partitions(s, name, 2)?;
    s.ask(&format!("created v{version}"), version, &of(vec![named(name)])).map(|_| ())
}

/// The cluster, its brokers, and all topics.
pub fn cluster(s: &mut Session) -> Result<(), Failure> {
    for version in versions(ApiKey::DescribeCluster) {
        let kinds: &[i8] = if version >= 1 { &[1, 2, 0, 3, -1] } else { &[1] };
        for kind in kinds {
            for operations in [false, true] {
                let request = DescribeClusterRequest {
                    include_cluster_authorized_operations: operations,
                    endpoint_type: *kind,
                    include_fenced_brokers: version >= 2 && operations,
                };
                s.ask(&format!("endpoints {kind} {operations} v{version}"), version, &request)?;
            }
        }
    }
    for version in versions(ApiKey::FindCoordinator) {
        for kind in [0, 2, 3, -1, 127] {
            for key in ["a-group", ""] {
                if version == 0 && kind != 0 {
                    continue;
                }
                let request = find(version, key, kind);
                s.ask(
                    &format!("coordinator {key:?} of type {kind} v{version}"),
                    version,
                    &request,
                )?;
            }
        }
        if version >= 4 {
            let keys = |keys: &[&'static str]| FindCoordinatorRequest {
                coordinator_keys: keys.iter().map(|key| (*key).into()).collect(),
                ..Default::default()
            };
            s.ask(&format!("several v{version}"), version, &keys(&["b", "a", "b"]))?;
            s.ask(&format!("none v{version}"), version, &keys(&[]))?;
        }
    }
    Ok(())
}

fn find(version: i16, key: &'static str, key_type: i8) -> FindCoordinatorRequest<'static> {
    match version {
        ..4 => FindCoordinatorRequest { key: key.into(), key_type, ..Default::default() },
        _ => FindCoordinatorRequest {
            coordinator_keys: vec![key.into()],
            key_type,
            ..Default::default()
        },
    }
}

/// DescribeTopicPartitions page by page.
pub fn pages(s: &mut Session) -> Result<(), Failure> {
    topic(s, "page-a", 3, &[])?;
    topic(s, "page-b", 3, &[])?;
    let request = |names: &[&'static str], limit, cursor: Option<(&'static str, i32)>| {
        DescribeTopicPartitionsRequest {
            topics: names
                .iter()
                .map(|name| DescribeTopicPartitionsTopicRequest { name: (*name).into() })
                .collect(),
            response_partition_limit: limit,
            cursor: cursor
                .map(|(name, partition_index)| Cursor { topic_name: name.into(), partition_index }),
        }
    };
    let both = ["page-b", "page-a"];
    for limit in [2000, 1, 2, 3, 4, 5, 6, 0, -1, i32::MAX] {
        s.ask(&format!("at most {limit}"), 0, &request(&both, limit, None))?;
    }
    for cursor in [
        ("page-a", 0),
        ("page-a", 2),
        ("page-a", 3),
        ("page-a", -1),
        ("page-b", 1),
        ("page-aa", 0),
        ("zzz", 0),
        ("", 0),
    ] {
        for limit in [2, 2000] {
            s.ask(
                &format!("from {cursor:?} at most {limit}"),
                0,
                &request(&both, limit, Some(cursor)),
            )?;
        }
    }
    s.ask("of one before the cursor", 0, &request(&["page-a"], 9, Some(("page-b", 0))))?;
    s.ask("twice", 0, &request(&["page-a", "page-a"], 9, None))?;
    s.ask("unknown", 0, &request(&["nowhere", "page-a"], 9, None))?;
    s.ask("invalid", 0, &request(&["a/b", ".."], 9, None))?;
    s.ask("unnamed", 0, &request(&[""], 9, None))?;
    s.ask("internal", 0, &request(&["__consumer_offsets"], 9, None)).map(|_| ())
}
