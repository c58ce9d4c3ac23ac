//! Preparations: done on both brokers, compared on neither.

use std::thread;
use std::time::Duration;

use chronik_protocol::api::ApiKey;
use chronik_protocol::codec::Records;
use chronik_protocol::messages::*;
use chronik_types::Uuid;

use crate::session::{Failure, Session};

/// How often a state is asked for before it is held that it will not come.
const ATTEMPTS: usize = 500;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(20);

/// Every version of an API that is served.
pub fn versions(key: ApiKey) -> impl Iterator<Item = i16> + Clone {
    key.api().min..=key.api().max
}

/// The first and the last version, and those where the wire form changes between them.
pub fn ends(key: ApiKey) -> Vec<i16> {
    let api = key.api();
    let mut versions = vec![api.min, api.max];
    versions.extend(api.flexible_from.filter(|at| api.serves(*at)));
    versions.sort_unstable();
    versions.dedup();
    versions
}

/// A text as part of a step's label: its beginning and its length.
pub fn brief(text: &str) -> String {
    let start: String = text.chars().take(12).collect();
    format!("{start:?} of {}", text.len())
}

/// Creates a topic and waits until its partitions can be written.
pub fn topic(
    s: &mut Session,
    name: &str,
    partitions: i32,
    configs: &[(&str, &str)],
) -> Result<Uuid, Failure> {
    let configs = configs
        .iter()
        .map(|(name, value)| CreatableTopicConfig {
            name: (*name).into(),
            value: Some((*value).into()),
        })
        .collect();
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: 1,
        configs,
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    let reply = s.prepare(7, &request)?;
    let response = reply.read::<CreateTopicsRequest<'_>>()?;
    let result = response.topics.first().ok_or(Failure::NoAnswer)?;
    if result.error_code != 0 {
        return Err(Failure::Preparation(format!(
            "creating {name}: {} {:?}",
            result.error_code, result.error_message
        )));
    }
    let id = result.topic_id;
    s.masks.learn_topic(id, name);
    await_partitions(s, name, partitions)?;
    Ok(id)
}

/// Waits until every partition of a topic has a leader that answers for it.
pub fn await_partitions(s: &mut Session, name: &str, partitions: i32) -> Result<(), Failure> {
    until(s, &format!("{name} has {partitions} partitions"), |s| {
        let reply = s.prepare(12, &metadata_of(name, false))?;
        let response = reply.read::<MetadataRequest<'_>>()?;
        let led = response.topics.first().is_some_and(|topic| {
            i32::try_from(topic.partitions.len()) == Ok(partitions)
                && topic.partitions.iter().all(|p| p.error_code == 0)
        });
        Ok(led && leads(s, name, partitions)?)
    })
}

fn leads(s: &mut Session, name: &str, partitions: i32) -> Result<bool, Failure> {
    let partitions = (0..partitions)
        .map(|partition_index| ListOffsetsPartition {
            partition_index,
            timestamp: -1,
            ..Default::default()
        })
        .collect();
    let topics = vec![ListOffsetsTopic { name: name.into(), partitions }];
    let request = ListOffsetsRequest { replica_id: -1, topics, ..Default::default() };
    let reply = s.prepare(7, &request)?;
    let response = reply.read::<ListOffsetsRequest<'_>>()?;
    Ok(response.topics.iter().all(|topic| topic.partitions.iter().all(|p| p.error_code == 0)))
}

/// Waits until nobody knows a topic of this name any more.
pub fn await_no_topic(s: &mut Session, name: &str) -> Result<(), Failure> {
    until(s, &format!("{name} is gone"), |s| {
        let reply = s.prepare(12, &metadata_of(name, false))?;
        let response = reply.read::<MetadataRequest<'_>>()?;
        Ok(response.topics.iter().all(|topic| topic.error_code == 3))
    })
}

/// A metadata request for one topic.
pub fn metadata_of(name: &str, create: bool) -> MetadataRequest<'_> {
    let topic = MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
    MetadataRequest {
        topics: Some(vec![topic]),
        allow_auto_topic_creation: create,
        ..Default::default()
    }
}

/// Waits until the coordinator of a group serves it.
pub fn coordinator(s: &mut Session, group: &str) -> Result<(), Failure> {
    until(s, &format!("{group} has a coordinator"), |s| {
        let find =
            FindCoordinatorRequest { coordinator_keys: vec![group.into()], ..Default::default() };
        let reply = s.prepare(4, &find)?;
        let response = reply.read::<FindCoordinatorRequest<'_>>()?;
        if response.coordinators.iter().any(|found| found.error_code != 0) {
            return Ok(false);
        }
        let heartbeat = HeartbeatRequest {
            group_id: group.into(),
            generation_id: 1,
            member_id: "nobody".into(),
            group_instance_id: None,
        };
        let reply = s.prepare(4, &heartbeat)?;
        let error = reply.read::<HeartbeatRequest<'_>>()?.error_code;
        Ok(!(14..=16).contains(&error))
    })
}

/// Waits until producer ids are given out: a fresh Kafka first has to fetch some.
pub fn producer_ids(s: &mut Session) -> Result<(), Failure> {
    until(s, "producer ids are given out", |s| {
        let request = InitProducerIdRequest { transactional_id: None, ..Default::default() };
        let reply = s.prepare(4, &request)?;
        Ok(reply.read::<InitProducerIdRequest<'_>>()?.error_code == 0)
    })
}

/// Appends one batch.
pub fn produce(s: &mut Session, topic: &str, partition: i32, batch: &[u8]) -> Result<(), Failure> {
    let reply = s.prepare(9, &produce_request(topic, partition, batch))?;
    let response = reply.read::<ProduceRequest<'_>>()?;
    let result = response
        .responses
        .first()
        .and_then(|topic| topic.partition_responses.first())
        .ok_or(Failure::NoAnswer)?;
    match result.error_code {
        0 => Ok(()),
        code => Err(Failure::Preparation(format!(
            "producing to {topic}: {code} {:?}",
            result.error_message
        ))),
    }
}

/// One batch for one partition, acknowledged by all.
pub fn produce_request<'a>(topic: &'a str, partition: i32, batch: &'a [u8]) -> ProduceRequest<'a> {
    let data = PartitionProduceData { index: partition, records: Records::Borrowed(batch) };
    ProduceRequest {
        transactional_id: None,
        acks: -1,
        timeout_ms: 5000,
        topic_data: vec![TopicProduceData {
            name: topic.into(),
            partition_data: vec![data],
            ..Default::default()
        }],
    }
}

/// Asks again until `state` is reached.
pub fn until(
    s: &mut Session,
    what: &str,
    mut state: impl FnMut(&mut Session) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    for _ in 0..ATTEMPTS {
        if state(s)? {
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
    Err(Failure::Preparation(format!("waited in vain until {what}")))
}
