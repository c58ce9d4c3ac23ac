//! What is counted as it happens in a cluster: writes of metadata, elections, replicas that lag.

use std::collections::BTreeMap;
use std::sync::{Arc, atomic::AtomicU64};
use std::time::Duration;

use chronik_types::BrokerId;
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Which other node a sample is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct FollowerLabel {
    pub follower: i32,
}

/// Why something happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReasonLabel {
    pub reason: &'static str,
}

/// Which way an in-sync set changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ChangeLabel {
    pub change: &'static str,
}

/// Clones share the counters.
#[derive(Clone)]
pub(crate) struct ClusterMetrics {
    /// From the proposal of a metadata change until this node, leading, has it on disk.
    wal_write_ms: Histogram,
    /// From the proposal of a metadata change until it is committed and applied here.
    commit_seconds: Histogram,
    metadata_lag: PerFollower,
    replication_lag: PerFollower,
    pub elections: Counter,
    pub leader_changes: Counter,
    isr_changes: Family<ChangeLabel, Counter>,
    fallbacks: Family<ReasonLabel, Counter>,
}

/// A gauge for each follower there is; one that is gone is not shown.
#[derive(Clone, Default)]
struct PerFollower {
    gauges: Family<FollowerLabel, Gauge<f64, AtomicU64>>,
    shown: Arc<Mutex<BTreeMap<BrokerId, f64>>>,
}

impl PerFollower {
    fn set(&self, values: BTreeMap<BrokerId, f64>) {
        let mut shown = self.shown.lock();
        for gone in shown.keys().filter(|node| !values.contains_key(node)) {
            self.gauges.remove(&FollowerLabel { follower: gone.0 });
        }
        for (node, value) in &values {
            self.gauges.get_or_create(&FollowerLabel { follower: node.0 }).set(*value);
        }
        *shown = values;
    }
}

impl ClusterMetrics {
    /// Registers what has a name of its own in `root`, the rest in `chronik`.
    pub fn register(root: &mut Registry) -> Self {
        let metrics = Self {
            // From 50 µs to 6.5 s.
            wal_write_ms: Histogram::new(exponential_buckets(0.05, 2.0, 18)),
            commit_seconds: Histogram::new(exponential_buckets(0.000_05, 2.0, 18)),
            metadata_lag: PerFollower::default(),
            replication_lag: PerFollower::default(),
            elections: Counter::default(),
            leader_changes: Counter::default(),
            isr_changes: Family::default(),
            fallbacks: Family::default(),
        };
        root.register(
            "metadata_wal_write_latency_ms",
            "Time from the proposal of a metadata change until the leader has it on disk",
            metrics.wal_write_ms.clone(),
        );
        root.register(
            "metadata_replication_lag_ms",
            "How long a follower has lacked metadata that this leader has",
            metrics.metadata_lag.gauges.clone(),
        );
        let registry = root.sub_registry_with_prefix(super::PREFIX);
        registry.register(
            "metadata_commit_seconds",
            "Time from the proposal of a metadata change until it is committed and applied",
            metrics.commit_seconds.clone(),
        );
        registry.register(
            "metadata_elections",
            "Elections of a metadata leader that this node has seen",
            metrics.elections.clone(),
        );
        registry.register(
            "metadata_leader_changes",
            "How often another node, or this one, became metadata leader",
            metrics.leader_changes.clone(),
        );
        registry.register(
            "metadata_fast_path_fallbacks",
            "Changes that metadata.acks=leader allowed to be answered early and that waited for \
             the quorum, by reason",
            metrics.fallbacks.clone(),
        );
        registry.register(
            "isr_changes",
            "Changes of in-sync sets that this broker, leading, has asked for, by kind",
            metrics.isr_changes.clone(),
        );
        registry.register(
            "replication_lag_seconds",
            "How long the slowest partition of a follower has lacked records that this leader has",
            metrics.replication_lag.gauges.clone(),
        );
        metrics
    }

    /// A metadata change is on this leader's disk, so long after it was proposed.
    pub fn metadata_written(&self, took: Duration) {
        self.wal_write_ms.observe(took.as_secs_f64() * 1e3);
    }

    /// A metadata change is committed and applied, so long after it was proposed.
    pub fn metadata_committed(&self, took: Duration) {
        self.commit_seconds.observe(took.as_secs_f64());
    }

    /// How long each follower of the metadata has lacked something; none on a node that does not
    /// lead. Replaces what was said before.
    pub fn metadata_lag(&self, followers: impl IntoIterator<Item = (BrokerId, Duration)>) {
        let millis = |(node, lag): (BrokerId, Duration)| (node, lag.as_secs_f64() * 1e3);
        self.metadata_lag.set(followers.into_iter().map(millis).collect());
    }

    /// How long each follower of this broker's partitions has lacked something. Replaces what was
    /// said before.
    pub fn replication_lag(&self, followers: impl IntoIterator<Item = (BrokerId, Duration)>) {
        let seconds = |(node, lag): (BrokerId, Duration)| (node, lag.as_secs_f64());
        self.replication_lag.set(followers.into_iter().map(seconds).collect());
    }

    /// In-sync sets lost so many replicas, and won so many.
    pub fn isr_changed(&self, shrunk: u64, expanded: u64) {
        for (change, count) in [("shrink", shrunk), ("expand", expanded)] {
            self.isr_changes.get_or_create(&ChangeLabel { change }).inc_by(count);
        }
    }

    /// An answer that the fast path could have given waits for the quorum.
    pub fn fell_back(&self, reason: &'static str) {
        self.fallbacks.get_or_create(&ReasonLabel { reason }).inc();
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn metrics_bear_the_names_that_operators_know_and_gone_followers_none() {
        let mut registry = Registry::default();
        let metrics = ClusterMetrics::register(&mut registry);
        metrics.metadata_written(Duration::from_micros(260));
        metrics.metadata_committed(Duration::from_micros(320));
        let lag = Duration::from_millis(1500);
        metrics.metadata_lag([(BrokerId(2), lag), (BrokerId(3), Duration::ZERO)]);
        metrics.metadata_lag([(BrokerId(2), lag)]);
        metrics.replication_lag([(BrokerId(2), lag)]);
        metrics.isr_changed(2, 0);
        metrics.fell_back("lease");
        metrics.elections.inc();
        metrics.leader_changes.inc();
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "metadata_wal_write_latency_ms_bucket{le=\"0.4\"} 1",
            "metadata_replication_lag_ms{follower=\"2\"} 1500.0",
            "chronik_metadata_commit_seconds_count 1",
            "chronik_metadata_elections_total 1",
            "chronik_metadata_leader_changes_total 1",
            "chronik_metadata_fast_path_fallbacks_total{reason=\"lease\"} 1",
            "chronik_isr_changes_total{change=\"shrink\"} 2",
            "chronik_isr_changes_total{change=\"expand\"} 0",
            "chronik_replication_lag_seconds{follower=\"2\"} 1.5",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("follower=\"3\""), "{text}");
    }
}
