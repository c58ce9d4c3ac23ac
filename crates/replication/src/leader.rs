//! The leader of one partition in one epoch: how far every in-sync replica is, and who is in sync.
//!
//! # How a driver uses it
//!
//! One per led partition that has something to replicate, under the lock of the partition's owner;
//! a new one for every leader epoch. Every call returns [`Effects`]: move the high watermark, send
//! an AlterPartition, tell the followers. After every call [`Leader::next_deadline`] may have
//! changed. For every [`Proposal`] there is exactly one answer ([`Leader::on_alter_answer`]);
//! timeouts are answers too ([`AlterAnswer::Unknown`]).
//!
//! **Invariants**
//! - The high watermark never goes back; it is at most what this disk has and at most what each
//!   member of the *maximal* in-sync set has acknowledged in its live subscription when it moves.
//! - The maximal in-sync set is the committed one, with every replica whose addition was proposed
//!   and may still be committed; a proposed removal counts for nothing before it is committed.
//! - That the log has grown may be heard late: the append is told after what follows from it, its
//!   sync here or a follower's acknowledgement of it. Nothing that was said once is forgotten for
//!   that.
//! - At most one proposal is in flight.
//! - What was proposed at one partition epoch is dead once a higher one is committed. A proposal of
//!   unknown outcome is therefore ended by any committed change, and if nothing is to be changed,
//!   by proposing the set as it is.
//! - A replica is proposed for the in-sync set only at its end at or above both the high watermark
//!   and the start of this epoch: it has all that was ever acknowledged.
//!
//! **Not here:** what a follower is to be sent next ([`crate::Outbox`]), waiting requests, whether
//! a set is allowed (`chronik-controller`).

mod high_watermark;
mod isr;
mod words;

use std::time::Duration;

use chronik_types::{BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, Monotonic, Offset};
use smallvec::SmallVec;

use self::isr::Proposing;
pub use self::words::{
    AlterAnswer, Effects, IsrView, LeaderInit, PartitionView, Proposal, Push, ReplicaStatus,
};

use crate::appends::Appends;
use crate::bugs;
use crate::divergence::{Comparison, EpochIndex, compare};
use crate::messages::{Accepted, Answer, PartitionSubscribe};
use crate::replica::{Live, Replica};
use crate::subscription::SubscriptionId;

/// See the module.
#[derive(Debug)]
pub struct Leader {
    me: BrokerId,
    leader_epoch: LeaderEpoch,
    partition_epoch: i32,
    /// The other replicas, in the order of the assignment.
    followers: SmallVec<[Replica; 2]>,
    min_isr: usize,
    lag_max: Duration,
    /// Where the log of this leader ended when its epoch began.
    epoch_start: Offset,
    log_start: Offset,
    end: Offset,
    durable: Offset,
    high_watermark: Offset,
    appends: Appends,
    proposing: Proposing,
    /// How many proposals have failed in a row.
    failures: u32,
}

impl Leader {
    /// Begins to lead. Nobody is subscribed yet, so only a partition without other in-sync replicas
    /// moves its high watermark at once.
    pub fn new(now: Monotonic, init: &LeaderInit<'_>) -> (Self, Effects) {
        let known = if bugs::forget_high_watermark() { Offset::ZERO } else { init.high_watermark };
        let mut leader = Self {
            me: init.me,
            leader_epoch: init.partition.isr.leader_epoch,
            partition_epoch: init.partition.isr.partition_epoch,
            followers: SmallVec::new(),
            min_isr: init.min_isr,
            lag_max: init.lag_max,
            epoch_start: init.log.end,
            log_start: init.log.start,
            end: init.log.end,
            durable: init.log.durable,
            high_watermark: known.max(init.log.start),
            appends: Appends::default(),
            proposing: Proposing::Idle,
            failures: 0,
        };
        leader.set_replicas(init.partition.replicas);
        leader.set_isr(now, init.partition.isr.isr);
        let effects = leader.decide(now);
        (leader, effects)
    }

    /// Records were appended; the log ends at `end` now.
    pub fn on_append(&mut self, now: Monotonic, end: Offset) -> Effects {
        let push = self.grow(now, end);
        if push == Push::Nothing {
            return Effects::default();
        }
        self.decide(now).with(push)
    }

    /// The log ends at `end`, if that is further than known.
    fn grow(&mut self, now: Monotonic, end: Offset) -> Push {
        if end <= self.end {
            return Push::Nothing;
        }
        for follower in self.followers.iter_mut().filter(|follower| follower.may_be_in_sync()) {
            follower.lags_since.get_or_insert(now);
        }
        if !self.followers.is_empty() {
            self.appends.push(now, self.end, self.lag_max);
        }
        self.end = end;
        Push::Records
    }

