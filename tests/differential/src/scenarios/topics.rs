//! CreateTopics, CreatePartitions and DeleteTopics.

use chronik_protocol::api::ApiKey;
use chronik_protocol::messages::*;
use chronik_types::Uuid;

use super::setup::{await_no_topic, await_partitions, brief, ends, topic, versions};
use crate::session::{Failure, Session};

fn new(name: &str) -> CreatableTopic<'_> {
    CreatableTopic {
        name: name.into(),
        num_partitions: 1,
        replication_factor: 1,
        ..Default::default()
    }
}

fn create(topics: Vec<CreatableTopic<'_>>) -> CreateTopicsRequest<'_> {
    CreateTopicsRequest { topics, timeout_ms: 5000, validate_only: false }
}

fn with_config<'a>(name: &'a str, value: Option<&'a str>) -> CreatableTopic<'a> {
    let config = CreatableTopicConfig { name: name.into(), value: value.map(Into::into) };
    CreatableTopic { configs: vec![config], ..new("rejected") }
}

fn assigned(replicas: &[(i32, &[i32])]) -> CreatableTopic<'static> {
    let assignments = replicas
        .iter()
        .map(|(partition_index, brokers)| CreatableReplicaAssignment {
            partition_index: *partition_index,
            broker_ids: brokers.to_vec(),
        })
        .collect();
    CreatableTopic { num_partitions: -1, replication_factor: -1, assignments, ..new("assigned") }
}

/// Names, counts, assignments and configs: what is created and what is refused.
pub fn creation(s: &mut Session) -> Result<(), Failure> {
    topic(s, "existing.topic", 1, &[])?;
    let longest = "y".repeat(249);
    let longer = "y".repeat(250);
    for version in versions(ApiKey::CreateTopics) {
        // What is only checked can be asked again in every version.
        let mut check = |label: &str, topics: Vec<CreatableTopic<'_>>| {
            let request = CreateTopicsRequest { validate_only: true, ..create(topics) };
            s.ask(&format!("{label} v{version}"), version, &request).map(|_| ())
        };
        for name in ["", ".", "..", "a b", "a/b", "\u{e4}", "a\0b", &longest, &longer] {
            check(&format!("name {}", brief(name)), vec![new(name)])?;
        }
        check("existing", vec![new("existing.topic")])?;
        check("collides", vec![new("existing_topic")])?;
        check("internal", vec![new("__consumer_offsets")])?;
        check("twice", vec![new("same"), new("same"), new("other")])?;
        check("none", vec![])?;
        for count in [-1, 0, -2, 5, i32::MAX] {
            check(
                &format!("{count} partitions"),
                vec![CreatableTopic { num_partitions: count, ..new("t") }],
            )?;
        }
        for factor in [-1, 0, -2, 2, i16::MAX] {
            let of = CreatableTopic { replication_factor: factor, ..new("t") };
            check(&format!("{factor} replicas"), vec![of])?;
        }
        for (label, topic) in assignments() {
            check(label, vec![topic])?;
        }
    }
    created_configs(s)?;
    really(s)
}

fn assignments() -> Vec<(&'static str, CreatableTopic<'static>)> {
    vec![
        ("assigned", assigned(&[(0, &[1]), (1, &[1])])),
        ("assigned in another order", assigned(&[(1, &[1]), (0, &[1])])),
        ("assigned from 1", assigned(&[(1, &[1])])),
        ("assigned with a gap", assigned(&[(0, &[1]), (2, &[1])])),
        ("assigned twice", assigned(&[(0, &[1]), (0, &[1])])),
        ("assigned to nobody", assigned(&[(0, &[])])),
        ("assigned to an unknown broker", assigned(&[(0, &[9])])),
        ("assigned to a negative broker", assigned(&[(0, &[-1])])),
        ("assigned twice to one broker", assigned(&[(0, &[1, 1])])),
        ("assigned with other factors", assigned(&[(0, &[1]), (1, &[1, 1])])),
        ("assigned partition -1", assigned(&[(-1, &[1])])),
        ("assigned and counted", CreatableTopic { num_partitions: 1, ..assigned(&[(0, &[1])]) }),
        (
            "assigned and replicated",
            CreatableTopic { replication_factor: 1, ..assigned(&[(0, &[1])]) },
        ),
    ]
}

