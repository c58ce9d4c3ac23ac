//! Handing the leadership over, before a controlled shutdown.
//!
//! **Invariants**
//! - Only to a voter that serves on, is in touch and has everything.
//! - openraft takes no proposals from the hand-over on, in that term, whatever becomes of it. So
//!   if nobody serves on, nothing is handed over.
//! - An heir that has gone before it took over is not waited for: the next one is asked.
//!
//! **Not here:** who serves on (`chronik-broker`), who has gone (`attendance`).

use std::time::Duration;

use chronik_types::{BrokerId, LeaderEpoch, Monotonic, Offset};

use crate::attendance::Gone;
use crate::gate::Lease;
use crate::node::MetadataNode;
use crate::quorum::FollowerLag;
use crate::type_config::{node_of, term_of};

/// A voter heard from less than this long ago is in touch: three heartbeats at their default.
const IN_TOUCH: Duration = Duration::from_millis(300);
/// How long to wait between two looks at the heirs: who has everything, and who has gone.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The leadership was not handed over, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// Every other voter stops or has gone.
    #[error("no other voter goes on serving")]
    NoHeir,
    /// No voter had everything, or none took over, in time.
    #[error("nobody took the leadership over in time")]
    TimedOut,
    /// The quorum on this node has stopped.
    #[error("the metadata quorum on this node has stopped: {0}")]
    Stopped(String),
}

/// Who may take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heir {
    Ready(BrokerId),
    /// None yet of those who could.
    NotYet,
    Nobody,
}

impl MetadataNode {
    /// Hands the leadership to a voter that `serves_on`. Completes when this node does not lead any
    /// more, and at once if it did not.
    ///
    /// # Errors
    /// When there is nobody to take over, or nobody did before `deadline`.
    pub async fn transfer_leadership(
        &self,
        serves_on: impl Fn(BrokerId) -> bool,
        deadline: Monotonic,
    ) -> Result<(), TransferError> {
        let left = deadline.since(self.env.clock.monotonic());
        let handed_over = tokio::time::timeout(left, self.hand_over(serves_on));
        handed_over.await.unwrap_or(Err(TransferError::TimedOut))
    }

    async fn hand_over(&self, serves_on: impl Fn(BrokerId) -> bool) -> Result<(), TransferError> {
        let mut gone = Gone::default();
        let mut asked: Option<(LeaderEpoch, BrokerId)> = None;
        loop {
            let leadership = self.leadership();
            if !self.leads(leadership) {
                return Ok(());
            }
            let epoch = leadership.epoch;
            let takes_over = |asked: &(LeaderEpoch, BrokerId)| {
                asked.0 == epoch && serves_on(asked.1) && !gone.contains(asked.1)
            };
            if !asked.as_ref().is_some_and(takes_over) {
                asked = match self.heir(|id| serves_on(id) && !gone.contains(id)) {
                    Heir::Ready(heir) => Some((epoch, self.appoint(epoch, heir).await?)),
                    Heir::NotYet => None,
                    Heir::Nobody => return Err(TransferError::NoHeir),
                };
            }
            let Lease { held, .. } = *self.lease().borrow();
            if asked.is_none() && !held {
                return Err(TransferError::TimedOut);
            }
            tokio::select! {
                biased;
                now = self.leadership_changed(leadership) => if now == leadership {
                    // The quorum on this node has stopped.
                    return Ok(());
                },
                () = self.look_again(&mut gone) => {}
            }
        }
    }

    async fn look_again(&self, gone: &mut Gone) {
        tokio::time::sleep(LOOK_AGAIN).await;
        self.look_for_gone(gone).await;
    }

    async fn appoint(&self, epoch: LeaderEpoch, heir: BrokerId) -> Result<BrokerId, TransferError> {
        self.judge.begin_transfer(term_of(epoch));
        let transferred = self.raft.trigger().transfer_leader(node_of(heir)).await;
        transferred.map_err(|error| TransferError::Stopped(error.to_string()))?;
        tracing::info!(to = heir.0, "handing the leadership of the metadata quorum over");
        Ok(heir)
    }

    fn heir(&self, serves_on: impl Fn(BrokerId) -> bool) -> Heir {
        let end = self.log_end().unwrap_or(Offset::ZERO);
        let members = self.members();
        let others = members.iter().filter(|member| member.node_id != self.node_id);
        let voters = others.filter(|member| member.voter).map(|member| member.node_id);
        choose(&voters.collect::<Vec<_>>(), &self.followers(), end, serves_on)
    }
}

/// Who of the other `voters` may take over a log that ends at `end`.
fn choose(
    voters: &[BrokerId],
    followers: &[FollowerLag],
    end: Offset,
    serves_on: impl Fn(BrokerId) -> bool,
) -> Heir {
    let candidates: Vec<_> = voters.iter().copied().filter(|id| serves_on(*id)).collect();
    if candidates.is_empty() {
        return Heir::Nobody;
    }
    let is_ready = |follower: &&FollowerLag| {
        candidates.contains(&follower.node_id)
            && follower.last_contact.is_some_and(|ago| ago < IN_TOUCH)
            && follower.matched.is_some_and(|matched| matched >= end)
    };
    let ready = followers.iter().find(is_ready);
    ready.map_or(Heir::NotYet, |follower| Heir::Ready(follower.node_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: Offset = Offset(10);

    fn follower(id: i32, matched: i64, last_contact_ms: u64) -> FollowerLag {
        FollowerLag {
            node_id: BrokerId(id),
            matched: Some(Offset(matched)),
            last_contact: Some(Duration::from_millis(last_contact_ms)),
            lag: Duration::ZERO,
        }
    }

    fn chosen(followers: &[FollowerLag], serve_on: &[i32]) -> Heir {
        let voters = [BrokerId(2), BrokerId(3)];
        choose(&voters, followers, END, |id| serve_on.contains(&id.0))
    }

    #[test]
    fn the_heir_serves_on_is_in_touch_and_has_everything() {
        let both = [follower(2, 10, 0), follower(3, 10, 0)];
        assert_eq!(chosen(&both, &[2, 3]), Heir::Ready(BrokerId(2)));
        assert_eq!(chosen(&both, &[3]), Heir::Ready(BrokerId(3)), "the other one stops");
        let behind = [follower(2, 9, 0), follower(3, 10, 0)];
        assert_eq!(chosen(&behind, &[2, 3]), Heir::Ready(BrokerId(3)));
        let silent = [follower(2, 10, 300), follower(3, 10, 299)];
        assert_eq!(chosen(&silent, &[2, 3]), Heir::Ready(BrokerId(3)));
    }

    #[test]
    fn whoever_serves_on_is_waited_for_though_another_one_is_ready() {
        assert_eq!(chosen(&[follower(2, 10, 0), follower(3, 9, 0)], &[3]), Heir::NotYet);
        assert_eq!(chosen(&[], &[2, 3]), Heir::NotYet);
    }

    #[test]
    fn nobody_takes_over_if_all_stop_and_an_observer_never_does() {
        let all = [follower(2, 10, 0), follower(3, 10, 0), follower(4, 10, 0)];
        assert_eq!(chosen(&all, &[]), Heir::Nobody);
        assert_eq!(chosen(&all, &[4]), Heir::Nobody);
    }
}
