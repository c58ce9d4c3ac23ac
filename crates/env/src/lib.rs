//! The seams to the outside: disk, network, clock, randomness; a real and a simulated side of each.
//!
//! Everything above this crate reaches files, time and chance through an [`Env`], so that the same
//! code runs on a real machine and, by seed, on a simulated disk that loses what was not synced.
//!
//! # Invariants
//!
//! - This is the only crate that reads a clock, opens a file, draws entropy from the system or
//!   reads the process environment.
//! - [`conformance`] holds for [`RealDisk`] and [`SimDisk`] alike; what only the simulated side can
//!   do (crash, fail on order) is on its own type.
//!
//! # Not here
//!
//! Configuration keys (`config`), sockets' framing and limits (`net`), what a file means (`journal`
//! and `log`).

mod blocking;
mod clock;
pub mod conformance;
mod disk;
pub mod net;
mod process;
mod real;
mod rng;
mod sim;

use std::sync::Arc;

pub use blocking::blocking;
pub use clock::{Clock, ManualClock, RealClock, SimClock};
pub use disk::{Access, DIRECT_ALIGNMENT, DirEntry, Disk, DiskFile, DiskLock, OpenMode};
pub use process::{env_var, env_vars};
pub use real::RealDisk;
pub use rng::Rng;
pub use sim::{Call, CallKind, CrashKind, Fault, Latency, SimDisk, disk_time_passed};

/// The outside as one process sees it. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Env {
    /// Files and directories.
    pub disk: Arc<dyn Disk>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance. Take a stream of your own with [`Rng::fork`].
    pub rng: Rng,
}

impl Env {
    /// The real machine.
    #[must_use]
    pub fn real() -> Self {
        Self { disk: Arc::new(RealDisk), clock: Arc::new(RealClock::new()), rng: Rng::from_os() }
    }
}
