//! What is done with bytes that came from outside, one function for each kind: [`TARGETS`]. None may
//! panic, hang, or allocate what the bytes claim rather than what they hold; some also check that
//! what is accepted has the properties that the rest of the broker relies on.
//!
//! The same functions are run by `fuzz/run`, guided by coverage, and by this crate's tests.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a fault of what is tested is a panic here; the data it is given is cut to fit"
)]

mod config;
mod metadata;
mod nodes;
mod protocol;
mod samples;
mod storage;

pub use config::properties;
pub use metadata::{group_records, metadata};
pub use nodes::peers;
pub use protocol::{batches, decompression, requests};
pub use samples::{samples, write_samples};
pub use storage::{journal, log};

/// A function that is given bytes from outside.
pub type Target = fn(&[u8]);

/// Every target by its name, which is the name of its file in `targets`, too.
pub const TARGETS: &[(&str, Target)] = &[
    ("requests", requests),
    ("batches", batches),
    ("decompression", decompression),
    ("group_records", group_records),
    ("journal", journal),
    ("log", log),
    ("metadata", metadata),
    ("peers", peers),
    ("properties", properties),
];

/// Takes one byte from the front; 0 when there is none left.
fn take(data: &mut &[u8]) -> u8 {
    let (first, rest) = data.split_first().unwrap_or((&0, &[]));
    *data = rest;
    *first
}
