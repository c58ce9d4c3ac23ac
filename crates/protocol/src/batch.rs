//! The record batch: the unit in which records are produced, stored, replicated and fetched.
//!
//! A batch (Kafka's magic 2) is a header of 61 bytes followed by its records, compressed or not.
//! The broker handles it as bytes: the header is read in place, base offset and leader epoch are
//! stamped in place, and the records are only walked, never rebuilt, unless they must change.
//!
//! | at | bytes | field | |
//! |---|---|---|---|
//! | 0 | 8 | base offset | outside the CRC |
//! | 8 | 4 | length of what follows | |
//! | 12 | 4 | partition leader epoch | outside the CRC |
//! | 16 | 1 | magic, 2 | |
//! | 17 | 4 | CRC-32C of everything from byte 21 on | |
//! | 21 | 2 | attributes | [`Attributes`] |
//! | 23 | 4 | last offset delta | |
//! | 27 | 8 | base timestamp | the delete horizon when that bit is set |
//! | 35 | 8 | max timestamp | |
//! | 43 | 8 | producer id | |
//! | 51 | 2 | producer epoch | |
//! | 53 | 4 | base sequence | |
//! | 57 | 4 | record count | 0 is possible after compaction |
//!
//! **Invariants**: no function here panics on any bytes, reads outside the batch, or reserves
//! memory that the bytes at hand do not justify. Decompression always has a bound.
//!
//! **Not here**: whether a batch may be appended (`validate`), and which offset it gets (the log).

mod builder;
mod control;
mod header;
mod lookup;
mod record;
mod records;
mod walk;

pub use builder::{BatchBuilder, BuildError};
pub use control::{
    ControlType, EndTransactionMarker, MarkerKind, end_transaction_marker, leader_change,
};
pub use header::{
    Attributes, BatchError, BatchHeader, Batches, HEADER_BYTES, TimestampType, batches, stamp,
    verify_crc,
};
pub use lookup::{find_max_timestamp, find_timestamp};
pub use record::{Header, HeadersIter, RecordError, RecordRef};
pub use records::{BatchRecords, RecordsIter, records};

pub(crate) use walk::{RecordShape, SliceSource, Source, StreamSource, walk_record};

#[cfg(test)]
pub(crate) mod tests;
