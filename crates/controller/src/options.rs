//! What the controller is configured with.

use std::sync::Arc;
use std::time::Duration;

use chronik_config::keys::{ConfigMap, Layers, Value, broker_key};
use chronik_metadata::{ConfigResource, Image};
use chronik_types::BrokerId;

use crate::durability::MetadataAcks;

/// The configuration of a controller.
#[derive(Clone, Debug)]
pub struct Options {
    /// The node it runs on.
    pub node_id: BrokerId,
    /// What this node was started with, by Kafka's names; checked.
    pub static_config: Arc<ConfigMap>,
    /// How long a broker may be silent before it is fenced.
    pub session_timeout: Duration,
    /// How often leaderships are balanced; `None` for never.
    pub balance_every: Option<Duration>,
    /// The most partitions one request may create.
    pub partitions_per_request_max: usize,
}

impl Options {
    /// The options that follow from a node's configuration.
    #[must_use]
    pub fn new(node_id: BrokerId, static_config: Arc<ConfigMap>) -> Self {
        let mut options = Self {
            node_id,
            static_config,
            session_timeout: Duration::ZERO,
            balance_every: None,
            partitions_per_request_max: 100_000,
        };
        let timeout = options.number("broker.session.timeout.ms");
        options.session_timeout = Duration::from_millis(u64::try_from(timeout).unwrap_or(0));
        if options.flag("auto.leader.rebalance.enable") {
            let seconds = options.number("leader.imbalance.check.interval.seconds");
            let every = Duration::from_secs(u64::try_from(seconds).unwrap_or(0).max(1));
            options.balance_every = Some(every);
        }
        options
    }

    /// A number of this node's configuration, or its default.
    pub(crate) fn number(&self, name: &str) -> i64 {
        match self.value(name) {
            Some(Value::Number(number)) => number,
            _ => 0,
        }
    }

    /// The elements of a list of this node's configuration, or its default.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            Some(Value::List(elements)) => elements,
            _ => Vec::new(),
        }
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.value(name) == Some(Value::Bool(true))
    }

    /// When creations and deletions of topics are answered (`metadata.acks`), as `image` has it.
    pub(crate) fn metadata_acks(&self, image: &Image) -> MetadataAcks {
        let effective = self.with_layers(image, &ConfigMap::new(), |layers| {
            broker_key("metadata.acks").and_then(|key| layers.broker_value(key).value)
        });
        match effective.as_deref().map(str::trim) {
            Some("leader") => MetadataAcks::Leader,
            _ => MetadataAcks::Quorum,
        }
    }

    fn value(&self, name: &str) -> Option<Value> {
        let key = broker_key(name)?;
        let set = self.static_config.get(name).and_then(|text| key.parse(text).ok());
        set.or_else(|| key.parse(key.default?).ok())
    }

    /// The layers of a topic's configuration, seen from this node, and `f` of them.
    pub(crate) fn with_layers<R>(
        &self,
        image: &Image,
        topic: &ConfigMap,
        f: impl FnOnce(Layers<'_>) -> R,
    ) -> R {
        let dynamic_broker = image.configs(&ConfigResource::Broker(self.node_id));
        let dynamic_default = image.configs(&ConfigResource::DefaultBroker);
        f(Layers {
            topic,
            dynamic_broker: &dynamic_broker,
            dynamic_default: &dynamic_default,
            static_broker: &self.static_config,
        })
    }
}
