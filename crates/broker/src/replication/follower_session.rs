//! A follower's session with this broker, its leader: what it is still to be told.
//!
//! ```text
//! partitions (under their locks) ── mark, accept, end ──► FollowerSession ──► senders of its streams
//! ```
//!
//! **Invariants**
//! - It holds offsets, never buffers.
//! - The answer to a subscription leaves before its first record does: both are queued at once, and
//!   the live sender takes answers first.
//! - After [`FollowerSession::close`] nothing is accepted any more.
//! - Locks: the progress of a partition first, then this; never the other way round.
//!
//! **Not here:** streams (`serving`), what to send of a partition (`pushing`).

use std::collections::BTreeMap;

use chronik_replication::{
    Answer, Credit, Ended, Outbox, PartitionAnswer, PartitionSubscribe, PartitionWatermark, Path,
    Slot, SubscriptionId, Work,
};
use chronik_types::{BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, Offset, TopicPartition};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::EMPTY_LOG;

/// See the module.
pub(crate) struct FollowerSession {
    /// Who follows.
    pub follower: BrokerId,
    /// The epoch of its registration.
    pub broker_epoch: BrokerEpoch,
    /// What its streams have in common.
    pub id: u64,
    state: Mutex<State>,
    live: Notify,
    catch_up: Notify,
    retry: Notify,
}

struct State {
    outbox: Outbox,
    live_credit: Credit,
    catch_up_credit: Credit,
    answers: Vec<PartitionAnswer>,
    ended: Vec<Ended>,
    /// Subscriptions to partitions that nobody has ever written: they have no log here.
    idle: BTreeMap<TopicPartition, Idle>,
    /// Subscriptions that this broker's image does not allow yet.
    waiting: BTreeMap<TopicPartition, PartitionSubscribe>,
    /// Of those, the ones whose partition has changed.
    retrying: Vec<PartitionSubscribe>,
    /// A watermark was marked since watermarks were taken last.
    watermarks_marked: bool,
    closed: bool,
}

/// A subscription to an empty log.
#[derive(Clone, Copy, Debug)]
struct Idle {
    leader_epoch: LeaderEpoch,
    subscription: SubscriptionId,
}

/// What the live sender says before it sends records.
#[derive(Default)]
pub(crate) struct Words {
    pub answers: Vec<PartitionAnswer>,
    pub ended: Vec<Ended>,
}

impl FollowerSession {
    /// A session with nothing to tell, whose live stream may carry `window` bytes.
    pub fn new(follower: BrokerId, broker_epoch: BrokerEpoch, id: u64, window: u64) -> Self {
        let state = State {
            outbox: Outbox::default(),
            live_credit: Credit::new(window),
            catch_up_credit: Credit::new(0),
            answers: Vec::new(),
            ended: Vec::new(),
            idle: BTreeMap::new(),
            waiting: BTreeMap::new(),
            retrying: Vec::new(),
            watermarks_marked: false,
            closed: false,
        };
        Self {
            follower,
            broker_epoch,
            id,
            state: Mutex::new(state),
            live: Notify::new(),
            catch_up: Notify::new(),
            retry: Notify::new(),
        }
    }

    /// Answers a subscription that is not accepted, or to an empty log.
    pub fn answer(&self, request: &PartitionSubscribe, answer: Answer) {
        let mut state = self.state.lock();
        state.idle.remove(&request.tp);
        state.outbox.end(request.tp);
        state.answers.push(answer_to(request, answer));
        self.live.notify_one();
    }

    /// Accepts a subscription. `None` if the session is over.
    pub fn accept(&self, request: &PartitionSubscribe, answer: Answer) -> Option<Slot> {
        let mut state = self.state.lock();
        if state.closed {
            return None;
        }
        let PartitionSubscribe { tp, leader_epoch, subscription, log } = *request;
        state.idle.remove(&tp);
        state.answers.push(answer_to(request, answer));
        let slot = state.outbox.subscribe(tp, leader_epoch, subscription, log.end, Path::Live);
        self.live.notify_one();
        Some(slot)
    }

    /// Accepts a subscription to an empty log, which has no state here.
    pub fn accept_idle(&self, request: &PartitionSubscribe, answer: Answer) {
        let mut state = self.state.lock();
        let PartitionSubscribe { tp, leader_epoch, subscription, .. } = *request;
        state.outbox.end(tp);
        state.idle.insert(tp, Idle { leader_epoch, subscription });
        state.answers.push(answer_to(request, answer));
        self.live.notify_one();
    }

