//! Brokers in the image.

use chronik_types::{BrokerEpoch, BrokerId, DirectoryId, Uuid};

use crate::record;
pub use crate::record::StorageHealth;

/// Where a broker can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The listener's name.
    pub name: String,
    /// As advertised.
    pub host: String,
    /// As advertised.
    pub port: u16,
    /// Kafka's number: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    pub security_protocol: i16,
}

/// The levels of a feature that a node understands, inclusive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Such as `metadata.version`.
    pub name: String,
    /// Lowest.
    pub min: i16,
    /// Highest.
    pub max: i16,
}

/// Where nodes reach a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InternalEndpoint {
    /// A name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// One incarnation of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerRegistration {
    /// `node.id`.
    pub id: BrokerId,
    /// Of this incarnation; greater than any before it in the cluster.
    pub epoch: BrokerEpoch,
    /// Drawn at each start of the process.
    pub incarnation: Uuid,
    /// Where clients reach it.
    pub listeners: Vec<Listener>,
    /// Where the other nodes reach it; `None` for a node that is alone.
    pub internal: Option<InternalEndpoint>,
    /// Where it stands.
    pub rack: Option<String>,
    /// Its data directories.
    pub directories: Vec<DirectoryId>,
    /// The feature levels it understands.
    pub features: Vec<Feature>,
    /// What its last restart did to what it had acknowledged.
    pub storage: StorageHealth,
    /// Whether it is out of touch. A fenced broker leads nothing, is in no in-sync set, and is
    /// not shown to clients.
    pub fenced: bool,
    /// Whether it is about to stop.
    pub in_controlled_shutdown: bool,
}

impl BrokerRegistration {
    /// Whether it may lead and be in in-sync sets.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// As a record.
    #[must_use]
    pub fn to_record(&self) -> record::RegisterBroker {
        record::RegisterBroker {
            broker_id: self.id.0,
            broker_epoch: self.epoch.0,
            incarnation: self.incarnation.into(),
            listeners: self.listeners.iter().map(listener_record).collect(),
            rack: self.rack.clone(),
            directories: self.directories.iter().copied().map(Into::into).collect(),
            features: self.features.iter().map(feature_record).collect(),
            storage: self.storage.into(),
            fenced: self.fenced,
            in_controlled_shutdown: self.in_controlled_shutdown,
            internal: self.internal.as_ref().map(|internal| record::InternalEndpoint {
                host: internal.host.clone(),
                port: internal.port.into(),
            }),
        }
    }
}

fn listener_record(listener: &Listener) -> record::Listener {
    record::Listener {
        name: listener.name.clone(),
        host: listener.host.clone(),
        port: listener.port.into(),
        security_protocol: listener.security_protocol.into(),
    }
}

fn feature_record(feature: &Feature) -> record::SupportedFeature {
    record::SupportedFeature {
        name: feature.name.clone(),
        min: feature.min.into(),
        max: feature.max.into(),
    }
}

impl TryFrom<&record::RegisterBroker> for BrokerRegistration {
    type Error = std::num::TryFromIntError;

    fn try_from(record: &record::RegisterBroker) -> Result<Self, Self::Error> {
        let listener = |listener: &record::Listener| {
            Ok::<_, Self::Error>(Listener {
                name: listener.name.clone(),
                host: listener.host.clone(),
                port: listener.port.try_into()?,
                security_protocol: listener.security_protocol.try_into()?,
            })
        };
        let internal = |internal: &record::InternalEndpoint| {
            let port = internal.port.try_into()?;
            Ok::<_, Self::Error>(InternalEndpoint { host: internal.host.clone(), port })
        };
        let feature = |feature: &record::SupportedFeature| {
            Ok::<_, Self::Error>(Feature {
                name: feature.name.clone(),
                min: feature.min.try_into()?,
                max: feature.max.try_into()?,
            })
        };
        Ok(Self {
            id: BrokerId(record.broker_id),
            epoch: BrokerEpoch(record.broker_epoch),
            incarnation: record.incarnation.into(),
            listeners: record.listeners.iter().map(listener).collect::<Result<_, _>>()?,
            rack: record.rack.clone(),
            directories: record.directories.iter().copied().map(Into::into).collect(),
            features: record.features.iter().map(feature).collect::<Result<_, _>>()?,
            storage: record.storage(),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            internal: record.internal.as_ref().map(internal).transpose()?,
        })
    }
}
