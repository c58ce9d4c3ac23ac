//! The image: the whole metadata of the cluster at one point of its log.
//!
//! **Invariants**
//! - `by_name` has exactly the topics of `topics`, and `by_metric_name` those among them whose
//!   name has a '.' or a '_';
//! - the counters never go back;
//! - nothing but replay changes it.

mod brokers;
mod configs;
mod partition;
mod topics;

use std::sync::Arc;

use chronik_types::{BrokerId, PartitionId, ProducerId, TopicId, TopicPartition};
use imbl::OrdMap;

pub use brokers::{BrokerRegistration, Feature, InternalEndpoint, Listener, StorageHealth};
pub(crate) use configs::no_configs;
pub use configs::{ConfigMap, ConfigResource};
pub use partition::{BrokerList, Partition, PartitionExtra};
pub use topics::{Partitions, Topic};

/// Where the image stands among the numbered batches; see [`crate::MetadataBatch`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Applied {
    /// The term of the batch applied last.
    pub term: u64,
    /// Its number in that term.
    pub sequence: u64,
}

/// Producer ids that are a broker's to give out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerIdBlock {
    /// The first one.
    pub first: ProducerId,
    /// How many.
    pub len: i32,
}

/// The metadata of the cluster. Cloning is O(1).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image {
    pub(crate) cluster_id: Option<Arc<str>>,
    pub(crate) topics: OrdMap<TopicId, Arc<Topic>>,
    pub(crate) by_name: OrdMap<Arc<str>, TopicId>,
    /// Topics whose name has a '.' or a '_', by the name with '_' for '.': two such topics would
    /// share their metrics' names in Kafka.
    pub(crate) by_metric_name: OrdMap<Arc<str>, TopicId>,
    pub(crate) brokers: OrdMap<BrokerId, Arc<BrokerRegistration>>,
    /// Of everything but topics, which carry theirs.
    pub(crate) configs: OrdMap<ConfigResource, Arc<ConfigMap>>,
    pub(crate) features: OrdMap<Arc<str>, i16>,
    pub(crate) next_producer_id: i64,
    pub(crate) next_broker_epoch: i64,
    pub(crate) partition_count: usize,
    pub(crate) applied: Applied,
}

impl Image {
    /// The name of the cluster; `None` until its first controller has drawn it.
    #[must_use]
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    /// The topic with this id.
    #[must_use]
    pub fn topic(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.topics.get(&id)
    }

    /// The topic with this name.
    #[must_use]
    pub fn topic_named(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(self.by_name.get(name)?)
    }

    /// The topic whose name is the same as this one when '.' counts as '_'; looked for only if
    /// the name has one of them.
    #[must_use]
    pub fn topic_colliding_with(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(self.by_metric_name.get(metric_name(name)?.as_str())?)
    }

    /// Every topic, in the order of their ids.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.topics.values()
    }

    /// Every topic, in the order of their names.
    pub fn topics_by_name(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.by_name.values().filter_map(|id| self.topics.get(id))
    }

    /// The topics from this name on, in the order of their names.
    pub fn topics_from<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Arc<Topic>> {
        self.by_name
            .range::<_, str>((std::ops::Bound::Included(name), std::ops::Bound::Unbounded))
            .filter_map(|(_name, id)| self.topics.get(id))
    }

    /// How many topics there are.
    #[must_use]
    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// How many partitions there are, of all topics.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.partition_count
    }

    /// One partition.
    #[must_use]
    pub fn partition(&self, partition: TopicPartition) -> Option<&Partition> {
        self.topics.get(&partition.topic_id)?.partitions.get(partition.partition)
    }

    /// Every partition, by topic id and number.
    pub fn partitions(&self) -> impl Iterator<Item = (&Arc<Topic>, PartitionId, &Partition)> {
        self.topics.values().flat_map(|topic| {
            topic.partitions.iter().map(move |(number, partition)| (topic, number, partition))
        })
    }

    /// The registration of this broker, fenced or not.
    #[must_use]
    pub fn broker(&self, id: BrokerId) -> Option<&Arc<BrokerRegistration>> {
        self.brokers.get(&id)
    }

    /// Every registered broker, in the order of their numbers.
    pub fn brokers(&self) -> impl Iterator<Item = &Arc<BrokerRegistration>> {
        self.brokers.values()
    }

    /// Whether this broker may lead and be in in-sync sets.
    #[must_use]
    pub fn is_active(&self, id: BrokerId) -> bool {
        self.brokers.get(&id).is_some_and(|broker| broker.is_active())
    }

    /// What is set for a resource; nothing for one that does not exist.
    #[must_use]
    pub fn configs(&self, resource: &ConfigResource) -> Arc<ConfigMap> {
        let set = match resource {
            ConfigResource::Topic(name) => self.topic_named(name).map(|topic| &topic.configs),
            other => self.configs.get(other),
        };
        set.cloned().unwrap_or_else(no_configs)
    }

    /// Every resource but topics that something is set for.
    pub fn configured_resources(&self) -> impl Iterator<Item = (&ConfigResource, &Arc<ConfigMap>)> {
        self.configs.iter()
    }

    /// The level of a feature; `None` if it was never set.
    #[must_use]
    pub fn feature(&self, name: &str) -> Option<i16> {
        self.features.get(name).copied()
    }

    /// Every feature with a level, by name.
    pub fn features(&self) -> impl Iterator<Item = (&str, i16)> {
        self.features.iter().map(|(name, level)| (name.as_ref(), *level))
    }

    /// The first producer id not given out yet.
    #[must_use]
    pub fn next_producer_id(&self) -> ProducerId {
        ProducerId(self.next_producer_id)
    }

    /// The epoch of the next broker that registers.
    #[must_use]
    pub fn next_broker_epoch(&self) -> i64 {
        self.next_broker_epoch
    }

    /// The batch applied last.
    #[must_use]
    pub fn applied(&self) -> Applied {
        self.applied
    }
}

/// The name with '_' for '.'; `None` if it has neither.
pub(crate) fn metric_name(name: &str) -> Option<String> {
    name.contains(['.', '_']).then(|| name.replace('.', "_"))
}
