//! Group coordination as pure state machines: events and time in, records and replies out.
//!
//! A [`GroupShard`] is all groups of one partition of `__consumer_offsets`: membership by Kafka's
//! classic protocol (JoinGroup, SyncGroup, Heartbeat, LeaveGroup) and committed offsets. It does
//! no I/O, owns no clock and draws no random number; a driver feeds it requests and time, appends
//! the records it emits, and releases the replies.
//!
//! **Invariants**
//! - What the log holds changes in memory through one function only, [`GroupShard::replay`]: the
//!   leader's own records take the same way as a load.
//! - Every request is answered exactly once, in the [`Effects`] of some call.
//! - A reply that depends on records leaves only after they are durable ([`Release`]).
//! - Cutting [`Effects::records`] anywhere, as a crash between two batches would, leaves a state
//!   that a load accepts.
//!
//! **Not here:** authorization, which topics exist, FindCoordinator, splitting a request over
//! shards, appending to the log: all of that is the broker's.

mod config;
mod effects;
mod group;
mod member;
pub mod offset_fetch;
mod offsets;
mod partition;
mod record;
mod shard;
mod timers;
mod transactions;

pub use config::CoordinatorConfig;
pub use effects::{ClientInfo, Effects, Now, Release, Reply, Request, RequestId};
pub use group::GroupState;
pub use partition::partition_of;
pub use record::ReplayError;
pub use shard::{AppendFailure, GroupShard, Phase};

/// The id of a group, shared by everything that names it.
pub(crate) type GroupId = std::sync::Arc<str>;
/// The id of one member of a group.
pub(crate) type MemberId = std::sync::Arc<str>;
/// `group.instance.id`: the name a static member keeps over restarts (KIP-345).
pub(crate) type InstanceId = std::sync::Arc<str>;
