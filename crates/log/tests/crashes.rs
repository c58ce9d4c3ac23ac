//! The long run of the log against its model. `CHRONIK_SEED` replays one seed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test, whose helpers clippy does not know as such"
)]

#[path = "../src/tests/model/mod.rs"]
#[allow(dead_code, reason = "the short run uses the rest")]
mod model;

#[test]
fn hundreds_of_thousands_of_operations_lose_nothing() {
    let seen = model::run_many(1_000_000, 300_000, 3_000);
    assert!(seen.appends > 50_000, "{seen:?}");
}
