//! Who takes part: one change after the other.
//!
//! ```text
//! unknown ──add──► learner ──caught up, and it stands──► voter
//!    ▲                │ ▲                                  │
//!    └────remove──────┘ └────────────remove voter──────────┘
//! ```
//!
//! **Invariants**
//! - The leader makes all changes, one after the other: they queue for one lock.
//! - A member is (node id, directory id). A node that comes with another directory is removed and
//!   added anew, never changed in place: what its old directory acknowledged is not in the new one.
//!   A voter is replaced only while its old directory is not in touch.
//! - A voter is added only once it has caught up, and the last voter is never removed.
//!
//! **Not here:** how a node asks to be a member (`join`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use chronik_types::{BrokerId, DirectoryId, Monotonic};
use openraft::ChangeMembers;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};

use crate::node::MetadataNode;
use crate::quorum::QuorumMember;
use crate::type_config::{Member, TypeConfig, broker_of, node_of};

/// A learner whose first missing entry is younger than this has caught up.
const CAUGHT_UP: Duration = Duration::from_millis(500);
/// How long to wait between two looks at a learner that catches up.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A change of the quorum was not made, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// This node does not lead the quorum.
    #[error("not the leader of the metadata quorum")]
    NotLeader(Option<BrokerId>),
    /// It is a voter already.
    #[error("node {0} is a voter already")]
    DuplicateVoter(BrokerId),
    /// No voter has this number and directory.
    #[error("no voter has the number {0} and that directory")]
    NoSuchVoter(BrokerId),
    /// Without it there would be none.
    #[error("node {0} is the only voter")]
    LastVoter(BrokerId),
    /// Another directory of the same node takes part.
    #[error("another directory of node {0} takes part and is in touch; is node.id used twice?")]
    InUse(BrokerId),
    /// Not made, or not known to be made, in time.
    #[error("the change of the quorum was not made in time")]
    TimedOut,
    /// The quorum on this node has stopped.
    #[error("the metadata quorum on this node has stopped: {0}")]
    Stopped(String),
}

impl MembershipError {
    pub(crate) fn stopped(error: impl fmt::Display) -> Self {
        Self::Stopped(error.to_string())
    }
}

/// As what a node is to take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// As the membership or, the first time, the node itself says.
    AsItIs,
    /// As a voter, because an operator says so.
    Voter,
}

type Changes = ChangeMembers<u64, Member>;