    /// The log of a subscription is empty, and is closed until somebody writes it.
    pub fn rest(
        &self,
        tp: TopicPartition,
        leader_epoch: LeaderEpoch,
        subscription: SubscriptionId,
    ) {
        let mut state = self.state.lock();
        if state.outbox.unsubscribe(tp, subscription) {
            state.idle.insert(tp, Idle { leader_epoch, subscription });
        }
    }

    /// Takes the subscription to an empty log, if there is one, because the log is opened.
    pub fn take_idle(&self, tp: TopicPartition, epoch: LeaderEpoch) -> Option<SubscriptionId> {
        let idle = self.state.lock().idle.remove(&tp)?;
        (idle.leader_epoch == epoch).then_some(idle.subscription)
    }

    /// Keeps a subscription until the image has changed.
    pub fn wait_for_image(&self, request: &PartitionSubscribe) {
        self.state.lock().waiting.insert(request.tp, *request);
    }

    /// The image has another state of this partition. `is_missing`: the follower could be in its
    /// in-sync set and is not.
    pub fn image_changed(&self, tp: TopicPartition, is_missing: bool) {
        let mut state = self.state.lock();
        if is_missing {
            self.retry_idle(&mut state, tp);
        }
        if let Some(request) = state.waiting.remove(&tp) {
            state.retrying.push(request);
            self.retry.notify_one();
        }
    }

    /// The image is followed from now on. What it became before has not been told of.
    pub fn image_followed(&self) {
        let mut state = self.state.lock();
        let State { waiting, retrying, .. } = &mut *state;
        retrying.extend(std::mem::take(waiting).into_values());
        self.retry.notify_one();
    }

    /// Subscriptions that may be allowed now.
    pub async fn retried(&self) -> Vec<PartitionSubscribe> {
        loop {
            let retrying = std::mem::take(&mut self.state.lock().retrying);
            if !retrying.is_empty() {
                return retrying;
            }
            self.retry.notified().await;
        }
    }

    /// There is something new of a subscription: records, or only its watermarks.
    pub fn mark(&self, slot: Slot, subscription: SubscriptionId, records: bool) {
        let mut state = self.state.lock();
        if records {
            let path = state.outbox.mark_data(slot, subscription);
            self.wake(path);
        } else {
            state.outbox.mark_watermark(slot, subscription);
            if !std::mem::replace(&mut state.watermarks_marked, true) {
                self.live.notify_one();
            }
        }
    }

    /// The follower may be proposed for in-sync sets that it is missing from. What nobody has ever
    /// written is subscribed anew for that, because it has no state here; returned are the others.
    pub fn active(&self, is_missing: impl Fn(TopicPartition) -> bool) -> Vec<TopicPartition> {
        let mut state = self.state.lock();
        let idle: Vec<_> = state.idle.keys().copied().filter(|tp| is_missing(*tp)).collect();
        for tp in idle {
            self.retry_idle(&mut state, tp);
        }
        let with_log = state.outbox.subscriptions().map(|(tp, _)| tp);
        with_log.filter(|tp| is_missing(*tp)).collect()
    }

    fn retry_idle(&self, state: &mut State, tp: TopicPartition) {
        if let Some(Idle { leader_epoch, subscription }) = state.idle.get(&tp).copied() {
            let log = EMPTY_LOG;
            state.retrying.push(PartitionSubscribe { tp, leader_epoch, subscription, log });
            self.retry.notify_one();
        }
    }

    /// The follower has everything below `durable`.
    pub fn acknowledged(&self, slot: Slot, subscription: SubscriptionId, durable: Offset) {
        let path = self.state.lock().outbox.acknowledged(slot, subscription, durable);
        self.wake(path);
    }

    /// What is left of a subscription goes by the other path, once `durable` has reached what was
    /// sent.
    pub fn switch(&self, work: &Work, to: Path, durable: Offset) {
        let path = self.state.lock().outbox.switch(work, to, durable);
        self.wake(path);
    }

    /// The leader gives up a subscription.
    pub fn end(&self, tp: TopicPartition, subscription: SubscriptionId, code: ErrorCode) {
        let mut state = self.state.lock();
        if state.outbox.unsubscribe(tp, subscription) {
            state.ended.push(Ended { tp, subscription, code });
            self.live.notify_one();
        }
    }

