//! The write-ahead log of one broker: group commit by one writer, recovery.
//!
//! ```text
//! try_reserve ─► submit ─► queue ─► group ─► one write ─► one fdatasync ─► DurableSink
//!  (admission)   (crc)              one frame, 4 KiB aligned               one call per group
//! ```
//!
//! # Invariants
//!
//! - A group is written only after the one before it is durable, and replays whole or not at all.
//! - An [`Lsn`] is given out once and orders all records of all logs; what a [`Flushed`] fact covers
//!   is never replayed.
//! - Files are recycled strictly oldest first, and only after a durable header names a younger file
//!   as the oldest live one.
//! - After a failed sync nothing is written any more.
//!
//! # Not here
//!
//! What a batch means, offsets' rules, segments, flushing (`log`); who waits for what (`broker`).
//! The bytes on disk are described in `docs/formats/journal.md`.
#![allow(clippy::unimplemented, unused_variables, dead_code, reason = "filled in next")]

mod journal;
mod open;
mod options;
mod record;
mod sink;

pub use journal::{Class, Journal, Refused, Reservation, Stats};
pub use open::{Core, OpenError, Opened, RecoveredLog, Recovery, Step, batch_crc, open};
pub use options::Options;
pub use record::{Flushed, LogId, Lsn, Record};
pub use sink::{Completed, DurableGroup, DurableSink, JournalError};
