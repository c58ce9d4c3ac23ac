//! A partition log: tail in memory, segments in Kafka's format, durable through the journal.
//!
//! ```text
//!              admit                 journal (group commit)
//!  batch ─► Permit ─► Log::append ──┬──────────► durable ─► LogListener
//!                                   └─► tail ──► flush ──► segments ──► retention
//!  reader ◄──────── from memory ────────┘                      │
//!  reader ◄──────── SegmentRead::run ──────────────────────────┘
//! ```
//!
//! # Invariants
//!
//! - What a listener was told is durable survives a power cut at any instant, with its offset, and
//!   so do the log's start and end, its epochs and what it knows of its producers.
//! - Offsets are dense and given once: from assignment on an append can only succeed or the broker
//!   stops; only a truncation takes it back.
//! - The bytes that were validated are the bytes in the journal, in memory, in segments and at the
//!   consumer. They are copied only where a small batch would keep a large buffer alive.
//! - A partition that was never written costs a few hundred bytes: no file, thread, timer or loop.
//!
//! # Not here
//!
//! How groups become durable (`journal`), what a batch must look like (`protocol`), leadership,
//! replication and waiting (`broker`). The files are described in `docs/formats/log.md`.

mod admission;
mod append;
mod bugs;
mod cache;
mod checkpoint;
mod completions;
mod config;
mod cut;
mod deletion;
mod dirs;
mod dirty;
mod error;
mod flush;
mod flush_files;
mod held;
mod leader_epochs;
mod log;
mod lookup;
mod open_files;
mod producer_snapshot;
mod producer_state;
mod producers;
mod read;
mod recovery;
mod replay;
mod retention;
mod segment;
mod sizes;
mod storage;
mod tail;
mod transactions;
mod votes;

pub use admission::Permit;
pub use append::{Appended, Origin};
pub use completions::Completions;
pub use config::{LogConfig, Options};
pub use error::{
    AdmitError, AppendError, CorruptFile, CutError, DiskError, FileError, FlushError, LogError,
    OpenError, ReadError, Stopped,
};
pub use flush::FlushReport;
pub use log::{Log, LogListener, Offsets, Position};
pub use lookup::{TimedRecord, TimestampLookup};
pub use producers::{BatchMeta, ProducerSummary};
pub use read::{Fetched, Read, ReadLimit, SegmentRead};
pub use retention::{RetentionError, RetentionReport};
pub use sizes::LogSize;
pub use storage::{StartReport, Storage, StorageStats};
pub use transactions::AbortedTransaction;

#[cfg(test)]
extern crate self as chronik_log;
#[cfg(test)]
mod tests;