impl MetadataNode {
    /// Adds `member` as an observer, or brings what is known of it up to date.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn add_observer(
        &self,
        node: BrokerId,
        member: Member,
        deadline: Monotonic,
    ) -> Result<(), MembershipError> {
        self.within(deadline, self.admit(node, member, Wish::AsItIs)).await
    }

    /// Makes `member` a voter once it has caught up; adds it first if it takes no part yet.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn add_voter(
        &self,
        node: BrokerId,
        member: Member,
        deadline: Monotonic,
    ) -> Result<(), MembershipError> {
        let known = self.member(node);
        if known.is_some_and(|known| known.voter && known.member.directory == member.directory) {
            return Err(MembershipError::DuplicateVoter(node));
        }
        let change = async {
            self.admit(node, member, Wish::Voter).await?;
            while !self.promote_if_caught_up(node).await? {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Ok(())
        };
        self.within(deadline, change).await
    }

    /// Makes the voter an observer.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn remove_voter(
        &self,
        node: BrokerId,
        directory: DirectoryId,
        deadline: Monotonic,
    ) -> Result<(), MembershipError> {
        let change = async {
            let _turn = self.membership.lock().await;
            let known = self.member(node).filter(|known| known.voter);
            let known = known.filter(|known| known.member.directory == directory);
            let known = known.ok_or(MembershipError::NoSuchVoter(node))?;
            if self.members().iter().filter(|member| member.voter).count() == 1 {
                return Err(MembershipError::LastVoter(node));
            }
            let member = Member { stands: false, ..known.member };
            self.change(Changes::SetNodes(BTreeMap::from([(node_of(node), member)]))).await?;
            self.change(Changes::RemoveVoters(BTreeSet::from([node_of(node)]))).await
        };
        self.within(deadline, change).await
    }

    /// Makes `member` take part. Whether it stands, it says itself only when it comes for the first
    /// time; from then on the membership says so, whatever its configuration.
    pub(crate) async fn admit(
        &self,
        node: BrokerId,
        member: Member,
        wish: Wish,
    ) -> Result<(), MembershipError> {
        let _turn = self.membership.lock().await;
        let id = node_of(node);
        let to_vote = wish == Wish::Voter;
        let Some(known) = self.member(node) else {
            let member = Member { stands: member.stands || to_vote, ..member };
            return self.change(Changes::AddNodes(BTreeMap::from([(id, member)]))).await;
        };
        let stands = known.voter || known.member.stands || to_vote;
        let member = Member { stands, ..member };
        if known.member.directory == member.directory {
            if known.member == member {
                return Ok(());
            }
            return self.change(Changes::SetNodes(BTreeMap::from([(id, member)]))).await;
        }
        self.refuse_if_in_touch(&known)?;
        tracing::warn!(node = node.0, "a node has come back with another directory");
        if known.voter {
            if self.members().iter().filter(|member| member.voter).count() == 1 {
                return Err(MembershipError::LastVoter(node));
            }
            self.change(Changes::RemoveVoters(BTreeSet::from([id]))).await?;
        }
        self.change(Changes::RemoveNodes(BTreeSet::from([id]))).await?;
        self.change(Changes::AddNodes(BTreeMap::from([(id, member)]))).await
    }

    /// Makes `node` a voter if it stands and has caught up; says whether it is one.
    pub(crate) async fn promote_if_caught_up(
        &self,
        node: BrokerId,
    ) -> Result<bool, MembershipError> {
        let _turn = self.membership.lock().await;
        let Some(known) = self.member(node) else { return Ok(false) };
        if known.voter {
            return Ok(true);
        }
        let follower = self.followers().into_iter().find(|follower| follower.node_id == node);
        let caught_up =
            follower.is_some_and(|follower| follower.matched.is_some() && follower.lag < CAUGHT_UP);
        if !known.member.stands || !caught_up {
            return Ok(false);
        }
        self.change(Changes::AddVoterIds(BTreeSet::from([node_of(node)]))).await?;
        Ok(true)
    }

    fn refuse_if_in_touch(&self, known: &QuorumMember) -> Result<(), MembershipError> {
        let follower = self.followers().into_iter().find(|f| f.node_id == known.node_id);
        let ago = follower.and_then(|follower| follower.last_contact);
        if known.node_id == self.node_id || ago.is_some_and(|ago| ago < self.lease_time) {
            return Err(MembershipError::InUse(known.node_id));
        }
        Ok(())
    }

    fn member(&self, node: BrokerId) -> Option<QuorumMember> {
        self.members().into_iter().find(|member| member.node_id == node)
    }

    /// Makes one change; a joint membership that an earlier leader left is finished by it too.
    async fn change(&self, changes: Changes) -> Result<(), MembershipError> {
        match self.raft.change_membership(changes, true).await {
            Ok(_) => Ok(()),
            Err(RaftError::Fatal(fatal)) => Err(MembershipError::stopped(fatal)),
            Err(RaftError::APIError(error)) => Err(refused(error)),
        }
    }

    async fn within<T>(
        &self,
        deadline: Monotonic,
        work: impl Future<Output = Result<T, MembershipError>>,
    ) -> Result<T, MembershipError> {
        let leadership = self.leadership();
        if !self.leads(leadership) {
            return Err(MembershipError::NotLeader(leadership.leader));
        }
        let left = deadline.since(self.env.clock.monotonic());
        tokio::time::timeout(left, work).await.unwrap_or(Err(MembershipError::TimedOut))
    }
}

fn refused(error: ClientWriteError<TypeConfig>) -> MembershipError {
    match error {
        ClientWriteError::ForwardToLeader(to) => {
            MembershipError::NotLeader(to.leader_id.map(broker_of))
        }
        ClientWriteError::ChangeMembershipError(ChangeMembershipError::InProgress(_))
        | ClientWriteError::LogEntryDiscarded(_) => MembershipError::TimedOut,
        other => MembershipError::stopped(other),
    }
}
