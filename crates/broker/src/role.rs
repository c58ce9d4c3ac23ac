//! What this broker is to a partition.

use chronik_metadata::Partition;
use chronik_types::{BrokerId, LeaderEpoch};

/// What a replica has to do in one state of its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Take records, in this epoch.
    Leader(LeaderEpoch),
    /// Copy `leader`; [`BrokerId::NONE`] while nobody leads.
    Follower { leader: BrokerId, epoch: LeaderEpoch },
}

impl Role {
    /// The role of `broker` in this state of a partition; `None` if it holds no replica.
    pub fn of(partition: &Partition, broker: BrokerId) -> Option<Self> {
        let (leader, epoch) = (partition.leader, partition.leader_epoch);
        if leader == broker {
            Some(Self::Leader(epoch))
        } else if partition.replicas.contains(&broker) {
            Some(Self::Follower { leader, epoch })
        } else {
            None
        }
    }

    /// The leader epoch of the state.
    pub fn epoch(self) -> LeaderEpoch {
        match self {
            Self::Leader(epoch) | Self::Follower { epoch, .. } => epoch,
        }
    }
}

#[cfg(test)]
mod tests {
    use chronik_metadata::BrokerList;

    use super::*;

    #[test]
    fn a_broker_leads_follows_or_has_nothing_to_do_with_a_partition() {
        let replicas = BrokerList::from([1, 2].as_slice());
        let partition = Partition::fresh(replicas.clone(), replicas);
        let role = |broker| Role::of(&partition, BrokerId(broker));
        assert_eq!(role(1), Some(Role::Leader(LeaderEpoch::ZERO)));
        let follower = Role::Follower { leader: BrokerId(1), epoch: LeaderEpoch::ZERO };
        assert_eq!(role(2), Some(follower));
        assert_eq!(role(3), None);
    }
}
