//! Which voters have gone, for a node that stops: it must not wait for those that stop, too.
//!
//! **Invariants**
//! - Only what is certain counts: a voter is gone when nobody listens where it did. One that is
//!   silent may be slow, or out of reach.
//! - Whoever was found gone stays so until somebody listens there again.
//!
//! **Not here:** who leads and for how long (`gate`), who was in touch lately (`quorum`).

use std::collections::BTreeSet;
use std::time::Duration;

use chronik_types::BrokerId;
use openraft::async_runtime::watch::WatchReceiver as _;

use crate::node::MetadataNode;
use crate::type_config::{broker_of, node_of};

/// How long a voter may be silent before nothing is known of it.
const PATIENCE: Duration = Duration::from_millis(300);

/// The voters that were found gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gone {
    voters: BTreeSet<BrokerId>,
}

impl Gone {
    /// Whether `voter` was found gone.
    #[must_use]
    pub fn contains(&self, voter: BrokerId) -> bool {
        self.voters.contains(&voter)
    }

    /// Notes whether `voter` listens, if that is known.
    fn note(&mut self, voter: BrokerId, listens: Option<bool>) {
        match listens {
            Some(true) => self.voters.remove(&voter),
            Some(false) => self.voters.insert(voter),
            None => false,
        };
    }

    /// Whether each of these sets, of which every decision needs a majority, may still have one.
    fn leave_a_quorum_of(&self, configs: &[BTreeSet<u64>]) -> bool {
        configs.iter().all(|voters| {
            let gone = voters.iter().filter(|id| self.contains(broker_of(**id))).count();
            gone < voters.len().div_ceil(2)
        })
    }
}

impl MetadataNode {
    /// Finds out which of the other voters have gone.
    pub async fn look_for_gone(&self, gone: &mut Gone) {
        let looks = self
            .other_voters()
            .into_iter()
            .map(|voter| async move { (voter, self.peers.listens(voter, PATIENCE).await) });
        for (voter, listens) in futures_util::future::join_all(looks).await {
            gone.note(voter, listens);
        }
    }

    /// Whether so many voters are left that they can have a leader.
    #[must_use]
    pub fn has_quorum_without(&self, gone: &Gone) -> bool {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        gone.leave_a_quorum_of(metrics.membership_config.membership().get_joint_config())
    }

    fn other_voters(&self) -> Vec<BrokerId> {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let others = metrics.membership_config.membership().voter_ids();
        others.filter(|id| *id != node_of(self.node_id)).map(broker_of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_gone_is_so_until_it_listens() {
        let (mut gone, voter) = (Gone::default(), BrokerId(2));
        gone.note(voter, None);
        assert!(!gone.contains(voter));
        gone.note(voter, Some(false));
        gone.note(voter, None);
        assert!(gone.contains(voter));
        gone.note(voter, Some(true));
        assert!(!gone.contains(voter));
    }

    #[test]
    fn a_quorum_is_left_while_a_majority_of_each_set_may_be_there() {
        let left = |gone: &[i32], configs: &[&[u64]]| {
            let gone = Gone { voters: gone.iter().copied().map(BrokerId).collect() };
            let configs: Vec<_> =
                configs.iter().map(|voters| voters.iter().copied().collect()).collect();
            gone.leave_a_quorum_of(&configs)
        };
        assert!(left(&[], &[&[1]]));
        assert!(!left(&[2], &[&[1, 2]]));
        assert!(left(&[2], &[&[1, 2, 3]]));
        assert!(!left(&[2, 3], &[&[1, 2, 3]]));
        assert!(left(&[2, 9], &[&[1, 2, 3]]), "others do not count");
        assert!(!left(&[3, 4], &[&[1, 2, 3], &[1, 3, 4]]), "of each set");
    }
}
