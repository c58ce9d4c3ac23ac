//! The types openraft is instantiated with.
//!
//! **Invariants**
//! - A Raft index is an offset of the metadata log and a Raft term its leader epoch, so both are
//!   converted at the border of this crate and nowhere else.
//! - `leader_id_std`: one leader per term. openraft's default would allow two, and followers
//!   compare ids only.
//! - openraft draws its random numbers from a seed that this crate gives it ([`seeded`]), so that a
//!   simulation repeats by its seed. Whatever makes openraft spawn a task runs inside [`seeded`].

use std::future::Future;

use chronik_env::Rng;
use chronik_types::{BrokerId, DirectoryId, LeaderEpoch, Offset};
use openraft::impls::leader_id_std;
use openraft_rt::deterministic_rng::DeterministicRng;
use openraft_rt_tokio::TokioRuntime;

use crate::proposal::{Applied, Proposal};

/// A voter or observer as the membership names it: identity is (node id, directory id).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// The data directory that takes part; a node that comes back with another one is another
    /// member.
    pub directory: DirectoryId,
    /// `host:port` of its controller listener; empty where there is no second node to reach.
    pub endpoint: String,
    /// It becomes a voter once it has caught up.
    pub stands: bool,
}

/// tokio, with random numbers from a seed.
pub type Runtime = DeterministicRng<TokioRuntime>;

/// Runs `work` where openraft may spawn tasks and draw random numbers: from a stream of its own
/// that `rng` seeds.
pub(crate) fn seeded<F: Future>(rng: &Rng, work: F) -> impl Future<Output = F::Output> + use<F> {
    Runtime::scope(rng.u64(), work)
}

openraft::declare_raft_types!(
    /// openraft on the metadata log.
    pub TypeConfig:
        D = Proposal,
        R = Applied,
        NodeId = u64,
        Node = Member,
        Term = u64,
        LeaderId = leader_id_std::LeaderId<u64, u64>,
        AsyncRuntime = Runtime,
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
        leader_id: CommittedLeaderId::from(term_of(epoch)),
        index: u64::try_from(offset.0).unwrap_or(0),
    }
}

/// The offset of a Raft index.
pub fn offset_of(index: u64) -> Offset {
    Offset(i64::try_from(index).unwrap_or(i64::MAX))
}

/// The leader epoch of a Raft log id.
pub fn epoch_of(id: &LogId) -> LeaderEpoch {
    epoch_of_term(id.leader_id.term)
}

/// The leader epoch of a Raft term.
pub fn epoch_of_term(term: u64) -> LeaderEpoch {
    LeaderEpoch(i32::try_from(term).unwrap_or(i32::MAX))
}

/// The Raft term of a leader epoch; an epoch of a log is never negative.
pub fn term_of(epoch: LeaderEpoch) -> u64 {
    u64::try_from(epoch.0).unwrap_or(0)
}

/// The Raft number of a node; a node's number is never negative.
pub fn node_of(broker: BrokerId) -> u64 {
    u64::try_from(broker.0).unwrap_or(0)
}

/// The node with this Raft number.
pub fn broker_of(node: u64) -> BrokerId {
    BrokerId(i32::try_from(node).unwrap_or(BrokerId::NONE.0))
}
