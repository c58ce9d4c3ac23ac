//! When a response may leave.

use std::time::Duration;

use crate::bugs;
use crate::request::Request;

/// When creations and deletions of topics are answered (`metadata.acks`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataAcks {
    /// Once a quorum has them on disk.
    Quorum,
    /// Once the controller has them on disk; a bounded window may be lost with its disk.
    Leader,
}

/// How durable a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// The leader's own journal has synced it.
    LeaderSynced,
    /// Committed by the quorum, and applied.
    Committed,
}

/// When a response may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// At once: it rests on nothing that could be lost.
    Now,
    /// When the batch of this number is as durable as this. The batch may still be gathering.
    After {
        /// The number of the batch in the controller's term.
        sequence: u64,
        /// How durable it has to be.
        durability: Durability,
    },
}

/// What the response to a request waits for. Only the creation and deletion of topics may be
/// answered on the leader's own sync: what could be lost with it then is a topic that never held
/// a record. A configuration that is lost (retention, `min.insync.replicas`) loses data later,
/// without anybody looking.
pub(crate) fn required(acks: MetadataAcks, request: &Request) -> Durability {
    let fast = match request {
        Request::CreateTopics(_) | Request::CreatePartitions(_) | Request::DeleteTopics(_) => true,
        Request::Bootstrap(_)
        | Request::AlterConfigs(_)
        | Request::IncrementalAlterConfigs(_)
        | Request::RegisterBroker(_)
        | Request::BrokerHeartbeat(_)
        | Request::UnregisterBroker(_)
        | Request::AllocateProducerIds(_)
        | Request::AlterPartition(_)
        | Request::ElectLeaders(_)
        | Request::AlterPartitionReassignments(_)
        | Request::UpdateFeatures(_) => false,
    };
    match acks {
        _ if fast && bugs::answer_before_the_quorum() => Durability::LeaderSynced,
        MetadataAcks::Leader if fast => Durability::LeaderSynced,
        _ => Durability::Committed,
    }
}

/// What the driver knows at the moment when a response could leave on the leader's own sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderGate {
    /// Whether this node holds a lease from a quorum.
    pub has_lease: bool,
    /// Whether it still leads in the term in which the batch was proposed.
    pub same_term: bool,
    /// Whether leadership is being handed to another node.
    pub transfer_pending: bool,
    /// The age of the oldest entry that no quorum has.
    pub backlog_age: Duration,
}

impl LeaderGate {
    /// Whether the response may leave; if not, it waits for the commit. `backlog_age_max` is the
    /// smaller of `metadata.leader.ack.max.lag.ms` and the lease.
    #[must_use]
    pub fn is_open(self, backlog_age_max: Duration) -> bool {
        self.closed_by(backlog_age_max).is_none()
    }

    /// What keeps the response from leaving, in a word; see [`Self::is_open`].
    #[must_use]
    pub fn closed_by(self, backlog_age_max: Duration) -> Option<&'static str> {
        if !self.same_term {
            Some("term")
        } else if !self.has_lease {
            Some("lease")
        } else if self.transfer_pending {
            Some("transfer")
        } else if self.backlog_age > backlog_age_max {
            Some("backlog")
        } else {
            None
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::request::{AlterConfigs, CreatePartitions, CreateTopics, DeleteTopics};

    #[test]
    pub(crate) fn only_topics_come_and_go_on_the_leaders_sync_and_only_if_asked_for() {
        let fast = [
            Request::CreateTopics(CreateTopics::default()),
            Request::CreatePartitions(CreatePartitions::default()),
            Request::DeleteTopics(DeleteTopics::default()),
        ];
        for request in &fast {
            assert_eq!(required(MetadataAcks::Leader, request), Durability::LeaderSynced);
            assert_eq!(required(MetadataAcks::Quorum, request), Durability::Committed);
        }
        let slow = Request::AlterConfigs(AlterConfigs::default());
        assert_eq!(required(MetadataAcks::Leader, &slow), Durability::Committed);
    }

    #[test]
    fn each_condition_closes_the_gate() {
        let max = Duration::from_millis(500);
        let open = LeaderGate {
            has_lease: true,
            same_term: true,
            transfer_pending: false,
            backlog_age: max,
        };
        assert!(open.is_open(max));
        for (closed, by) in [
            (LeaderGate { has_lease: false, ..open }, "lease"),
            (LeaderGate { same_term: false, ..open }, "term"),
            (LeaderGate { transfer_pending: true, ..open }, "transfer"),
            (LeaderGate { backlog_age: max * 2, ..open }, "backlog"),
        ] {
            assert!(!closed.is_open(max));
            assert_eq!(closed.closed_by(max), Some(by));
        }
    }
}