    /// The follower gives up a subscription. Says whether a partition has to be told.
    pub fn unsubscribe(&self, tp: TopicPartition, subscription: SubscriptionId) -> bool {
        let mut state = self.state.lock();
        state.waiting.remove(&tp);
        state.retrying.retain(|request| request.tp != tp || request.subscription != subscription);
        if state.idle.get(&tp).is_some_and(|idle| idle.subscription == subscription) {
            state.idle.remove(&tp);
        }
        state.outbox.unsubscribe(tp, subscription)
    }

    /// The session is over. Returns the subscriptions that partitions have to be told of.
    pub fn close(&self) -> Vec<(TopicPartition, SubscriptionId)> {
        let mut state = self.state.lock();
        state.closed = true;
        state.idle.clear();
        state.waiting.clear();
        let subscriptions: Vec<_> = state.outbox.subscriptions().collect();
        state.outbox = Outbox::default();
        self.live.notify_one();
        self.catch_up.notify_one();
        subscriptions
    }

    /// Whether the session is over.
    pub fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Answers and ends to be told now.
    pub fn take_words(&self) -> Words {
        let mut state = self.state.lock();
        Words {
            answers: std::mem::take(&mut state.answers),
            ended: std::mem::take(&mut state.ended),
        }
    }

    /// Something to send on this path, if there is credit for it, and how many bytes of it.
    pub fn next_work(&self, path: Path) -> Option<(Work, u64)> {
        let mut state = self.state.lock();
        // Whoever reads an answer must have read it before the records that follow it.
        if path == Path::Live && !state.answers.is_empty() {
            return None;
        }
        let credit = state.credit(path);
        if !credit.is_open() {
            return None;
        }
        let left = credit.left();
        Some((state.outbox.next(path)?, left))
    }

    /// Everything of a subscription below `next` is on its way; the log ends at `end`.
    pub fn pushed(&self, path: Path, work: &Work, bytes: u64, next: Offset, end: Offset) {
        let mut state = self.state.lock();
        state.credit(path).spend(bytes);
        state.outbox.pushed(work, next, end);
    }

    /// It is another's turn; this one comes again.
    pub fn put_back(&self, work: &Work) {
        self.state.lock().outbox.mark_data(work.slot, work.subscription);
    }

    /// Whether there may be watermarks that have no records to ride on.
    pub fn has_watermarks(&self) -> bool {
        self.state.lock().watermarks_marked
    }

    /// Watermarks that have no records to ride on.
    pub fn take_watermarks(
        &self,
        max: usize,
        read: impl FnMut(TopicPartition, SubscriptionId) -> Option<PartitionWatermark>,
    ) -> Vec<PartitionWatermark> {
        // Reading locks partitions, so it happens when this is unlocked.
        let mut marked = Vec::new();
        let mut state = self.state.lock();
        state.outbox.take_watermarks(max, |tp, subscription| {
            marked.push((tp, subscription));
            None
        });
        state.watermarks_marked = marked.len() >= max;
        drop(state);
        let mut read = read;
        marked.into_iter().filter_map(|(tp, subscription)| read(tp, subscription)).collect()
    }

    /// The follower opened its catch-up stream, which may carry `window` bytes.
    pub fn open_catch_up(&self, window: u64) {
        self.state.lock().catch_up_credit = Credit::new(window);
        self.catch_up.notify_one();
    }

    /// The follower has taken in `bytes`.
    pub fn grant(&self, path: Path, bytes: u64) {
        if self.state.lock().credit(path).grant(bytes) {
            self.wake(Some(path));
        }
    }

    /// Something may be to be sent on this path.
    pub async fn woken(&self, path: Path) {
        match path {
            Path::Live => self.live.notified().await,
            Path::CatchUp => self.catch_up.notified().await,
        }
    }

    fn wake(&self, path: Option<Path>) {
        match path {
            Some(Path::Live) => self.live.notify_one(),
            Some(Path::CatchUp) => self.catch_up.notify_one(),
            None => {}
        }
    }
}

impl State {
    fn credit(&mut self, path: Path) -> &mut Credit {
        match path {
            Path::Live => &mut self.live_credit,
            Path::CatchUp => &mut self.catch_up_credit,
        }
    }
}

fn answer_to(request: &PartitionSubscribe, answer: Answer) -> PartitionAnswer {
    PartitionAnswer { tp: request.tp, subscription: request.subscription, answer }
}
