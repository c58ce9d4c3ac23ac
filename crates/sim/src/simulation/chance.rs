//! Chance that no seam hands out: what the system is asked for.
//!
//! Hash maps, `select!` and openraft's election timeouts draw from the system's `getrandom`. The
//! crate `mad-turmoil` stands in for it, so that these follow from the seed too.

use rand_for_getrandom::SeedableRng as _;
use rand_for_getrandom::rngs::StdRng;

/// Everything that this process asks the system for from now on follows from `seed`.
pub fn seed(seed: u64) {
    mad_turmoil::rand::set_rng(StdRng::seed_from_u64(seed));
}
