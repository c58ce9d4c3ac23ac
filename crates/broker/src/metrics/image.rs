//! What the committed image says of the cluster's health, counted when it is asked for.
//!
//! A broker counts the partitions it leads, the active controller those that nobody leads, so that
//! sums over the nodes of a cluster count nothing twice.

use std::fmt;
use std::sync::Arc;

use chronik_config::keys::{ConfigMap, Layers, topic_key};
use chronik_metadata::{ConfigResource, Image, Partition, Topic};
use chronik_raft::MetadataNode;
use chronik_types::BrokerId;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;

const MIN_ISR: &str = "min.insync.replicas";

/// Reads the image when it is asked for.
pub(crate) struct ImageMetrics {
    pub metadata: MetadataNode,
    pub node_id: BrokerId,
    pub static_configs: Arc<ConfigMap>,
}

/// How many partitions there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    led: i64,
    under_replicated: i64,
    under_min_isr: i64,
    offline: i64,
}

impl fmt::Debug for ImageMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ImageMetrics")
    }
}

impl Collector for ImageMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let image = self.metadata.image();
        let controls = self.metadata.leads(self.metadata.leadership());
        let counts = count(&image, self.node_id, controls, &self.static_configs);
        let active = image.brokers().filter(|broker| broker.is_active()).count();
        let registered = image.brokers().count();
        let of = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let gauges = [
            ("partitions_led", "Partitions that this broker leads", counts.led),
            (
                "under_replicated_partitions",
                "Partitions led here that lack replicas in their in-sync set",
                counts.under_replicated,
            ),
            (
                "under_min_isr_partitions",
                "Partitions led here with fewer in-sync replicas than min.insync.replicas",
                counts.under_min_isr,
            ),
            (
                "offline_partitions",
                "Partitions that nobody leads, as the active controller sees it; 0 elsewhere",
                counts.offline,
            ),
            ("brokers_registered", "Brokers of the cluster", of(registered)),
            ("brokers_active", "Brokers that are neither fenced nor stopping", of(active)),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value);
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}

fn count(image: &Image, node: BrokerId, controls: bool, static_configs: &ConfigMap) -> Counts {
    let rule = MinIsr::new(image, node, static_configs);
    let mut counts = Counts::default();
    for topic in image.topics() {
        let min_isr = rule.of(topic);
        for (_, partition) in topic.partitions.iter() {
            counts.add(partition, node, controls, min_isr);
        }
    }
    counts
}

impl Counts {
    fn add(&mut self, partition: &Partition, node: BrokerId, controls: bool, min_isr: usize) {
        if controls && !partition.has_leader() {
            self.offline += 1;
        }
        if partition.leader != node {
            return;
        }
        self.led += 1;
        self.under_replicated += i64::from(partition.isr.len() < partition.replicas.len());
        self.under_min_isr +=
            i64::from(partition.isr.len() < min_isr.min(partition.replicas.len()));
    }
}

/// `min.insync.replicas` of topics; most of them set none.
struct MinIsr {
    default: usize,
}

impl MinIsr {
    fn new(image: &Image, node: BrokerId, static_configs: &ConfigMap) -> Self {
        let layers = Layers {
            topic: &ConfigMap::new(),
            dynamic_broker: &image.configs(&ConfigResource::Broker(node)),
            dynamic_default: &image.configs(&ConfigResource::DefaultBroker),
            static_broker: static_configs,
        };
        let value = topic_key(MIN_ISR).and_then(|key| layers.topic_value(key).value);
        Self { default: value.and_then(|text| text.trim().parse().ok()).unwrap_or(1) }
    }

    fn of(&self, topic: &Topic) -> usize {
        let own = topic.configs.get(MIN_ISR).and_then(|text| text.trim().parse().ok());
        own.unwrap_or(self.default)
    }
}

#[cfg(test)]
mod tests {
    use chronik_metadata::BrokerList;

    use super::*;

    fn partition(replicas: &[i32], isr: &[i32]) -> Partition {
        Partition::fresh(BrokerList::from(replicas), BrokerList::from(isr))
    }

    #[test]
    fn a_partition_is_counted_by_its_leader_and_one_without_by_the_controller() {
        let partitions = [
            partition(&[1, 2, 3], &[1, 2, 3]),
            partition(&[1, 2, 3], &[1, 2]),
            partition(&[1, 2, 3], &[1]),
            // One replica is all it has.
            partition(&[1], &[1]),
            partition(&[2, 3], &[2]),
            partition(&[2, 3], &[]),
        ];
        let count = |node, controls| {
            let mut counts = Counts::default();
            for partition in &partitions {
                counts.add(partition, BrokerId(node), controls, 2);
            }
            (counts.led, counts.under_replicated, counts.under_min_isr, counts.offline)
        };
        assert_eq!(count(1, false), (4, 2, 1, 0));
        assert_eq!(count(2, true), (1, 1, 1, 1));
        assert_eq!(count(3, false), (0, 0, 0, 0));
    }
}
