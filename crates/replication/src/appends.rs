//! When which offset was appended, roughly: a few marks, for telling how long a follower lags.
//!
//! **Invariants**: offsets and times of marks ascend; at most [`MARKS_MAX`] of them; none while
//! nobody lags.

use std::time::Duration;

use chronik_types::{Monotonic, Offset};

/// Marks kept; the distance between them is `lag_max` divided by this, which is how much later
/// than it should a lagging follower may be noticed. Never earlier.
pub(crate) const MARKS_MAX: u32 = 8;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Appends {
    marks: Vec<Mark>,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    /// The first offset appended then.
    offset: Offset,
    /// Nanoseconds of the monotonic clock.
    at: u64,
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Appends {
    /// Something was appended at `offset`.
    pub(crate) fn push(&mut self, now: Monotonic, offset: Offset, lag_max: Duration) {
        let at = nanos(now.0);
        let spacing = nanos(lag_max / MARKS_MAX);
        if self.marks.last().is_some_and(|last| at < last.at.saturating_add(spacing)) {
            return;
        }
        if self.marks.len() >= MARKS_MAX as usize {
            self.marks.remove(0);
        }
        self.marks.push(Mark { offset, at });
    }

    /// A time at which the record at `offset` had been appended: not before the truth, and at most
    /// one distance of marks after it.
    pub(crate) fn appended_by(
        &self,
        offset: Offset,
        now: Monotonic,
        lag_max: Duration,
    ) -> Monotonic {
        let next = self.marks.partition_point(|mark| mark.offset < offset);
        let mut by = nanos(now.0);
        if let Some(mark) = self.marks.get(next) {
            by = by.min(mark.at);
            if mark.offset == offset {
                return Monotonic(Duration::from_nanos(by));
            }
        }
        // Had it come later than that, there would be a mark for it.
        if let Some(mark) = next.checked_sub(1).and_then(|at| self.marks.get(at)) {
            by = by.min(mark.at.saturating_add(nanos(lag_max / MARKS_MAX)));
        }
        Monotonic(Duration::from_nanos(by))
    }

    /// Everybody has everything below `offset`.
    pub(crate) fn forget_below(&mut self, offset: Offset) {
        let keep = self.marks.partition_point(|mark| mark.offset <= offset).saturating_sub(1);
        self.marks.drain(..keep);
    }

    #[cfg(test)]
    pub(crate) fn heap_bytes(&self) -> usize {
        self.marks.capacity() * size_of::<Mark>()
    }

    /// Nobody lags.
    pub(crate) fn clear(&mut self) {
        self.marks.clear();
    }
}
