//! The keys of a group: Kafka 4.1's.

use super::types::{Check, ConfigKey, ConfigType, DynamicScope};

const fn key(
    name: &'static str,
    config_type: ConfigType,
    default: &'static str,
    check: Check,
    doc: &'static str,
) -> ConfigKey {
    let scope = DynamicScope::ClusterWide;
    ConfigKey { name, config_type, default: Some(default), check, scope, synonyms: &[], doc }
}

const fn int(
    name: &'static str,
    default: &'static str,
    least: i64,
    doc: &'static str,
) -> ConfigKey {
    key(name, ConfigType::Int, default, Check::AtLeast(least), doc)
}

/// The table, in alphabetical order.
pub(super) const GROUP: &[ConfigKey] = &[
    int(
        "consumer.heartbeat.interval.ms",
        "5000",
        1,
        "How often a member of this consumer group is told to heartbeat.",
    ),
    int(
        "consumer.session.timeout.ms",
        "45000",
        1,
        "How long a member of this consumer group may be silent before it is removed.",
    ),
    key(
        "share.auto.offset.reset",
        ConfigType::String,
        "latest",
        Check::NonEmpty,
        "Where a new share group starts: latest, earliest, or by_duration: and a duration.",
    ),
    int(
        "share.heartbeat.interval.ms",
        "5000",
        1,
        "How often a member of this share group is told to heartbeat.",
    ),
    key(
        "share.isolation.level",
        ConfigType::String,
        "read_uncommitted",
        Check::OneOf(&["read_uncommitted", "read_committed"]),
        "Whether this share group sees records of transactions before they are committed.",
    ),
    int(
        "share.record.lock.duration.ms",
        "30000",
        1000,
        "How long a delivered record of this share group stays locked.",
    ),
    int(
        "share.session.timeout.ms",
        "45000",
        1,
        "How long a member of this share group may be silent before it is removed.",
    ),
    int(
        "streams.heartbeat.interval.ms",
        "5000",
        1,
        "How often a member of this streams group is told to heartbeat.",
    ),
    int(
        "streams.num.standby.replicas",
        "0",
        0,
        "The standby replicas of each task of this streams group.",
    ),
    int(
        "streams.session.timeout.ms",
        "45000",
        1,
        "How long a member of this streams group may be silent before it is removed.",
    ),
];
