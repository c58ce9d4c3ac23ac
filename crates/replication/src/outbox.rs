//! What one follower is still to be told: offsets only, never buffers.
//!
//! One per session of a follower with this leader, for its live and its catch-up stream. Work is in
//! proportion to partitions that changed: each stands at most once in a queue, and comes back to
//! its end as long as there is more to send.
//!
//! # How a driver uses it
//!
//! ```text
//! accepted        subscribe(tp, …, next, path) ─► slot   next: the follower's end
//! something new   mark_data, mark_watermark              from the partition, under its lock
//! sending         next(path) ─► Work { from, .. }        read from there, as credit allows
//!                 pushed(work, next, end)                back into the queue if next < end
//!                 switch(work, path, durable)            not in memory: by the other path
//!                 take_watermarks(max, read)             what has no data to ride on
//! acknowledged    acknowledged(slot, …)                  completes a switch
//! ```
//!
//! **Invariants**
//! - A subscription is sent each offset once, in order, on one path at a time. It changes the path
//!   only when everything that was sent has been acknowledged, so that one stream cannot overtake
//!   the other.
//! - A slot is in a queue at most once; what its partition has ended since is skipped.
//!
//! **Not here:** reading, sending, credits ([`crate::Credit`]).

use std::collections::{BTreeMap, VecDeque};

use chronik_types::{LeaderEpoch, Offset, TopicPartition};

use crate::bugs;
use crate::messages::{PartitionWatermark, Path};
use crate::subscription::SubscriptionId;

/// Where a subscription is kept in an outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(u32);

/// A partition to be sent more of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Where its subscription is.
    pub slot: Slot,
    /// Which partition.
    pub tp: TopicPartition,
    /// The epoch of the leader.
    pub leader_epoch: LeaderEpoch,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The next offset to send.
    pub from: Offset,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    tp: TopicPartition,
    leader_epoch: LeaderEpoch,
    subscription: SubscriptionId,
    next: Offset,
    path: Path,
    /// The path that follows once everything sent is acknowledged; until then nothing is sent.
    then: Option<Path>,
    /// Stands in the queue of its path.
    queued: bool,
    /// Stands in the queue of watermarks.
    watermark_queued: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Outbox {
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    slots: BTreeMap<TopicPartition, Slot>,
    live: VecDeque<Slot>,
    catch_up: VecDeque<Slot>,
    watermarks: VecDeque<Slot>,
}

