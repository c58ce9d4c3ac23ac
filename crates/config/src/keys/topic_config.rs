//! The configuration of a topic: checked as a whole, and resolved into typed values.

use super::effective::{ConfigMap, Layers};
use super::types::ConfigKey;
use super::validate::{InvalidValue, Value};
use super::{topic_key, topic_keys};

/// Why a topic cannot be configured so; each maps to Kafka's INVALID_CONFIG, in Kafka's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopicConfig {
    /// No topic key has this name.
    #[error("Unknown topic config name: {0}")]
    Unknown(String),
    /// A value breaks its key's own rule.
    #[error(transparent)]
    Value(#[from] InvalidValue),
    /// Two compaction lags contradict each other.
    #[error(
        "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
    )]
    CompactionLags {
        /// min.compaction.lag.ms
        min: i64,
        /// max.compaction.lag.ms
        max: i64,
    },
    /// The remote tier is asked for where there is none.
    #[error(
        "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."
    )]
    NoRemoteTier,
}

/// Checks one topic key's value.
///
/// # Errors
/// [`InvalidTopicConfig`] if there is no such key or the value breaks its rule.
pub fn validate_topic_config(name: &str, value: &str) -> Result<Value, InvalidTopicConfig> {
    let key = topic_key(name).ok_or_else(|| InvalidTopicConfig::Unknown(name.to_owned()))?;
    Ok(key.parse(value)?)
}

/// Checks all that a topic sets, each by itself and against the others. `layers` has the topic's
/// new values as its topic layer.
///
/// # Errors
/// [`InvalidTopicConfig`] for the first fault, in alphabetical order of keys.
pub fn validate_topic_configs(layers: &Layers<'_>) -> Result<(), InvalidTopicConfig> {
    for name in layers.topic.keys() {
        if topic_key(name).is_none() {
            return Err(InvalidTopicConfig::Unknown(name.clone()));
        }
    }
    for (name, value) in layers.topic {
        validate_topic_config(name, value)?;
    }
    let config = TopicConfig::resolve(layers);
    let (min, max) = (config.min_compaction_lag_ms, config.max_compaction_lag_ms);
    if min > max {
        return Err(InvalidTopicConfig::CompactionLags { min, max });
    }
    let tier = layers.static_broker.get("remote.log.storage.system.enable");
    let has_tier = tier.is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
    if config.remote_storage_enable && !has_tier {
        return Err(InvalidTopicConfig::NoRemoteTier);
    }
    Ok(())
}

/// What happens to old records of a topic. Neither means that they stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Old segments are deleted by age and size.
    pub delete: bool,
    /// Only the last record of a key stays.
    pub compact: bool,
}

/// The compression of stored batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicCompression {
    /// As the producer sent them.
    Producer,
    /// None.
    Uncompressed,
    /// gzip at this level; -1 is gzip's own default.
    Gzip(i32),
    /// snappy.
    Snappy,
    /// lz4 at this level.
    Lz4(i32),
    /// zstd at this level.
    Zstd(i32),
}

/// Whose time a record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// Its creator's.
    CreateTime,
    /// The broker's, of the append.
    LogAppendTime,
}

/// The effective configuration of one topic, typed; field names are the keys'.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each field is documented in the key table, under its own name")]
pub struct TopicConfig {
    pub cleanup_policy: CleanupPolicy,
    pub compression_type: TopicCompression,
    pub delete_retention_ms: i64,
    pub file_delete_delay_ms: i64,
    pub flush_messages: i64,
    pub flush_ms: i64,
    pub index_interval_bytes: i32,
    pub local_retention_bytes: i64,
    pub local_retention_ms: i64,
    pub max_compaction_lag_ms: i64,
    pub max_message_bytes: i32,
    pub message_timestamp_after_max_ms: i64,
    pub message_timestamp_before_max_ms: i64,
    pub message_timestamp_type: TimestampType,
    pub min_cleanable_dirty_ratio: f64,
    pub min_compaction_lag_ms: i64,
    pub min_insync_replicas: i32,
    pub preallocate: bool,
    pub remote_log_copy_disable: bool,
    pub remote_log_delete_on_disable: bool,
    pub remote_storage_enable: bool,
    pub retention_bytes: i64,
    pub retention_ms: i64,
    pub segment_bytes: i32,
    pub segment_index_bytes: i32,
    pub segment_jitter_ms: i64,
    pub segment_ms: i64,
    pub unclean_leader_election_enable: bool,
    pub write_caching: bool,
}

