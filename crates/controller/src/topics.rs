//! Topics are created and deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chronik_config::keys::ConfigMap;
use chronik_metadata::record::{Change, Config, RemoveTopic, Topic as TopicRecord};
use chronik_metadata::{Image, Topic};
use chronik_types::{ErrorCode, TopicId};

use crate::configs::check_topic_caching;
use crate::draft::Draft;
use crate::error::ApiError;
use crate::internal_topics::{KAFKA_METADATA_TOPIC, METADATA_TOPIC};
use crate::options::Options;
use crate::partitions::{NewPartitions, assigned, placed};
use crate::request::{
    CreatableTopic, CreateTopicResult, CreateTopics, CreatedTopic, DeleteTopicResult, DeleteTopics,
    EffectiveConfig, TopicReference,
};
use crate::topic_configs::TopicConfigs;
use crate::topic_name::validate_topic_name;

/// Creates topics, each by itself.
pub(crate) fn create_topics(
    options: &Options,
    topic_configs: &mut TopicConfigs,
    draft: &mut Draft,
    seed: u64,
    request: &CreateTopics,
) -> Result<Vec<CreateTopicResult>, ApiError> {
    check_total(options, request)?;
    let mut times_named: BTreeMap<&str, usize> = BTreeMap::new();
    for topic in &request.topics {
        *times_named.entry(&topic.name).or_default() += 1;
    }
    let mut results = Vec::with_capacity(request.topics.len());
    for (at, topic) in request.topics.iter().enumerate() {
        let result = match times_named.get(topic.name.as_str()) {
            Some(1) => {
                let seed = seed.wrapping_add(at as u64);
                create_topic(options, topic_configs, draft, seed, topic)
            }
            // The first of them speaks for all.
            Some(times) if *times > 1 => {
                times_named.insert(&topic.name, 0);
                Err(ApiError::new(ErrorCode::InvalidRequest, "Duplicate topic name."))
            }
            _ => continue,
        };
        results.push(CreateTopicResult { name: topic.name.clone(), result });
    }
    Ok(results)
}

/// One request yields one record of the log, which must stay of a size that is written, sent and
/// replayed at once.
fn check_total(options: &Options, request: &CreateTopics) -> Result<(), ApiError> {
    let count = |topic: &CreatableTopic| match topic.num_partitions {
        _ if !topic.assignments.is_empty() => topic.assignments.len(),
        -1 => usize::try_from(options.number("num.partitions")).unwrap_or(1),
        count => usize::try_from(count).unwrap_or(0),
    };
    let total = request.topics.iter().map(count).fold(0, usize::saturating_add);
    if total > options.partitions_per_request_max {
        let message = "Excessively large number of partitions per request.";
        return Err(ApiError::new(ErrorCode::PolicyViolation, message));
    }
    Ok(())
}

fn create_topic(
    options: &Options,
    topic_configs: &mut TopicConfigs,
    draft: &mut Draft,
    seed: u64,
    topic: &CreatableTopic,
) -> Result<CreatedTopic, ApiError> {
    if let Some(existing) = own_topic(draft.image(), topic) {
        let resolved = topic_configs.resolve(options, draft.image(), &existing.configs);
        return Ok(describe(existing, resolved.described));
    }
    check_name(draft.image(), &topic.name)?;
    if topic.topic_id.is_zero() || draft.image().topic(topic.topic_id).is_some() {
        let message = format!("The topic id {} cannot be given to a new topic.", topic.topic_id);
        return Err(ApiError::new(ErrorCode::InvalidRequest, message));
    }
    let configs = configs(topic)?;
    let resolved = topic_configs.resolve(options, draft.image(), &configs);
    resolved.check?;
    check_topic_caching(&topic.name, &configs)?;
    let new = partitions(options, draft.image(), seed, topic)?;
    let topic_id = topic.topic_id.into();
    draft.push(Change::Topic(TopicRecord { topic_id, name: topic.name.clone() }));
    for (name, value) in configs {
        draft.push(Change::Config(Config {
            resource_type: 2,
            resource_name: topic.name.clone(),
            name,
            value: Some(value),
        }));
    }
    draft.push(new.into_change(topic_id, 0));
    match draft.image().topic(topic.topic_id) {
        Some(created) => Ok(describe(created, resolved.described)),
        None => Err(ApiError::bare(ErrorCode::UnknownServerError)),
    }
}

