//! What is counted as it happens in a cluster: writes of metadata, changes of in-sync sets.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

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
    isr_changes: Family<ChangeLabel, Counter>,
    fallbacks: Family<ReasonLabel, Counter>,
}

impl ClusterMetrics {
    /// Registers what has a name of its own in `root`, the rest in `chronik`.
    pub fn register(root: &mut Registry) -> Self {
        let metrics = Self {
            // From 50 µs to 6.5 s.
            wal_write_ms: Histogram::new(exponential_buckets(0.05, 2.0, 18)),
            commit_seconds: Histogram::new(exponential_buckets(0.000_05, 2.0, 18)),
            isr_changes: Family::default(),
            fallbacks: Family::default(),
        };
        root.register(
            "metadata_wal_write_latency_ms",
            "Time from the proposal of a metadata change until the leader has it on disk",
            metrics.wal_write_ms.clone(),
        );
        let registry = root.sub_registry_with_prefix(super::PREFIX);
        registry.register(
            "metadata_commit_seconds",
            "Time from the proposal of a metadata change until it is committed and applied",
            metrics.commit_seconds.clone(),
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
    fn metrics_bear_the_names_that_operators_know() {
        let mut registry = Registry::default();
        let metrics = ClusterMetrics::register(&mut registry);
        metrics.metadata_written(Duration::from_micros(260));
        metrics.metadata_committed(Duration::from_micros(320));
        metrics.isr_changed(2, 0);
        metrics.fell_back("lease");
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "metadata_wal_write_latency_ms_bucket{le=\"0.4\"} 1",
            "chronik_metadata_commit_seconds_count 1",
            "chronik_metadata_fast_path_fallbacks_total{reason=\"lease\"} 1",
            "chronik_isr_changes_total{change=\"shrink\"} 2",
            "chronik_isr_changes_total{change=\"expand\"} 0",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
        }
    }
}
