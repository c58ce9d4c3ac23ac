//! How far a partition has come, and who waits for it: the one place a parked request is released.
//!
//! **Invariants**
//! - Neither the durable end nor the high watermark goes back within one leadership, and a leader's
//!   high watermark is at most its durable end.
//! - Only [`Progress::change`] moves either, and it wakes every waiter whose offset was reached.
//! - A waiter holds no lock and no buffer here, only a weak reference: one that gave up costs
//!   nothing but its slot, which the next sweep takes back.
//!
//! **Not here:** where the durable end comes from (`chronik-log`'s completions), what the high
//! watermark of a partition with other replicas is (`replication`), what a waiter answers
//! (`api/produce.rs`, `api/fetch.rs`).

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use chronik_log::Log;
use chronik_metadata::Partition as PartitionState;
use chronik_replication::{
    AlterAnswer, PartitionAck, PartitionSubscribe, Path, SubscriptionId, Work,
};
use chronik_types::{BrokerId, LeaderEpoch, Monotonic, Offset, TopicPartition};
use parking_lot::Mutex;

use crate::latch::Latch;
use crate::replication::{FollowerSession, Led, LinkInbox, Moved};

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
pub(crate) struct Progress {
    state: Mutex<State>,
    /// Weak, since the log holds who listens to it.
    log: Weak<Log>,
}

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
enum Side {
    /// There is no other replica, so this disk decides.
    Alone,
    /// What this leader and its followers have on disk.
    Leader(Box<Led>),
    /// The leader says where it is. What is durable here is told to the link to it.
    Follower(Option<(TopicPartition, Arc<LinkInbox>)>),
}

#[derive(Debug)]
struct Waiter {
    end: Offset,
    latch: Weak<Latch>,
}

impl Progress {
    /// Progress of a leader without other replicas. Tell it how far the log is before anybody asks.
    pub fn alone(log: &Arc<Log>) -> Arc<Self> {
        Self::with(Side::Alone, log.high_watermark(), Arc::downgrade(log))
    }

    /// Progress of a follower.
    pub fn follower(log: &Arc<Log>) -> Arc<Self> {
        Self::with(Side::Follower(None), log.high_watermark(), Arc::downgrade(log))
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

    /// Everything below `durable_end` is on this disk.
    pub fn durable(&self, durable_end: Offset) {
        self.change(|state| {
            let reached = &mut state.reached;
            reached.durable_end = reached.durable_end.max(durable_end);
            match &mut state.side {
                Side::Alone => Some(reached.durable_end),
                Side::Leader(led) => led.durable(durable_end),
                Side::Follower(link) => {
                    if let Some((tp, inbox)) = link {
                        inbox.durable(*tp);
                    }
                    None
                }
            }
        });
    }

    /// The one place where offsets move: makes a change, moves the high watermark to where it says,
    /// and wakes.
    fn change(&self, change: impl FnOnce(&mut State) -> Moved) {
        let mut woken = Vec::new();
        let moved = {
            let mut state = self.state.lock();
            let moved = change(&mut state);
            let reached = &mut state.reached;
            if let Some(high_watermark) = moved {
                reached.high_watermark = reached.high_watermark.max(high_watermark);
            }
            let reached = state.reached;
            take_reached(&mut state.durable, reached.durable_end, &mut woken);
            take_reached(&mut state.replicated, reached.high_watermark, &mut woken);
            moved
        };
        if let Some(high_watermark) = moved
            && let Some(log) = self.log.upgrade()
        {
            log.advance_high_watermark(high_watermark);
        }
        for latch in woken {
            latch.count_down();
        }
    }

    fn led(&self, event: impl FnOnce(&mut Led) -> Moved) {
        self.change(|state| match &mut state.side {
            Side::Leader(led) if !state.closed => event(led),
            _ => None,
        });
    }

    /// Ends the service of this partition here and wakes everybody, who will find it closed.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        if let Side::Leader(led) = &mut state.side {
            led.end();
        }
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

/// What concerns a leader with other replicas.
impl Progress {
    /// Leads in another state of the partition: a new epoch, or the first with other replicas.
    /// `begin` reads the log, under the lock of this progress.
    pub fn lead(&self, begin: impl FnOnce() -> (Led, Moved)) {
        self.change(|state| {
            if state.closed {
                return None;
            }
            if let Side::Leader(earlier) = &mut state.side {
                earlier.end();
            }
            let (led, moved) = begin();
            state.side = Side::Leader(Box::new(led));
            moved
        });
    }

    /// Gives up an empty partition whose followers stay subscribed. `false` if somebody waits for
    /// it, or it does not lead.
    pub fn rest(&self) -> bool {
        let mut state = self.state.lock();
        let anyone = |queue: &VecDeque<Waiter>| queue.iter().any(|w| w.latch.strong_count() > 0);
        if state.closed || anyone(&state.durable) || anyone(&state.replicated) {
            return false;
        }
        let Side::Leader(led) = &mut state.side else { return false };
        led.rest();
        state.closed = true;
        true
    }

    /// What `see` finds of the leader; `None` if there are no other replicas.
    fn see_led<T>(&self, see: impl FnOnce(&Led) -> T) -> Option<T> {
        match &self.state.lock().side {
            Side::Leader(led) => Some(see(led)),
            Side::Alone | Side::Follower(_) => None,
        }
    }

