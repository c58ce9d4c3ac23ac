//! Logs against a model of them, on the simulated disk, with crashes of both kinds between and
//! inside all operations, those of recovery included.
//!
//! What must hold after every crash: each log is in a state it had between the last operation known
//! durable and the last one submitted; so what was acknowledged is there, offsets are dense, nothing
//! is invented, neither end is forgotten, and the producers are those of exactly these batches.

mod appending;
mod crashing;
mod cutting;
mod flushing;
mod partition;
mod producing;
mod reading;
mod reference;
mod seen;
mod world;

pub use seen::Seen;
pub use world::{crash_loop, run};

/// Runs seeds from `first` until there were `operations`, `per_seed` each. `CHRONIK_SEED` in the
/// environment replays one seed only; `CHRONIK_FIRST_SEED` and `CHRONIK_OPERATIONS` ask for others, and
/// for more.
pub fn run_many(first: u64, operations: u64, per_seed: u64) -> Seen {
    let number = |name: &str| chronik_env::env_var(name).and_then(|text| text.parse::<u64>().ok());
    let replay = number("CHRONIK_SEED");
    let first = number("CHRONIK_FIRST_SEED").unwrap_or(first);
    let operations = number("CHRONIK_OPERATIONS").unwrap_or(operations);
    let mut seen = Seen::default();
    let seeds = match replay {
        Some(seed) => seed..seed + 1,
        None => first..first + operations.div_ceil(per_seed),
    };
    for seed in seeds {
        match run(seed, per_seed) {
            Ok(more) => seen.add(&more),
            Err(what) => panic!("CHRONIK_SEED={seed} ({per_seed} operations): {what}"),
        }
    }
    println!("{seen:?}");
    seen
}