    /// Everything below `durable` is on this broker's disk, so the log is at least that long.
    pub fn on_durable(&mut self, now: Monotonic, durable: Offset) -> Effects {
        let durable = if bugs::forget_the_untold() { durable.min(self.end) } else { durable };
        if durable <= self.durable {
            return Effects::default();
        }
        let push = self.grow(now, durable);
        self.durable = durable;
        self.decide(now).with(push)
    }

    /// A follower wants to be sent what it lacks. Whatever it was subscribed to before is over, so
    /// the driver passes on only what comes from the newest session of a follower.
    /// It tells where the log ends first ([`Leader::on_append`]), or a follower that has all of it
    /// would be told to cut what was only not told yet.
    pub fn on_subscribe(
        &mut self,
        now: Monotonic,
        from: BrokerId,
        broker_epoch: BrokerEpoch,
        request: &PartitionSubscribe,
        epochs: &dyn EpochIndex,
    ) -> (Answer, Effects) {
        if request.leader_epoch != self.leader_epoch {
            let code = if request.leader_epoch < self.leader_epoch {
                ErrorCode::FencedLeaderEpoch
            } else {
                ErrorCode::UnknownLeaderEpoch
            };
            return (Answer::Refused(code), Effects::default());
        }
        // A log of a later epoch than this one: this leader is deposed and does not know it.
        if request.log.last_epoch > self.leader_epoch {
            return (Answer::Refused(ErrorCode::UnknownLeaderEpoch), Effects::default());
        }
        let Some(at) = self.followers.iter().position(|follower| follower.id == from) else {
            return (Answer::Refused(ErrorCode::ReplicaNotAvailable), Effects::default());
        };
        self.end_subscription(now, at);
        let answer = match compare(self.log_start, self.end, epochs, &request.log) {
            Comparison::Prefix => {
                let live = Live {
                    subscription: request.subscription,
                    broker_epoch,
                    durable: request.log.durable.min(request.log.end),
                };
                if let Some(follower) = self.followers.get_mut(at) {
                    follower.live = Some(live);
                }
                self.update_lag(now, at);
                Answer::Accepted(Accepted {
                    high_watermark: self.high_watermark,
                    log_start: self.log_start,
                })
            }
            Comparison::Diverges { epoch, end } => Answer::Diverges { epoch, end },
            Comparison::OutOfRange => Answer::Reset { start: self.log_start },
        };
        (answer, self.decide(now))
    }

    /// A follower has everything below `durable` on its disk. Counts only in its live subscription.
    /// `log_end` looks where the log ends, if that is beyond what was told.
    pub fn on_ack(
        &mut self,
        now: Monotonic,
        from: BrokerId,
        subscription: SubscriptionId,
        durable: Offset,
        log_end: impl FnOnce() -> Offset,
    ) -> Effects {
        let Some(at) = self.followers.iter().position(|follower| follower.id == from) else {
            return Effects::default();
        };
        let is_untold = durable > self.end && !bugs::forget_the_untold();
        let push = if is_untold { self.grow(now, log_end()) } else { Push::Nothing };
        let end = self.end;
        let Some(live) = self.followers.get_mut(at).and_then(|follower| follower.live.as_mut())
        else {
            return Effects::default().with(push);
        };
        let is_live = live.subscription == subscription || bugs::count_any_acknowledgement();
        // More than there is can only be a mistake, and believing it would lose records.
        if !is_live || durable > end || durable <= live.durable {
            return Effects::default().with(push);
        }
        live.durable = durable;
        self.update_lag(now, at);
        self.decide(now).with(push)
    }

    /// The follower's subscription is over: it said so, its stream broke, or this broker ended it.
    pub fn on_unsubscribed(
        &mut self,
        now: Monotonic,
        from: BrokerId,
        subscription: SubscriptionId,
    ) -> Effects {
        let found = self.followers.iter().position(|follower| {
            follower.id == from
                && follower.live.is_some_and(|live| live.subscription == subscription)
        });
        let Some(at) = found else { return Effects::default() };
        self.end_subscription(now, at);
        self.decide(now)
    }

