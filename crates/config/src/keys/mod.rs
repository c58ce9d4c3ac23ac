//! The tables of configuration keys, and what follows from them alone: parsing and checking a
//! value, where an effective value comes from, the typed configuration of a topic.
//!
//! **Invariants**
//! - a name stands in a table once;
//! - every default obeys its own key's rule;
//! - every synonym of a topic key is a broker key.
//!
//! **Not here:** where a node's values come from (files, environment, overrides), and the rules
//! between the keys of a node.

mod broker;
mod effective;
mod group;
mod topic;
mod topic_config;
mod types;
mod validate;

use std::collections::BTreeMap;
use std::sync::LazyLock;

pub use effective::{ConfigMap, ConfigSource, Effective, Layers, SynonymValue};
pub use topic_config::{
    CleanupPolicy, InvalidTopicConfig, TimestampType, TopicCompression, TopicConfig,
    validate_topic_config, validate_topic_configs,
};
pub use types::{Check, ConfigKey, ConfigType, DynamicScope, Synonym};
pub use validate::{InvalidValue, Value, append_to_list, split_list, subtract_from_list};

/// Every broker key, section by section.
pub fn broker_keys() -> impl Iterator<Item = &'static ConfigKey> {
    broker::SECTIONS.iter().flat_map(|section| section.iter())
}

/// Every topic key, in alphabetical order but for this broker's own at the end.
pub fn topic_keys() -> impl Iterator<Item = &'static ConfigKey> {
    topic::TOPIC.iter()
}

/// Every group key, in alphabetical order.
pub fn group_keys() -> impl Iterator<Item = &'static ConfigKey> {
    group::GROUP.iter()
}

/// The group key of this name.
#[must_use]
pub fn group_key(name: &str) -> Option<&'static ConfigKey> {
    group_keys().find(|key| key.name == name)
}

/// The broker key of this name. A name with a listener's prefix (`listener.name.<listener>.`,
/// and behind it perhaps a SASL mechanism's) is the key behind the prefix.
#[must_use]
pub fn broker_key(name: &str) -> Option<&'static ConfigKey> {
    static BY_NAME: LazyLock<BTreeMap<&str, &ConfigKey>> =
        LazyLock::new(|| broker_keys().map(|key| (key.name, key)).collect());
    if let Some(key) = BY_NAME.get(name) {
        return Some(key);
    }
    let behind = listener_key(name)?;
    BY_NAME.get(behind).copied().or_else(|| {
        let (_mechanism, key) = behind.split_once('.')?;
        BY_NAME.get(key).copied().filter(|key| PER_MECHANISM.contains(&key.name))
    })
}

/// The topic key of this name.
#[must_use]
pub fn topic_key(name: &str) -> Option<&'static ConfigKey> {
    static BY_NAME: LazyLock<BTreeMap<&str, &ConfigKey>> =
        LazyLock::new(|| topic_keys().map(|key| (key.name, key)).collect());
    BY_NAME.get(name).copied()
}

/// What stands behind `listener.name.<listener>.`; `None` if the name does not begin so.
#[must_use]
pub fn listener_key(name: &str) -> Option<&str> {
    let (_listener, key) = name.strip_prefix("listener.name.")?.split_once('.')?;
    Some(key)
}

/// Keys whose listener prefix carries a SASL mechanism too, as in
/// `listener.name.external.plain.sasl.jaas.config`.
const PER_MECHANISM: [&str; 5] = [
    "sasl.jaas.config",
    "sasl.login.callback.handler.class",
    "sasl.login.class",
    "sasl.server.callback.handler.class",
    "connections.max.reauth.ms",
];

/// The broker keys that stand for the same setting as `name`, strongest first, itself included.
#[must_use]
pub fn broker_synonyms(name: &str) -> &'static [&'static str] {
    const FAMILIES: [&[&str]; 4] = [
        &["log.roll.ms", "log.roll.hours"],
        &["log.roll.jitter.ms", "log.roll.jitter.hours"],
        &["log.flush.interval.ms", "log.flush.scheduler.interval.ms"],
        &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
    ];
    // The weakest of the flush keys is a setting of its own in Kafka, not one of the family.
    FAMILIES
        .into_iter()
        .find(|family| family.contains(&name) && name != "log.flush.scheduler.interval.ms")
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_once_and_defaults_obey_their_rules() {
        let tables =
            [broker_keys().collect::<Vec<_>>(), topic_keys().collect(), group_keys().collect()];
        for keys in tables {
            let mut names: Vec<_> = keys.iter().map(|key| key.name).collect();
            names.sort_unstable();
            let all = names.len();
            names.dedup();
            assert_eq!(names.len(), all);
            for key in keys {
                if let Some(default) = key.default {
                    assert_eq!(key.parse(default).err(), None, "{}", key.name);
                }
                assert!(key.doc.ends_with('.'), "{}", key.name);
            }
        }
    }

    #[test]
    fn every_synonym_is_a_broker_key_with_the_same_rules() {
        for key in topic_keys() {
            for synonym in key.synonyms {
                assert!(broker_key(synonym.name).is_some(), "{}", synonym.name);
            }
            if let Some(first) = key.synonyms.first() {
                let broker = broker_key(first.name).unwrap();
                assert_eq!(broker.config_type, key.config_type, "{}", key.name);
                // Kafka checks some of the broker's keys less strictly.
                if broker.check != Check::Any {
                    assert_eq!(broker.check, key.check, "{}", key.name);
                }
            }
            if let Some(last) = key.synonyms.last() {
                let broker = broker_key(last.name).unwrap().default.unwrap();
                let scaled = match broker.parse::<i64>() {
                    Ok(n) => n.saturating_mul(last.factor).to_string(),
                    Err(_) => broker.to_owned(),
                };
                assert_eq!(key.default, Some(scaled.as_str()), "{}", key.name);
            }
        }
    }

    #[test]
    fn a_listeners_prefix_is_seen_through() {
        let name = |name| broker_key(name).map(|key| key.name);
        assert_eq!(name("listener.name.a.ssl.keystore.location"), Some("ssl.keystore.location"));
        assert_eq!(name("listener.name.a.plain.sasl.jaas.config"), Some("sasl.jaas.config"));
        assert_eq!(name("listener.name.a.plain.num.partitions"), None);
        assert_eq!(name("listener.name.a"), None);
        assert_eq!(name("no.such.key"), None);
    }
}
