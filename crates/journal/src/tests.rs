mod damage;
mod rig;
mod threads;
mod writing;

use crate::bugs;
use crate::model;

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_invented() {
    let seen = model::run_many(1, 60_000, 3_000);
    for (what, count) in [
        ("durable records", seen.durable),
        ("submissions adopted", seen.adopted),
        ("crashes", seen.crashes),
        ("crashes inside operations", seen.crashes_inside),
        ("crashes in recovery", seen.crashes_in_recovery),
        ("failed syncs", seen.failed_syncs),
        ("full disks", seen.full_disks),
        ("clean stops", seen.clean_stops),
        ("recycled files", seen.files_recycled),
        ("repeated facts", seen.facts_repeated),
        ("refusals", seen.refused),
    ] {
        let replays_one_seed = seen.operations < 60_000;
        assert!(count > 20 || replays_one_seed, "the run saw too few {what}: {seen:?}");
    }
}

#[test]
fn one_seed_does_the_same_twice() {
    let seen = || format!("{:?}", model::run(7, 3_000));
    assert_eq!(seen(), seen());
}

fn is_caught(bug: &'static str) {
    bugs::plant(Some(bug));
    let caught = (1..=60).any(|seed| model::run(seed, 2_000).is_err());
    bugs::plant(None);
    assert!(caught, "the model does not see the bug {bug}");
}

#[test]
fn a_sync_left_out_is_caught() {
    is_caught("leave_out_sync");
}

#[test]
fn a_flush_fact_not_repeated_is_caught() {
    is_caught("forget_facts");
}

#[test]
fn trusting_the_page_cache_is_caught() {
    is_caught("trust_the_page_cache");
}

#[test]
fn replaying_below_a_flush_is_caught() {
    is_caught("replay_below_flushed");
}

#[test]
fn recycling_what_is_not_flushed_is_caught() {
    is_caught("recycle_unflushed");
}

#[test]
fn a_vote_not_repeated_is_caught() {
    is_caught("forget_vote");
}
