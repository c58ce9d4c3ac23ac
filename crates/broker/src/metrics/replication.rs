//! How far the followers of this broker's partitions are, read when it is asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Weak;
use std::time::Duration;

use chronik_types::{BrokerId, Monotonic};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;

use crate::Broker;

/// The broker owns nothing of this and may end before it.
pub(crate) struct ReplicationMetrics(pub Weak<Broker>);

impl fmt::Debug for ReplicationMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplicationMetrics")
    }
}

impl Collector for ReplicationMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(broker) = self.0.upgrade() else { return Ok(()) };
        let lags = lags(&broker);
        if lags.is_empty() {
            return Ok(());
        }
        let mut family = encoder.encode_descriptor(
            "replication_lag_seconds",
            "How long a follower has lacked records of its slowest partition that this leader has",
            None,
            ConstGauge::new(0f64).metric_type(),
        )?;
        for (follower, lag) in lags {
            let label = [("follower", follower.0)];
            ConstGauge::new(lag.as_secs_f64()).encode(family.encode_family(&label)?)?;
        }
        Ok(())
    }
}

/// The longest lag of each other broker; zero for one that lacks nothing.
fn lags(broker: &Broker) -> BTreeMap<BrokerId, Duration> {
    let now = broker.env.clock.monotonic();
    let image = broker.committed.borrow().image.clone();
    let others = image.brokers().map(|other| other.id).filter(|id| *id != broker.options.node_id);
    let mut lags: BTreeMap<_, _> = others.map(|id| (id, Duration::ZERO)).collect();
    for partition in broker.partitions.all_open() {
        for (follower, since) in partition.progress.lagging() {
            note(&mut lags, follower, since, now);
        }
    }
    lags
}

fn note(
    lags: &mut BTreeMap<BrokerId, Duration>,
    follower: BrokerId,
    since: Monotonic,
    now: Monotonic,
) {
    let lag = lags.entry(follower).or_default();
    *lag = (*lag).max(now.since(since));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_partition_of_a_follower_counts() {
        let at = |ms| Monotonic::default().after(Duration::from_millis(ms));
        let mut lags = BTreeMap::from([(BrokerId(2), Duration::ZERO)]);
        for (follower, since) in [(3, 500), (2, 900), (2, 200), (2, 700)] {
            note(&mut lags, BrokerId(follower), at(since), at(1000));
        }
        let millis = Duration::from_millis;
        assert_eq!(lags, BTreeMap::from([(BrokerId(2), millis(800)), (BrokerId(3), millis(500))]));
    }
}
