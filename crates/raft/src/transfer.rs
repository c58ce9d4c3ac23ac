//! Handing the leadership over: before a controlled shutdown, or because an operator says so.
//!
//! **Invariants**: only to a voter that is in touch and has everything; openraft takes no proposals
//! from the hand-over on, in that term, whatever becomes of it.

use std::time::Duration;

use chronik_types::{BrokerId, Monotonic, Offset};

use crate::gate::Lease;
use crate::membership::MembershipError;
use crate::node::MetadataNode;
use crate::type_config::{node_of, term_of};

/// A voter heard from less than this long ago is in touch: three heartbeats at their default.
const IN_TOUCH: Duration = Duration::from_millis(300);
/// How long to wait between two looks for a voter that has everything.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl MetadataNode {
    /// Hands the leadership to the voter that has most. Completes when this node does not lead any
    /// more, and at once if it did not.
    ///
    /// # Errors
    /// When no voter has everything, or none took over, before `deadline`.
    pub async fn transfer_leadership(&self, deadline: Monotonic) -> Result<(), MembershipError> {
        let leadership = self.leadership();
        if !self.leads(leadership) {
            return Ok(());
        }
        let target = self.heir(deadline).await?;
        self.judge.begin_transfer(term_of(leadership.epoch));
        let trigger = self.raft.trigger();
        trigger.transfer_leader(node_of(target)).await.map_err(MembershipError::stopped)?;
        tracing::info!(to = target.0, "handing the leadership of the metadata quorum over");
        let left = deadline.since(self.env.clock.monotonic());
        let gone = async {
            let mut seen = leadership;
            while self.leads(seen) {
                let now = self.leadership_changed(seen).await;
                if now == seen {
                    // The quorum on this node has stopped.
                    return;
                }
                seen = now;
            }
        };
        tokio::time::timeout(left, gone).await.map_err(|_| MembershipError::TimedOut)
    }

    /// The voter to hand over to, once there is one.
    async fn heir(&self, deadline: Monotonic) -> Result<BrokerId, MembershipError> {
        loop {
            if let Some(heir) = self.best_voter() {
                return Ok(heir);
            }
            let Lease { held, .. } = *self.lease().borrow();
            if !held || self.env.clock.monotonic() >= deadline {
                return Err(MembershipError::TimedOut);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn best_voter(&self) -> Option<BrokerId> {
        let end = self.log_end().unwrap_or(Offset::ZERO);
        let members = self.members();
        let votes = |id| members.iter().any(|member| member.node_id == id && member.voter);
        let followers = self.followers();
        let able = followers.iter().filter(|follower| {
            votes(follower.node_id)
                && follower.last_contact.is_some_and(|ago| ago < IN_TOUCH)
                && follower.matched.is_some_and(|matched| matched >= end)
        });
        able.map(|follower| follower.node_id).next()
    }
}