impl TopicConfig {
    /// The effective configuration under `layers`. Values are checked before they are stored; one
    /// that is not valid all the same (a newer node wrote it) counts as not set, so that a topic
    /// never becomes unusable by its configuration.
    #[must_use]
    pub fn resolve(layers: &Layers<'_>) -> Self {
        let read = Reading { layers };
        Self {
            cleanup_policy: read.cleanup_policy(),
            compression_type: read.compression(),
            delete_retention_ms: read.number("delete.retention.ms"),
            file_delete_delay_ms: read.number("file.delete.delay.ms"),
            flush_messages: read.number("flush.messages"),
            flush_ms: read.number("flush.ms"),
            index_interval_bytes: read.int("index.interval.bytes"),
            local_retention_bytes: read.number("local.retention.bytes"),
            local_retention_ms: read.number("local.retention.ms"),
            max_compaction_lag_ms: read.number("max.compaction.lag.ms"),
            max_message_bytes: read.int("max.message.bytes"),
            message_timestamp_after_max_ms: read.number("message.timestamp.after.max.ms"),
            message_timestamp_before_max_ms: read.number("message.timestamp.before.max.ms"),
            message_timestamp_type: read.timestamp_type(),
            min_cleanable_dirty_ratio: read.ratio("min.cleanable.dirty.ratio"),
            min_compaction_lag_ms: read.number("min.compaction.lag.ms"),
            min_insync_replicas: read.int("min.insync.replicas"),
            preallocate: read.flag("preallocate"),
            remote_log_copy_disable: read.flag("remote.log.copy.disable"),
            remote_log_delete_on_disable: read.flag("remote.log.delete.on.disable"),
            remote_storage_enable: read.flag("remote.storage.enable"),
            retention_bytes: read.number("retention.bytes"),
            retention_ms: read.number("retention.ms"),
            segment_bytes: read.int("segment.bytes"),
            segment_index_bytes: read.int("segment.index.bytes"),
            segment_jitter_ms: read.number("segment.jitter.ms"),
            segment_ms: read.number("segment.ms"),
            unclean_leader_election_enable: read.flag("unclean.leader.election.enable"),
            write_caching: read.flag("write.caching"),
        }
    }

    /// Every topic key with its effective value under `layers`, as CreateTopics answers it and
    /// DescribeConfigs describes it.
    pub fn describe<'a>(
        layers: Layers<'a>,
    ) -> impl Iterator<Item = super::effective::Effective<'a>> {
        topic_keys().map(move |key| layers.topic_value(key))
    }
}

/// Reads typed values for [`TopicConfig::resolve`]. The table's types and the calls here agree;
/// a test resolves every key.
struct Reading<'a> {
    layers: &'a Layers<'a>,
}

