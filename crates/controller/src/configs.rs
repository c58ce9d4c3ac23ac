//! Configuration is changed at run time: of topics, of brokers, of every broker, of groups.
//!
//! **Invariants**
//! - what is stored for a topic is valid as a whole, together with what stands below it;
//! - what is stored for brokers is known, valid by itself and changeable at run time;
//! - a resource changes whole or not at all.

use std::collections::BTreeSet;
use std::sync::Arc;

use chronik_config::keys::{
    ConfigKey, ConfigMap, ConfigType, DynamicScope, Layers, append_to_list, broker_key, group_key,
    listener_key, subtract_from_list, topic_key, validate_topic_configs,
};
use chronik_metadata::record::{BrokerIds, Change, Config, PartitionChange};
use chronik_metadata::{ConfigResource, Image};
use chronik_types::{BrokerId, ErrorCode};

use crate::draft::Draft;
use crate::error::ApiError;
use crate::internal_topics::is_internal;
use crate::options::Options;
use crate::partition_change::ELR_FEATURE;
use crate::request::{
    AlterConfigs, AlterConfigsResult, ConfigChange, IncrementalAlterConfigs, ResourceName,
};
use crate::topic_name::validate_topic_name;

/// Kafka's bound: a value is written with a 16-bit length in places.
const VALUE_CHARS_MAX: usize = i16::MAX as usize;

const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

/// Checks what a topic is to set, under what is set for brokers.
fn check_topic_configs(
    options: &Options,
    image: &Image,
    topic: &str,
    configs: &ConfigMap,
) -> Result<(), ApiError> {
    options.with_layers(image, configs, |layers| check_topic_values(&layers))?;
    check_topic_caching(topic, configs)
}

/// What there is to check without knowing the topic. `layers` has what it is to set as its topic
/// layer.
pub(crate) fn check_topic_values(layers: &Layers<'_>) -> Result<(), ApiError> {
    if layers.topic.values().any(|value| value.chars().count() > VALUE_CHARS_MAX) {
        return Err(invalid_config(format!(
            "The configuration value cannot be added because it exceeds the maximum value size \
             of {VALUE_CHARS_MAX} bytes."
        )));
    }
    validate_topic_configs(layers).map_err(|error| invalid_config(error.to_string()))
}

/// What the broker itself relies on is never acknowledged from memory alone.
pub(crate) fn check_topic_caching(topic: &str, configs: &ConfigMap) -> Result<(), ApiError> {
    let caches =
        configs.get("write.caching").is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
    if caches && is_internal(topic) {
        let message = format!("The internal topic {topic} cannot use write.caching.");
        return Err(invalid_config(message));
    }
    Ok(())
}

fn invalid_config(message: String) -> ApiError {
    ApiError::new(ErrorCode::InvalidConfig, message)
}

/// Replaces everything that is set for resources.
pub(crate) fn alter_configs(
    options: &Options,
    draft: &mut Draft,
    request: &AlterConfigs,
) -> Vec<AlterConfigsResult> {
    each(
        request.resources.iter().map(|(resource, configs)| (resource, configs)),
        |resource, configs| {
            check_names(configs.iter().map(|(name, value)| (name.as_str(), value.is_some())))?;
            let set =
                configs.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
            alter(options, draft, resource, &set.collect())
        },
    )
}

/// Changes single values that are set for resources.
pub(crate) fn incremental_alter_configs(
    options: &Options,
    draft: &mut Draft,
    request: &IncrementalAlterConfigs,
) -> Vec<AlterConfigsResult> {
    each(
        request.resources.iter().map(|(resource, changes)| (resource, changes)),
        |resource, changes| {
            let needs_value = |change: &ConfigChange| change.operation != 1;
            check_names(changes.iter().map(|change| {
                (change.name.as_str(), change.value.is_some() || !needs_value(change))
            }))?;
            let target = find(resource)?;
            let mut configs = ConfigMap::clone(&draft.image().configs(&target));
            for change in changes {
                apply(&target, &mut configs, change)?;
            }
            alter(options, draft, resource, &configs)
        },
    )
}

/// Handles each resource by itself; one that is named twice is refused.
fn each<'r, C: 'r>(
    resources: impl Iterator<Item = (&'r ResourceName, &'r C)> + Clone,
    mut handle: impl FnMut(&ResourceName, &C) -> Result<(), ApiError>,
) -> Vec<AlterConfigsResult> {
    let mut seen = BTreeSet::new();
    let doubles: BTreeSet<_> = resources
        .clone()
        .map(|(resource, _)| resource)
        .filter(|resource| !seen.insert(*resource))
        .collect();
    let results = resources.map(|(resource, changes)| {
        let result = if doubles.contains(resource) {
            let message = "Each resource must appear at most once.";
            Err(ApiError::new(ErrorCode::InvalidRequest, message))
        } else {
            handle(resource, changes)
        };
        AlterConfigsResult { resource: resource.clone(), result }
    });
    results.collect()
}

