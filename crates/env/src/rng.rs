//! Chance, by seed.

use std::sync::Arc;

use chronik_types::Uuid;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng as _, RngCore as _, SeedableRng as _};

/// A stream of random numbers. Clones share the stream; [`Rng::fork`] starts another one that
/// depends only on this one's seed and a name, so that one consumer's draws never shift another's.
#[derive(Clone)]
pub struct Rng {
    seed: u64,
    stream: Arc<Mutex<StdRng>>,
}

impl Rng {
    /// The stream of this seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self { seed, stream: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))) }
    }

    /// A stream that nobody can foresee, seeded by the operating system.
    #[must_use]
    pub fn from_os() -> Self {
        let mut stream = StdRng::from_os_rng();
        Self { seed: stream.next_u64(), stream: Arc::new(Mutex::new(stream)) }
    }

    /// An independent stream for the consumer called `name`.
    #[must_use]
    pub fn fork(&self, name: &str) -> Self {
        // FNV-1a, then a SplitMix64 finish: stable over builds, which std's hasher is not.
        let hash = name.bytes().fold(self.seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Self::from_seed(mixed ^ (mixed >> 27))
    }

    /// 64 random bits.
    #[must_use]
    pub fn u64(&self) -> u64 {
        self.stream.lock().next_u64()
    }

    /// `N` random bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.stream.lock().fill_bytes(&mut bytes);
        bytes
    }

    /// A number below `end`; 0 when `end` is 0.
    #[must_use]
    pub fn below(&self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.stream.lock().random_range(0..end) }
    }

    /// True with this probability, which is clamped to 0..=1.
    #[must_use]
    pub fn chance(&self, probability: f64) -> bool {
        self.stream.lock().random_bool(probability.clamp(0.0, 1.0))
    }

    /// A random uuid whose text does not start with a dash.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        loop {
            let uuid = Uuid::from_entropy(self.bytes());
            if !uuid.starts_with_dash() {
                return uuid;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides_and_forks_do_not_disturb_each_other() {
        let (a, b) = (Rng::from_seed(7), Rng::from_seed(7));
        let fork = a.fork("salt");
        assert_eq!(fork.u64(), b.fork("salt").u64());
        assert_eq!(a.u64(), b.u64());
        assert_ne!(a.fork("salt").u64(), a.fork("jitter").u64());
    }

    #[test]
    fn clones_share_one_stream() {
        let a = Rng::from_seed(1);
        assert_ne!(a.u64(), a.clone().u64());
    }

    #[test]
    fn uuids_never_start_with_a_dash() {
        let rng = Rng::from_seed(3);
        assert!((0..2_000).all(|_| !rng.uuid().starts_with_dash()));
    }
}
