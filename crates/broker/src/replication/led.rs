//! A led partition with other replicas: its state machine, and where its effects go.
//!
//! Everything here happens under the lock of the partition's progress, so that what followers are
//! told follows what was decided.
//!
//! **Invariants**
//! - A session is told of a subscription's end whenever the partition gives it up; what a session
//!   gives up it tells the partition ([`Led::unsubscribed`]).
//! - Of a partition there is at most one deadline on its way that is not after the present one.
//!
//! **Not here:** what is decided (`chronik-replication`).

use std::sync::Arc;

use chronik_log::Log;
use chronik_metadata::Partition as PartitionState;
use chronik_replication::{
    AlterAnswer, Answer, Effects, IsrView, Leader, LeaderInit, PartitionAck, PartitionSubscribe,
    PartitionView, Path, Push, Slot, SubscriptionId, Work,
};
use chronik_types::{BrokerId, ErrorCode, LeaderEpoch, Monotonic, Offset, TopicPartition};

use super::follower_session::FollowerSession;
use super::{Leading, log_position};

/// See the module.
pub(crate) struct Led {
    tp: TopicPartition,
    leading: Arc<Leading>,
    leader: Leader,
    subscribers: Vec<Subscriber>,
    /// The earliest deadline on its way.
    timer: Option<Monotonic>,
}

/// A live subscription and where it is served.
struct Subscriber {
    session: Arc<FollowerSession>,
    slot: Slot,
    subscription: SubscriptionId,
}

impl Subscriber {
    fn is(&self, follower: BrokerId, subscription: SubscriptionId) -> bool {
        self.session.follower == follower && self.subscription == subscription
    }
}

/// A high watermark, if it moved.
pub(crate) type Moved = Option<Offset>;

impl Led {
    /// Leads `log` in the state of the committed image.
    pub fn new(
        leading: &Arc<Leading>,
        tp: TopicPartition,
        state: &PartitionState,
        min_isr: usize,
        log: &Log,
    ) -> (Self, Moved) {
        let init = LeaderInit {
            me: leading.me,
            partition: view(state),
            min_isr,
            lag_max: leading.lag_max,
            log: log_position(log),
            high_watermark: log.high_watermark(),
        };
        let (leader, effects) = Leader::new(leading.clock.monotonic(), &init);
        let leading = Arc::clone(leading);
        let mut led = Self { tp, leading, leader, subscribers: Vec::new(), timer: None };
        let moved = led.carry_out(effects);
        (led, moved)
    }

    /// See [`Leader::is_under_min_isr`].
    pub fn is_under_min_isr(&self) -> bool {
        self.leader.is_under_min_isr()
    }

    /// See [`Leader::is_high_watermark_current`].
    pub fn is_high_watermark_current(&self) -> bool {
        self.leader.is_high_watermark_current()
    }

    /// How many replicas are in sync.
    pub fn isr_len(&self) -> usize {
        self.leader.isr_len()
    }