/// The topic that an earlier attempt of the same request has created.
fn own_topic<'a>(image: &'a Image, topic: &CreatableTopic) -> Option<&'a Topic> {
    let existing = image.topic_named(&topic.name)?;
    (existing.id == topic.topic_id && !topic.topic_id.is_zero()).then_some(existing)
}

fn check_name(image: &Image, name: &str) -> Result<(), ApiError> {
    if name == METADATA_TOPIC || name == KAFKA_METADATA_TOPIC {
        let message = format!("Creation of internal topic {name} is prohibited.");
        return Err(ApiError::new(ErrorCode::InvalidRequest, message));
    }
    validate_topic_name(name)
        .map_err(|error| ApiError::new(ErrorCode::InvalidTopicException, error.to_string()))?;
    if image.topic_named(name).is_some() {
        let message = format!("Topic '{name}' already exists.");
        return Err(ApiError::new(ErrorCode::TopicAlreadyExists, message));
    }
    if let Some(other) = image.topic_colliding_with(name) {
        let message = format!("Topic '{name}' collides with existing topic: {}", other.name);
        return Err(ApiError::new(ErrorCode::InvalidTopicException, message));
    }
    Ok(())
}

fn configs(topic: &CreatableTopic) -> Result<ConfigMap, ApiError> {
    let without_value: Vec<_> = topic
        .configs
        .iter()
        .filter(|(_, value)| value.is_none())
        .map(|(name, _)| name.as_str())
        .collect();
    if !without_value.is_empty() {
        let names = without_value.join(",");
        let message = format!("Null value not supported for topic configs: {names}");
        return Err(ApiError::new(ErrorCode::InvalidConfig, message));
    }
    let set = topic.configs.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
    Ok(set.collect())
}

fn partitions(
    options: &Options,
    image: &Image,
    seed: u64,
    topic: &CreatableTopic,
) -> Result<NewPartitions, ApiError> {
    let refused = |code, message: &str| Err(ApiError::new(code, message));
    if !topic.assignments.is_empty() {
        if topic.replication_factor != -1 {
            return refused(
                ErrorCode::InvalidRequest,
                "A manual partition assignment was specified, but replication factor was not set \
                 to -1.",
            );
        }
        if topic.num_partitions != -1 {
            return refused(
                ErrorCode::InvalidRequest,
                "A manual partition assignment was specified, but numPartitions was not set to -1.",
            );
        }
        return assigned(image, 0, None, in_order(topic)?);
    }
    if topic.replication_factor < -1 || topic.replication_factor == 0 {
        return refused(
            ErrorCode::InvalidReplicationFactor,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        );
    }
    if topic.num_partitions < -1 || topic.num_partitions == 0 {
        return refused(
            ErrorCode::InvalidPartitions,
            "Number of partitions was set to an invalid non-positive value.",
        );
    }
    let count = match topic.num_partitions {
        -1 => i32::try_from(options.number("num.partitions")).unwrap_or(1),
        count => count,
    };
    let factor = match topic.replication_factor {
        -1 => i16::try_from(options.number("default.replication.factor")).unwrap_or(1),
        factor => factor,
    };
    placed(image, seed, 0, count, factor)
}

/// The assignments from partition 0 on.
fn in_order(topic: &CreatableTopic) -> Result<Vec<Vec<chronik_types::BrokerId>>, ApiError> {
    let refused =
        |message: String| Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, message));
    let mut by_number = BTreeMap::new();
    for assignment in &topic.assignments {
        if by_number.insert(assignment.partition, assignment.brokers.clone()).is_some() {
            return refused(format!(
                "Found multiple manual partition assignments for partition {}",
                assignment.partition
            ));
        }
    }
    if !by_number.keys().copied().eq(0..by_number.len() as i32) {
        let message = "partitions should be a consecutive 0-based integer sequence";
        return refused(message.to_owned());
    }
    Ok(by_number.into_values().collect())
}