impl Outbox {
    /// A subscription was accepted; the follower's log ends at `next`. An earlier one of the same
    /// partition is over.
    pub fn subscribe(
        &mut self,
        tp: TopicPartition,
        leader_epoch: LeaderEpoch,
        subscription: SubscriptionId,
        next: Offset,
        path: Path,
    ) -> Slot {
        self.end(tp);
        let entry = Entry {
            tp,
            leader_epoch,
            subscription,
            next,
            path,
            then: None,
            queued: false,
            watermark_queued: false,
        };
        let slot = match self.free.pop() {
            Some(at) => Slot(at),
            None => {
                self.entries.push(None);
                Slot(u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX))
            }
        };
        if let Some(place) = self.entries.get_mut(slot.0 as usize) {
            *place = Some(entry);
        }
        self.slots.insert(tp, slot);
        slot
    }

    /// Ends the subscription of this partition, whichever it is. Returns it.
    pub fn end(&mut self, tp: TopicPartition) -> Option<SubscriptionId> {
        let slot = self.slots.remove(&tp)?;
        let entry = self.entries.get_mut(slot.0 as usize)?.take()?;
        self.free.push(slot.0);
        Some(entry.subscription)
    }

    /// Ends this subscription, if it is the one that is live.
    pub fn unsubscribe(&mut self, tp: TopicPartition, subscription: SubscriptionId) -> bool {
        let slot = self.slot(tp);
        let live = slot.and_then(|slot| self.entry(slot));
        if live.is_none_or(|entry| entry.subscription != subscription) {
            return false;
        }
        self.end(tp).is_some()
    }

    /// All that are subscribed: what ends with the session.
    pub fn subscriptions(&self) -> impl Iterator<Item = (TopicPartition, SubscriptionId)> + '_ {
        self.entries.iter().flatten().map(|entry| (entry.tp, entry.subscription))
    }

    /// Where the subscription of this partition is.
    #[must_use]
    pub fn slot(&self, tp: TopicPartition) -> Option<Slot> {
        self.slots.get(&tp).copied()
    }

    /// There are records beyond what was sent. Says on which path to wake the sender.
    pub fn mark_data(&mut self, slot: Slot, subscription: SubscriptionId) -> Option<Path> {
        let entry = self.entry_mut(slot, subscription)?;
        if entry.then.is_some() {
            return None;
        }
        let path = entry.path;
        if !std::mem::replace(&mut entry.queued, true) {
            self.queue(path).push_back(slot);
        }
        Some(path)
    }

    /// The high watermark or the log start moved.
    pub fn mark_watermark(&mut self, slot: Slot, subscription: SubscriptionId) {
        let Some(entry) = self.entry_mut(slot, subscription) else { return };
        if !std::mem::replace(&mut entry.watermark_queued, true) {
            self.watermarks.push_back(slot);
        }
    }

    /// The partition whose turn it is on this path. It leaves the queue; [`Outbox::pushed`] or
    /// [`Outbox::mark_data`] put it back.
    pub fn next(&mut self, path: Path) -> Option<Work> {
        while let Some(slot) = self.queue(path).pop_front() {
            let Some(entry) = self.entries.get_mut(slot.0 as usize).and_then(Option::as_mut) else {
                continue;
            };
            // Left behind by a subscription that ended or changed its path.
            if entry.path != path || !std::mem::replace(&mut entry.queued, false) {
                continue;
            }
            return Some(Work {
                slot,
                tp: entry.tp,
                leader_epoch: entry.leader_epoch,
                subscription: entry.subscription,
                from: entry.next,
            });
        }
        None
    }

    /// Everything below `next` was sent, with the present watermarks; the log ends at `end`. What
    /// is left gets its next turn after all others.
    pub fn pushed(&mut self, work: &Work, next: Offset, end: Offset) {
        let Some(entry) = self.entry_mut(work.slot, work.subscription) else { return };
        if next > entry.next {
            entry.next = next;
            entry.watermark_queued = false;
        }
        if entry.next < end {
            self.mark_data(work.slot, work.subscription);
        }
    }

    /// Sends by the other path from now on: to catch-up when what is to be read is not in memory
    /// any more, to live when it is again. That begins when everything that was sent is
    /// acknowledged (`durable` is how far that is), so until then nothing is sent. Says on which
    /// path to wake the sender, if it can begin at once.
    pub fn switch(&mut self, work: &Work, to: Path, durable: Offset) -> Option<Path> {
        let entry = self.entry_mut(work.slot, work.subscription)?;
        entry.then = (entry.path != to).then_some(to);
        entry.queued = false;
        self.acknowledged(work.slot, work.subscription, durable)
    }

    /// The follower has everything below `durable`. Says on which path to wake the sender, if that
    /// completes a switch.
    pub fn acknowledged(
        &mut self,
        slot: Slot,
        subscription: SubscriptionId,
        durable: Offset,
    ) -> Option<Path> {
        let entry = self.entry_mut(slot, subscription)?;
        if durable < entry.next && !bugs::overtake_catch_up() {
            return None;
        }
        entry.path = entry.then.take()?;
        self.mark_data(slot, subscription)
    }

    /// How far a subscription was sent, and by which path.
    #[must_use]
    pub fn sent(&self, slot: Slot, subscription: SubscriptionId) -> Option<(Offset, Path)> {
        let entry = self.entry(slot).filter(|entry| entry.subscription == subscription)?;
        Some((entry.next, entry.path))
    }

    /// Up to `max` watermarks of partitions whose watermarks were marked and not sent with data.
    /// `read` says what they are now, or nothing if the partition is gone.
    pub fn take_watermarks(
        &mut self,
        max: usize,
        mut read: impl FnMut(TopicPartition, SubscriptionId) -> Option<PartitionWatermark>,
    ) -> Vec<PartitionWatermark> {
        let mut taken = Vec::new();
        while taken.len() < max {
            let Some(slot) = self.watermarks.pop_front() else { break };
            let Some(entry) = self.entries.get_mut(slot.0 as usize).and_then(Option::as_mut) else {
                continue;
            };
            if std::mem::replace(&mut entry.watermark_queued, false) {
                taken.extend(read(entry.tp, entry.subscription));
            }
        }
        taken
    }

    fn queue(&mut self, path: Path) -> &mut VecDeque<Slot> {
        match path {
            Path::Live => &mut self.live,
            Path::CatchUp => &mut self.catch_up,
        }
    }

    fn entry(&self, slot: Slot) -> Option<&Entry> {
        self.entries.get(slot.0 as usize)?.as_ref()
    }

    fn entry_mut(&mut self, slot: Slot, subscription: SubscriptionId) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(slot.0 as usize)?.as_mut()?;
        (entry.subscription == subscription).then_some(entry)
    }
}
