//! The controller: a request and the speculative image in, records and a response out. Pure.
//!
//! It has the shape of Kafka's quorum controller: requests run one after the other against the
//! *speculative* image (committed, plus all that is proposed); each yields records, which are
//! proposed, and a response, which waits until they are durable enough.
//!
//! # How a driver uses it
//!
//! The controller runs on the Raft leader. One task owns it, and everything goes through that task
//! in order.
//!
//! ```text
//!              elected, and the blank entry of the own term is applied
//!                       │ activate(now, term, committed image)
//!                       ▼
//!  request ──► handle(context, request) ──► Outcome { response, release }     keep the response
//!                       │
//!                       ▼   whenever Raft takes a proposal (several requests share one)
//!                 next_batch() ──► MetadataBatch ──► propose to Raft, in this order
//!                       │
//!        own fsync done ├─► leader_synced(sequence)      ┐ release responses whose
//!        entry applied  ├─► applied(image)               ┘ `release` is met
//!  refused, or ignored  └─► refused(): every response behind it fails as "outcome unknown"
//!                                     (REQUEST_TIMED_OUT); activate anew
//! ```
//!
//! - A response with [`Release::Now`] leaves at once. One with [`Release::After`] leaves when the
//!   batch of that number has been synced by the leader or is committed and applied, as it says
//!   ([`Durability`]). Before one leaves on the leader's sync, [`LeaderGate::is_open`] is asked
//!   again; if it is closed, the response waits for the commit.
//! - Without a lease nothing can be proposed: the driver holds requests, in order and before
//!   `handle`, until the lease returns or their own timeouts pass, and tells the controller with
//!   [`Controller::lease_returned`].
//! - [`Controller::next_deadline`] says when to call [`Controller::on_deadline`], which fences
//!   brokers that have been silent.
//! - Clients' metadata answers come from [`Controller::acknowledged`] for topics and from the
//!   committed image for everything else; never from the speculative one.
//! - A first start: when the committed image has no cluster id after the activation, `handle` a
//!   [`Request::Bootstrap`].
//!
//! **Invariants**
//! - the speculative image is the committed one with the proposed batches replayed, in order;
//! - a record that is given out has already been replayed on the speculative image, so no batch
//!   that applies can fail to;
//! - a partition's in-sync set is within its replicas, its leader within its in-sync set, its
//!   epochs never go back, topics' names are unique;
//! - an active broker is unfenced and not about to stop; no other one leads or is in an in-sync
//!   set, but for the last one of a set, and the only replica of a partition.
//!
//! **Not here:** Raft, clocks, waiting, the wire (`chronik-raft`, the broker's controller
//! runtime); the records and their replay (`chronik-metadata`).

mod acknowledged;
mod alter_partition;
mod balance;
mod bootstrap;
mod broker_lifecycle;
mod bugs;
mod configs;
mod controller;
mod draft;
mod durability;
mod elect_leaders;
mod error;
mod features;
mod internal_topics;
mod options;
mod partition_change;
mod partitions;
mod placement;
mod producer_ids;
mod proposals;
mod reassignment;
mod request;
mod request_bytes;
mod sessions;
#[cfg(test)]
mod testing;
mod topic_configs;
mod topic_name;
mod topics;

pub use controller::{Controller, NotActive, Outcome, Standing};
pub use durability::{Durability, LeaderGate, MetadataAcks, Release};
pub use error::ApiError;
pub use features::{FEATURES, SupportedFeature, initial_features, supported_features};
pub use internal_topics::{
    CONSUMER_OFFSETS, METADATA_TOPIC, SHARE_GROUP_STATE, TRANSACTION_STATE, consumer_offsets,
    is_internal, transaction_state,
};
pub use options::Options;
pub use request::*;
pub use request_bytes::REQUEST_BYTES_MAX;
pub use topic_name::{InvalidTopicName, validate_topic_name};
