//! Two kinds of time: the wall's, which may jump, and the monotonic one, which only measures.

use std::time::Duration;

/// Wall-clock time in milliseconds since the Unix epoch; -1 on the wire means "none".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The wire's word for "no timestamp".
    pub const NONE: Self = Self(-1);

    /// Milliseconds from `earlier` to this; negative if `earlier` is later. Saturating.
    #[must_use]
    pub fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A moment on a clock that never goes back, counted from an arbitrary start. Only differences
/// between moments of the same process mean anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(pub Duration);

impl Monotonic {
    /// How long after `earlier` this is; zero if it is not after.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment `wait` later; saturates at the end of time.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(wait))
    }
}
