//! The heads of messages as they are encoded: Protocol Buffers' wire format, by derive.
//!
//! **A field's tag is for ever**: it is neither reused nor given another type. Entries are grouped
//! by topic, so that its id is there once; one kind of entry serves all messages, each of which
//! uses the fields it needs. Absent is zero. What may be -1 is zigzag-encoded (`sint32`).

use chronik_types::{
    BrokerEpoch, ErrorCode, LeaderEpoch, Offset, PartitionId, TopicId, TopicPartition, Uuid,
};
use prost::Message;

use crate::divergence::LogPosition;
use crate::messages::{
    Accepted, Answer, Data, Ended, Kind, Open, Opened, PartitionAck, PartitionAnswer,
    PartitionData, PartitionEnded, PartitionSubscribe, PartitionWatermark, Path, ToFollower,
    ToLeader,
};
use crate::subscription::SubscriptionId;

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No kind of message of this protocol, or not one for this direction.
    #[error("replication message of unknown kind {0:#06x}")]
    Kind(u16),
    /// Not the head it should be.
    #[error("malformed head: {0}")]
    Head(#[from] prost::DecodeError),
    /// A value that this version does not know where it has to.
    #[error("unknown {0}")]
    Unknown(&'static str),
    /// The payload is not what the parts say.
    #[error("the payload does not have the length its parts say")]
    Payload,
}

#[derive(Clone, PartialEq, Message)]
struct Topics {
    #[prost(message, repeated, tag = "1")]
    topics: Vec<Topic>,
}

#[derive(Clone, PartialEq, Message)]
struct Topic {
    /// The first eight bytes of the topic id, big-endian.
    #[prost(fixed64, tag = "1")]
    id_high: u64,
    /// The last eight.
    #[prost(fixed64, tag = "2")]
    id_low: u64,
    #[prost(message, repeated, tag = "3")]
    parts: Vec<Part>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Part {
    #[prost(int32, tag = "1")]
    partition: i32,
    #[prost(fixed64, tag = "2")]
    subscription: u64,
    /// Of the leader that speaks or is spoken to.
    #[prost(sint32, tag = "3")]
    leader_epoch: i32,
    /// A log start offset.
    #[prost(int64, tag = "4")]
    start: i64,
    /// A log end offset, or the end of an epoch; where data begins.
    #[prost(int64, tag = "5")]
    end: i64,
    #[prost(int64, tag = "6")]
    durable: i64,
    /// The last of a log, or the one where it diverges.
    #[prost(sint32, tag = "7")]
    epoch: i32,
    #[prost(int64, tag = "8")]
    high_watermark: i64,
    #[prost(uint32, tag = "9")]
    bytes: u32,
    /// An error code.
    #[prost(sint32, tag = "10")]
    code: i32,
    /// What an answer says: see [`outcome`].
    #[prost(uint32, tag = "11")]
    outcome: u32,
}

mod outcome {
    pub(super) const ACCEPTED: u32 = 1;
    pub(super) const DIVERGES: u32 = 2;
    pub(super) const RESET: u32 = 3;
    pub(super) const REFUSED: u32 = 4;
}

#[derive(Clone, Copy, PartialEq, Message)]
struct WireOpen {
    /// 1: live; 2: catch-up.
    #[prost(uint32, tag = "1")]
    path: u32,
    #[prost(sint64, tag = "2")]
    broker_epoch: i64,
    #[prost(fixed64, tag = "3")]
    session: u64,
    #[prost(uint64, tag = "4")]
    window: u64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct WireOpened {
    #[prost(sint64, tag = "1")]
    broker_epoch: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct WireCredit {
    #[prost(uint64, tag = "1")]
    bytes: u64,
}

/// One entry of a message, to and from its wire form.
trait Entry: Sized {
    fn tp(&self) -> TopicPartition;
    fn part(&self) -> Part;
    fn of(tp: TopicPartition, part: &Part) -> Result<Self, DecodeError>;
}

fn encode_entries<E: Entry>(entries: &[E]) -> Vec<u8> {
    let mut topics: Vec<Topic> = Vec::new();
    let mut last = None;
    for entry in entries {
        let TopicPartition { topic_id, partition } = entry.tp();
        if last != Some(topic_id) {
            last = Some(topic_id);
            let id = u128::from_be_bytes(topic_id.0.0);
            topics.push(Topic { id_high: (id >> 64) as u64, id_low: id as u64, parts: vec![] });
        }
        if let Some(topic) = topics.last_mut() {
            topic.parts.push(Part { partition, ..entry.part() });
        }
    }
    Topics { topics }.encode_to_vec()
}

fn decode_entries<E: Entry>(head: &[u8]) -> Result<Vec<E>, DecodeError> {
    let Topics { topics } = Topics::decode(head)?;
    let mut entries = Vec::with_capacity(topics.iter().map(|topic| topic.parts.len()).sum());
    for topic in topics {
        let id = u128::from(topic.id_high) << 64 | u128::from(topic.id_low);
        let topic_id = TopicId(Uuid(id.to_be_bytes()));
        for part in &topic.parts {
            let partition: PartitionId = part.partition;
            entries.push(E::of(TopicPartition { topic_id, partition }, part)?);
        }
    }
    Ok(entries)
}

fn code(code: i32) -> Result<ErrorCode, DecodeError> {
    let known = i16::try_from(code).ok().and_then(ErrorCode::from_code);
    known.ok_or(DecodeError::Unknown("error code"))
}

fn wire_code(code: ErrorCode) -> i32 {
    i32::from(code.code())
}

impl ToLeader {
    /// The kind and the head.
    #[must_use]
    pub fn encode(&self) -> (Kind, Vec<u8>) {
        match self {
            Self::Open(open) => {
                let path = match open.path {
                    Path::Live => 1,
                    Path::CatchUp => 2,
                };
                let Open { broker_epoch, session, window, .. } = *open;
                let wire = WireOpen { path, broker_epoch: broker_epoch.0, session, window };
                (Kind::Open, wire.encode_to_vec())
            }
            Self::Subscribe(entries) => (Kind::Subscribe, encode_entries(entries)),
            Self::Acks(entries) => (Kind::Acks, encode_entries(entries)),
            Self::Unsubscribe(entries) => (Kind::Unsubscribe, encode_entries(entries)),
            Self::Credit(bytes) => (Kind::Credit, WireCredit { bytes: *bytes }.encode_to_vec()),
        }
    }

    /// The message of this kind with this head.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn decode(kind: u16, head: &[u8]) -> Result<Self, DecodeError> {
        match Kind::from_number(kind) {
            Some(Kind::Open) => {
                let WireOpen { path, broker_epoch, session, window } = WireOpen::decode(head)?;
                let path = match path {
                    1 => Path::Live,
                    2 => Path::CatchUp,
                    _ => return Err(DecodeError::Unknown("path")),
                };
                let broker_epoch = BrokerEpoch(broker_epoch);
                Ok(Self::Open(Open { path, broker_epoch, session, window }))
            }
            Some(Kind::Subscribe) => Ok(Self::Subscribe(decode_entries(head)?)),
            Some(Kind::Acks) => Ok(Self::Acks(decode_entries(head)?)),
            Some(Kind::Unsubscribe) => Ok(Self::Unsubscribe(decode_entries(head)?)),
            Some(Kind::Credit) => Ok(Self::Credit(WireCredit::decode(head)?.bytes)),
            _ => Err(DecodeError::Kind(kind)),
        }
    }
}

impl ToFollower {
    /// The kind and the head.
    #[must_use]
    pub fn encode(&self) -> (Kind, Vec<u8>) {
        match self {
            Self::Opened(opened) => {
                let wire = WireOpened { broker_epoch: opened.broker_epoch.0 };
                (Kind::Opened, wire.encode_to_vec())
            }
            Self::Subscribed(entries) => (Kind::Subscribed, encode_entries(entries)),
            Self::Data(data) => (Kind::Data, encode_entries(&data.parts)),
            Self::Watermarks(entries) => (Kind::Watermarks, encode_entries(entries)),
            Self::Ended(entries) => (Kind::Ended, encode_entries(entries)),
        }
    }

    /// The message of this kind with this head.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn decode(kind: u16, head: &[u8]) -> Result<Self, DecodeError> {
        match Kind::from_number(kind) {
            Some(Kind::Opened) => {
                let broker_epoch = BrokerEpoch(WireOpened::decode(head)?.broker_epoch);
                Ok(Self::Opened(Opened { broker_epoch }))
            }
            Some(Kind::Subscribed) => Ok(Self::Subscribed(decode_entries(head)?)),
            Some(Kind::Data) => Ok(Self::Data(Data { parts: decode_entries(head)? })),
            Some(Kind::Watermarks) => Ok(Self::Watermarks(decode_entries(head)?)),
            Some(Kind::Ended) => Ok(Self::Ended(decode_entries(head)?)),
            _ => Err(DecodeError::Kind(kind)),
        }
    }
}

impl Entry for PartitionSubscribe {
    fn tp(&self) -> TopicPartition {
        self.tp
    }

    fn part(&self) -> Part {
        Part {
            subscription: self.subscription.0,
            leader_epoch: self.leader_epoch.0,
            start: self.log.start.0,
            end: self.log.end.0,
            durable: self.log.durable.0,
            epoch: self.log.last_epoch.0,
            ..Part::default()
        }
    }

    fn of(tp: TopicPartition, part: &Part) -> Result<Self, DecodeError> {
        let log = LogPosition {
            start: Offset(part.start),
            end: Offset(part.end),
            durable: Offset(part.durable),
            last_epoch: LeaderEpoch(part.epoch),
        };
        let leader_epoch = LeaderEpoch(part.leader_epoch);
        Ok(Self { tp, leader_epoch, subscription: SubscriptionId(part.subscription), log })
    }
}

impl Entry for PartitionAnswer {
    fn tp(&self) -> TopicPartition {
        self.tp
    }

    fn part(&self) -> Part {
        let part = Part { subscription: self.subscription.0, ..Part::default() };
        match self.answer {
            Answer::Accepted(Accepted { high_watermark, log_start }) => Part {
                outcome: outcome::ACCEPTED,
                high_watermark: high_watermark.0,
                start: log_start.0,
                ..part
            },
            Answer::Diverges { epoch, end } => {
                Part { outcome: outcome::DIVERGES, epoch: epoch.0, end: end.0, ..part }
            }
            Answer::Reset { start } => Part { outcome: outcome::RESET, start: start.0, ..part },
            Answer::Refused(code) => {
                Part { outcome: outcome::REFUSED, code: wire_code(code), ..part }
            }
        }
    }

    fn of(tp: TopicPartition, part: &Part) -> Result<Self, DecodeError> {
        let answer = match part.outcome {
            outcome::ACCEPTED => Answer::Accepted(Accepted {
                high_watermark: Offset(part.high_watermark),
                log_start: Offset(part.start),
            }),
            outcome::DIVERGES => {
                Answer::Diverges { epoch: LeaderEpoch(part.epoch), end: Offset(part.end) }
            }
            outcome::RESET => Answer::Reset { start: Offset(part.start) },
            outcome::REFUSED => Answer::Refused(code(part.code)?),
            _ => return Err(DecodeError::Unknown("answer")),
        };
        Ok(Self { tp, subscription: SubscriptionId(part.subscription), answer })
    }
}

impl Entry for PartitionData {
    fn tp(&self) -> TopicPartition {
        self.tp
    }

    fn part(&self) -> Part {
        Part {
            subscription: self.subscription.0,
            leader_epoch: self.leader_epoch.0,
            end: self.base_offset.0,
            bytes: self.bytes,
            high_watermark: self.high_watermark.0,
            start: self.log_start.0,
            ..Part::default()
        }
    }

    fn of(tp: TopicPartition, part: &Part) -> Result<Self, DecodeError> {
        Ok(Self {
            tp,
            leader_epoch: LeaderEpoch(part.leader_epoch),
            subscription: SubscriptionId(part.subscription),
            base_offset: Offset(part.end),
            bytes: part.bytes,
            high_watermark: Offset(part.high_watermark),
            log_start: Offset(part.start),
        })
    }
}

impl Entry for PartitionAck {
    fn tp(&self) -> TopicPartition {
        self.tp
    }

    fn part(&self) -> Part {
        Part {
            subscription: self.subscription.0,
            leader_epoch: self.leader_epoch.0,
            durable: self.durable.0,
            ..Part::default()
        }
    }

    fn of(tp: TopicPartition, part: &Part) -> Result<Self, DecodeError> {
        Ok(Self {
            tp,
            leader_epoch: LeaderEpoch(part.leader_epoch),
            subscription: SubscriptionId(part.subscription),
            durable: Offset(part.durable),
        })
    }
}

impl Entry for PartitionWatermark {
    fn tp(&self) -> TopicPartition {
        self.tp
    }

    fn part(&self) -> Part {
        Part {
            subscription: self.subscription.0,
            high_watermark: self.high_watermark.0,
            start: self.log_start.0,
            ..Part::default()
        }
    }

    fn of(tp: TopicPartition, part: &Part) -> Result<Self, DecodeError> {
        Ok(Self {
            tp,
            subscription: SubscriptionId(part.subscription),
            high_watermark: Offset(part.high_watermark),
            log_start: Offset(part.start),
        })
    }
}

impl Entry for PartitionEnded {
    fn tp(&self) -> TopicPartition {
        self.tp
    }

    fn part(&self) -> Part {
        Part { subscription: self.subscription.0, ..Part::default() }
    }

    fn of(tp: TopicPartition, part: &Part) -> Result<Self, DecodeError> {
        Ok(Self { tp, subscription: SubscriptionId(part.subscription) })
    }
}

impl Entry for Ended {
    fn tp(&self) -> TopicPartition {
        self.tp
    }

    fn part(&self) -> Part {
        Part { subscription: self.subscription.0, code: wire_code(self.code), ..Part::default() }
    }

    fn of(tp: TopicPartition, part: &Part) -> Result<Self, DecodeError> {
        let subscription = SubscriptionId(part.subscription);
        Ok(Self { tp, subscription, code: code(part.code)? })
    }
}
