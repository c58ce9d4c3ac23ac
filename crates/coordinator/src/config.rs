//! Every setting of group coordination.

use std::time::Duration;

/// The settings of a coordinator, named after Kafka's broker configs. `Default` is Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatorConfig {
    /// `group.min.session.timeout.ms`: the shortest session timeout a member may ask for.
    pub session_timeout_min: Duration,
    /// `group.max.session.timeout.ms`: the longest session timeout a member may ask for.
    pub session_timeout_max: Duration,
    /// `group.initial.rebalance.delay.ms`: how long an empty group waits for more members.
    pub initial_rebalance_delay: Duration,
    /// `group.max.size`: how many members a group may have.
    pub group_members_max: usize,
    /// How long the JoinGroup of a new member may stay unanswered before the member is given up;
    /// five minutes in Kafka, not configurable there.
    pub new_member_join_timeout: Duration,
    /// `offset.metadata.max.bytes`: the longest metadata string of a committed offset, in UTF-16
    /// units as Kafka counts.
    pub offset_metadata_max: usize,
    /// `offsets.retention.minutes`: how long the offsets of an unused group are kept.
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`: how soon after one expiry of a group's offsets the
    /// next may follow, and how long an empty group without offsets stays.
    pub offsets_retention_check_interval: Duration,
    /// How many tombstones one expiry or one topic deletion may emit at a time.
    pub tombstones_max: usize,
}

impl Default for CoordinatorConfig {
    fn default() -> Self {
        Self {
            session_timeout_min: Duration::from_secs(6),
            session_timeout_max: Duration::from_secs(1800),
            initial_rebalance_delay: Duration::from_secs(3),
            group_members_max: i32::MAX as usize,
            new_member_join_timeout: Duration::from_secs(300),
            offset_metadata_max: 4096,
            offsets_retention: Duration::from_secs(7 * 24 * 3600),
            offsets_retention_check_interval: Duration::from_secs(600),
            tombstones_max: 1000,
        }
    }
}
