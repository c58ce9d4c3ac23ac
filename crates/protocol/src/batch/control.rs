//! Control records: what the brokers tell the readers of a log in its own records.
//!
//! The key is a version and a type, both 16 bits; the value depends on the type.

use bytes::{BufMut, BytesMut};
use chronik_types::{BrokerId, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

use super::{BatchBuilder, BuildError};

/// What a control record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlType {
    /// The producer's transaction is aborted.
    Abort,
    /// The producer's transaction is committed.
    Commit,
    /// A leader was elected (metadata log).
    LeaderChange,
    /// A snapshot begins.
    SnapshotHeader,
    /// A snapshot ends.
    SnapshotFooter,
    /// The version of the Raft protocol changed.
    KraftVersion,
    /// The voters changed.
    KraftVoters,
    /// A type of a later version; readers skip it.
    Unknown(i16),
}

impl ControlType {
    /// Reads the key of a control record; `None` if it is not one. Versions later than 0 only add
    /// to the end.
    #[must_use]
    pub fn from_key(key: &[u8]) -> Option<Self> {
        let (version, rest) = key.split_first_chunk()?;
        if i16::from_be_bytes(*version) < 0 {
            return None;
        }
        Some(match i16::from_be_bytes(*rest.first_chunk()?) {
            0 => Self::Abort,
            1 => Self::Commit,
            2 => Self::LeaderChange,
            3 => Self::SnapshotHeader,
            4 => Self::SnapshotFooter,
            5 => Self::KraftVersion,
            6 => Self::KraftVoters,
            other => Self::Unknown(other),
        })
    }

    /// The key of a control record of this type.
    #[must_use]
    pub fn key(self) -> [u8; 4] {
        let number: i16 = match self {
            Self::Abort => 0,
            Self::Commit => 1,
            Self::LeaderChange => 2,
            Self::SnapshotHeader => 3,
            Self::SnapshotFooter => 4,
            Self::KraftVersion => 5,
            Self::KraftVoters => 6,
            Self::Unknown(number) => number,
        };
        let [high, low] = number.to_be_bytes();
        [0, 0, high, low]
    }
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkerKind {
    /// Its records never happened.
    Abort,
    /// Its records count.
    Commit,
}

/// The marker that ends a producer's transaction in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTransactionMarker {
    /// How it ended.
    pub kind: MarkerKind,
    /// The epoch of the coordinator that says so; a lower one than seen before is stale.
    pub coordinator_epoch: i32,
}

impl EndTransactionMarker {
    /// Reads a control record; `None` if it is no such marker.
    #[must_use]
    pub fn parse(key: &[u8], value: &[u8]) -> Option<Self> {
        let kind = match ControlType::from_key(key)? {
            ControlType::Abort => MarkerKind::Abort,
            ControlType::Commit => MarkerKind::Commit,
            _ => return None,
        };
        let (version, rest) = value.split_first_chunk()?;
        if i16::from_be_bytes(*version) < 0 {
            return None;
        }
        let coordinator_epoch = i32::from_be_bytes(*rest.first_chunk()?);
        Some(Self { kind, coordinator_epoch })
    }
}

/// The batch with one end-transaction marker, not yet stamped.
///
/// # Errors
/// None that can happen; the builder's type is kept.
pub fn end_transaction_marker(
    marker: EndTransactionMarker,
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    now: Timestamp,
) -> Result<BytesMut, BuildError> {
    let control_type = match marker.kind {
        MarkerKind::Abort => ControlType::Abort,
        MarkerKind::Commit => ControlType::Commit,
    };
    let [a, b, c, d] = marker.coordinator_epoch.to_be_bytes();
    let value = [0, 0, a, b, c, d];
    let mut builder =
        BatchBuilder::new().producer(producer_id, producer_epoch, -1).transactional().control();
    builder.append(now, Some(&control_type.key()), Some(&value), &[])?;
    builder.build()
}

/// The batch a new leader of the metadata log begins its reign with (KIP-595), version 0 of the
/// message.
///
/// # Errors
/// [`BuildError::TooLarge`] for more voters than any cluster has.
pub fn leader_change(
    base_offset: Offset,
    epoch: LeaderEpoch,
    leader: BrokerId,
    voters: &[BrokerId],
    granting: &[BrokerId],
    now: Timestamp,
) -> Result<BytesMut, BuildError> {
    let mut value = BytesMut::new();
    value.put_i16(0);
    value.put_i32(leader.0);
    put_voters(&mut value, voters);
    put_voters(&mut value, granting);
    value.put_u8(0);
    let mut builder = BatchBuilder::new().base_offset(base_offset).leader_epoch(epoch).control();
    builder.append(now, Some(&ControlType::LeaderChange.key()), Some(&value), &[])?;
    builder.build()
}

/// A compact array of voters: its length plus one as an unsigned varint, and an empty set of tagged
/// fields behind each.
fn put_voters(value: &mut BytesMut, voters: &[BrokerId]) {
    let mut count = voters.len() + 1;
    while count >= 0x80 {
        value.put_u8((count & 0x7F) as u8 | 0x80);
        count >>= 7;
    }
    value.put_u8(count as u8);
    for voter in voters {
        value.put_i32(voter.0);
        value.put_u8(0);
    }
}
