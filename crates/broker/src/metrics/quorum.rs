//! The metadata quorum as this node sees it, read when it is asked for.

use std::fmt;

use chronik_raft::{MetadataNode, VoteCounts};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Names are whole here: the lag's has no prefix.
pub(crate) struct QuorumMetrics(pub MetadataNode);

impl fmt::Debug for QuorumMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QuorumMetrics")
    }
}

impl Collector for QuorumMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let leadership = self.0.leadership();
        let leads = i64::from(self.0.leads(leadership));
        let gauges = [
            ("chronik_active_controller", "Whether this node leads the metadata: 1 or 0", leads),
            (
                "chronik_metadata_term",
                "The term of the metadata's leader",
                leadership.epoch.0.into(),
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value);
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        let VoteCounts { elections, leader_changes } = self.0.vote_counts();
        let counters = [
            (
                "chronik_metadata_elections",
                "Elections of a metadata leader in which this node stood",
                elections,
            ),
            (
                "chronik_metadata_leader_changes",
                "How often this node saw another metadata leader than before",
                leader_changes,
            ),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        self.encode_lag(&mut encoder)
    }
}

impl QuorumMetrics {
    fn encode_lag(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let followers = self.0.followers();
        if followers.is_empty() {
            return Ok(());
        }
        let mut family = encoder.encode_descriptor(
            "metadata_replication_lag_ms",
            "How long a follower has lacked metadata that this leader has",
            None,
            ConstGauge::new(0f64).metric_type(),
        )?;
        for follower in followers {
            let label = [("follower", follower.node_id.0)];
            let gauge = ConstGauge::new(follower.lag.as_secs_f64() * 1e3);
            gauge.encode(family.encode_family(&label)?)?;
        }
        Ok(())
    }
}
