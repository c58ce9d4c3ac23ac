//! What the journal reports.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use chronik_types::Offset;

use crate::{LogId, Lsn};

/// A group that has become durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurableGroup {
    /// The position of the group's last record: everything at or below is durable.
    pub lsn: Lsn,
    /// One entry per submitted record, in the order of their positions.
    pub records: Vec<Completed>,
}

/// A submitted record that has become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completed {
    /// Whose record it is; [`LogId::JOURNAL`] for a vote.
    pub log: LogId,
    /// Where it is.
    pub lsn: Lsn,
    /// The log end offset after it, if it is an append.
    pub end: Option<Offset>,
    /// What [`Journal::submit`](crate::Journal::submit) returned.
    pub ticket: u64,
}

/// Told by the journal's thread what happened. Every call must return at once: while it runs,
/// nothing is written.
pub trait DurableSink: Send {
    /// A group is durable. Groups come in the order of their positions.
    fn group_durable(&mut self, group: DurableGroup);
    /// Journal or disk space has come back: what was refused may be tried again.
    fn space_freed(&mut self);
    /// The journal has stopped for good; nothing submitted and not yet reported durable will be.
    /// The broker must stop.
    fn failed(&mut self, error: &JournalError);
}

/// Why the journal stopped.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// A write failed, and not for want of space.
    #[error("writing the journal file {path:?} at {position} failed: {error}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Bytes from its start.
        position: u64,
        /// What the system said.
        error: Arc<io::Error>,
    },
    /// A sync failed: what the page cache shows and what the disk holds may differ from here on.
    #[error("syncing the journal file {path:?} failed: {error}; the broker must not go on")]
    Sync {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: Arc<io::Error>,
    },
}
