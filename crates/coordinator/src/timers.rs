//! The deadlines of a shard, in one ordered structure.
//!
//! **Invariants**
//! - A timer is set at most once: setting it again moves it.
//! - `by_time` and `by_timer` hold the same pairs.
//!
//! **Not here:** what a timer does when it fires: `shard/deadline.rs`.

use std::collections::{BTreeSet, HashMap};

use chronik_types::Monotonic;

use crate::{GroupId, MemberId};

/// What a deadline is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Timer {
    /// The session of a member, or the time a pending member id has to come back.
    Session(GroupId, MemberId),
    /// The end of the join phase: initial rebalance delay or rebalance timeout.
    Join(GroupId),
    /// The time the members of a new generation have to send SyncGroup.
    Sync(GroupId),
    /// The earliest moment at which an offset of the group, or the group, may expire.
    Expiry(GroupId),
}

#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_time: BTreeSet<(Monotonic, Timer)>,
    by_timer: HashMap<Timer, Monotonic>,
}

impl Timers {
    /// Sets the timer to `at`, wherever it was before.
    pub(crate) fn set(&mut self, timer: Timer, at: Monotonic) {
        if let Some(old) = self.by_timer.insert(timer.clone(), at) {
            if old == at {
                return;
            }
            let was_there = self.by_time.remove(&(old, timer.clone()));
            assert!(was_there, "a set timer is in the order");
        }
        self.by_time.insert((at, timer));
    }

    /// Sets the timer to `at` unless it is set to fire before.
    pub(crate) fn set_earlier(&mut self, timer: Timer, at: Monotonic) {
        if self.get(&timer).is_none_or(|set| at < set) {
            self.set(timer, at);
        }
    }

    pub(crate) fn cancel(&mut self, timer: Timer) {
        if let Some(at) = self.by_timer.remove(&timer) {
            let was_there = self.by_time.remove(&(at, timer));
            assert!(was_there, "a set timer is in the order");
        }
    }

    pub(crate) fn get(&self, timer: &Timer) -> Option<Monotonic> {
        self.by_timer.get(timer).copied()
    }

    pub(crate) fn next_deadline(&self) -> Option<Monotonic> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the earliest timer that is due at `now`.
    pub(crate) fn pop_due(&mut self, now: Monotonic) -> Option<Timer> {
        if self.next_deadline()? > now {
            return None;
        }
        let (_, timer) = self.by_time.pop_first()?;
        self.by_timer.remove(&timer);
        Some(timer)
    }

    pub(crate) fn clear(&mut self) {
        self.by_time.clear();
        self.by_timer.clear();
    }

    /// All set timers, in no order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Timer> {
        self.by_timer.keys()
    }

    pub(crate) fn check(&self) {
        assert_eq!(self.by_time.len(), self.by_timer.len());
        for (at, timer) in &self.by_time {
            assert_eq!(self.by_timer.get(timer), Some(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic(Duration::from_millis(ms))
    }

    #[test]
    fn setting_again_moves_and_cancelling_removes() {
        let (mut timers, join, sync) =
            (Timers::default(), Timer::Join("g".into()), Timer::Sync("g".into()));
        timers.set(join.clone(), at(10));
        timers.set(sync.clone(), at(20));
        timers.set(join.clone(), at(30));
        timers.set_earlier(sync.clone(), at(25));
        timers.check();
        assert_eq!(timers.next_deadline(), Some(at(20)));
        timers.cancel(sync);
        assert_eq!(timers.pop_due(at(29)), None);
        assert_eq!(timers.pop_due(at(30)), Some(join));
        assert_eq!(timers.next_deadline(), None);
        timers.check();
    }
}
