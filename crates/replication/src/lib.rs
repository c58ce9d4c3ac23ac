//! Replication of a partition: what its leader and its followers decide, and what they say to each
//! other. Pure: events and time in, effects out.
//!
//! ```text
//!  follower                                       leader
//!  Follower::subscribe ── Subscribe ────────────► Leader::on_subscribe
//!  Follower::on_subscribed ◄──────── Subscribed ──┘   same log up to here? else: cut, ask again
//!                                                  ┌─ Leader::on_append (own fsync runs meanwhile)
//!  Follower::check_data ◄───────────────── Data ──┘   pushed in parallel with the own fsync
//!  Follower::on_appended, fsync
//!  Follower::on_durable ── Acks ────────────────► Leader::on_ack ─► high watermark moves
//!  Follower::on_watermark ◄───────── Watermarks ──┘
//! ```
//!
//! A partition with one replica needs nothing of this: its high watermark is its durable end. A
//! partition that was never written needs no [`Leader`] either: an empty log has nothing to
//! replicate, and whoever subscribed to it is told to the leader when it is made.
//!
//! **Invariants**
//! - The high watermark is what every replica that may be elected has on its disk.
//! - An acknowledgement counts only for the subscription it was given in.
//! - A follower's log is a prefix of its leader's from the moment a subscription is accepted.
//!
//! **Not here:** reading and appending, streams, waiting (the broker's replication driver); who is
//! elected and what an in-sync set may become (`chronik-controller`); the framing of messages and
//! their payloads.

mod acks;
mod appends;
mod bugs;
mod credit;
mod divergence;
mod follower;
mod leader;
mod messages;
mod outbox;
mod replica;
mod subscription;
#[cfg(test)]
mod tests;
mod wire;

pub use acks::AckBatch;
pub use credit::{Credit, CreditWindow};
pub use divergence::{EpochIndex, LogPosition};
pub use follower::{DataError, Follower, Step, Told};
pub use leader::{
    AlterAnswer, Effects, IsrView, Leader, LeaderInit, PartitionView, Proposal, Push, ReplicaStatus,
};
pub use messages::{
    Accepted, Answer, Data, DecodeError, Ended, Kind, Open, Opened, PartitionAck, PartitionAnswer,
    PartitionData, PartitionEnded, PartitionSubscribe, PartitionWatermark, Path, ToFollower,
    ToLeader,
};
pub use outbox::{Outbox, Slot, Work};
pub use subscription::{SubscriptionId, SubscriptionIds};