    /// Whether `acks=all` must be refused: too few replicas are in sync.
    pub fn is_under_min_isr(&self) -> bool {
        self.see_led(Led::is_under_min_isr).unwrap_or(false)
    }

    /// Whether a reader may be told where the log ends for consumers (KIP-207).
    pub fn is_high_watermark_current(&self) -> bool {
        self.see_led(Led::is_high_watermark_current).unwrap_or(true)
    }

    /// What the leader knows of its followers, for people.
    #[cfg(test)]
    pub fn describe(&self) -> Option<String> {
        self.see_led(|led| format!("{led:?}"))
    }

    /// How many replicas are in sync; `None` if there are no others.
    pub fn isr_len(&self) -> Option<usize> {
        self.see_led(Led::isr_len)
    }

    /// What the followers have on disk, those that are subscribed and in sync.
    pub fn followers_in_sync(&self) -> Vec<(BrokerId, Offset)> {
        let known = |led: &Led| {
            let in_sync = led.followers().filter(|replica| replica.in_sync);
            in_sync.filter_map(|replica| Some((replica.id, replica.durable?))).collect()
        };
        self.see_led(known).unwrap_or_default()
    }

    /// The followers that lack something, and since when.
    pub fn lagging(&self) -> Vec<(BrokerId, Monotonic)> {
        let lagging = |led: &Led| {
            led.followers().filter_map(|replica| Some((replica.id, replica.lags_since?))).collect()
        };
        self.see_led(lagging).unwrap_or_default()
    }

    /// The log ends at `end` now.
    pub fn appended(&self, end: Offset) {
        self.led(|led| led.appended(end));
    }

    /// Retention or DeleteRecords moved the log start to `start`.
    pub fn start_moved(&self, start: Offset) {
        self.led(|led| led.start_moved(start));
    }

    /// The committed image has another state of the partition, in the same leader epoch.
    pub fn committed(&self, partition: &PartitionState) {
        self.led(|led| led.committed(partition));
    }

    /// `min.insync.replicas` is this now.
    pub fn set_min_isr(&self, min_isr: usize) {
        self.led(|led| led.set_min_isr(min_isr));
    }

    /// A deadline of [`Led`]'s has come.
    pub fn lag_deadline(&self) {
        self.led(Led::deadline);
    }

    /// The broker of a follower is active again.
    pub fn follower_active(&self) {
        self.led(Led::follower_active);
    }

    /// The controller has answered a proposal that was made in this epoch.
    pub fn alter_answered(&self, epoch: LeaderEpoch, answer: AlterAnswer<'_>) {
        self.led(|led| led.alter_answered(epoch, answer));
    }

    /// A follower subscribes; its session is answered. `false` if this is no leader.
    pub fn subscribed(&self, session: &Arc<FollowerSession>, request: &PartitionSubscribe) -> bool {
        let Some(log) = self.log.upgrade() else { return false };
        let mut is_leader = false;
        self.led(|led| {
            is_leader = true;
            led.subscribe(session, request, &log)
        });
        is_leader
    }

    /// A follower has more on its disk.
    pub fn acked(&self, session: &FollowerSession, ack: &PartitionAck) {
        let Some(log) = self.log.upgrade() else { return };
        self.led(|led| led.acked(session, ack, &log));
    }

    /// A follower's subscription is over.
    pub fn unsubscribed(&self, follower: BrokerId, subscription: SubscriptionId) {
        self.led(|led| led.unsubscribed(follower, subscription));
    }

    /// What a follower lacks goes by another path.
    pub fn switch_path(&self, session: &FollowerSession, work: &Work, to: Path) {
        self.see_led(|led| led.switch(session, work, to));
    }
}

/// What concerns a follower.
impl Progress {
    /// From now on the link hears of what is durable here.
    pub fn tell_durable(&self, tp: TopicPartition, link: &Arc<LinkInbox>) {
        if let Side::Follower(told) = &mut self.state.lock().side {
            *told = Some((tp, Arc::clone(link)));
        }
    }

    /// The leader says that the high watermark is here.
    pub fn watermark(&self, high_watermark: Offset) {
        self.change(|state| match state.side {
            Side::Follower(_) => Some(high_watermark),
            Side::Alone | Side::Leader(_) => None,
        });
    }

    /// The log was cut, and offsets are what it says: the one thing that takes them back.
    pub fn was_cut(&self, log: &Log) {
        let reached = &mut self.state.lock().reached;
        reached.durable_end = log.durable_end();
        reached.high_watermark = log.high_watermark();
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
        progress.durable(Offset(5));
        assert!(is_open(&early) && !is_open(&late));
        progress.durable(Offset(8));
        assert!(!is_open(&late));
        progress.durable(Offset(9));
        assert!(is_open(&late));
    }

    #[test]
    fn waiters_that_register_out_of_order_are_woken_in_order() {
        let progress = alone();
        let latches: Vec<_> = [7, 3, 5].map(|end| (end, Arc::new(Latch::new(1)))).into();
        for (end, latch) in &latches {
            assert!(progress.notify(ReleaseWhen::Durable(Offset(*end)), latch));
        }
        progress.durable(Offset(5));
        let open: Vec<_> = latches.iter().map(|(_, latch)| is_open(latch)).collect();
        assert_eq!(open, [false, true, true]);
    }

    #[test]
    fn progress_never_goes_back() {
        let progress = alone();
        progress.durable(Offset(5));
        progress.durable(Offset(3));
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
