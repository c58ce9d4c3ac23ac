//! What the journal records.

use std::fmt;

use bytes::Bytes;
use chronik_types::{LeaderEpoch, Offset};

/// One incarnation of a replica on this broker: a counter, never reused, mapped to its
/// [`TopicPartition`](chronik_types::TopicPartition) again in every journal file that uses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub u64);

impl LogId {
    /// The journal itself: the log of a vote.
    pub const JOURNAL: Self = Self(0);
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The position of a record in the journal: total over all logs, never given out twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn {
    /// Sequence number of the journal file, counted from 1.
    pub file: u64,
    /// Bytes from the start of the file to the record's entry.
    pub position: u32,
}

impl Lsn {
    /// Before every record.
    pub const ZERO: Self = Self { file: 0, position: 0 };
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.position)
    }
}

/// One record of a log. The only truth for these facts until a flush has made them obsolete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A batch was appended.
    Append {
        /// Offset of its first record.
        base_offset: Offset,
        /// Offset of its last record, at or above `base_offset`.
        last_offset: Offset,
        /// Epoch of the leader that appended it.
        epoch: LeaderEpoch,
        /// The batch as it goes to segments and consumers.
        batch: Bytes,
        /// CRC-32C of all of `batch`, when the caller has it; see [`batch_crc`](crate::batch_crc).
        /// Recovery leaves it `None`.
        crc: Option<u32>,
    },
    /// Everything from `end` on is gone.
    TruncateTo {
        /// The new end, exclusive.
        end: Offset,
    },
    /// The whole log is gone and begins again, empty, at `start`.
    ResetTo {
        /// The new start and end.
        start: Offset,
        /// The epoch in force there.
        epoch: LeaderEpoch,
    },
    /// Everything below `start` may be removed.
    StartOffset {
        /// The new log start offset.
        start: Offset,
    },
    /// A leader's reign begins.
    EpochStart {
        /// The epoch of that leader.
        epoch: LeaderEpoch,
        /// The first offset it may append.
        start: Offset,
    },
    /// A flush has become durable.
    Flushed(Flushed),
    /// The log is deleted. No record of it follows.
    Drop,
}

/// All that is to be known about the flushed part of a log. The journal repeats the last one of
/// every log before it recycles the file that holds it, so that no log forgets its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Every record of this log at or below is obsolete, whatever its kind. Below the fact's own.
    pub lsn: Lsn,
    /// The log start offset.
    pub start: Offset,
    /// The flushed end, exclusive.
    pub end: Offset,
    /// Leader epochs with the offset each begins at, ascending.
    pub epochs: Vec<(LeaderEpoch, Offset)>,
    /// Base offset and durable bytes of the active segment.
    pub active_segment: Option<(Offset, u64)>,
    /// The high watermark known when the fact was written.
    pub high_watermark: Offset,
}