/// Every kind of config value, good and bad.
fn created_configs(s: &mut Session) -> Result<(), Failure> {
    let version = 7;
    for (name, value) in super::configs::VALUES {
        let request =
            CreateTopicsRequest { validate_only: true, ..create(vec![with_config(name, *value)]) };
        s.ask(&format!("created with {name}={value:?}"), version, &request)?;
    }
    let doubled = CreatableTopicConfig { name: "retention.ms".into(), value: Some("5".into()) };
    let other = CreatableTopicConfig { value: Some("6".into()), ..doubled.clone() };
    let topic = CreatableTopic { configs: vec![doubled, other], ..new("doubled") };
    s.ask("a config twice", version, &create(vec![topic])).map(|_| ())
}

/// What is really created, and is there afterwards.
fn really(s: &mut Session) -> Result<(), Failure> {
    for version in ends(ApiKey::CreateTopics) {
        let names = [format!("real-a-v{version}"), format!("real-b-v{version}")];
        let topics = vec![
            CreatableTopic { num_partitions: 2, ..new(&names[0]) },
            new("a/b"),
            CreatableTopic { name: names[1].as_str().into(), ..assigned(&[(0, &[1])]) },
        ];
        s.ask(&format!("some good, one not v{version}"), version, &create(topics))?;
        await_partitions(s, &names[0], 2)?;
        await_partitions(s, &names[1], 1)?;
        s.ask(&format!("again v{version}"), version, &create(vec![new(&names[0])]))?;
    }
    for timeout in [0, -1] {
        let request = CreateTopicsRequest { timeout_ms: timeout, ..create(vec![new("a/b")]) };
        s.ask(&format!("invalid with timeout {timeout}"), 7, &request)?;
    }
    if ends(ApiKey::CreateTopics).contains(&5) {
        let defaults =
            CreatableTopic { num_partitions: -1, replication_factor: -1, ..new("by-default") };
        s.ask("by default", 5, &create(vec![defaults]))?;
    }
    Ok(())
}

/// More partitions.
pub fn growth(s: &mut Session) -> Result<(), Failure> {
    topic(s, "growing", 2, &[])?;
    let to = |name: &'static str, count, assignments: Option<&[&[i32]]>| CreatePartitionsTopic {
        name: name.into(),
        count,
        assignments: assignments.map(|all| {
            let of = |ids: &&[i32]| CreatePartitionsAssignment { broker_ids: ids.to_vec() };
            all.iter().map(of).collect()
        }),
    };
    let request =
        |topics, validate_only| CreatePartitionsRequest { topics, timeout_ms: 5000, validate_only };
    for version in versions(ApiKey::CreatePartitions) {
        for (label, topics) in [
            ("more", vec![to("growing", 5, None)]),
            ("as many", vec![to("growing", 2, None)]),
            ("fewer", vec![to("growing", 1, None)]),
            ("0", vec![to("growing", 0, None)]),
            ("-1", vec![to("growing", -1, None)]),
            ("far too many", vec![to("growing", i32::MAX, None)]),
            ("unknown", vec![to("nowhere", 5, None)]),
            ("invalid", vec![to("a/b", 5, None)]),
            ("unnamed", vec![to("", 5, None)]),
            ("internal", vec![to("__consumer_offsets", 60, None)]),
            ("twice", vec![to("growing", 5, None), to("growing", 6, None)]),
            ("none", vec![]),
            ("assigned", vec![to("growing", 4, Some(&[&[1], &[1]]))]),
            ("too few assigned", vec![to("growing", 4, Some(&[&[1]]))]),
            ("none assigned", vec![to("growing", 4, Some(&[]))]),
            ("too many assigned", vec![to("growing", 3, Some(&[&[1], &[1]]))]),
            ("assigned to nobody", vec![to("growing", 3, Some(&[&[]]))]),
            ("assigned elsewhere", vec![to("growing", 3, Some(&[&[9]]))]),
            ("assigned to one broker twice", vec![to("growing", 3, Some(&[&[1, 1]]))]),
        ] {
            s.ask(&format!("{label} v{version}"), version, &request(topics, true))?;
        }
    }
    let late =
        CreatePartitionsRequest { timeout_ms: 0, ..request(vec![to("nowhere", 5, None)], false) };
    s.ask("without time", 3, &late)?;
    s.ask("really", 3, &request(vec![to("growing", 3, None), to("nowhere", 3, None)], false))?;
    await_partitions(s, "growing", 3)?;
    s.ask("really, assigned", 1, &request(vec![to("growing", 4, Some(&[&[1]]))], false))?;
    await_partitions(s, "growing", 4)
}

