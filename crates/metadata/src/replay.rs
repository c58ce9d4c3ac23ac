//! Replay: the one way an image changes.

use std::sync::Arc;

use chronik_types::{BrokerEpoch, BrokerId, TopicId};

use crate::bugs;
use crate::image::{
    Applied, BrokerList, BrokerRegistration, ConfigResource, Image, Partition, Partitions, Topic,
    metric_name, no_configs,
};
use crate::record::{self, Change, MetadataBatch, MetadataRecord};

/// A record that does not fit the image: the log and the image are not of one history. The node
/// must stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ReplayError {
    #[error("a metadata record of a kind this version does not know; update this node")]
    UnknownRecord,
    #[error("a metadata record names topic {0}, which does not exist")]
    NoSuchTopic(TopicId),
    #[error("a metadata record creates topic {name} with id {id}, but the name or the id is taken")]
    TopicExists { name: String, id: TopicId },
    #[error("a metadata record names partition {partition} of topic {id}, which does not fit")]
    NoSuchPartition { id: TopicId, partition: i32 },
    #[error("a metadata record has a malformed list of {0}")]
    MalformedList(&'static str),
    #[error("a metadata record names epoch {epoch} of broker {id}, which is not registered")]
    NoSuchBroker { id: BrokerId, epoch: BrokerEpoch },
    #[error("a metadata record names a configuration resource that does not exist: {0}")]
    NoSuchResource(String),
    #[error("a number of a metadata record is out of range")]
    NumberOutOfRange,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchOutcome {
    /// Its records are part of the image.
    Applied,
    /// It was made on top of a batch that never was applied; the image is as before. Every node
    /// decides so.
    Ignored,
}

impl Image {
    /// Applies a committed batch, if it follows the batch applied last: the first of a newer term,
    /// or the one made on top of it in the same term. A gap within a term comes from a proposal
    /// that Raft refused after later ones had been made on top of it.
    ///
    /// # Errors
    /// [`ReplayError`], and then the image is unchanged.
    pub fn apply_batch(&mut self, batch: &MetadataBatch) -> Result<BatchOutcome, ReplayError> {
        let follows = match batch.term.cmp(&self.applied.term) {
            std::cmp::Ordering::Greater => batch.follows == 0,
            std::cmp::Ordering::Equal => {
                batch.follows == self.applied.sequence && batch.sequence > self.applied.sequence
            }
            std::cmp::Ordering::Less => false,
        };
        if !follows && !bugs::apply_gaps() {
            return Ok(BatchOutcome::Ignored);
        }
        let mut next = self.clone();
        for record in &batch.records {
            next.replay(record)?;
        }
        next.applied = Applied { term: batch.term, sequence: batch.sequence };
        *self = next;
        Ok(BatchOutcome::Applied)
    }

    /// Replays one record.
    ///
    /// # Errors
    /// [`ReplayError`] if it does not fit; the image is then unchanged.
    pub fn replay(&mut self, record: &MetadataRecord) -> Result<(), ReplayError> {
        match record.change.as_ref().ok_or(ReplayError::UnknownRecord)? {
            Change::NoOp(_) => {}
            Change::ClusterId(record) => self.cluster_id = Some(record.cluster_id.as_str().into()),
            Change::FeatureLevel(record) => self.replay_feature(record)?,
            Change::RegisterBroker(record) => self.replay_register(record)?,
            Change::UnregisterBroker(event) => {
                self.existing_broker(event)?;
                self.brokers.remove(&BrokerId(event.broker_id));
            }
            Change::FenceBroker(event) => self.change_broker(event, |broker| {
                broker.fenced = true;
            })?,
            Change::UnfenceBroker(event) => self.change_broker(event, |broker| {
                broker.fenced = false;
            })?,
            Change::BrokerInControlledShutdown(event) => self.change_broker(event, |broker| {
                broker.in_controlled_shutdown = true;
            })?,
            Change::Topic(record) => self.replay_topic(record)?,
            Change::Partition(record) => self.replay_partition(record)?,
            Change::FreshPartitions(record) => self.replay_fresh_partitions(record)?,
            Change::PartitionChange(record) => self.replay_partition_change(record)?,
            Change::RemoveTopic(record) => self.replay_remove_topic(record.topic_id.into())?,
            Change::Config(record) => self.replay_config(record)?,
            Change::ProducerIds(record) => {
                self.next_producer_id = self.next_producer_id.max(record.next_producer_id);
            }
            Change::Counters(record) => {
                self.next_producer_id = self.next_producer_id.max(record.next_producer_id);
                self.next_broker_epoch = self.next_broker_epoch.max(record.next_broker_epoch);
            }
        }
        Ok(())
    }

    fn replay_feature(&mut self, record: &record::FeatureLevel) -> Result<(), ReplayError> {
        let level = i16::try_from(record.level).map_err(|_| ReplayError::NumberOutOfRange)?;
        if level == 0 {
            self.features.remove(record.name.as_str());
        } else {
            self.features.insert(record.name.as_str().into(), level);
        }
        Ok(())
    }

    fn replay_register(&mut self, record: &record::RegisterBroker) -> Result<(), ReplayError> {
        let broker =
            BrokerRegistration::try_from(record).map_err(|_| ReplayError::NumberOutOfRange)?;
        let next_epoch = record.broker_epoch.checked_add(1).ok_or(ReplayError::NumberOutOfRange)?;
        self.next_broker_epoch = self.next_broker_epoch.max(next_epoch);
        self.brokers.insert(broker.id, Arc::new(broker));
        Ok(())
    }

    fn existing_broker(
        &mut self,
        event: &record::BrokerEvent,
    ) -> Result<&mut Arc<BrokerRegistration>, ReplayError> {
        let (id, epoch) = (BrokerId(event.broker_id), BrokerEpoch(event.broker_epoch));
        self.brokers
            .get_mut(&id)
            .filter(|broker| broker.epoch == epoch)
            .ok_or(ReplayError::NoSuchBroker { id, epoch })
    }

    fn change_broker(
        &mut self,
        event: &record::BrokerEvent,
        change: impl FnOnce(&mut BrokerRegistration),
    ) -> Result<(), ReplayError> {
        change(Arc::make_mut(self.existing_broker(event)?));
        Ok(())
    }

    fn replay_topic(&mut self, record: &record::Topic) -> Result<(), ReplayError> {
        let id = TopicId::from(record.topic_id);
        let name: Arc<str> = record.name.as_str().into();
        if self.by_name.contains_key(&name) || self.topics.contains_key(&id) {
            return Err(ReplayError::TopicExists { name: record.name.clone(), id });
        }
        if let Some(metric_name) = metric_name(&name) {
            self.by_metric_name.insert(metric_name.into(), id);
        }
        self.by_name.insert(name.clone(), id);
        let topic = Topic { id, name, partitions: Partitions::default(), configs: no_configs() };
        self.topics.insert(id, Arc::new(topic));
        Ok(())
    }

    fn existing_topic(&mut self, id: TopicId) -> Result<&mut Topic, ReplayError> {
        let topic = self.topics.get_mut(&id).ok_or(ReplayError::NoSuchTopic(id))?;
        Ok(Arc::make_mut(topic))
    }

    fn replay_partition(&mut self, record: &record::Partition) -> Result<(), ReplayError> {
        if record.replicas.is_empty() {
            return Err(ReplayError::MalformedList("replicas"));
        }
        let id = record.topic_id.into();
        let partitions = &mut self.existing_topic(id)?.partitions;
        if usize::try_from(record.partition).is_ok_and(|number| number == partitions.len()) {
            partitions.extend([record.into()]);
            self.partition_count += 1;
        } else if !partitions.replace(record.partition, record.into()) {
            return Err(ReplayError::NoSuchPartition { id, partition: record.partition });
        }
        Ok(())
    }

    fn replay_fresh_partitions(
        &mut self,
        record: &record::FreshPartitions,
    ) -> Result<(), ReplayError> {
        let id = record.topic_id.into();
        let factor = usize::try_from(record.replication_factor)
            .ok()
            .filter(|factor| *factor > 0 && record.replicas.len().is_multiple_of(*factor))
            .ok_or(ReplayError::MalformedList("replicas"))?;
        let partitions = &mut self.existing_topic(id)?.partitions;
        if !usize::try_from(record.first_partition).is_ok_and(|first| first == partitions.len()) {
            return Err(ReplayError::NoSuchPartition { id, partition: record.first_partition });
        }
        partitions.extend(record.replicas.chunks_exact(factor).map(|replicas| {
            let in_sync = |broker: &&i32| !record.out_of_sync.contains(broker);
            let isr: BrokerList = replicas.iter().filter(in_sync).copied().map(BrokerId).collect();
            Partition::fresh(replicas.into(), isr)
        }));
        self.partition_count += record.replicas.len() / factor;
        Ok(())
    }

    fn replay_partition_change(
        &mut self,
        change: &record::PartitionChange,
    ) -> Result<(), ReplayError> {
        let id = change.topic_id.into();
        let no_such = ReplayError::NoSuchPartition { id, partition: change.partition };
        let partitions = &mut self.existing_topic(id)?.partitions;
        let changed = partitions.get(change.partition).ok_or(no_such)?.changed(change);
        if changed.replicas.is_empty() {
            return Err(ReplayError::MalformedList("replicas"));
        }
        partitions.replace(change.partition, changed);
        Ok(())
    }

    fn replay_remove_topic(&mut self, id: TopicId) -> Result<(), ReplayError> {
        let topic = self.topics.remove(&id).ok_or(ReplayError::NoSuchTopic(id))?;
        self.by_name.remove(&topic.name);
        self.partition_count -= topic.partitions.len();
        if let Some(metric_name) = metric_name(&topic.name)
            && self.by_metric_name.get(metric_name.as_str()) == Some(&id)
        {
            self.by_metric_name.remove(metric_name.as_str());
        }
        Ok(())
    }

    fn replay_config(&mut self, record: &record::Config) -> Result<(), ReplayError> {
        let no_such = || ReplayError::NoSuchResource(record.resource_name.clone());
        let resource = ConfigResource::from_wire(record.resource_type, &record.resource_name)
            .ok_or_else(no_such)?;
        if let ConfigResource::Topic(name) = &resource {
            let id = *self.by_name.get(name).ok_or_else(no_such)?;
            set_config(&mut self.existing_topic(id)?.configs, record);
            return Ok(());
        }
        let mut configs = self.configs.get(&resource).cloned().unwrap_or_else(no_configs);
        set_config(&mut configs, record);
        if configs.is_empty() {
            self.configs.remove(&resource);
        } else {
            self.configs.insert(resource, configs);
        }
        Ok(())
    }
}

fn set_config(configs: &mut Arc<crate::ConfigMap>, record: &record::Config) {
    match &record.value {
        Some(value) => {
            Arc::make_mut(configs).insert(record.name.clone(), value.clone());
        }
        None => {
            Arc::make_mut(configs).remove(&record.name);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
