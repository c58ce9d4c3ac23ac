//! What goes into a leader and what comes out.

use std::time::Duration;

use chronik_types::{BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, Monotonic, Offset};

use crate::divergence::LogPosition;
use crate::subscription::SubscriptionId;

/// What a leader begins with.
#[derive(Clone, Copy, Debug)]
pub struct LeaderInit<'a> {
    /// This broker.
    pub me: BrokerId,
    /// As committed.
    pub partition: PartitionView<'a>,
    /// `min.insync.replicas`.
    pub min_isr: usize,
    /// `replica.lag.time.max.ms`.
    pub lag_max: Duration,
    /// This replica's log, in which the epoch of this leader begins at the end.
    pub log: LogPosition,
    /// The highest that this broker has known.
    pub high_watermark: Offset,
}

/// A partition as committed.
#[derive(Clone, Copy, Debug)]
pub struct PartitionView<'a> {
    /// All replicas.
    pub replicas: &'a [BrokerId],
    /// The in-sync set and its epochs.
    pub isr: IsrView<'a>,
}

/// An in-sync set as committed.
#[derive(Clone, Copy, Debug)]
pub struct IsrView<'a> {
    /// The members.
    pub isr: &'a [BrokerId],
    /// The epoch of the leader.
    pub leader_epoch: LeaderEpoch,
    /// Raised with every change of the partition.
    pub partition_epoch: i32,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Effects {
    /// The high watermark moved here.
    pub high_watermark: Option<Offset>,
    /// Ask the controller for another in-sync set.
    pub proposal: Option<Proposal>,
    /// What every follower with a live subscription is to be told.
    pub push: Push,
}

impl Effects {
    /// And at least this is to be told.
    pub(crate) fn with(self, push: Push) -> Self {
        Self { push: self.push.max(push), ..self }
    }
}

/// What is new for followers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Push {
    /// Nothing.
    #[default]
    Nothing,
    /// The high watermark or the log start.
    Watermarks,
    /// Records, and watermarks with them.
    Records,
}

/// An in-sync set to ask the controller for (AlterPartition).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The epoch of this leader.
    pub leader_epoch: LeaderEpoch,
    /// The partition epoch that this builds on.
    pub partition_epoch: i32,
    /// The members, each with the broker epoch of its live subscription; -1 where there is none,
    /// and for the leader, whose epoch the request carries.
    pub new_isr: Vec<(BrokerId, BrokerEpoch)>,
}

/// How a proposal ended.
#[derive(Clone, Copy, Debug)]
pub enum AlterAnswer<'a> {
    /// Committed, or there already: the partition as it is now.
    Committed(IsrView<'a>),
    /// The controller's answer to this partition was an error. Some say that nothing is or will be
    /// committed; what was never sent is [`ErrorCode::NotController`].
    Refused(ErrorCode),
    /// Nobody knows: a timeout, a lost connection, an answer that is none.
    Unknown,
}

/// What is known of one follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// Which broker.
    pub id: BrokerId,
    /// Whether it is in the committed in-sync set.
    pub in_sync: bool,
    /// Its live subscription.
    pub subscription: Option<SubscriptionId>,
    /// What it has acknowledged in it.
    pub durable: Option<Offset>,
    /// Since when it has lacked something, or its subscription; `None` if it lacks nothing.
    pub lags_since: Option<Monotonic>,
}
