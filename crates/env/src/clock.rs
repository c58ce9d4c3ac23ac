//! Time: a monotonic clock that only measures, and the wall's clock, which may jump.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chronik_types::{Monotonic, Timestamp};
use parking_lot::Mutex;

/// A source of time. [`Clock::monotonic`] never goes back; [`Clock::wall`] may.
pub trait Clock: Send + Sync {
    /// Time since an arbitrary start of this process.
    fn monotonic(&self) -> Monotonic;
    /// Milliseconds since the Unix epoch.
    fn wall(&self) -> Timestamp;
}

/// The machine's clocks.
pub struct RealClock {
    start: Instant,
}

impl RealClock {
    /// A clock whose monotonic time starts now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for RealClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for RealClock {
    fn monotonic(&self) -> Monotonic {
        Monotonic(self.start.elapsed())
    }

    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A clock that moves only when told to.
#[derive(Default)]
pub struct ManualClock {
    now: Mutex<(Monotonic, Timestamp)>,
}

impl ManualClock {
    /// A clock at monotonic zero and at `wall`.
    #[must_use]
    pub fn new(wall: Timestamp) -> Self {
        Self { now: Mutex::new((Monotonic::default(), wall)) }
    }

    /// Moves both clocks on.
    pub fn advance(&self, by: Duration) {
        let mut now = self.now.lock();
        now.0 = now.0.after(by);
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        now.1 = Timestamp(now.1.0.saturating_add(millis));
    }

    /// Lets the wall's clock jump, back or forth; the monotonic one stays.
    pub fn set_wall(&self, wall: Timestamp) {
        self.now.lock().1 = wall;
    }
}

impl Clock for ManualClock {
    fn monotonic(&self) -> Monotonic {
        self.now.lock().0
    }

    fn wall(&self) -> Timestamp {
        self.now.lock().1
    }
}

/// The clocks of a simulated machine: the runtime's paused time, and a wall's clock that is set from
/// outside. Clones share both.
#[derive(Clone)]
pub struct SimClock {
    start: tokio::time::Instant,
    wall: Arc<AtomicI64>,
}

impl SimClock {
    /// A clock whose monotonic time starts now, and whose wall's clock shows what `wall` holds, in
    /// milliseconds.
    ///
    /// # Panics
    ///
    /// Outside of a runtime: its time is the runtime's.
    #[must_use]
    pub fn new(wall: Arc<AtomicI64>) -> Self {
        Self { start: tokio::time::Instant::now(), wall }
    }
}

impl Clock for SimClock {
    fn monotonic(&self) -> Monotonic {
        Monotonic(self.start.elapsed())
    }

    fn wall(&self) -> Timestamp {
        Timestamp(self.wall.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_jump_leaves_the_monotonic_clock_alone() {
        let clock = ManualClock::new(Timestamp(1_000));
        clock.advance(Duration::from_millis(5));
        clock.set_wall(Timestamp(10));
        assert_eq!(clock.monotonic(), Monotonic(Duration::from_millis(5)));
        assert_eq!(clock.wall(), Timestamp(10));
    }
}
