//! A whole cluster in one process, by seed: the real code of every node on simulated disks, a
//! simulated network and simulated clocks, under a workload and faults; see `docs/simulation.md`.
//!
//! ```text
//! seed ─► plan (cluster, workload, faults) ─► world: hosts stepped by milliseconds ─► history ─► checks
//! ```
//!
//! **Invariants**
//! - A process runs one seed, on one thread. The seed decides everything, down to the trace's bytes.
//! - The plan is made before the run: a run never draws from what the plan is drawn from.
//!
//! **Not here:** many seeds, the build with its flags (`cargo xtask sim`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a program that tests: what goes wrong here must end the run"
)]

#[cfg(chronik_sim)]
mod simulation;

#[cfg(chronik_sim)]
fn main() -> std::process::ExitCode {
    simulation::main()
}

#[cfg(not(chronik_sim))]
fn main() -> std::process::ExitCode {
    eprintln!("this build has no simulator in it: run `cargo xtask sim`");
    std::process::ExitCode::FAILURE
}
