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

/// Seeds that found something, kept for good.
#[test]
fn what_once_was_lost_is_there() {
    // 5000505: files of a flush that never counted passed for the log's own after a copy within the
    // journal. 5000705: a truncation was sought in segments that the start had passed since.
    // 5000909: zeros of a lost write passed for an aborted transaction. 5000957: producers at such a
    // truncation were taken from a file that a flush left which never counted. 5001312: a high
    // watermark of before a reset came back with the log that had grown again since. 30000012: a time index entry of a flush
    // that never counted was in the page cache only. 30000861: a torn index entry of such a flush
    // led behind the place where the log had been cut. 40000812: a torn state of the producers was
    // taken for the one that segments leave behind when they go. 1000008: whose a directory is had
    // been torn by a crash, and was synced as it was instead of being written again.
    for seed in [
        1_000_008, 5_000_505, 5_000_705, 5_000_909, 5_000_957, 5_001_312, 30_000_012, 30_000_861,
        40_000_812,
    ] {
        if let Err(what) = model::run(seed, 3_000) {
            panic!("CHRONIK_SEED={seed}: {what}");
        }
    }
}

#[test]
fn however_often_it_crashes_one_run_empties_the_journal() {
    for seed in 100..104 {
        if let Err(what) = model::crash_loop(seed, 300) {
            panic!("seed {seed}: {what}");
        }
    }
}
