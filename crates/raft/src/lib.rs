//! openraft on the metadata log: log store, vote, state machine, settings.
//!
//! The metadata log is an ordinary partition log (`__chronik_metadata`, partition 0): one Raft
//! entry is one batch, an index is an offset, a term a leader epoch, and the vote is a record of
//! the same journal. This crate adapts that log to openraft's traits and publishes the committed
//! image.
//!
//! **Not here:** deciding what to propose (`chronik-controller`), running the controller and
//! releasing answers (`chronik-broker`).

mod appended_at;
mod attendance;
pub mod bootstrap;
mod bugs;
mod endpoint;
mod entry_codec;
mod flushes;
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod inbound;
mod join;
mod last_leader;
mod log_reader;
mod log_store;
mod member_mark;
mod membership;
mod network;
mod node;
mod proposal;
mod quorum;
mod recent;
mod settings;
mod snapshot_file;
mod state_machine;
#[cfg(test)]
mod tests;
mod transfer;
mod type_config;
mod vote_codec;

pub use attendance::Gone;
pub use gate::{Gate, Lease};
pub use last_leader::LastHeard;
pub use log_store::VoteCounts;
pub use membership::MembershipError;
pub use node::{Leadership, METADATA_TOPIC, MetadataNode, Options, StartError};
pub use proposal::{AppliedHere, LeaderSynced, ProposeError, Proposed};
pub use quorum::{FollowerLag, QuorumMember};
pub use settings::{ElectionTimes, InvalidSettings, LogKept};
pub use state_machine::Committed;
pub use transfer::TransferError;
pub use type_config::Member;
