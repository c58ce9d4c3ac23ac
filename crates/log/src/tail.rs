//! The end of a log in memory: what no segment has yet, and what readers are likely to want.
//!
//! ```text
//!   start ≤ first ──── cached ──── flushed_end ──── unflushed ──── end
//!           (may be dropped)                  (kept until a flush)
//! ```
//!
//! **Invariants**
//! - Batches are whole and contiguous: each begins where the one before it ended.
//! - Nothing at or above the flushed end is dropped, save by a truncation.
//!
//! **Not here:** the budgets (`admission` for the unflushed part, `cache` for the other).

use std::collections::VecDeque;

use bytes::Bytes;
use chronik_protocol::batch::BatchHeader;
use chronik_types::{LeaderEpoch, Offset};

use crate::read::{Fetched, ReadLimit};

/// A batch in memory.
#[derive(Clone, Debug)]
pub(crate) struct TailBatch {
    pub(crate) base: Offset,
    /// Inclusive.
    pub(crate) last: Offset,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) max_timestamp: i64,
    pub(crate) bytes: Bytes,
    /// Bytes of memory it keeps alive.
    pub(crate) charge: usize,
}

impl TailBatch {
    pub(crate) fn new(header: &BatchHeader, bytes: Bytes, charge: usize) -> Self {
        Self {
            base: header.base_offset,
            last: header.last_offset(),
            epoch: header.leader_epoch,
            max_timestamp: header.max_timestamp,
            bytes,
            charge,
        }
    }

    pub(crate) fn next(&self) -> Offset {
        self.last.next()
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    batches: VecDeque<TailBatch>,
}

impl Tail {
    /// Offset of the first batch in memory.
    pub(crate) fn first(&self) -> Option<Offset> {
        self.batches.front().map(|batch| batch.base)
    }

    pub(crate) fn push(&mut self, batch: TailBatch) {
        if let Some(last) = self.batches.back() {
            assert_eq!(last.next(), batch.base, "batches of a tail are contiguous");
        }
        self.batches.push_back(batch);
    }

    pub(crate) fn clear(&mut self) {
        self.batches = VecDeque::new();
    }

    /// Drops batches that reach to or beyond `end`, and says where the log ends now: a batch that
    /// holds `end` in its middle goes as a whole. `end` itself if the tail does not reach there.
    pub(crate) fn truncate(&mut self, end: Offset) -> Offset {
        let mut ends_at = end;
        while self.batches.back().is_some_and(|batch| batch.last >= end) {
            if let Some(batch) = self.batches.pop_back() {
                ends_at = ends_at.min(batch.base);
            }
        }
        ends_at
    }

    /// Where a truncation to `end` would really cut.
    pub(crate) fn boundary(&self, end: Offset) -> Offset {
        match self.batches.get(self.position(end)) {
            Some(batch) if batch.base < end => batch.base,
            _ => end,
        }
    }

    /// Drops the batches below `end`; gives back how many bytes of memory they kept.
    pub(crate) fn drop_below(&mut self, end: Offset) -> usize {
        let mut freed: usize = 0;
        while self.batches.front().is_some_and(|batch| batch.last < end) {
            freed += self.batches.pop_front().map_or(0, |batch| batch.charge);
        }
        if self.batches.is_empty() {
            self.batches = VecDeque::new();
        } else if self.batches.capacity() > 64 && self.batches.len() * 4 < self.batches.capacity() {
            self.batches.shrink_to(self.batches.len() * 2);
        }
        freed
    }

    /// The batches of `[from, end)`; both must be boundaries.
    pub(crate) fn range(&self, from: Offset, end: Offset) -> impl Iterator<Item = &TailBatch> {
        let at = self.position(from);
        self.batches.range(at..).take_while(move |batch| batch.last < end)
    }

    /// Bytes of batches in `[from, end)`.
    pub(crate) fn bytes(&self, from: Offset, end: Offset) -> usize {
        self.range(from, end).map(|batch| batch.bytes.len()).sum()
    }

    /// Bytes of memory that the batches in `[from, end)` keep.
    pub(crate) fn charge(&self, from: Offset, end: Offset) -> usize {
        self.range(from, end).map(|batch| batch.charge).sum()
    }

    /// Whole batches from the one that holds `from` on, within the limit.
    pub(crate) fn read(&self, from: Offset, limit: &ReadLimit) -> Fetched {
        let mut fetched = Fetched::nothing(from);
        let at = self.position(from);
        for batch in self.batches.range(at..) {
            if batch.last >= limit.end || !fetched.has_room(batch.bytes.len(), limit) {
                break;
            }
            fetched.push(batch.base, batch.next(), batch.bytes.clone());
        }
        fetched
    }

    /// Index of the first batch whose last offset is at or above `offset`.
    fn position(&self, offset: Offset) -> usize {
        self.batches.partition_point(|batch| batch.last < offset)
    }
}
