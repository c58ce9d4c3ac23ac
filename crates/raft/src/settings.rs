//! openraft's settings, and which of them are asserted at the start because safety rests on them.

use std::sync::Arc;
use std::time::Duration;

use crate::bugs;

/// What an operator may set.
#[derive(Clone, Copy, Debug)]
pub struct ElectionTimes {
    /// Shortest time without a leader before a node stands for election
    /// (`controller.quorum.election.timeout.ms`).
    pub election_min: Duration,
    /// Longest such time; each node draws one between the two.
    pub election_max: Duration,
    /// How often an idle leader tells its followers that it lives.
    pub heartbeat: Duration,
}

impl Default for ElectionTimes {
    fn default() -> Self {
        Self {
            election_min: Duration::from_millis(500),
            election_max: Duration::from_millis(1000),
            heartbeat: Duration::from_millis(100),
        }
    }
}

/// How much of the log stays.
#[derive(Clone, Copy, Debug)]
pub struct LogKept {
    /// Entries between two snapshots of the image.
    pub snapshot_every: u64,
    /// Entries kept behind a snapshot, so that a follower slightly behind needs none.
    pub behind_snapshot: u64,
}

impl LogKept {
    /// With so many entries between two snapshots. They are cheap (the image is shared), and the log
    /// between two of them bounds recovery.
    #[must_use]
    pub fn with_snapshots_every(entries: u64) -> Self {
        Self { snapshot_every: entries, behind_snapshot: entries / 4 }
    }
}

impl Default for LogKept {
    fn default() -> Self {
        Self::with_snapshots_every(20_000)
    }
}

/// The times do not fit together.
#[derive(Debug, thiserror::Error)]
#[error("the election times do not fit together: {0}")]
pub struct InvalidSettings(String);

/// openraft's configuration for the metadata quorum.
///
/// # Errors
/// When the times do not satisfy Raft's inequality (heartbeat < election minimum < maximum).
pub(crate) fn config(
    times: ElectionTimes,
    kept: LogKept,
) -> Result<Arc<openraft::Config>, InvalidSettings> {
    let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    let config = openraft::Config {
        cluster_name: "__chronik_metadata".to_owned(),
        election_timeout_min: millis(times.election_min),
        election_timeout_max: millis(times.election_max),
        heartbeat_interval: millis(times.heartbeat),
        enable_pre_vote: Some(true),
        // A restarted leader must not resume its term: replication runs ahead of the leader's own
        // fsync, so it could write another entry under an id that a follower already holds.
        enable_leader_restore: Some(bugs::resume_term()),
        allow_log_reversion: Some(false),
        snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(kept.snapshot_every),
        max_in_snapshot_log_to_keep: kept.behind_snapshot,
        replication_lag_threshold: kept.snapshot_every.saturating_mul(2),
        // A member that comes back is reached soon.
        backoff: "50ms 100ms 200ms ...500ms".to_owned(),
        ..openraft::Config::default()
    };
    let config = config.validate().map_err(|e| InvalidSettings(e.to_string()))?;
    let resumes = config.enable_leader_restore != Some(false);
    assert!(!resumes || bugs::resume_term(), "a restarted leader resumes its term");
    assert_eq!(config.allow_log_reversion, Some(false), "a follower may lose its log unnoticed");
    assert_eq!(config.enable_pre_vote, Some(true), "a returning node disturbs the leader");
    Ok(Arc::new(config))
}
