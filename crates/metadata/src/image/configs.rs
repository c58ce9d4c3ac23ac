//! Dynamic configuration in the image.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use chronik_types::BrokerId;

/// The values set for one resource, by key.
pub type ConfigMap = BTreeMap<String, String>;

/// A map without values, shared by all that have none.
pub(crate) fn no_configs() -> Arc<ConfigMap> {
    static EMPTY: LazyLock<Arc<ConfigMap>> = LazyLock::new(|| Arc::new(ConfigMap::new()));
    EMPTY.clone()
}

/// What a configuration value is set for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigResource {
    /// A topic, by name.
    Topic(Arc<str>),
    /// One broker.
    Broker(BrokerId),
    /// Every broker that has no value of its own.
    DefaultBroker,
    /// A client metrics subscription.
    ClientMetrics(String),
    /// A group.
    Group(String),
}

impl ConfigResource {
    /// Kafka's number for this type of resource.
    #[must_use]
    pub fn wire_type(&self) -> i8 {
        match self {
            Self::Topic(_) => 2,
            Self::Broker(_) | Self::DefaultBroker => 4,
            Self::ClientMetrics(_) => 16,
            Self::Group(_) => 32,
        }
    }

    /// Kafka's name for it: the topic, the broker's number, nothing for every broker.
    #[must_use]
    pub fn wire_name(&self) -> String {
        match self {
            Self::Topic(name) => name.to_string(),
            Self::Broker(id) => id.to_string(),
            Self::DefaultBroker => String::new(),
            Self::ClientMetrics(name) | Self::Group(name) => name.clone(),
        }
    }

    /// The resource of this type and name; `None` for a type that has no stored configuration,
    /// and for a broker whose name is not a number.
    #[must_use]
    pub fn from_wire(resource_type: i32, name: &str) -> Option<Self> {
        match resource_type {
            2 => Some(Self::Topic(name.into())),
            4 if name.is_empty() => Some(Self::DefaultBroker),
            4 => name.parse().ok().map(|id| Self::Broker(BrokerId(id))),
            16 => Some(Self::ClientMetrics(name.to_owned())),
            32 => Some(Self::Group(name.to_owned())),
            _ => None,
        }
    }
}
