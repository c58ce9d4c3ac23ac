//! When entries were appended here: how old is what somebody lacks?
//!
//! A ring of samples, each the time of the first entry of a short run. When it is full, every
//! other sample goes and runs grow longer, so the answer is never younger than the truth and the
//! memory is bounded whatever happens.

use std::collections::VecDeque;
use std::time::Duration;

use chronik_types::{Monotonic, Offset};

const SAMPLES_MAX: usize = 1_024;
const RUN_MIN: Duration = Duration::from_millis(1);

struct Sample {
    /// The end of the run.
    end: Offset,
    /// When its first entry was appended.
    at: Monotonic,
}

/// See the module.
pub(crate) struct AppendedAt {
    samples: VecDeque<Sample>,
    run: Duration,
}

impl Default for AppendedAt {
    fn default() -> Self {
        Self { samples: VecDeque::new(), run: RUN_MIN }
    }
}

impl AppendedAt {
    /// The log grew to `end`.
    pub fn appended(&mut self, end: Offset, now: Monotonic) {
        if let Some(last) = self.samples.back_mut()
            && now.since(last.at) < self.run
        {
            last.end = last.end.max(end);
            return;
        }
        if self.samples.len() >= SAMPLES_MAX {
            self.thin();
        }
        self.samples.push_back(Sample { end, at: now });
    }

    /// Joins samples in pairs: the time of the first, the end of the second.
    fn thin(&mut self) {
        self.run = self.run.saturating_mul(2);
        let mut joined: VecDeque<Sample> = VecDeque::with_capacity(SAMPLES_MAX);
        for (place, sample) in self.samples.drain(..).enumerate() {
            match joined.back_mut() {
                Some(last) if place % 2 == 1 => last.end = sample.end,
                _ => joined.push_back(sample),
            }
        }
        self.samples = joined;
    }

    /// Nobody lacks anything below `offset` any more.
    pub fn held_by_all(&mut self, offset: Offset) {
        while self.samples.front().is_some_and(|sample| sample.end <= offset) {
            self.samples.pop_front();
        }
        if self.samples.is_empty() {
            self.run = RUN_MIN;
        }
    }

    /// The log was cut at `end`.
    pub fn truncated(&mut self, end: Offset) {
        while self.samples.back().is_some_and(|sample| sample.end > end) {
            let Some(cut) = self.samples.pop_back() else { return };
            let below = self.samples.back().map_or(Offset(i64::MIN), |sample| sample.end);
            if below < end {
                self.samples.push_back(Sample { end, at: cut.at });
                return;
            }
        }
    }

    /// How long ago the first entry at or above `offset` was appended; zero if there is none.
    pub fn age(&self, offset: Offset, now: Monotonic) -> Duration {
        let first = self.samples.partition_point(|sample| sample.end <= offset);
        self.samples.get(first).map_or(Duration::ZERO, |sample| now.since(sample.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic(Duration::from_millis(millis))
    }

    #[test]
    fn the_age_is_that_of_the_oldest_entry_somebody_lacks() {
        let mut times = AppendedAt::default();
        for entry in 0..10_i64 {
            times.appended(Offset(entry + 1), at(u64::try_from(entry).unwrap() * 100));
        }
        assert_eq!(times.age(Offset(0), at(1_000)), Duration::from_millis(1_000));
        assert_eq!(times.age(Offset(4), at(1_000)), Duration::from_millis(600));
        assert_eq!(times.age(Offset(10), at(1_000)), Duration::ZERO);
        times.held_by_all(Offset(9));
        assert_eq!(times.age(Offset(9), at(1_000)), Duration::from_millis(100));
        times.truncated(Offset(9));
        assert_eq!(times.age(Offset(9), at(1_000)), Duration::ZERO);
    }

    #[test]
    fn a_cut_inside_a_run_keeps_what_is_below_it() {
        let mut times = AppendedAt::default();
        times.appended(Offset(5), at(0));
        times.appended(Offset(9), at(0));
        times.truncated(Offset(7));
        assert_eq!(times.age(Offset(6), at(50)), Duration::from_millis(50));
        assert_eq!(times.age(Offset(7), at(50)), Duration::ZERO);
    }

    #[test]
    fn memory_is_bounded_and_an_age_is_never_too_young() {
        let mut times = AppendedAt::default();
        for entry in 0..100_000_u64 {
            times.appended(Offset(i64::try_from(entry).unwrap() + 1), at(entry * 2));
        }
        assert!(times.samples.len() <= SAMPLES_MAX);
        for entry in (0..100_000_u64).step_by(977) {
            let age = times.age(Offset(i64::try_from(entry).unwrap()), at(200_000));
            assert!(age >= Duration::from_millis(200_000 - entry * 2), "entry {entry}: {age:?}");
        }
    }
}
