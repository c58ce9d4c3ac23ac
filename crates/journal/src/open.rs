//! From files to a journal that writes.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use chronik_env::Env;
use chronik_types::TopicPartition;

use crate::{DurableSink, Flushed, Journal, LogId, Lsn, Options, Record};

/// What the journal's files said.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Every log with a record in a live file.
    pub logs: BTreeMap<LogId, RecoveredLog>,
    /// The last vote.
    pub vote: Option<Bytes>,
    /// Whether the journal was sealed by a clean stop, or is new.
    pub clean: bool,
    /// Whether damage was skipped on an operator's order: logs may miss acknowledged records.
    pub lossy: bool,
    /// The next log id to be given out.
    pub next_log: LogId,
    /// Bytes read from journal files.
    pub bytes_read: u64,
}

/// What the journal's files said about one log.
#[derive(Debug)]
pub struct RecoveredLog {
    /// Whose log it is.
    pub partition: TopicPartition,
    /// The last flush.
    pub flushed: Option<Flushed>,
    /// What came after it, in order. Batches are slices of the read buffers.
    pub records: Vec<(Lsn, Record)>,
    /// Whether the log has been dropped: only its deletion is left to finish.
    pub dropped: bool,
}

/// Why a journal could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system refused.
    #[error("{path:?}: {error}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Acknowledged data cannot be read back.
    #[error(
        "the journal file {path:?} is damaged at {position}: {why}. \
         Look with `chronik-server journal inspect`. If other replicas hold the data, or the loss \
         is accepted, `chronik-server journal skip` goes on without it"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Its sequence number.
        file: u64,
        /// Bytes from its start.
        position: u64,
        /// What is wrong there.
        why: &'static str,
    },
    /// A file was written by a newer version of this program.
    #[error(
        "the journal file {path:?} has format version {version}; this program knows up to {known}"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// The newest version this program reads.
        known: u32,
    },
    /// The files belong to another cluster, node or directory.
    #[error("the journal file {path:?} belongs to another {what}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// `cluster`, `node` or `data directory`.
        what: &'static str,
    },
    /// The options contradict each other.
    #[error("journal options: {0}")]
    Options(&'static str),
}

/// A journal that has been read and is ready to write.
pub struct Opened {}

impl Opened {
    /// Starts the journal's thread.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn start(self, sink: Box<dyn DurableSink>) -> io::Result<Journal> {
        unimplemented!()
    }

    /// The journal without a thread: nothing moves but by [`Core::step`].
    #[must_use]
    pub fn into_core(self, sink: Box<dyn DurableSink>) -> Core {
        unimplemented!()
    }
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A group became durable.
    Durable,
    /// There is nothing to do.
    Idle,
    /// The disk is full; the step must be tried again later.
    WaitingForSpace,
    /// The journal has stopped, by a shutdown or a failure.
    Stopped,
}

/// The journal as a machine driven from outside: by its thread, a test or a simulation.
pub struct Core {}

impl Core {
    /// The handle to write with.
    #[must_use]
    pub fn journal(&self) -> Journal {
        unimplemented!()
    }

    /// Drains one group, if there is something to write, and makes it durable.
    pub fn step(&mut self) -> Step {
        unimplemented!()
    }
}

/// Reads the journal in `options.dir`, creating it if there is none, and prepares it to write.
///
/// # Errors
///
/// See [`OpenError`].
pub fn open(env: &Env, options: Options) -> Result<(Recovery, Opened), OpenError> {
    unimplemented!()
}

/// CRC-32C of a whole batch from the one in its header.
#[must_use]
pub fn batch_crc(batch: &[u8]) -> Option<u32> {
    unimplemented!()
}
