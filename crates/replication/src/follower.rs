//! A follower of one partition under one leader epoch.
//!
//! # How a driver uses it
//!
//! One per followed partition that has something to follow, under the lock of the partition's
//! owner; a new one for every leader epoch. [`Follower::subscribe`] whenever a stream to the leader
//! is there; then do what [`Follower::on_subscribed`] says. Offsets of the log are always what the
//! log says at that moment, under the same lock: a notification that was on its way during a
//! truncation is stale.
//!
//! **Invariants**
//! - The log is appended to only within an accepted subscription, only at its end, only with
//!   batches of epochs that leader knows.
//! - The high watermark moves only within an accepted subscription, never back but by a cut, and
//!   never beyond the own end.
//! - What is acknowledged is durable here and was compared with the leader's log in the same
//!   subscription.
//!
//! **Not here:** reading messages, appending, fsync (the driver and `chronik-log`).

use chronik_protocol::batch::batches;
use chronik_types::{ErrorCode, LeaderEpoch, Offset, TopicPartition};

use crate::bugs;
use crate::divergence::{EpochIndex, LogPosition, cut_at};
use crate::messages::{Answer, PartitionAck, PartitionData, PartitionSubscribe};
use crate::subscription::SubscriptionId;

/// What moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Told {
    /// The high watermark moved here.
    pub high_watermark: Option<Offset>,
    /// The log has to begin here now.
    pub log_start: Option<Offset>,
}

/// What to do after the leader's answer to a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// The answer was to an earlier subscription: nothing.
    Stale,
    /// Data will come.
    Follow {
        /// What moved.
        told: Told,
        /// To be sent if something became durable since the subscription was asked for.
        ack: Option<PartitionAck>,
    },
    /// Cut the log here, then [`Follower::on_cut`] and subscribe again. Also when this is the end:
    /// epochs that began there without a record have to go.
    Truncate {
        /// The new end.
        to: Offset,
        /// What consumers may have seen goes with it: an unclean election, or damage.
        below_high_watermark: bool,
    },
    /// Drop the whole log and begin here, then [`Follower::on_cut`] and subscribe again.
    Reset {
        /// The new start and end.
        start: Offset,
    },
    /// The leader does not serve this; try again later, or wait for the metadata.
    Refused(ErrorCode),
}

/// Why data was not taken. The subscription has to begin anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// Of a subscription that is over; to be dropped without a word.
    #[error("data of a subscription that is over")]
    Stale,
    /// It does not begin where the log ends.
    #[error("data at offset {found}, where the log ends at {end}")]
    NotContiguous {
        /// The log end offset.
        end: Offset,
        /// What came.
        found: Offset,
    },
    /// Of an epoch that the leader of this subscription cannot know, or older than the batch
    /// before it.
    #[error("a batch of leader epoch {found} after {last}, from the leader of epoch {leader}")]
    Epoch {
        /// Of the batch.
        found: LeaderEpoch,
        /// Of the batch before it.
        last: LeaderEpoch,
        /// Of the subscription.
        leader: LeaderEpoch,
    },
    /// Not whole record batches.
    #[error("data that is not whole record batches")]
    Malformed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not subscribed.
    Apart,
    /// Asked, no answer yet.
    Asked(SubscriptionId),
    /// Accepted.
    Following(SubscriptionId),
}

/// See the module.
#[derive(Debug)]
pub struct Follower {
    tp: TopicPartition,
    leader_epoch: LeaderEpoch,
    state: State,
    log: LogPosition,
    /// What the live subscription has acknowledged.
    acknowledged: Offset,
    leader_high_watermark: Offset,
    high_watermark: Offset,
}

impl Follower {
    /// Begins to follow the leader of `leader_epoch`.
    #[must_use]
    pub fn new(
        tp: TopicPartition,
        leader_epoch: LeaderEpoch,
        log: LogPosition,
        high_watermark: Offset,
    ) -> Self {
        Self {
            tp,
            leader_epoch,
            state: State::Apart,
            log,
            acknowledged: Offset::ZERO,
            leader_high_watermark: Offset::ZERO,
            high_watermark,
        }
    }

    /// Asks for a subscription; an earlier one is over. `log` is the log as it is now: while there
    /// was no subscription nobody had to say what became durable, and nobody will again.
    pub fn subscribe(
        &mut self,
        subscription: SubscriptionId,
        log: LogPosition,
    ) -> PartitionSubscribe {
        self.state = State::Asked(subscription);
        if !bugs::subscribe_as_last_heard() {
            self.log = log;
        }
        self.acknowledged = self.log.durable.min(self.log.end);
        PartitionSubscribe {
            tp: self.tp,
            leader_epoch: self.leader_epoch,
            subscription,
            log: self.log,
        }
    }

