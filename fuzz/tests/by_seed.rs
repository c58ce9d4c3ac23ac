//! Every target with bytes by seed: noise, samples with changes, and whatever once failed.

#![allow(clippy::disallowed_methods, reason = "a test reads its files")]

use std::path::Path;

use chronik_env::Rng;
use chronik_fuzz::{TARGETS, Target, samples};

/// Inputs a target is given; a start on changed files takes far longer than a decoder.
const INPUTS: u64 = 4_000;
const STARTS: u64 = 150;
const NOISE_BYTES_MAX: u64 = 300;
const CHANGES_MAX: u64 = 4;

fn target(name: &str) -> Target {
    TARGETS.iter().find(|(known, _)| *known == name).expect("a target").1
}

fn below(rng: &Rng, end: usize) -> usize {
    rng.below(end as u64) as usize
}

fn input(rng: &Rng, samples: &[Vec<u8>]) -> Vec<u8> {
    let noise = |length| (0..length).map(|_| rng.below(256) as u8).collect();
    if samples.is_empty() || rng.below(8) == 0 {
        return noise(rng.below(NOISE_BYTES_MAX));
    }
    let mut input = samples[below(rng, samples.len())].clone();
    for _ in 0..rng.below(CHANGES_MAX + 1) {
        let at = below(rng, input.len().max(1));
        match rng.below(8) {
            0 => input.truncate(at),
            1 => drop(input.splice(at.min(input.len()).., noise(rng.below(20)))),
            2 => input.iter_mut().skip(at).take(4).for_each(|byte| *byte = 0xff),
            _ => input.iter_mut().skip(at).take(1).for_each(|byte| *byte = rng.below(256) as u8),
        }
    }
    input
}

fn throw(name: &str, inputs: u64) {
    let (run, samples) = (target(name), samples(name));
    samples.iter().for_each(|sample| run(sample));
    let seed = Rng::from_os().u64();
    // Shown when the test fails.
    println!("{name}: seed {seed}");
    let rng = Rng::from_seed(seed);
    for n in 0..inputs {
        let input = input(&rng.fork(&n.to_string()), &samples);
        let outcome = std::panic::catch_unwind(|| run(&input));
        assert!(outcome.is_ok(), "{name} fails on input {n} of seed {seed}: {input:?}");
    }
}

macro_rules! targets {
    ($($name:ident: $inputs:expr,)*) => {
        $(#[test] fn $name() { throw(stringify!($name), $inputs); })*

        #[test]
        fn each_target_is_here() {
            let here = [$(stringify!($name)),*];
            assert!(TARGETS.iter().all(|(name, _)| here.contains(name)));
        }
    };
}

targets! {
    requests: INPUTS,
    batches: INPUTS,
    decompression: INPUTS,
    group_records: INPUTS,
    journal: STARTS,
    log: STARTS,
    metadata: INPUTS,
    peers: INPUTS,
    properties: INPUTS / 8,
}

#[test]
fn what_once_failed_fails_no_more() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    for (name, run) in TARGETS {
        let Ok(entries) = std::fs::read_dir(folder.join(name)) else { continue };
        for entry in entries {
            let path = entry.expect("an entry").path();
            println!("{}", path.display());
            run(&std::fs::read(path).expect("an input"));
        }
    }
}