fn check_names<'n>(names: impl Iterator<Item = (&'n str, bool)> + Clone) -> Result<(), ApiError> {
    let refused = |message: String| Err(ApiError::new(ErrorCode::InvalidRequest, message));
    let mut seen = BTreeSet::new();
    if !names.clone().all(|(name, _)| seen.insert(name)) {
        return refused("Error due to duplicate config keys".to_owned());
    }
    let without_value: Vec<_> =
        names.filter(|(_, has_value)| !has_value).map(|(name, _)| name).collect();
    if !without_value.is_empty() {
        return refused(format!("Null value not supported for : {}", without_value.join(", ")));
    }
    Ok(())
}

fn find(resource: &ResourceName) -> Result<ConfigResource, ApiError> {
    let refused = |message: String| Err(ApiError::new(ErrorCode::InvalidRequest, message));
    let name = resource.name.as_str();
    match resource.resource_type {
        2 if name.is_empty() => refused("Default topic resources are not allowed.".to_owned()),
        32 if name.is_empty() => refused("Default group resources are not allowed.".to_owned()),
        4 => match name.parse::<i32>() {
            _ if name.is_empty() => Ok(ConfigResource::DefaultBroker),
            Ok(id) if id < 0 => refused("Invalid negative broker ID.".to_owned()),
            Ok(id) => Ok(ConfigResource::Broker(BrokerId(id))),
            Err(_) => refused("Unable to parse broker name as a base 10 number.".to_owned()),
        },
        16 => refused("Client metrics subscriptions are not supported.".to_owned()),
        other => ConfigResource::from_wire(other.into(), name).ok_or_else(|| {
            let message = format!("Unknown resource type {other}");
            ApiError::new(ErrorCode::InvalidRequest, message)
        }),
    }
}

fn key_of(resource: &ConfigResource, name: &str) -> Option<&'static ConfigKey> {
    match resource {
        ConfigResource::Topic(_) => topic_key(name),
        ConfigResource::Broker(_) | ConfigResource::DefaultBroker => broker_key(name),
        ConfigResource::Group(_) => group_key(name),
        ConfigResource::ClientMetrics(_) => None,
    }
}

fn apply(
    resource: &ConfigResource,
    configs: &mut ConfigMap,
    change: &ConfigChange,
) -> Result<(), ApiError> {
    let value = change.value.clone().unwrap_or_default();
    let operation = match change.operation {
        0 => {
            configs.insert(change.name.clone(), value);
            return Ok(());
        }
        1 => {
            configs.remove(&change.name);
            return Ok(());
        }
        2 => "APPEND",
        3 => "SUBTRACT",
        other => {
            let message = format!("Unknown operations type {other}");
            return Err(ApiError::new(ErrorCode::InvalidRequest, message));
        }
    };
    let key = key_of(resource, &change.name).filter(|key| key.config_type == ConfigType::List);
    let Some(key) = key else {
        let message =
            format!("Can't {operation} to key {} because its type is not LIST.", change.name);
        return Err(ApiError::new(ErrorCode::InvalidConfig, message));
    };
    let current = configs.get(&change.name).map(String::as_str).or(key.default);
    let list = if change.operation == 2 {
        append_to_list(current, &value)
    } else {
        subtract_from_list(current, &value)
    };
    configs.insert(change.name.clone(), list);
    Ok(())
}

/// Makes `configs` everything that is set for the resource.
fn alter(
    options: &Options,
    draft: &mut Draft,
    resource: &ResourceName,
    configs: &ConfigMap,
) -> Result<(), ApiError> {
    let target = find(resource)?;
    check(options, draft.image(), &target, configs)?;
    let current = draft.image().configs(&target);
    check_min_isr(draft.image(), &target, &current, configs)?;
    let mut changed = BTreeSet::new();
    for (name, value) in configs {
        if current.get(name) != Some(value) {
            changed.insert(name.as_str());
            draft.push(record(&target, name, Some(value)));
        }
    }
    for name in current.keys().filter(|name| !configs.contains_key(*name)) {
        changed.insert(name.as_str());
        draft.push(record(&target, name, None));
    }
    if changed.contains(MIN_INSYNC_REPLICAS) {
        clear_eligible_replicas(draft, &target);
    }
    Ok(())
}