fn describe(topic: &Topic, configs: Arc<[EffectiveConfig]>) -> CreatedTopic {
    let factor = topic.partitions.get(0).map_or(0, |partition| partition.replicas.len());
    CreatedTopic {
        topic_id: topic.id,
        num_partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
        replication_factor: i16::try_from(factor).unwrap_or(i16::MAX),
        configs,
    }
}

/// Deletes topics, each by itself.
pub(crate) fn delete_topics(
    options: &Options,
    draft: &mut Draft,
    request: &DeleteTopics,
) -> Result<Vec<DeleteTopicResult>, ApiError> {
    if !options.flag("delete.topic.enable") {
        let message = "Topic deletion is disabled.";
        return Err(ApiError::new(ErrorCode::TopicDeletionDisabled, message));
    }
    let mut times_named: BTreeMap<&TopicReference, usize> = BTreeMap::new();
    for topic in &request.topics {
        *times_named.entry(topic).or_default() += 1;
    }
    let named_both_ways = named_both_ways(draft.image(), &request.topics);
    let names: BTreeSet<_> = named_both_ways.values().collect();
    let mut results = Vec::with_capacity(request.topics.len());
    for (id, name) in &named_both_ways {
        let message = "The provided topic name maps to an ID that was already supplied.";
        results.push(DeleteTopicResult {
            name: Some(name.clone()),
            topic_id: *id,
            result: Err(ApiError::new(ErrorCode::InvalidRequest, message)),
        });
    }
    for topic in &request.topics {
        let by_name = topic.name.as_ref().is_some_and(|name| names.contains(name));
        if by_name || named_both_ways.contains_key(&topic.topic_id) {
            continue;
        }
        let is_double = match times_named.get(topic) {
            Some(1) => false,
            Some(0) | None => continue,
            Some(_) => {
                times_named.insert(topic, 0);
                true
            }
        };
        results.push(delete_topic(draft, topic, is_double));
    }
    Ok(results)
}

/// The topics that a request names once by id and once by name.
fn named_both_ways(image: &Image, topics: &[TopicReference]) -> BTreeMap<TopicId, String> {
    let ids: BTreeSet<_> =
        topics.iter().filter(|topic| topic.name.is_none()).map(|topic| topic.topic_id).collect();
    let names = topics.iter().filter(|topic| topic.topic_id.is_zero());
    let found = names.filter_map(|topic| image.topic_named(topic.name.as_deref()?));
    let both = found.filter(|topic| ids.contains(&topic.id));
    both.map(|topic| (topic.id, topic.name.to_string())).collect()
}

fn delete_topic(draft: &mut Draft, topic: &TopicReference, is_double: bool) -> DeleteTopicResult {
    let refused = |code, message: &str| DeleteTopicResult {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        result: Err(ApiError::new(code, message)),
    };
    let found = match (&topic.name, topic.topic_id.is_zero()) {
        (None, true) => {
            let message = "Neither topic name nor id were specified.";
            return refused(ErrorCode::InvalidRequest, message);
        }
        (Some(_), false) => {
            let message = "You may not specify both topic name and topic id.";
            return refused(ErrorCode::InvalidRequest, message);
        }
        (Some(_), true) if is_double => {
            return refused(ErrorCode::InvalidRequest, "Duplicate topic name.");
        }
        (None, false) if is_double => {
            return refused(ErrorCode::InvalidRequest, "Duplicate topic id.");
        }
        (Some(name), true) => draft.image().topic_named(name),
        (None, false) => draft.image().topic(topic.topic_id),
    };
    let Some(found) = found.cloned() else {
        return if topic.name.is_some() {
            let message = "This server does not host this topic-partition.";
            refused(ErrorCode::UnknownTopicOrPartition, message)
        } else {
            refused(ErrorCode::UnknownTopicId, "This server does not host this topic ID.")
        };
    };
    draft.push(Change::RemoveTopic(RemoveTopic { topic_id: found.id.into() }));
    DeleteTopicResult { name: Some(found.name.to_string()), topic_id: found.id, result: Ok(()) }
}

#[cfg(test)]
mod tests;
