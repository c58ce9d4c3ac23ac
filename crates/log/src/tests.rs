mod flushing;
mod model;

use crate::bugs;

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_invented() {
    let seen = model::run_many(1, 40_000, 2_000);
    for (what, count) in [
        ("appends", seen.appends),
        ("duplicates", seen.duplicates),
        ("refused sequences", seen.refused_sequences),
        ("crashes", seen.crashes),
        ("crashes inside operations", seen.crashes_inside),
        ("crashes in recovery", seen.crashes_in_recovery),
        ("clean stops", seen.clean_stops),
        ("flushes", seen.flushes),
        ("copies forward", seen.copies),
        ("failed writes", seen.failed_writes),
        ("failed syncs", seen.failed_syncs),
        ("truncations", seen.truncations),
        ("truncations in files", seen.truncations_in_files),
        ("resets", seen.resets),
        ("starts moved", seen.starts_moved),
        ("retention moves", seen.retention_moves),
        ("segments removed", seen.segments_removed),
        ("segment reads", seen.segment_reads),
        ("lookups", seen.lookups),
        ("deletions", seen.deletions),
        ("transactions", seen.transactions),
    ] {
        assert!(count > 10, "the run saw too few {what}: {seen:?}");
    }
}

#[test]
fn however_often_it_crashes_one_run_empties_the_journal() {
    for seed in 1..=2 {
        if let Err(what) = model::crash_loop(seed, 200) {
            panic!("seed {seed}: {what}");
        }
    }
}

fn is_caught(bug: &'static str) {
    bugs::plant(Some(bug));
    let caught = (1..=80).any(|seed| model::run(seed, 1_500).is_err());
    bugs::plant(None);
    assert!(caught, "the model does not see the bug {bug}");
}

#[test]
fn a_truncation_ignored_at_replay_is_caught() {
    is_caught("drop_truncations");
}

#[test]
fn a_sidecar_with_one_batch_is_caught() {
    is_caught("one_batch_sidecar");
}

#[test]
fn a_segment_not_synced_is_caught() {
    is_caught("leave_out_segment_sync");
}

#[test]
fn a_directory_not_synced_is_caught() {
    is_caught("leave_out_directory_sync");
}

#[test]
fn stale_files_left_in_place_are_caught() {
    is_caught("keep_stale_files");
}

#[test]
fn segments_unlinked_before_the_start_is_durable_are_caught() {
    is_caught("unlink_before_start_is_durable");
}
