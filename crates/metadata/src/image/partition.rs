//! A partition in the image, small: a cluster has a million of them.

use std::fmt;
use std::ops::Deref;

use chronik_types::{BrokerId, DirectoryId, LeaderEpoch};
use smallvec::SmallVec;

use crate::record;

/// A list of brokers; up to four take no memory of their own.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BrokerList(SmallVec<[BrokerId; 4]>);

impl BrokerList {
    /// The list with one broker.
    #[must_use]
    pub fn one(broker: BrokerId) -> Self {
        std::iter::once(broker).collect()
    }

    /// The numbers, as records hold them.
    #[must_use]
    pub fn to_wire(&self) -> Vec<i32> {
        self.0.iter().map(|broker| broker.0).collect()
    }
}

impl Deref for BrokerList {
    type Target = [BrokerId];

    fn deref(&self) -> &[BrokerId] {
        &self.0
    }
}

impl FromIterator<BrokerId> for BrokerList {
    fn from_iter<I: IntoIterator<Item = BrokerId>>(brokers: I) -> Self {
        Self(brokers.into_iter().collect())
    }
}

impl From<&[i32]> for BrokerList {
    fn from(wire: &[i32]) -> Self {
        wire.iter().copied().map(BrokerId).collect()
    }
}

impl fmt::Debug for BrokerList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|broker| broker.0)).finish()
    }
}

/// What most partitions do not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionExtra {
    /// Replicas outside the in-sync set that have everything that was acknowledged (KIP-966).
    pub elr: BrokerList,
    /// Of those, the ones that were lost since.
    pub last_known_elr: BrokerList,
    /// Replicas that a reassignment brings.
    pub adding: BrokerList,
    /// Replicas that a reassignment takes away.
    pub removing: BrokerList,
    /// The data directory of each replica, where it is not the broker's only one; else empty.
    pub directories: Vec<DirectoryId>,
}

impl PartitionExtra {
    fn is_empty(&self) -> bool {
        self.elr.is_empty()
            && self.last_known_elr.is_empty()
            && self.adding.is_empty()
            && self.removing.is_empty()
            && self.directories.is_empty()
    }
}

/// One partition.
///
/// The controller keeps: the in-sync set within the replicas, the leader within the in-sync set
/// (or none), both epochs never going back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// In order of preference; never empty.
    pub replicas: BrokerList,
    /// The replicas that have everything acknowledged. Empty only with ELR.
    pub isr: BrokerList,
    /// [`BrokerId::NONE`] for none.
    pub leader: BrokerId,
    /// Raised with every election, and when a reassignment takes replicas away.
    pub leader_epoch: LeaderEpoch,
    /// Raised with every change.
    pub partition_epoch: i32,
    /// Whether the leader still has to recover from an unclean election.
    pub recovering: bool,
    extra: Option<Box<PartitionExtra>>,
}

impl Partition {
    /// A new partition in epoch 0, led by its first in-sync replica.
    #[must_use]
    pub fn fresh(replicas: BrokerList, isr: BrokerList) -> Self {
        let leader = isr.first().copied().unwrap_or(BrokerId::NONE);
        Self {
            replicas,
            isr,
            leader,
            leader_epoch: LeaderEpoch::ZERO,
            partition_epoch: 0,
            recovering: false,
            extra: None,
        }
    }

    /// What most partitions do not have; `None` if this one has nothing of it.
    #[must_use]
    pub fn extra(&self) -> Option<&PartitionExtra> {
        self.extra.as_deref()
    }

    /// Replicas outside the in-sync set that may lead when it is empty.
    #[must_use]
    pub fn elr(&self) -> &[BrokerId] {
        self.extra().map_or(&[], |extra| &extra.elr)
    }

    /// Replicas that a reassignment brings.
    #[must_use]
    pub fn adding(&self) -> &[BrokerId] {
        self.extra().map_or(&[], |extra| &extra.adding)
    }

    /// Replicas that a reassignment takes away.
    #[must_use]
    pub fn removing(&self) -> &[BrokerId] {
        self.extra().map_or(&[], |extra| &extra.removing)
    }

    /// Whether a reassignment is under way.
    #[must_use]
    pub fn is_reassigning(&self) -> bool {
        !self.adding().is_empty() || !self.removing().is_empty()
    }

