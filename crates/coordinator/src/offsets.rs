//! The committed offsets of one group.
//!
//! **Invariants:** no topic without an offset in `committed`, no partition without a producer in
//! `unstable`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chronik_types::{PartitionId, ProducerId, Timestamp};

/// One committed offset: where the group goes on reading a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommittedOffset {
    pub(crate) offset: i64,
    /// The leader epoch of the last record read; -1 if the client did not say.
    pub(crate) leader_epoch: i32,
    /// The client's own words, given back as they came.
    pub(crate) metadata: Arc<str>,
    pub(crate) committed_at: Timestamp,
    /// When the offset expires by the wish of an old client (OffsetCommit up to version 4); such
    /// an offset does not follow the broker's retention.
    pub(crate) expires_at: Option<Timestamp>,
}

impl CommittedOffset {
    /// When the offset expires if `base` is where its retention starts.
    pub(crate) fn expiry(&self, base: Timestamp, retention: Duration) -> Timestamp {
        let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        self.expires_at.unwrap_or(Timestamp(base.0.saturating_add(retention_ms)))
    }
}

static NO_PARTITIONS: BTreeMap<PartitionId, CommittedOffset> = BTreeMap::new();

/// The committed offsets of one group, by topic name and partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offsets {
    committed: BTreeMap<Arc<str>, BTreeMap<PartitionId, CommittedOffset>>,
    /// The producers whose open transactions commit an offset of the partition.
    unstable: BTreeMap<(Arc<str>, PartitionId), BTreeSet<ProducerId>>,
}

impl Offsets {
    pub(crate) fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.unstable.is_empty()
    }

    pub(crate) fn get(&self, topic: &str, partition: PartitionId) -> Option<&CommittedOffset> {
        self.committed.get(topic)?.get(&partition)
    }

    /// Sets or (with `None`) removes an offset; gives back what was there.
    pub(crate) fn put(
        &mut self,
        topic: &Arc<str>,
        partition: PartitionId,
        offset: Option<CommittedOffset>,
    ) -> Option<CommittedOffset> {
        if let Some(offset) = offset {
            return match self.committed.get_mut(&**topic) {
                Some(partitions) => partitions.insert(partition, offset),
                None => {
                    let partitions = BTreeMap::from([(partition, offset)]);
                    self.committed.insert(Arc::clone(topic), partitions);
                    None
                }
            };
        }
        let partitions = self.committed.get_mut(topic)?;
        let old = partitions.remove(&partition);
        if partitions.is_empty() {
            self.committed.remove(topic);
        }
        old
    }

    /// All topics that have offsets, with them.
    pub(crate) fn topics(
        &self,
    ) -> impl Iterator<Item = (&Arc<str>, &BTreeMap<PartitionId, CommittedOffset>)> {
        self.committed.iter()
    }

    /// The topic's partitions that have offsets.
    pub(crate) fn partitions_of(
        &self,
        topic: &str,
    ) -> impl ExactSizeIterator<Item = PartitionId> + '_ {
        self.committed.get(topic).unwrap_or(&NO_PARTITIONS).keys().copied()
    }

    /// All offsets, by topic and partition.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, PartitionId, &CommittedOffset)> {
        self.committed.iter().flat_map(|(topic, partitions)| {
            partitions.iter().map(move |(partition, offset)| (topic, *partition, offset))
        })
    }

    /// Whether an open transaction commits an offset of the partition.
    pub(crate) fn is_unstable(&self, topic: &str, partition: PartitionId) -> bool {
        // A key of the map borrows as a whole only, hence the owned name.
        !self.unstable.is_empty() && self.unstable.contains_key(&(topic.into(), partition))
    }

    pub(crate) fn begin_unstable(
        &mut self,
        topic: &Arc<str>,
        partition: PartitionId,
        producer: ProducerId,
    ) {
        self.unstable.entry((Arc::clone(topic), partition)).or_default().insert(producer);
    }

    pub(crate) fn end_unstable(
        &mut self,
        topic: &Arc<str>,
        partition: PartitionId,
        producer: ProducerId,
    ) {
        let key = (Arc::clone(topic), partition);
        if let Some(producers) = self.unstable.get_mut(&key) {
            producers.remove(&producer);
            if producers.is_empty() {
                self.unstable.remove(&key);
            }
        }
    }

    pub(crate) fn check(&self) {
        assert!(self.committed.values().all(|partitions| !partitions.is_empty()));
        assert!(self.unstable.values().all(|producers| !producers.is_empty()));
    }
}