    /// The leader's answer.
    pub fn on_subscribed(
        &mut self,
        subscription: SubscriptionId,
        answer: &Answer,
        epochs: &dyn EpochIndex,
    ) -> Step {
        if self.subscription() != Some(subscription) {
            return Step::Stale;
        }
        if !matches!(answer, Answer::Accepted(_)) {
            self.state = State::Apart;
        }
        match *answer {
            Answer::Accepted(accepted) => {
                self.state = State::Following(subscription);
                let told = self.told(accepted.high_watermark, accepted.log_start);
                Step::Follow { told, ack: self.ack() }
            }
            Answer::Diverges { epoch, end } => {
                let to = cut_at(epochs, &self.log, epoch, end).max(Offset::ZERO);
                if to < self.log.start {
                    return Step::Reset { start: to };
                }
                Step::Truncate { to, below_high_watermark: to < self.high_watermark }
            }
            Answer::Reset { start } => Step::Reset { start: start.max(Offset::ZERO) },
            Answer::Refused(code) => Step::Refused(code),
        }
    }

    /// The log was cut, or began anew, as told.
    pub fn on_cut(&mut self, log: LogPosition) {
        self.state = State::Apart;
        self.high_watermark = self.high_watermark.min(log.end).max(log.start);
        self.log = log;
    }

    /// The subscription is over: the stream broke, or data did not fit.
    pub fn on_unsubscribed(&mut self) {
        self.state = State::Apart;
    }

    /// The leader ended a subscription. Says whether it was the present one.
    pub fn on_ended(&mut self, subscription: SubscriptionId) -> bool {
        let is_present = self.subscription() == Some(subscription);
        if is_present {
            self.state = State::Apart;
        }
        is_present
    }

    /// Whether data may be appended. Nothing changes; after the append call
    /// [`Follower::on_appended`].
    ///
    /// # Errors
    /// See [`DataError`].
    pub fn check_data(&self, part: &PartitionData, payload: &[u8]) -> Result<(), DataError> {
        // What comes by the catch-up stream may come before the answer to the subscription, which
        // it implies.
        let is_live = self.subscription() == Some(part.subscription)
            && part.leader_epoch == self.leader_epoch;
        if !is_live && !bugs::accept_any_data() {
            return Err(DataError::Stale);
        }
        let (mut end, mut last) = (self.log.end, self.log.last_epoch);
        if part.base_offset != end {
            return Err(DataError::NotContiguous { end, found: part.base_offset });
        }
        let mut walked = batches(payload);
        for batch in walked.by_ref() {
            let (header, _) = batch.map_err(|_| DataError::Malformed)?;
            if header.base_offset != end {
                return Err(DataError::NotContiguous { end, found: header.base_offset });
            }
            let found = header.leader_epoch;
            if found < last || found > self.leader_epoch {
                return Err(DataError::Epoch { found, last, leader: self.leader_epoch });
            }
            (end, last) = (header.next_offset(), found);
            if end <= header.base_offset {
                return Err(DataError::Malformed);
            }
        }
        if walked.rest().is_empty() { Ok(()) } else { Err(DataError::Malformed) }
    }

    /// The data was appended; this is the log now.
    pub fn on_appended(&mut self, part: &PartitionData, log: LogPosition) -> Told {
        self.state = State::Following(part.subscription);
        self.log = log;
        self.told(part.high_watermark, part.log_start)
    }

    /// The log is so now: more of it is durable. What to acknowledge, if anything.
    pub fn on_durable(&mut self, log: LogPosition) -> Option<PartitionAck> {
        self.log = log;
        self.ack()
    }

    /// The leader's high watermark and log start, without data.
    pub fn on_watermark(
        &mut self,
        subscription: SubscriptionId,
        high_watermark: Offset,
        log_start: Offset,
    ) -> Told {
        if self.state != State::Following(subscription) {
            return Told::default();
        }
        self.told(high_watermark, log_start)
    }

    /// The leader's epoch.
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// The live subscription.
    #[must_use]
    pub fn following(&self) -> Option<SubscriptionId> {
        match self.state {
            State::Following(subscription) => Some(subscription),
            State::Apart | State::Asked(_) => None,
        }
    }

    /// What this replica may show to consumers.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// How far the leader's high watermark is, as last told.
    #[must_use]
    pub fn leader_high_watermark(&self) -> Offset {
        self.leader_high_watermark
    }

    fn subscription(&self) -> Option<SubscriptionId> {
        match self.state {
            State::Asked(subscription) | State::Following(subscription) => Some(subscription),
            State::Apart => None,
        }
    }

    fn ack(&mut self) -> Option<PartitionAck> {
        let subscription = self.following()?;
        let durable = if bugs::acknowledge_appended() { self.log.end } else { self.log.durable };
        let durable = durable.min(self.log.end);
        if durable <= self.acknowledged {
            return None;
        }
        self.acknowledged = durable;
        Some(PartitionAck { tp: self.tp, leader_epoch: self.leader_epoch, subscription, durable })
    }

    fn told(&mut self, leader_high_watermark: Offset, log_start: Offset) -> Told {
        let mut told = Told::default();
        self.leader_high_watermark = self.leader_high_watermark.max(leader_high_watermark);
        let own = if bugs::high_watermark_beyond_end() {
            self.leader_high_watermark
        } else {
            self.leader_high_watermark.min(self.log.end)
        };
        if own > self.high_watermark {
            self.high_watermark = own;
            told.high_watermark = Some(own);
        }
        let start = log_start.min(self.log.end);
        if start > self.log.start {
            self.log.start = start;
            told.log_start = Some(start);
        }
        told
    }
}
