//! The runs: many seeds, not many steps each, since what is rare needs a beginning more than time.

use std::collections::BTreeMap;

use super::cluster::Cluster;
use crate::bugs;

const STEPS: u32 = 2_000;

/// What a driver could do wrong; the simulated one does on order.
const DRIVER_BUGS: &[&str] = &[
    // After a restart it follows whom an image from before its registration names.
    "act_on_an_old_image",
    // An empty log that begins somewhere counts as durable before the disk knows.
    "acknowledge_a_reset_at_once",
];

/// What must have happened in the end, or the runs prove nothing.
const WANTED: &[&str] = &[
    "acknowledged",
    "additions",
    "crashes",
    "elections",
    "fencings",
    "late commits",
    "other proposals",
    "refusals",
    "removals",
    "resets",
    "stale data",
    "switches",
    "truncations",
    "unknown outcomes",
    "wipes",
];

fn run(seed: u64, counts: &mut BTreeMap<&'static str, u64>) -> Result<(), String> {
    let mut cluster = Cluster::new(seed);
    let steps = (0..STEPS).try_for_each(|step| {
        cluster.step().map_err(|why| format!("CHRONIK_SEED={seed}, step {step}: {why}"))
    });
    let result = steps.and_then(|()| {
        cluster.settle().map_err(|why| format!("CHRONIK_SEED={seed}, settling: {why}"))
    });
    for (what, count) in &cluster.counts {
        *counts.entry(what).or_default() += count;
    }
    result
}

fn number(name: &str) -> Option<u64> {
    chronik_env::env_var(name).and_then(|value| value.parse().ok())
}

/// `CHRONIK_SEED` replays one seed; `CHRONIK_FIRST_SEED` and `CHRONIK_SEEDS` ask for others.
#[test]
fn nothing_is_lost_and_all_agree_in_the_end() {
    bugs::plant(None);
    let replay = number("CHRONIK_SEED");
    let first = replay.or(number("CHRONIK_FIRST_SEED")).unwrap_or(0);
    let seeds = if replay.is_some() { 1 } else { number("CHRONIK_SEEDS").unwrap_or(200) };
    println!("seeds {first} to {}, {STEPS} steps each", first + seeds);
    let mut counts = BTreeMap::new();
    for seed in first..first + seeds {
        if let Err(why) = run(seed, &mut counts) {
            panic!("{why}");
        }
    }
    println!("{counts:?}");
    let missing: Vec<_> = WANTED.iter().filter(|what| !counts.contains_key(*what)).collect();
    assert!(seeds < 200 || missing.is_empty(), "never happened: {missing:?}");
}

#[test]
fn what_once_was_lost_is_there() {
    bugs::plant(None);
    // 5241: a cut at the leader's start kept records that the leader knew nothing of.
    for seed in [5241] {
        if let Err(why) = run(seed, &mut BTreeMap::new()) {
            panic!("{why}");
        }
    }
}

#[test]
fn every_planted_bug_is_seen() {
    for bug in bugs::ALL.iter().chain(DRIVER_BUGS) {
        bugs::plant(Some(bug));
        // The simulated log has assertions of its own.
        let attempt = |seed| std::panic::catch_unwind(|| run(seed, &mut BTreeMap::new()));
        let seen = (0..1000).find_map(|seed| match attempt(seed) {
            Ok(result) => result.err(),
            Err(_) => Some(format!("CHRONIK_SEED={seed}: an assertion failed")),
        });
        bugs::plant(None);
        println!("{bug}: {seen:?}");
        assert!(seen.is_some(), "{bug} goes unseen");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let trace = || {
        let mut counts = BTreeMap::new();
        let mut cluster = Cluster::new(77);
        for _ in 0..STEPS {
            cluster.step().unwrap();
        }
        counts.append(&mut cluster.counts.clone());
        (counts, format!("{cluster:?}"))
    };
    assert_eq!(trace(), trace());
}
