//! openraft on the metadata log: log store, vote, state machine, settings.
//!
//! The metadata log is an ordinary partition log (`__chronik_metadata`, partition 0): one Raft
//! entry is one batch, an index is an offset, a term a leader epoch, and the vote is a record of
//! the same journal. This crate adapts that log to openraft's traits and publishes the committed
//! image.
//!
//! **Not here:** deciding what to propose (`chronik-controller`), running the controller and
//! releasing answers (`chronik-broker`).

mod entry_codec;
mod log_store;
mod network;
mod node;
mod settings;
mod snapshot_file;
mod state_machine;
mod type_config;

pub use node::{
    Leadership, METADATA_TOPIC, MetadataNode, Options, Outcome, ProposeError, QuorumMember,
    StartError,
};
pub use settings::{ElectionTimes, InvalidSettings};
pub use state_machine::Committed;
pub use type_config::Member;
