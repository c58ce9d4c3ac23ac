//! The handle through which the broker writes.

use bytes::Bytes;
use chronik_types::TopicPartition;

use crate::{LogId, Record};

/// Who writes; drained in this order, and the first two may use space that clients cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// The metadata log, votes, and the facts about logs that free space: `Flushed`, `Drop`,
    /// `StartOffset`.
    Metadata,
    /// Internal topics.
    Internal,
    /// Everything else.
    Client,
}

/// Why space was not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The journal's files are full until older data has been flushed. Passes.
    #[error("the journal is full until older data has been flushed")]
    JournalFull,
    /// The filesystem is at its floor, or a write is waiting for space. Passes.
    #[error("the disk is full")]
    DiskFull,
    /// Larger than half a journal file. Never passes.
    #[error("larger than a journal file can take")]
    TooLarge,
    /// The journal has stopped. Never passes.
    #[error("the journal has stopped")]
    Stopped,
}

/// Journal space granted to its holder; given back when dropped, used up by a submission.
pub struct Reservation {
    bytes: u64,
}

impl Reservation {
    /// Bytes left in it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        unimplemented!()
    }

    /// Takes a part for `bytes` of records out of this reservation; one admission may so cover
    /// several submissions. Takes what is left if that is less.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Self {
        unimplemented!()
    }
}

/// What has been written, and how full it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Groups made durable.
    pub groups: u64,
    /// Syncs of group writes; equal to `groups`.
    pub syncs: u64,
    /// Records submitted and made durable.
    pub records: u64,
    /// Bytes of groups, with padding.
    pub bytes: u64,
    /// Bytes of live files in use.
    pub used_bytes: u64,
    /// Bytes reserved or queued, not yet written.
    pub queue_bytes: u64,
    /// Microseconds spent writing.
    pub write_micros: u64,
    /// Microseconds spent syncing.
    pub sync_micros: u64,
    /// The longest sync, in microseconds.
    pub sync_micros_max: u64,
    /// Journal files on disk.
    pub files: u64,
}

/// The running journal. Clones share it.
#[derive(Clone)]
pub struct Journal {}

impl Journal {
    /// Reserves space for records with `bytes` of batches.
    ///
    /// # Errors
    ///
    /// See [`Refused`]; [`DurableSink::space_freed`](crate::DurableSink::space_freed) says when to
    /// try again.
    pub fn try_reserve(&self, class: Class, bytes: usize) -> Result<Reservation, Refused> {
        unimplemented!()
    }

    /// A new id for a replica of `partition`.
    #[must_use]
    pub fn new_log(&self, partition: TopicPartition) -> LogId {
        unimplemented!()
    }

    /// Queues records of one log, in order, as one unit: they become durable in one group. Returns
    /// a ticket; tickets increase. Never fails: after a stop, nothing is reported durable any more.
    pub fn submit(
        &self,
        reservation: Reservation,
        class: Class,
        log: LogId,
        records: Vec<Record>,
    ) -> u64 {
        unimplemented!()
    }

    /// Queues a vote, before or after the records of the metadata log as they are submitted.
    pub fn save_vote(&self, vote: Bytes) -> u64 {
        unimplemented!()
    }

    /// The oldest file that cannot be recycled, and the logs with unflushed records in it.
    #[must_use]
    pub fn oldest_unrecyclable(&self) -> Option<(u64, Vec<LogId>)> {
        unimplemented!()
    }

    /// What has been written so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        unimplemented!()
    }

    /// Writes what is queued, seals the journal and joins its thread. Later calls do nothing.
    pub fn shutdown(&self) {
        unimplemented!()
    }
}
