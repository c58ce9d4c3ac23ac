//! How far a partition has come, and who waits for it: the one place a parked request is released.
//!
//! **Invariants**
//! - `high_watermark <= durable_end`, and neither goes back within one leadership.
//! - Only [`Progress::advance`] moves either, and it wakes every waiter whose offset was reached.
//! - A waiter holds no lock and no buffer here, only a weak reference: one that gave up costs
//!   nothing but its slot, which the next sweep takes back.
//!
//! **Not here:** where the durable end comes from (`chronik-log`'s completions), what a waiter
//! answers (`api/produce.rs`, `api/fetch.rs`).

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use chronik_log::{Log, LogListener};
use chronik_types::Offset;
use parking_lot::Mutex;

use crate::latch::Latch;
use crate::role::Role;

/// When the answer to an append may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReleaseWhen {
    /// The leader's own disk has everything below the offset (`acks=1`).
    Durable(Offset),
    /// Every in-sync replica's disk has everything below the offset (`acks=all`).
    Replicated(Offset),
}

/// The offsets of a partition that its answers depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reached {
    /// Everything below is on this disk.
    pub durable_end: Offset,
    /// Everything below is on the disk of every in-sync replica and visible to consumers.
    pub high_watermark: Offset,
}

impl Reached {
    pub fn satisfies(&self, when: ReleaseWhen) -> bool {
        match when {
            ReleaseWhen::Durable(end) => self.durable_end >= end,
            ReleaseWhen::Replicated(end) => self.high_watermark >= end,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Progress {
    state: Mutex<State>,
    /// Weak, since the log holds who listens to it.
    log: Weak<Log>,
}

#[derive(Debug)]
struct State {
    reached: Reached,
    side: Side,
    /// Waiters by offset, lowest first.
    durable: VecDeque<Waiter>,
    replicated: VecDeque<Waiter>,
    /// No longer served here: nobody may start to wait.
    closed: bool,
}

/// What moves the high watermark.
#[derive(Debug)]
enum Side {
    /// The only in-sync replica is this one, so its disk decides.
    Alone,
    /// The leader says where it is.
    Follower,
}

#[derive(Debug)]
struct Waiter {
    end: Offset,
    latch: Weak<Latch>,
}

impl Progress {
    /// Progress in `role`. Tell it how far the log is before anybody asks.
    pub fn new(role: Role, log: &Arc<Log>) -> Arc<Self> {
        let side = match role {
            Role::Leader(_) => Side::Alone,
            Role::Follower { .. } => Side::Follower,
        };
        Self::with(side, log.high_watermark(), Arc::downgrade(log))
    }

    fn with(side: Side, high_watermark: Offset, log: Weak<Log>) -> Arc<Self> {
        let reached = Reached { durable_end: Offset::ZERO, high_watermark };
        let state = State {
            reached,
            side,
            durable: VecDeque::new(),
            replicated: VecDeque::new(),
            closed: false,
        };
        Arc::new(Self { state: Mutex::new(state), log })
    }

    /// How far the partition is.
    pub fn reached(&self) -> Reached {
        self.state.lock().reached
    }

    /// Counts `latch` down once `when` is reached: now, or when it happens. `false` if the
    /// partition is no longer served here; then nothing will happen.
    pub fn notify(&self, when: ReleaseWhen, latch: &Arc<Latch>) -> bool {
        let mut state = self.state.lock();
        if state.closed {
            return false;
        }
        if state.reached.satisfies(when) {
            drop(state);
            latch.count_down();
            return true;
        }
        let (queue, end) = match when {
            ReleaseWhen::Durable(end) => (&mut state.durable, end),
            ReleaseWhen::Replicated(end) => (&mut state.replicated, end),
        };
        if queue.len() == queue.capacity() {
            queue.retain(|waiter| waiter.latch.strong_count() > 0);
        }
        // Offsets arrive almost in order, so the place is found from the back.
        let place = queue.iter().rposition(|waiter| waiter.end <= end).map_or(0, |at| at + 1);
        queue.insert(place, Waiter { end, latch: Arc::downgrade(latch) });
        true
    }

    /// Moves the durable end up to `durable_end`, the high watermark with it if that follows, and
    /// wakes.
    fn advance(&self, durable_end: Offset) {
        let mut woken = Vec::new();
        let high_watermark = {
            let mut state = self.state.lock();
            let reached = &mut state.reached;
            reached.durable_end = reached.durable_end.max(durable_end);
            if matches!(state.side, Side::Alone) {
                state.reached.high_watermark = state.reached.durable_end;
            }
            let reached = state.reached;
            take_reached(&mut state.durable, reached.durable_end, &mut woken);
            take_reached(&mut state.replicated, reached.high_watermark, &mut woken);
            reached.high_watermark
        };
        if let Some(log) = self.log.upgrade() {
            log.advance_high_watermark(high_watermark);
        }
        for latch in woken {
            latch.count_down();
        }
    }

    /// Ends the service of this partition here and wakes everybody, who will find it closed.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let waiters: Vec<_> = state
            .durable
            .drain(..)
            .collect::<Vec<_>>()
            .into_iter()
            .chain(state.replicated.drain(..))
            .collect();
        drop(state);
        for latch in waiters.iter().filter_map(|waiter| waiter.latch.upgrade()) {
            latch.count_down();
        }
    }

    /// Whether the partition is no longer served here.
    pub fn is_closed(&self) -> bool {
        self.state.lock().closed
    }
}

fn take_reached(queue: &mut VecDeque<Waiter>, reached: Offset, woken: &mut Vec<Arc<Latch>>) {
    while queue.front().is_some_and(|waiter| waiter.end <= reached) {
        woken.extend(queue.pop_front().and_then(|waiter| waiter.latch.upgrade()));
    }
    if queue.is_empty() && queue.capacity() > IDLE_CAPACITY {
        queue.shrink_to(0);
    }
}

/// Slots that an idle partition may keep for waiters.
const IDLE_CAPACITY: usize = 8;

impl LogListener for Progress {
    fn durable(&self, durable_end: Offset) {
        self.advance(durable_end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone() -> Arc<Progress> {
        Progress::with(Side::Alone, Offset::ZERO, Weak::new())
    }

    fn is_open(latch: &Arc<Latch>) -> bool {
        use futures_util::FutureExt;
        latch.opened().now_or_never().is_some()
    }

    #[test]
    fn a_waiter_is_woken_when_its_offset_is_reached_and_not_before() {
        let progress = alone();
        let (early, late) = (Arc::new(Latch::new(1)), Arc::new(Latch::new(1)));
        assert!(progress.notify(ReleaseWhen::Replicated(Offset(9)), &late));
        assert!(progress.notify(ReleaseWhen::Durable(Offset(5)), &early));
        progress.advance(Offset(5));
        assert!(is_open(&early) && !is_open(&late));
        progress.advance(Offset(8));
        assert!(!is_open(&late));
        progress.advance(Offset(9));
        assert!(is_open(&late));
    }

    #[test]
    fn waiters_that_register_out_of_order_are_woken_in_order() {
        let progress = alone();
        let latches: Vec<_> = [7, 3, 5].map(|end| (end, Arc::new(Latch::new(1)))).into();
        for (end, latch) in &latches {
            assert!(progress.notify(ReleaseWhen::Durable(Offset(*end)), latch));
        }
        progress.advance(Offset(5));
        let open: Vec<_> = latches.iter().map(|(_, latch)| is_open(latch)).collect();
        assert_eq!(open, [false, true, true]);
    }

    #[test]
    fn progress_never_goes_back() {
        let progress = alone();
        progress.advance(Offset(5));
        progress.advance(Offset(3));
        assert_eq!(progress.reached().high_watermark, Offset(5));
    }

    #[test]
    fn closing_wakes_everybody_and_refuses_newcomers() {
        let progress = alone();
        let latch = Arc::new(Latch::new(1));
        assert!(progress.notify(ReleaseWhen::Durable(Offset(5)), &latch));
        progress.close();
        assert!(is_open(&latch));
        assert!(!progress.notify(ReleaseWhen::Durable(Offset(6)), &latch));
    }

    #[test]
    fn waiters_that_gave_up_are_swept() {
        let progress = alone();
        for end in 1..10_000 {
            let latch = Arc::new(Latch::new(1));
            assert!(progress.notify(ReleaseWhen::Durable(Offset(end)), &latch));
        }
        assert!(progress.state.lock().durable.len() < 100);
    }
}
