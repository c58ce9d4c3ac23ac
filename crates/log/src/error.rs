//! What can go wrong, one enum per operation.

use std::io;
use std::path::{Path, PathBuf};

use chronik_types::{LeaderEpoch, Offset, TopicPartition};

/// The system refused an operation on a file or directory.
#[derive(Debug, thiserror::Error)]
#[error("{path:?}: {error}")]
pub struct FileError {
    /// The file or directory.
    pub path: PathBuf,
    /// What the system said.
    pub error: io::Error,
}

/// Bytes on disk contradict what the journal says about them. Nothing is cut or deleted; an
/// operator decides.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{path:?} is damaged at {position}: {why}. If other replicas hold this partition, reassign it \
     to other brokers and back: this replica is deleted, and then replicated again"
)]
pub struct CorruptFile {
    /// The file.
    pub path: PathBuf,
    /// Bytes from its start.
    pub position: u64,
    /// What is wrong there.
    pub why: &'static str,
}

/// Reading or writing a log's files failed.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// The bytes there are not what was written.
    #[error(transparent)]
    Corrupt(#[from] CorruptFile),
}

impl DiskError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |error| Self::File(FileError { path: path.to_owned(), error })
    }

    pub(crate) fn corrupt(path: &Path, position: u64, why: &'static str) -> Self {
        Self::Corrupt(CorruptFile { path: path.to_owned(), position, why })
    }

    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::File(e) if e.error.kind() == io::ErrorKind::NotFound)
    }
}

/// Why the storage could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// `log.dirs` names no directory.
    #[error("log.dirs names no directory")]
    NoLogDirs,
    /// Another process uses the directory.
    #[error(
        "{path:?} is locked by another process: a data directory can be used by one broker only. \
         Stop the other one, or choose another log.dirs"
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The system refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] chronik_journal::OpenError),
    /// The system gives no thread for the journal.
    #[error("the journal's thread could not be started: {0}")]
    Thread(io::Error),
}

/// The storage has stopped, by a shutdown or a failed disk: nothing becomes durable any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the storage has stopped")]
pub struct Stopped;

/// Why an admission was refused. Nothing has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmitError {
    /// The deadline passed before there was room.
    #[error("no room before the deadline")]
    Expired,
    /// The filesystem is at its floor.
    #[error("the disk is full")]
    DiskFull,
    /// Larger than the journal can ever take as one record.
    #[error("{bytes} bytes are more than the journal takes at once")]
    TooLarge {
        /// What was asked for.
        bytes: usize,
    },
    /// The storage has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why a log cannot be opened, closed or deleted.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// It is open already.
    #[error("the log of {0} is open already")]
    AlreadyOpen(TopicPartition),
    /// It is not open, and nothing durable is known of it.
    #[error("there is no log of {0}")]
    Unknown(TopicPartition),
    /// A journal record does not continue the log: acknowledged records are missing.
    #[error("the log of {partition} is damaged: offset {found} follows {end}")]
    Gap {
        /// Whose log.
        partition: TopicPartition,
        /// Where the log ends.
        end: Offset,
        /// Where the record begins.
        found: Offset,
    },
    /// A journaled batch cannot be read.
    #[error("the log of {partition} is damaged: the journaled batch at {offset} is unreadable")]
    Batch {
        /// Whose log.
        partition: TopicPartition,
        /// The batch's base offset.
        offset: Offset,
    },
    /// Its files cannot be read or are damaged.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The journal has no room for the fact; free space and try again.
    #[error("the journal has no room: {0}")]
    NoRoom(chronik_journal::Refused),
    /// The storage has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl LogError {
    /// Whether the bytes on disk are not what was acknowledged; trying again does not help.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Gap { .. } | Self::Batch { .. } | Self::Disk(DiskError::Corrupt(_)))
    }
}

/// Why a batch was not appended. Nothing has been written.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The sequence is neither the next one nor that of a recent batch.
    #[error("sequence {found} of producer {producer_id} is out of order, {expected} is next")]
    OutOfOrderSequence {
        /// Whose batch.
        producer_id: i64,
        /// The only sequence that would do.
        expected: i32,
        /// The batch's first.
        found: i32,
    },
    /// A newer incarnation of the producer is known.
    #[error("producer epoch {found} is older than {current}")]
    InvalidProducerEpoch {
        /// The newest known.
        current: i16,
        /// The batch's.
        found: i16,
    },
    /// The batch does not fit the state of its producer's transaction.
    #[error("the batch does not fit the state of its producer's transaction")]
    InvalidTxnState,
    /// The marker comes from a transaction coordinator that has been replaced.
    #[error("coordinator epoch {found} is older than {current}")]
    TransactionCoordinatorFenced {
        /// The newest known.
        current: i32,
        /// The marker's.
        found: i32,
    },
    /// A later leader epoch is in force.
    #[error("leader epoch {found} is older than {current}")]
    StaleEpoch {
        /// The one in force.
        current: LeaderEpoch,
        /// The append's.
        found: LeaderEpoch,
    },
    /// Batches that carry their offsets do not begin at the end of the log.
    #[error("a batch at {found} does not continue a log that ends at {end}")]
    NotContiguous {
        /// The log end offset.
        end: Offset,
        /// The batch's base offset.
        found: Offset,
    },
    /// The bytes are not whole batches.
    #[error("not a sequence of whole batches")]
    Malformed,
    /// The log has no offsets left.
    #[error("the log has no offsets left")]
    OffsetsExhausted,
    /// The permit does not cover the bytes.
    #[error("the permit has {left} bytes left, {needed} are needed")]
    PermitTooSmall {
        /// What it still covers.
        left: usize,
        /// What the append needs.
        needed: usize,
    },
    /// The log is deleted or closed.
    #[error("the log is gone")]
    Gone,
    /// The producers' state could not be loaded.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The storage has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The offset is below the start or above the end.
    #[error("offset {offset} is out of the range {start} to {end}")]
    OutOfRange {
        /// What was asked for.
        offset: Offset,
        /// The log start offset.
        start: Offset,
        /// The log end offset.
        end: Offset,
    },
    /// A batch in the log cannot be searched.
    #[error("the batch at {offset} cannot be searched: {error}")]
    Batch {
        /// Its base offset.
        offset: Offset,
        /// Why.
        error: chronik_protocol::batch::BatchError,
    },
    /// The log was cut, or its old segments removed, while it was being read: read again.
    #[error("the log changed while it was being read")]
    Changed,
    /// The log is deleted or closed.
    #[error("the log is gone")]
    Gone,
    /// A file cannot be read or is damaged.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Why a log could not be cut or its start moved.
#[derive(Debug, thiserror::Error)]
pub enum CutError {
    /// The offset is not one the operation may name.
    #[error("offset {offset} is out of the range {start} to {end}")]
    OutOfRange {
        /// What was asked for.
        offset: Offset,
        /// The least that could be.
        start: Offset,
        /// The greatest that could be.
        end: Offset,
    },
    /// The journal has no room for the fact; free space and try again.
    #[error("the journal has no room: {0}")]
    NoRoom(chronik_journal::Refused),
    /// The log is deleted or closed.
    #[error("the log is gone")]
    Gone,
    /// A segment that must be read is unreadable.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The storage has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why a flush did not finish; what it wrote is written again by the next one.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    /// A log's files could not be written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The journal has no room for the fact.
    #[error("the journal has no room: {0}")]
    NoRoom(chronik_journal::Refused),
    /// The storage has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}