fn record(resource: &ConfigResource, name: &str, value: Option<&String>) -> Change {
    Change::Config(Config {
        resource_type: resource.wire_type().into(),
        resource_name: resource.wire_name(),
        name: name.to_owned(),
        value: value.cloned(),
    })
}

fn check(
    options: &Options,
    image: &Image,
    resource: &ConfigResource,
    configs: &ConfigMap,
) -> Result<(), ApiError> {
    match resource {
        ConfigResource::Topic(name) => {
            validate_topic_name(name).map_err(|error| {
                ApiError::new(ErrorCode::InvalidTopicException, error.to_string())
            })?;
            check_topic_configs(options, image, name, configs)?;
            if image.topic_named(name).is_none() {
                let message = format!("The topic '{name}' does not exist.");
                return Err(ApiError::new(ErrorCode::UnknownTopicOrPartition, message));
            }
            Ok(())
        }
        ConfigResource::Broker(id) => {
            check_broker_configs(configs, true)?;
            if image.broker(*id).is_none() {
                let message = format!("No node with id {id} found.");
                return Err(ApiError::new(ErrorCode::BrokerIdNotRegistered, message));
            }
            Ok(())
        }
        ConfigResource::DefaultBroker => check_broker_configs(configs, false),
        ConfigResource::Group(_) | ConfigResource::ClientMetrics(_) => check_group_configs(configs),
    }
}

fn check_broker_configs(configs: &ConfigMap, for_one_broker: bool) -> Result<(), ApiError> {
    let refused = |message: String| Err(ApiError::new(ErrorCode::InvalidRequest, message));
    let mut fixed = Vec::new();
    let mut per_broker = Vec::new();
    for name in configs.keys() {
        let Some(key) = broker_key(name) else {
            return refused(format!("Unknown broker config name: {name}"));
        };
        let is_of_listener = listener_key(name).is_some();
        match key.scope {
            DynamicScope::ReadOnly => fixed.push(name.as_str()),
            DynamicScope::PerBroker => per_broker.push(name.as_str()),
            DynamicScope::ClusterWide if is_of_listener => per_broker.push(name.as_str()),
            DynamicScope::ClusterWide => {}
        }
    }
    if !fixed.is_empty() {
        let names = fixed.join(", ");
        return refused(format!("Cannot update these configs dynamically: Set({names})"));
    }
    for (name, value) in configs {
        if let Some(Err(error)) = broker_key(name).map(|key| key.parse(value)) {
            return refused(error.to_string());
        }
    }
    if !for_one_broker && !per_broker.is_empty() {
        return refused(format!(
            "Cannot update these configs at default cluster level, broker id must be specified: \
             Set({})",
            per_broker.join(", ")
        ));
    }
    Ok(())
}

fn check_group_configs(configs: &ConfigMap) -> Result<(), ApiError> {
    for (name, value) in configs {
        let invalid = |message| ApiError::new(ErrorCode::InvalidConfig, message);
        let key =
            group_key(name).ok_or_else(|| invalid(format!("Unknown group config name: {name}")))?;
        key.parse(value).map_err(|error| invalid(error.to_string()))?;
    }
    Ok(())
}

/// With eligible leader replicas, every broker must agree on `min.insync.replicas`: who is
/// eligible follows from it.
fn check_min_isr(
    image: &Image,
    resource: &ConfigResource,
    current: &Arc<ConfigMap>,
    configs: &ConfigMap,
) -> Result<(), ApiError> {
    let (old, new) = (current.get(MIN_INSYNC_REPLICAS), configs.get(MIN_INSYNC_REPLICAS));
    if old == new || image.feature(ELR_FEATURE).is_none_or(|level| level <= 0) {
        return Ok(());
    }
    let message = match resource {
        ConfigResource::Broker(_) => {
            "Broker-level min.insync.replicas cannot be altered while ELR is enabled."
        }
        ConfigResource::DefaultBroker if new.is_none() => {
            "Cluster-level min.insync.replicas cannot be removed while ELR is enabled."
        }
        _ => return Ok(()),
    };
    Err(ApiError::new(ErrorCode::InvalidConfig, message))
}

/// Who is eligible was found under the old `min.insync.replicas` and holds no more.
fn clear_eligible_replicas(draft: &mut Draft, resource: &ConfigResource) {
    let image = draft.image().clone();
    for (topic, number, partition) in image.partitions() {
        let is_concerned = match resource {
            ConfigResource::Topic(name) => *name == topic.name,
            _ => true,
        };
        if is_concerned && !partition.elr().is_empty() {
            draft.push(Change::PartitionChange(PartitionChange {
                topic_id: topic.id.into(),
                partition: number,
                elr: Some(BrokerIds::default()),
                ..PartitionChange::default()
            }));
        }
    }
}

#[cfg(test)]
mod tests;
