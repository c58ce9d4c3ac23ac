//! Who is in sync: what was committed, what this leader wants, and the proposals between the two.

use std::time::Duration;

use chronik_types::{BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, Monotonic};

use super::{AlterAnswer, Effects, IsrView, Leader, Proposal};
use crate::bugs;
use crate::replica::Replica;

/// How long to wait after a proposal that failed: this, doubled with every failure.
const BACKOFF: Duration = Duration::from_millis(50);
/// At most so often doubled.
const BACKOFF_DOUBLINGS_MAX: u32 = 5;

/// Whether a proposal that was answered so is certainly not committed. What is not known to say so
/// does not: a new leader, say, was elected by a change that took the proposed set over.
fn is_certain(code: ErrorCode) -> bool {
    bugs::take_every_error_for_a_refusal()
        || matches!(
            code,
            ErrorCode::NotController
                | ErrorCode::StaleBrokerEpoch
                | ErrorCode::FencedLeaderEpoch
                | ErrorCode::InvalidUpdateVersion
                | ErrorCode::IneligibleReplica
                | ErrorCode::InvalidRequest
                | ErrorCode::UnknownTopicId
                | ErrorCode::UnknownTopicOrPartition
        )
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Proposing {
    /// Nothing is on its way.
    Idle,
    /// A proposal that builds on this partition epoch was given out; its answer is awaited.
    InFlight { basis: i32 },
    /// The last proposal failed: not before then.
    Backoff { until: Monotonic },
}

impl Leader {
    /// A follower may be proposed that could not be before: its broker is active again. What failed
    /// for that is tried anew at once.
    pub fn on_follower_active(&mut self, now: Monotonic) -> Effects {
        if matches!(self.proposing, Proposing::Backoff { .. }) {
            self.proposing = Proposing::Idle;
            self.failures = 0;
        }
        self.decide(now)
    }

    /// The answer to the proposal in flight. What answers a proposal of another leader epoch says
    /// nothing about it, though it was this broker's too.
    pub fn on_alter_answer(
        &mut self,
        now: Monotonic,
        leader_epoch: LeaderEpoch,
        answer: AlterAnswer<'_>,
    ) -> Effects {
        if leader_epoch != self.leader_epoch {
            return Effects::default();
        }
        let Proposing::InFlight { basis } = self.proposing else { return Effects::default() };
        if let AlterAnswer::Committed(view) = answer
            && view.leader_epoch == self.leader_epoch
        {
            self.apply_view(now, view);
        }
        let is_unknown = match answer {
            AlterAnswer::Committed(_) => false,
            AlterAnswer::Refused(code) => !is_certain(code),
            AlterAnswer::Unknown => true,
        };
        for follower in &mut self.followers {
            follower.in_limbo |=
                follower.proposed && is_unknown && !bugs::forget_unknown_outcomes();
            follower.proposed = false;
        }
        if self.partition_epoch > basis {
            // Whatever came of it, there is something newer to begin with.
            self.proposing = Proposing::Idle;
        } else {
            let doubled = 2u32.saturating_pow(self.failures.min(BACKOFF_DOUBLINGS_MAX));
            self.failures = self.failures.saturating_add(1);
            self.proposing = Proposing::Backoff { until: now.after(BACKOFF * doubled) };
        }
        self.decide(now)
    }

    pub(super) fn set_replicas(&mut self, replicas: &[BrokerId]) {
        let mut old = std::mem::take(&mut self.followers);
        self.followers = replicas
            .iter()
            .filter(|id| **id != self.me)
            .map(|id| {
                let known = old.iter().position(|follower| follower.id == *id);
                known.map_or_else(|| Replica::new(*id), |at| old.swap_remove(at))
            })
            .collect();
    }

    /// Takes over a committed in-sync set, if it is news.
    pub(super) fn apply_view(&mut self, now: Monotonic, view: IsrView<'_>) {
        if view.partition_epoch <= self.partition_epoch {
            return;
        }
        self.partition_epoch = view.partition_epoch;
        self.failures = 0;
        self.set_isr(now, view.isr);
        if matches!(self.proposing, Proposing::Backoff { .. }) {
            self.proposing = Proposing::Idle;
        }
    }

    /// What was proposed at lower partition epochs is either in `isr` or dead.
    pub(super) fn set_isr(&mut self, now: Monotonic, isr: &[BrokerId]) {
        // An answer may know of a replica before the image does.
        for id in isr.iter().filter(|id| **id != self.me) {
            if !self.followers.iter().any(|follower| follower.id == *id) {
                self.followers.push(Replica::new(*id));
            }
        }
        let end = self.end;
        for follower in &mut self.followers {
            follower.committed = isr.contains(&follower.id);
            follower.proposed = false;
            follower.in_limbo = false;
            if !follower.committed || follower.has_all(end) {
                follower.lags_since = None;
            } else {
                follower.lags_since.get_or_insert(now);
            }
        }
    }

    /// Another in-sync set to ask for, if one is wanted and nothing is on its way.
    pub(super) fn propose(&mut self, now: Monotonic) -> Option<Proposal> {
        match self.proposing {
            Proposing::Idle => {}
            Proposing::Backoff { until } if until <= now => self.proposing = Proposing::Idle,
            Proposing::InFlight { .. } | Proposing::Backoff { .. } => return None,
        }
        // In limbo but not wanted: the set as it is, committed once more, ends what may still come.
        let is_settled = |follower: &Replica| {
            self.is_wanted(follower, now) == follower.committed
                && (follower.committed || !follower.in_limbo)
        };
        if self.followers.iter().all(is_settled) {
            return None;
        }
        let mut new_isr = vec![(self.me, BrokerEpoch::NONE)];
        for at in 0..self.followers.len() {
            let follower = self.followers.get(at)?;
            let wanted = self.is_wanted(follower, now);
            let end = self.end;
            let follower = self.followers.get_mut(at)?;
            follower.proposed = wanted && !follower.committed;
            if follower.proposed {
                follower.lags_since = (!follower.has_all(end)).then_some(now);
            }
            if wanted {
                let epoch = follower.live.map_or(BrokerEpoch::NONE, |live| live.broker_epoch);
                new_isr.push((follower.id, epoch));
            }
        }
        self.proposing = Proposing::InFlight { basis: self.partition_epoch };
        Some(Proposal {
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            new_isr,
        })
    }

    fn is_wanted(&self, follower: &Replica, now: Monotonic) -> bool {
        if follower.committed {
            !self.is_out_of_sync(follower, now)
        } else {
            self.is_caught_up(follower)
        }
    }

    /// Whether a member must leave: it lags for too long, or came back without what it had
    /// acknowledged.
    fn is_out_of_sync(&self, follower: &Replica, now: Monotonic) -> bool {
        let lost = follower.durable().is_some_and(|durable| durable < self.high_watermark);
        lost || follower.lags_since.is_some_and(|since| since.after(self.lag_max) <= now)
    }

    /// Whether a replica has everything that was ever acknowledged.
    fn is_caught_up(&self, follower: &Replica) -> bool {
        follower.durable().is_some_and(|durable| {
            durable >= self.high_watermark
                && (durable >= self.epoch_start || bugs::join_below_epoch_start())
        })
    }
}
