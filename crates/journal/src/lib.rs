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

mod bugs;
mod core;
mod crc;
mod damage;
mod direct;
mod directory;
mod entry;
mod fields;
mod file_header;
mod files;
mod frame;
mod group;
mod inspect;
mod journal;
mod open;
mod options;
mod prepare;
mod reader;
mod record;
mod recovery;
mod replay;
mod shared;
#[cfg(chronik_sim)]
mod simulated;
mod sink;
mod staged;
mod stats;
mod table;
#[cfg(not(chronik_sim))]
mod threads;

pub use crate::core::{Core, Part, Step};
pub use crc::batch_crc;
pub use damage::Damage;
pub use inspect::{Sight, clear_lossy, inspect, skip};
pub use journal::Journal;
pub use open::{OpenError, Opened, Recovery, open};
pub use options::Options;
pub use record::{Flushed, LogId, Lsn, Record};
pub use replay::RecoveredLog;
pub use shared::{Class, Refused, Reservation};
pub use sink::{Completed, DurableGroup, DurableSink, JournalError};
pub use stats::Stats;

#[cfg(test)]
extern crate self as chronik_journal;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
