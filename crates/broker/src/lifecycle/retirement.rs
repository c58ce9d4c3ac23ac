//! How a broker leaves: what it leads goes to others, while there are others.
//!
//! **Invariants**
//! - Stopping has an end, because what was acknowledged is on disk.
//! - A broker waits for the controller only as long as there may be one, and for a new one only
//!   as long as there is another broker that could take over: when a whole cluster is stopped the
//!   last ones have nobody to wait for.
//! - The leadership of the quorum goes to a node that stays.

use std::time::Duration;

use chronik_metadata::Image;
use chronik_raft::{Gone, TransferError};
use chronik_types::{BrokerId, Monotonic};

use super::Lifecycle;

/// Between two questions whether this broker may stop.
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// How long the controller may take before it is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Lifecycle {
    /// Hands over what this broker leads, then the leadership of the quorum, if there is anybody
    /// to hand over to before `deadline`.
    pub async fn retire(&self, deadline: Monotonic) {
        self.retiring.send_replace(true);
        if self.has_controller(&Gone::default()) {
            let left = deadline.since(self.env.clock.monotonic());
            tokio::select! {
                biased;
                () = self.let_go() => {}
                why = self.left_alone() => {
                    tracing::info!(why, "this broker does not wait for the controller to let it go");
                }
                () = tokio::time::sleep(left) => {
                    tracing::warn!("this broker stops before the controller has let it go");
                }
            }
        }
        self.hand_over_quorum(deadline).await;
    }

    /// Completes when the controller has let this broker go, or will not hear of it.
    async fn let_go(&self) {
        loop {
            match self.heartbeat(true).await {
                Ok(reply) if reply.should_shut_down => return,
                Ok(_) => tokio::time::sleep(ASK_AGAIN).await,
                Err(error) => {
                    tracing::warn!(%error, "the controller has not let this broker go");
                    return;
                }
            }
        }
    }

    /// Completes once nobody is left to wait for, and says why.
    async fn left_alone(&self) -> &'static str {
        let mut gone = Gone::default();
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            self.metadata.look_for_gone(&mut gone).await;
            if !self.metadata.has_quorum_without(&gone) {
                return "too few voters are left for a controller";
            }
            let me = self.options.node_id;
            if !self.has_controller(&gone) && !another_serves_on(&self.metadata.image(), me) {
                return "there is no controller, and every other broker stops or is out of touch";
            }
        }
    }

    /// Whether there is a controller that could answer.
    fn has_controller(&self, gone: &Gone) -> bool {
        let leadership = self.metadata.leadership();
        let registered = self.controller.broker_epoch().borrow().is_some();
        let leads = self.metadata.leads(leadership);
        let lease = *self.metadata.lease().borrow();
        registered
            && leadership.leader.is_some_and(|leader| !gone.contains(leader))
            && (!leads || lease.held)
    }

    async fn hand_over_quorum(&self, deadline: Monotonic) {
        let leads = self.metadata.leads(self.metadata.leadership());
        let me = self.options.node_id;
        let members = self.metadata.members();
        let others_vote = members.iter().any(|member| member.voter && member.node_id != me);
        if !leads || !others_vote {
            return;
        }
        // Later than this the others elect somebody by themselves.
        let election = self.env.clock.monotonic().after(self.options.election.election_max);
        let serves_on = |id| serves_on(&self.metadata.image(), id);
        match self.metadata.transfer_leadership(serves_on, deadline.min(election)).await {
            Ok(()) => {}
            Err(TransferError::NoHeir) => {
                tracing::info!("nobody is left to lead the metadata quorum");
            }
            Err(error) => {
                tracing::warn!(%error, "the leadership of the metadata quorum was not handed over");
            }
        }
    }
}

/// Whether a voter stays, as far as the image tells. One that is no broker says nothing there.
fn serves_on(image: &Image, voter: BrokerId) -> bool {
    image.broker(voter).is_none_or(|broker| broker.is_active())
}

/// Whether a broker other than `me` stays.
fn another_serves_on(image: &Image, me: BrokerId) -> bool {
    image.brokers().any(|broker| broker.id != me && broker.is_active())
}