    /// Followers that have subscribed and are in sync, with what they have on disk.
    pub fn followers(&self) -> impl Iterator<Item = chronik_replication::ReplicaStatus> + '_ {
        self.leader.followers()
    }

    /// The log ends at `end` now.
    pub fn appended(&mut self, end: Offset) -> Moved {
        let effects = self.leader.on_append(self.now(), end);
        self.carry_out(effects)
    }

    /// Everything below `durable` is on this disk.
    pub fn durable(&mut self, durable: Offset) -> Moved {
        let effects = self.leader.on_durable(self.now(), durable);
        self.carry_out(effects)
    }

    /// A follower subscribes; its session is given the answer.
    pub fn subscribe(
        &mut self,
        session: &Arc<FollowerSession>,
        request: &PartitionSubscribe,
        log: &Log,
    ) -> Moved {
        let now = self.now();
        let grown = self.appended(log.end());
        let epochs = |epoch| log.end_offset_for_epoch(epoch);
        let (from, broker_epoch) = (session.follower, session.broker_epoch);
        let (answer, effects) = self.leader.on_subscribe(now, from, broker_epoch, request, &epochs);
        self.detach(from, Some(session));
        if !matches!(answer, Answer::Accepted(_)) {
            session.answer(request, answer);
            return self.carry_out(effects).or(grown);
        }
        let subscription = request.subscription;
        let Some(slot) = session.accept(request, answer) else {
            // The session has ended meanwhile.
            let moved = self.carry_out(effects);
            return self.unsubscribed(from, subscription).or(moved).or(grown);
        };
        if request.log.end < log.end() {
            session.mark(slot, subscription, true);
        }
        self.subscribers.push(Subscriber { session: Arc::clone(session), slot, subscription });
        self.carry_out(effects).or(grown)
    }

    /// A follower has made more durable.
    pub fn acked(&mut self, session: &FollowerSession, ack: &PartitionAck, log: &Log) -> Moved {
        let (from, log_end) = (session.follower, || log.end());
        let effects = self.leader.on_ack(self.now(), from, ack.subscription, ack.durable, log_end);
        let is_it = |s: &&Subscriber| s.is(session.follower, ack.subscription);
        if let Some(subscriber) = self.subscribers.iter().find(is_it) {
            session.acknowledged(subscriber.slot, ack.subscription, ack.durable);
        }
        self.carry_out(effects)
    }

    /// A subscription is over, by the follower's word or because its stream broke.
    pub fn unsubscribed(&mut self, follower: BrokerId, subscription: SubscriptionId) -> Moved {
        self.subscribers.retain(|subscriber| !subscriber.is(follower, subscription));
        let effects = self.leader.on_unsubscribed(self.now(), follower, subscription);
        self.carry_out(effects)
    }

    /// What is to be sent next to a session goes by the other path from now on.
    pub fn switch(&self, session: &FollowerSession, work: &Work, to: Path) {
        let known = self.leader.followers().find(|replica| replica.id == session.follower);
        let durable = known.and_then(|replica| replica.durable).unwrap_or(Offset::ZERO);
        session.switch(work, to, durable);
    }

    /// The committed image has the partition so, in the same leader epoch.
    pub fn committed(&mut self, state: &PartitionState) -> Moved {
        let effects = self.leader.on_committed(self.now(), view(state));
        let moved = self.carry_out(effects);
        let gone: Vec<_> = self
            .subscribers
            .iter()
            .map(|subscriber| subscriber.session.follower)
            .filter(|id| !self.leader.followers().any(|replica| replica.id == *id))
            .collect();
        for follower in gone {
            self.detach(follower, None);
        }
        moved
    }

    /// The controller has answered a proposal that was made in this epoch.
    pub fn alter_answered(&mut self, epoch: LeaderEpoch, answer: AlterAnswer<'_>) -> Moved {
        let effects = self.leader.on_alter_answer(self.now(), epoch, answer);
        self.carry_out(effects)
    }

    /// The broker of a follower is active again.
    pub fn follower_active(&mut self) -> Moved {
        let effects = self.leader.on_follower_active(self.now());
        self.carry_out(effects)
    }

    /// A deadline has come.
    pub fn deadline(&mut self) -> Moved {
        self.timer = None;
        let effects = self.leader.on_deadline(self.now());
        self.carry_out(effects)
    }

    /// `min.insync.replicas` is this now.
    pub fn set_min_isr(&mut self, min_isr: usize) -> Moved {
        let effects = self.leader.set_min_isr(self.now(), min_isr);
        self.carry_out(effects)
    }

    /// The log begins at `start` now.
    pub fn start_moved(&mut self, start: Offset) -> Moved {
        let effects = self.leader.set_log_start(self.now(), start);
        self.carry_out(effects)
    }

    /// Leads no longer, or in another epoch: every subscription is over.
    pub fn end(&mut self) {
        for subscriber in std::mem::take(&mut self.subscribers) {
            subscriber.session.end(self.tp, subscriber.subscription, ErrorCode::FencedLeaderEpoch);
        }
    }

    /// Leads a log that is empty and stays so for now: the subscriptions need no state here.
    pub fn rest(&mut self) {
        let epoch = self.leader.leader_epoch();
        for subscriber in std::mem::take(&mut self.subscribers) {
            subscriber.session.rest(self.tp, epoch, subscriber.subscription);
        }
    }

    fn now(&self) -> Monotonic {
        self.leading.clock.monotonic()
    }

    /// Forgets the subscription of a follower; its session is told, unless it is the one that
    /// subscribes anew.
    fn detach(&mut self, follower: BrokerId, renewed_in: Option<&Arc<FollowerSession>>) {
        let tp = self.tp;
        self.subscribers.retain(|subscriber| {
            if subscriber.session.follower != follower {
                return true;
            }
            if !renewed_in.is_some_and(|session| Arc::ptr_eq(session, &subscriber.session)) {
                let code = ErrorCode::NotLeaderOrFollower;
                subscriber.session.end(tp, subscriber.subscription, code);
            }
            false
        });
    }

    fn carry_out(&mut self, effects: Effects) -> Moved {
        if effects.push > Push::Nothing {
            let records = effects.push == Push::Records;
            for subscriber in &self.subscribers {
                subscriber.session.mark(subscriber.slot, subscriber.subscription, records);
            }
        }
        if let Some(proposal) = effects.proposal {
            self.leading.isr_changes.propose(self.tp, proposal);
        }
        if let Some(at) = self.leader.next_deadline()
            && self.timer.is_none_or(|timer| at < timer)
        {
            self.timer = Some(at);
            self.leading.timers.add(at, self.tp);
        }
        effects.high_watermark
    }
}

impl std::fmt::Debug for Led {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let subscribers: Vec<_> =
            self.subscribers.iter().map(|s| (s.session.follower, s.subscription)).collect();
        f.debug_struct("Led")
            .field("leader", &self.leader)
            .field("subscribers", &subscribers)
            .field("timer", &self.timer)
            .finish_non_exhaustive()
    }
}

fn view(state: &PartitionState) -> PartitionView<'_> {
    PartitionView {
        replicas: &state.replicas,
        isr: IsrView {
            isr: &state.isr,
            leader_epoch: state.leader_epoch,
            partition_epoch: state.partition_epoch,
        },
    }
}
