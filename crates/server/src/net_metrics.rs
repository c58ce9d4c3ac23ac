//! The network's counters as Prometheus sees them.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use chronik_net::{CloseReason, Metrics, RequestMemory};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

/// Reads the counters when they are asked for.
pub(crate) struct NetMetrics {
    pub metrics: Arc<Metrics>,
    pub memory: Arc<RequestMemory>,
}

impl fmt::Debug for NetMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NetMetrics")
    }
}

impl Collector for NetMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let metrics = &self.metrics;
        let counters = [
            ("connections_accepted", "Connections accepted", None, &metrics.accepted),
            (
                "accept_errors",
                "Failed attempts to accept a connection, such as for want of file descriptors",
                None,
                &metrics.accept_errors,
            ),
            ("network_requests", "Requests read from clients", None, &metrics.requests),
            ("network_received", "Bytes read from clients", Some(Unit::Bytes), &metrics.bytes_in),
            ("network_sent", "Bytes written to clients", Some(Unit::Bytes), &metrics.bytes_out),
        ];
        for (name, help, unit, counter) in counters {
            counter_of(counter.load(Relaxed), name, help, unit, &mut encoder)?;
        }
        gauge("connections_open", "Connections open now", metrics.open(), None, &mut encoder)?;
        let used = self.memory.used() as u64;
        let help = "Memory of requests being read and handled";
        gauge("request_memory_used", help, used, Some(Unit::Bytes), &mut encoder)?;
        let capacity = self.memory.capacity() as u64;
        let help = "The most memory that requests may take";
        gauge("request_memory_capacity", help, capacity, Some(Unit::Bytes), &mut encoder)?;
        self.encode_refused(&mut encoder)?;
        self.encode_closed(&mut encoder)
    }
}

impl NetMetrics {
    fn encode_refused(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let refused = [
            ("max.connections", &self.metrics.refused_total),
            ("max.connections.per.ip", &self.metrics.refused_per_ip),
        ];
        let counter = ConstCounter::new(0u64);
        let mut family = encoder.encode_descriptor(
            "connections_refused",
            "Connections closed at once, by the limit that was reached",
            None,
            counter.metric_type(),
        )?;
        for (limit, count) in refused {
            let label = [("limit", limit)];
            ConstCounter::new(count.load(Relaxed)).encode(family.encode_family(&label)?)?;
        }
        Ok(())
    }

    fn encode_closed(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let counter = ConstCounter::new(0u64);
        let mut family = encoder.encode_descriptor(
            "connections_closed",
            "Connections that ended, by reason",
            None,
            counter.metric_type(),
        )?;
        for reason in CloseReason::ALL {
            let label = [("reason", reason.label())];
            let count = ConstCounter::new(self.metrics.closed(*reason));
            count.encode(family.encode_family(&label)?)?;
        }
        Ok(())
    }
}

fn counter_of(
    value: u64,
    name: &str,
    help: &str,
    unit: Option<Unit>,
    encoder: &mut DescriptorEncoder<'_>,
) -> fmt::Result {
    let counter = ConstCounter::new(value);
    let metric = encoder.encode_descriptor(name, help, unit.as_ref(), counter.metric_type())?;
    counter.encode(metric)
}

fn gauge(
    name: &str,
    help: &str,
    value: u64,
    unit: Option<Unit>,
    encoder: &mut DescriptorEncoder<'_>,
) -> fmt::Result {
    let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    let metric = encoder.encode_descriptor(name, help, unit.as_ref(), gauge.metric_type())?;
    gauge.encode(metric)
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;

    #[test]
    fn every_counter_is_shown_with_its_unit_and_labels() {
        let metrics: Arc<Metrics> = Arc::default();
        metrics.bytes_in.store(7, Relaxed);
        let memory = RequestMemory::new(1 << 24, 1 << 20);
        let mut registry = Registry::with_prefix("chronik");
        registry.register_collector(Box::new(NetMetrics { metrics, memory }));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "chronik_network_received_bytes_total 7",
            "chronik_connections_open 0",
            "chronik_request_memory_used_bytes 0",
            "chronik_connections_refused_total{limit=\"max.connections\"} 0",
            "chronik_connections_closed_total{reason=\"slow_frame\"} 0",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
        }
    }
}
