//! The types openraft is instantiated with.
//!
//! **Invariants**
//! - A Raft index is an offset of the metadata log and a Raft term its leader epoch, so both are
//!   converted at the border of this crate and nowhere else.
//! - `leader_id_std`: one leader per term. openraft's default would allow two, and followers
//!   compare ids only.

use std::fmt;
use std::sync::Arc;

use chronik_metadata::MetadataBatch;
use chronik_types::{DirectoryId, LeaderEpoch, Offset};
use openraft::impls::leader_id_std;

/// A voter or observer as the membership names it: identity is (node id, directory id).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// The data directory that takes part; a node that comes back with another one is another
    /// member.
    pub directory: DirectoryId,
    /// `host:port` of its controller listener; empty where there is no second node to reach.
    pub endpoint: String,
}

/// What one Raft entry carries: the changes of one or more requests, shared between the log's
/// cache and the state machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal(pub Arc<MetadataBatch>);

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "proposal {}/{} of {} records",
            self.0.term,
            self.0.sequence,
            self.0.records.len()
        )
    }
}

/// What applying an entry yields: whether it followed the last applied one of its term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The records are part of the committed image.
    Yes,
    /// The entry did not follow the last applied sequence of its term and changed nothing.
    OutOfSequence,
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

openraft::declare_raft_types!(
    /// openraft on the metadata log.
    pub TypeConfig:
        D = Proposal,
        R = Applied,
        NodeId = i32,
        Node = Member,
        Term = i32,
        LeaderId = leader_id_std::LeaderId<i32, i32>,
);

/// openraft's name of an entry: term and index.
pub type LogId = openraft::LogId<CommittedLeaderId>;
/// A term whose leader was elected.
pub type CommittedLeaderId = openraft::type_config::alias::CommittedLeaderIdOf<TypeConfig>;
/// A vote, which also says who leads.
pub type Vote = openraft::type_config::alias::VoteOf<TypeConfig>;
/// One entry of the metadata log.
pub type Entry = openraft::type_config::alias::EntryOf<TypeConfig>;
/// Who takes part, and the entry that says so.
pub type StoredMembership = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;

/// The log id of the entry at `offset`, written in `epoch`.
pub fn log_id(epoch: LeaderEpoch, offset: Offset) -> LogId {
    // An offset in a log is never negative; -1 ("none") has no log id.
    LogId {
        leader_id: CommittedLeaderId::from(epoch.0),
        index: u64::try_from(offset.0).unwrap_or(0),
    }
}

/// The offset of a Raft index.
pub fn offset_of(index: u64) -> Offset {
    Offset(i64::try_from(index).unwrap_or(i64::MAX))
}

/// The leader epoch of a Raft log id.
pub fn epoch_of(id: &LogId) -> LeaderEpoch {
    LeaderEpoch(id.leader_id.term)
}