/// Topics that go, by name and by id.
pub fn deletion(s: &mut Session) -> Result<(), Failure> {
    for version in versions(ApiKey::DeleteTopics) {
        let name: &'static str = Box::leak(format!("to-go-v{version}").into_boxed_str());
        let id = topic(s, name, 1, &[])?;
        let mut ask_within = |timeout_ms, label: &str, names: &[&'static str], ids: &[Uuid]| {
            let by_name = |name: &&'static str| DeleteTopicState {
                name: Some((*name).into()),
                topic_id: Uuid::ZERO,
            };
            let by_id = |id: &Uuid| DeleteTopicState { name: None, topic_id: *id };
            let request = match version {
                ..6 => DeleteTopicsRequest {
                    topic_names: names.iter().map(|name| (*name).into()).collect(),
                    timeout_ms,
                    ..Default::default()
                },
                _ => DeleteTopicsRequest {
                    topics: names.iter().map(by_name).chain(ids.iter().map(by_id)).collect(),
                    timeout_ms,
                    ..Default::default()
                },
            };
            s.ask(&format!("{label} v{version}"), version, &request).map(|_| ())
        };
        ask_within(0, "without time", &["nowhere"], &[])?;
        let mut ask =
            |label: &str, names: &[&'static str], ids: &[Uuid]| ask_within(5000, label, names, ids);
        ask("unknown", &["nowhere"], &[])?;
        ask("invalid", &["a/b", "", ".."], &[])?;
        ask("none", &[], &[])?;
        ask("unknown twice", &["nowhere", "nowhere"], &[])?;
        if version >= 6 {
            ask("unknown id", &[], &[Uuid([5; 16])])?;
            ask("zero id", &[], &[Uuid::ZERO])?;
            ask("by name and id", &[name], &[id])?;
            ask("id twice", &[], &[id, id])?;
        } else {
            ask("twice", &[name, name], &[])?;
        }
        let other: &'static str = Box::leak(format!("to-go-too-v{version}").into_boxed_str());
        let other_id = topic(s, other, 1, &[])?;
        delete_really(s, version, other, other_id)?;
    }
    Ok(())
}

fn delete_really(
    s: &mut Session,
    version: i16,
    name: &'static str,
    topic_id: Uuid,
) -> Result<(), Failure> {
    let request = match version {
        ..6 => DeleteTopicsRequest {
            topic_names: vec![name.into(), "nowhere".into()],
            timeout_ms: 5000,
            ..Default::default()
        },
        _ => DeleteTopicsRequest {
            topics: vec![DeleteTopicState { name: None, topic_id }],
            timeout_ms: 5000,
            ..Default::default()
        },
    };
    s.ask(&format!("known v{version}"), version, &request)?;
    await_no_topic(s, name)?;
    s.ask(&format!("gone v{version}"), version, &request).map(|_| ())
}
