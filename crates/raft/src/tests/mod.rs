//! Tests that need the parts of this crate together.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod conflicting_snapshot;
mod durable_files;
pub(crate) mod log_model;
mod storage_suite;
mod support;