    /// The committed image has the partition so. A view of another leader epoch changes nothing:
    /// the driver replaces this leader.
    pub fn on_committed(&mut self, now: Monotonic, view: PartitionView<'_>) -> Effects {
        if view.isr.leader_epoch != self.leader_epoch
            || view.isr.partition_epoch < self.partition_epoch
        {
            return Effects::default();
        }
        self.set_replicas(view.replicas);
        self.apply_view(now, view.isr);
        self.decide(now)
    }

    /// When [`Leader::on_deadline`] is due; `None` while nobody lags and nothing is to be repeated.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        match self.proposing {
            Proposing::InFlight { .. } => None,
            Proposing::Backoff { until } => Some(until),
            Proposing::Idle => self
                .followers
                .iter()
                .filter(|follower| follower.committed)
                .filter_map(|follower| follower.lags_since)
                .map(|since| since.after(self.lag_max))
                .min(),
        }
    }

    /// A deadline may have passed.
    pub fn on_deadline(&mut self, now: Monotonic) -> Effects {
        self.decide(now)
    }

    /// `min.insync.replicas` is another now.
    pub fn set_min_isr(&mut self, now: Monotonic, min_isr: usize) -> Effects {
        self.min_isr = min_isr;
        self.decide(now)
    }

    /// `replica.lag.time.max.ms` is another now.
    pub fn set_lag_max(&mut self, now: Monotonic, lag_max: Duration) -> Effects {
        self.lag_max = lag_max;
        self.decide(now)
    }

    /// The log begins at `start` now.
    pub fn set_log_start(&mut self, now: Monotonic, start: Offset) -> Effects {
        if start <= self.log_start {
            return Effects::default();
        }
        self.log_start = start;
        self.decide(now).with(Push::Watermarks)
    }

    /// The epoch this leader leads in.
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// The partition epoch of the newest view.
    #[must_use]
    pub fn partition_epoch(&self) -> i32 {
        self.partition_epoch
    }

    /// What every replica that may be elected has.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Whether the high watermark has reached everything that was visible under earlier leaders.
    /// Until then a reader of "latest" must be told to come back (KIP-207).
    #[must_use]
    pub fn is_high_watermark_current(&self) -> bool {
        self.high_watermark >= self.epoch_start
    }

    /// How many replicas are in the committed in-sync set, this one included.
    #[must_use]
    pub fn isr_len(&self) -> usize {
        1 + self.followers.iter().filter(|follower| follower.committed).count()
    }

    /// Whether fewer replicas are in sync than `min.insync.replicas`, or than there are at all,
    /// asks for: then `acks=all` is refused and the high watermark stands still.
    #[must_use]
    pub fn is_under_min_isr(&self) -> bool {
        self.isr_len() < self.min_isr.min(1 + self.followers.len())
    }

    /// The followers, in the order of the assignment.
    pub fn followers(&self) -> impl Iterator<Item = ReplicaStatus> + '_ {
        self.followers.iter().map(|follower| ReplicaStatus {
            id: follower.id,
            in_sync: follower.committed,
            subscription: follower.live.map(|live| live.subscription),
            durable: follower.durable(),
            lags_since: follower.lags_since,
        })
    }

    fn end_subscription(&mut self, now: Monotonic, at: usize) {
        if let Some(follower) = self.followers.get_mut(at)
            && follower.live.take().is_some()
            && follower.may_be_in_sync()
        {
            follower.lags_since.get_or_insert(now);
        }
    }

    /// A follower has come nearer: since when does it lag now, if it still does?
    fn update_lag(&mut self, now: Monotonic, at: usize) {
        let Some(follower) = self.followers.get_mut(at) else { return };
        let durable = follower.durable().unwrap_or(Offset::ZERO);
        if durable >= self.end {
            follower.lags_since = None;
        } else if let Some(since) = follower.lags_since {
            let appended = self.appends.appended_by(durable, now, self.lag_max);
            follower.lags_since = Some(since.max(appended));
        }
        let members = self.followers.iter().filter(|follower| follower.may_be_in_sync());
        match members.map(|follower| follower.durable().unwrap_or(Offset::ZERO)).min() {
            Some(everybody) if everybody < self.end => self.appends.forget_below(everybody),
            _ => self.appends.clear(),
        }
    }

    /// The one place where the high watermark moves and proposals are made.
    fn decide(&mut self, now: Monotonic) -> Effects {
        let mut effects = Effects { high_watermark: self.advance(), ..Effects::default() };
        if effects.high_watermark.is_some() {
            effects.push = Push::Watermarks;
        }
        effects.proposal = self.propose(now);
        effects
    }
}

#[cfg(test)]
mod tests;
