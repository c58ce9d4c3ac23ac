//! What this broker counts, in Prometheus' terms: base units, names under `chronik_`, but for the
//! two about the metadata log that have had names of their own for long.

mod cluster;
mod image;
mod quorum;
mod replication;
mod storage;

use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::Broker;

pub(crate) use self::cluster::ClusterMetrics;

use self::image::ImageMetrics;
use self::quorum::QuorumMetrics;
use self::replication::ReplicationMetrics;
use self::storage::StorageMetrics;

/// First part of every name but two.
const PREFIX: &str = "chronik";

/// Which API a sample is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ApiLabel {
    pub api: &'static str,
}

/// The counters that handlers touch.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub requests: Family<ApiLabel, Counter>,
    pub request_seconds: Family<ApiLabel, Histogram>,
    pub cluster: ClusterMetrics,
    pub produced_bytes: Counter,
    pub fetched_bytes: Counter,
}

impl Metrics {
    /// The metrics, registered in a registry of their own.
    pub fn new() -> (Self, Arc<Mutex<Registry>>) {
        let buckets = || Histogram::new(exponential_buckets(0.000_05, 2.0, 18));
        let mut root = Registry::default();
        let metrics = Self {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(buckets),
            cluster: ClusterMetrics::register(&mut root),
            produced_bytes: Counter::default(),
            fetched_bytes: Counter::default(),
        };
        let registry = root.sub_registry_with_prefix(PREFIX);
        registry.register("requests", "Requests by API", metrics.requests.clone());
        registry.register(
            "request_seconds",
            "Time from a complete frame to its response, by API",
            metrics.request_seconds.clone(),
        );
        registry.register(
            "produced_bytes",
            "Bytes of record batches appended for clients",
            metrics.produced_bytes.clone(),
        );
        registry.register(
            "fetched_bytes",
            "Bytes of record batches sent to clients",
            metrics.fetched_bytes.clone(),
        );
        (metrics, Arc::new(Mutex::new(root)))
    }

    /// Counts one answered request.
    pub fn answered(&self, api: &'static str, seconds: f64) {
        let label = ApiLabel { api };
        self.requests.get_or_create(&label).inc();
        self.request_seconds.get_or_create(&label).observe(seconds);
    }
}

/// Adds what is read from the parts of the broker when it is asked for.
pub(crate) fn register_parts(root: &mut Registry, broker: &Arc<Broker>) {
    register(
        root,
        Box::new(ImageMetrics {
            metadata: broker.metadata.clone(),
            node_id: broker.options.node_id,
            static_configs: Arc::clone(&broker.options.static_configs),
        }),
    );
    register(root, Box::new(StorageMetrics { storage: broker.storage.clone() }));
    register(root, Box::new(ReplicationMetrics(Arc::downgrade(broker))));
    root.register_collector(Box::new(QuorumMetrics(broker.metadata.clone())));
}

/// Adds metrics whose names are put under the prefix.
pub(crate) fn register(root: &mut Registry, collector: Box<dyn Collector>) {
    root.sub_registry_with_prefix(PREFIX).register_collector(collector);
}