    /// Whether a broker leads it.
    #[must_use]
    pub fn has_leader(&self) -> bool {
        self.leader != BrokerId::NONE
    }

    /// The replica that should lead when all are in sync.
    #[must_use]
    pub fn preferred_leader(&self) -> BrokerId {
        self.replicas.first().copied().unwrap_or(BrokerId::NONE)
    }

    /// The whole partition as a record.
    #[must_use]
    pub fn to_record(&self, topic_id: record::WireUuid, partition: i32) -> record::Partition {
        let list = |pick: fn(&PartitionExtra) -> &BrokerList| {
            self.extra().map_or_else(Vec::new, |extra| pick(extra).to_wire())
        };
        record::Partition {
            topic_id,
            partition,
            replicas: self.replicas.to_wire(),
            isr: self.isr.to_wire(),
            leader: self.leader.0,
            leader_epoch: self.leader_epoch.0,
            partition_epoch: self.partition_epoch,
            recovering: self.recovering,
            elr: list(|extra| &extra.elr),
            last_known_elr: list(|extra| &extra.last_known_elr),
            adding: list(|extra| &extra.adding),
            removing: list(|extra| &extra.removing),
            directories: self.extra().map_or_else(Vec::new, |extra| {
                extra.directories.iter().copied().map(Into::into).collect()
            }),
        }
    }

    /// The partition with a change made to it.
    #[must_use]
    pub fn changed(&self, change: &record::PartitionChange) -> Self {
        let mut next = self.clone();
        next.partition_epoch = self.partition_epoch.saturating_add(1);
        if let Some(leader) = change.leader {
            next.leader = BrokerId(leader);
            next.leader_epoch = LeaderEpoch(self.leader_epoch.0.saturating_add(1));
        }
        set(&mut next.isr, change.isr.as_ref());
        set(&mut next.replicas, change.replicas.as_ref());
        next.recovering = change.recovering.unwrap_or(self.recovering);
        let mut extra = next.extra.take().map_or_else(PartitionExtra::default, |extra| *extra);
        set(&mut extra.elr, change.elr.as_ref());
        set(&mut extra.last_known_elr, change.last_known_elr.as_ref());
        set(&mut extra.adding, change.adding.as_ref());
        set(&mut extra.removing, change.removing.as_ref());
        if let Some(directories) = &change.directories {
            extra.directories = directories.ids.iter().copied().map(Into::into).collect();
        }
        next.set_extra(extra);
        next
    }

    fn set_extra(&mut self, extra: PartitionExtra) {
        self.extra = (!extra.is_empty()).then(|| Box::new(extra));
    }
}

impl From<&record::Partition> for Partition {
    fn from(record: &record::Partition) -> Self {
        let mut partition = Self {
            replicas: record.replicas.as_slice().into(),
            isr: record.isr.as_slice().into(),
            leader: BrokerId(record.leader),
            leader_epoch: LeaderEpoch(record.leader_epoch),
            partition_epoch: record.partition_epoch,
            recovering: record.recovering,
            extra: None,
        };
        partition.set_extra(PartitionExtra {
            elr: record.elr.as_slice().into(),
            last_known_elr: record.last_known_elr.as_slice().into(),
            adding: record.adding.as_slice().into(),
            removing: record.removing.as_slice().into(),
            directories: record.directories.iter().copied().map(Into::into).collect(),
        });
        partition
    }
}

fn set(list: &mut BrokerList, to: Option<&record::BrokerIds>) {
    if let Some(to) = to {
        *list = to.ids.as_slice().into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_partition_is_small() {
        assert!(size_of::<Partition>() <= 80, "{}", size_of::<Partition>());
    }

    #[test]
    fn a_given_leader_raises_the_leader_epoch_and_any_change_the_partition_epoch() {
        let isr = BrokerList::from([1, 2].as_slice());
        let partition = Partition::fresh(isr.clone(), isr);
        let change = record::PartitionChange {
            isr: Some(record::BrokerIds { ids: vec![1] }),
            ..Default::default()
        };
        let shrunk = partition.changed(&change);
        assert_eq!((shrunk.leader_epoch.0, shrunk.partition_epoch), (0, 1));
        let change = record::PartitionChange { leader: Some(1), ..Default::default() };
        let elected = shrunk.changed(&change);
        assert_eq!((elected.leader_epoch.0, elected.partition_epoch), (1, 2));
    }
}