impl Reading<'_> {
    /// The first valid value of the chain, or the default.
    fn value(&self, name: &str) -> Value {
        let Some(key) = topic_key(name) else {
            unreachable!("{name} is a topic key");
        };
        let effective = self.layers.topic_value(key);
        if let Some(Ok(value)) = effective.value.as_deref().map(|text| key.parse(text)) {
            return value;
        }
        let default = self.without_topic(key).or_else(|| key.default.map(str::to_owned));
        match default.as_deref().map(|text| key.parse(text)) {
            Some(Ok(value)) => value,
            _ => key.default.and_then(|text| key.parse(text).ok()).unwrap_or(Value::Number(0)),
        }
    }

    fn without_topic(&self, key: &'static ConfigKey) -> Option<String> {
        let none = ConfigMap::new();
        let layers = Layers { topic: &none, ..*self.layers };
        layers.topic_value(key).value
    }

    fn number(&self, name: &str) -> i64 {
        match self.value(name) {
            Value::Number(n) => n,
            other => unreachable!("{name} is a number, not {other}"),
        }
    }

    fn int(&self, name: &str) -> i32 {
        // The table says INT, whose parser refuses what does not fit.
        i32::try_from(self.number(name)).unwrap_or(i32::MAX)
    }

    fn flag(&self, name: &str) -> bool {
        self.value(name) == Value::Bool(true)
    }

    fn ratio(&self, name: &str) -> f64 {
        match self.value(name) {
            Value::Double(ratio) => ratio,
            other => unreachable!("{name} is a ratio, not {other}"),
        }
    }

    fn text(&self, name: &str) -> String {
        match self.value(name) {
            Value::Text(text) => text,
            other => unreachable!("{name} is a text, not {other}"),
        }
    }

    fn cleanup_policy(&self) -> CleanupPolicy {
        let Value::List(list) = self.value("cleanup.policy") else {
            unreachable!("cleanup.policy is a list");
        };
        let has = |policy: &str| list.iter().any(|element| element == policy);
        CleanupPolicy { delete: has("delete"), compact: has("compact") }
    }

    fn compression(&self) -> TopicCompression {
        match self.text("compression.type").as_str() {
            "uncompressed" => TopicCompression::Uncompressed,
            "gzip" => TopicCompression::Gzip(self.int("compression.gzip.level")),
            "snappy" => TopicCompression::Snappy,
            "lz4" => TopicCompression::Lz4(self.int("compression.lz4.level")),
            "zstd" => TopicCompression::Zstd(self.int("compression.zstd.level")),
            _ => TopicCompression::Producer,
        }
    }

    fn timestamp_type(&self) -> TimestampType {
        match self.text("message.timestamp.type").as_str() {
            "LogAppendTime" => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(values: &[(&str, &str)]) -> ConfigMap {
        values.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn check(values: &[(&str, &str)]) -> Result<(), String> {
        let topic = map(values);
        let layers = Layers { topic: &topic, ..Layers::defaults() };
        validate_topic_configs(&layers).map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn defaults_are_kafkas() {
        let config = TopicConfig::resolve(&Layers::defaults());
        assert_eq!(config.cleanup_policy, CleanupPolicy { delete: true, compact: false });
        assert_eq!(config.compression_type, TopicCompression::Producer);
        assert_eq!(config.retention_ms, 604_800_000);
        assert_eq!(config.segment_ms, 604_800_000);
        assert_eq!(config.max_message_bytes, 1_048_588);
        assert_eq!(config.message_timestamp_type, TimestampType::CreateTime);
        assert!(!config.write_caching);
    }

    #[test]
    fn topic_values_become_typed() {
        let topic = map(&[
            ("cleanup.policy", "compact, delete"),
            ("compression.type", "zstd"),
            ("compression.zstd.level", "7"),
            ("message.timestamp.type", "LogAppendTime"),
            ("min.cleanable.dirty.ratio", "0.25"),
            ("write.caching", "true"),
        ]);
        let config = TopicConfig::resolve(&Layers { topic: &topic, ..Layers::defaults() });
        assert_eq!(config.cleanup_policy, CleanupPolicy { delete: true, compact: true });
        assert_eq!(config.compression_type, TopicCompression::Zstd(7));
        assert_eq!(config.message_timestamp_type, TimestampType::LogAppendTime);
        assert!(config.write_caching && (config.min_cleanable_dirty_ratio - 0.25).abs() < 1e-9);
    }

    #[test]
    fn an_invalid_stored_value_counts_as_not_set() {
        let topic = map(&[("segment.bytes", "7"), ("cleanup.policy", "shred")]);
        let static_broker = map(&[("log.segment.bytes", "2097152")]);
        let layers = Layers { topic: &topic, static_broker: &static_broker, ..Layers::defaults() };
        let config = TopicConfig::resolve(&layers);
        assert_eq!(config.segment_bytes, 2_097_152);
        assert!(config.cleanup_policy.delete);
    }

    #[test]
    fn a_topic_is_checked_as_a_whole() {
        assert_eq!(check(&[("foo.bar", "1")]), Err("Unknown topic config name: foo.bar".into()));
        assert_eq!(
            check(&[("min.compaction.lag.ms", "100"), ("max.compaction.lag.ms", "50")]),
            Err("conflict topic config setting min.compaction.lag.ms (100) > max.compaction.lag.ms (50)"
                .into())
        );
        assert!(check(&[("remote.storage.enable", "true")]).unwrap_err().starts_with("Tiered"));
        assert_eq!(check(&[("min.compaction.lag.ms", "50")]), Ok(()));
    }

    #[test]
    fn every_topic_key_is_described() {
        let described: Vec<_> = TopicConfig::describe(Layers::defaults()).collect();
        assert_eq!(described.len(), topic_keys().count());
        assert!(described.iter().all(|effective| effective.value.is_some()));
    }
}
