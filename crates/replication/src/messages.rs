//! What leaders and followers say to each other.
//!
//! A message is a kind, a head (Protocol Buffers' wire format, see `wire`) and, for [`Data`], a
//! payload of raw record batches that is never looked at here. A follower speaks [`ToLeader`], a
//! leader [`ToFollower`], on streams that the follower opens.
//!
//! **Invariants**: decoding never panics, and reserves no more memory than the bytes at hand
//! justify; unknown fields are skipped, unknown kinds are errors; everything names topic ids.
//!
//! **Not here:** frames, their bounds and checksums; who may send what when.

use bytes::Bytes;
use chronik_types::{BrokerEpoch, ErrorCode, LeaderEpoch, Offset, TopicPartition};

use crate::divergence::LogPosition;
use crate::subscription::SubscriptionId;

pub use crate::wire::DecodeError;

/// The number of a kind of message. For ever: a number is not given another meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
#[allow(missing_docs, reason = "named as the messages")]
pub enum Kind {
    Open = 0x0300,
    Opened = 0x0301,
    Subscribe = 0x0302,
    Subscribed = 0x0303,
    Data = 0x0304,
    Acks = 0x0305,
    Watermarks = 0x0306,
    Unsubscribe = 0x0307,
    Ended = 0x0308,
    Credit = 0x0309,
}

impl Kind {
    /// The kind with this number.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        let kinds = [
            Self::Open,
            Self::Opened,
            Self::Subscribe,
            Self::Subscribed,
            Self::Data,
            Self::Acks,
            Self::Watermarks,
            Self::Unsubscribe,
            Self::Ended,
            Self::Credit,
        ];
        kinds.into_iter().find(|kind| *kind as u16 == number)
    }
}

/// From a follower to the leader of partitions it follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToLeader {
    /// The first message of every stream.
    Open(Open),
    /// Start to send these partitions, if their logs agree.
    Subscribe(Vec<PartitionSubscribe>),
    /// These are durable here.
    Acks(Vec<PartitionAck>),
    /// Send these no more.
    Unsubscribe(Vec<PartitionEnded>),
    /// That many bytes of data were taken in; as many more may be sent on this stream.
    Credit(u64),
}

/// From a leader to a follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToFollower {
    /// The answer to [`ToLeader::Open`].
    Opened(Opened),
    /// The answers to [`ToLeader::Subscribe`], in any order and grouping.
    Subscribed(Vec<PartitionAnswer>),
    /// Records. The batches of the parts, in their order, are the payload of the message.
    Data(Data),
    /// What moved where no records are to be sent.
    Watermarks(Vec<PartitionWatermark>),
    /// These will be sent no more.
    Ended(Vec<Ended>),
}

/// Opens a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// What the stream is for.
    pub path: Path,
    /// The epoch of the follower's registration.
    pub broker_epoch: BrokerEpoch,
    /// The same for the streams that belong together; drawn by chance.
    pub session: u64,
    /// How many bytes of data may be on their way on this stream.
    pub window: u64,
}

/// What a stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Everything but the data of followers that are far behind.
    Live,
    /// Data read from segments, for followers that are far behind.
    CatchUp,
}

/// Accepts a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The epoch of the leader's registration.
    pub broker_epoch: BrokerEpoch,
}

/// A partition to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionSubscribe {
    /// Which partition.
    pub tp: TopicPartition,
    /// The epoch of the leader that is meant.
    pub leader_epoch: LeaderEpoch,
    /// Its name from now on.
    pub subscription: SubscriptionId,
    /// The follower's log.
    pub log: LogPosition,
}

/// The answer to one subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionAnswer {
    /// Which partition.
    pub tp: TopicPartition,
    /// Which subscription.
    pub subscription: SubscriptionId,
    /// The answer.
    pub answer: Answer,
}

/// What a leader says to a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The follower's log is a prefix of the leader's; data follows from its end on.
    Accepted(Accepted),
    /// It is not: cut it, and ask again. `epoch` is the largest epoch the leader's log has up to
    /// the one it was asked for, `end` where that ends.
    Diverges {
        /// See above.
        epoch: LeaderEpoch,
        /// See above.
        end: Offset,
    },
    /// Nothing of it can be used: begin anew here, and ask again.
    Reset {
        /// The leader's log start.
        start: Offset,
    },
    /// Not now, or not here.
    Refused(ErrorCode),
}

/// A subscription is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The leader's high watermark.
    pub high_watermark: Offset,
    /// The leader's log start.
    pub log_start: Offset,
}

/// Records of several partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data {
    /// A partition may come more than once.
    pub parts: Vec<PartitionData>,
}

/// What a part of a data message says of its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionData {
    /// Which partition.
    pub tp: TopicPartition,
    /// The epoch of the leader that sends.
    pub leader_epoch: LeaderEpoch,
    /// In which subscription.
    pub subscription: SubscriptionId,
    /// The offset of the first record: the follower's log end offset.
    pub base_offset: Offset,
    /// How many bytes of the payload are this part's.
    pub bytes: u32,
    /// The leader's high watermark.
    pub high_watermark: Offset,
    /// The leader's log start.
    pub log_start: Offset,
}

/// What a follower has on its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionAck {
    /// Which partition.
    pub tp: TopicPartition,
    /// The epoch of the leader that is told.
    pub leader_epoch: LeaderEpoch,
    /// In which subscription.
    pub subscription: SubscriptionId,
    /// Everything below is durable.
    pub durable: Offset,
}

/// Where a leader's high watermark and log start are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionWatermark {
    /// Which partition.
    pub tp: TopicPartition,
    /// In which subscription.
    pub subscription: SubscriptionId,
    /// The high watermark.
    pub high_watermark: Offset,
    /// The log start.
    pub log_start: Offset,
}

/// A subscription that the follower gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionEnded {
    /// Which partition.
    pub tp: TopicPartition,
    /// Which subscription.
    pub subscription: SubscriptionId,
}

/// A subscription that the leader gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Which partition.
    pub tp: TopicPartition,
    /// Which subscription.
    pub subscription: SubscriptionId,
    /// Why.
    pub code: ErrorCode,
}

impl Data {
    /// The parts, each with its batches.
    ///
    /// # Errors
    /// When the payload is longer or shorter than the parts say.
    pub fn split(self, mut payload: Bytes) -> Result<Vec<(PartitionData, Bytes)>, DecodeError> {
        let mut split = Vec::with_capacity(self.parts.len());
        for part in self.parts {
            let bytes = usize::try_from(part.bytes).map_err(|_| DecodeError::Payload)?;
            if bytes > payload.len() {
                return Err(DecodeError::Payload);
            }
            split.push((part, payload.split_to(bytes)));
        }
        if payload.is_empty() { Ok(split) } else { Err(DecodeError::Payload) }
    }
}
