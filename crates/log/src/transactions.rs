//! Which transactions of a log are decided, and which were aborted.
//!
//! **Not here:** open transactions (each producer's own, `producers`); aborted transactions whose
//! marker a flush has written (`segment::txn_index`).

use chronik_types::{Offset, ProducerId};

use crate::producers::EndedTransaction;

/// A transaction that was aborted: what a read_committed consumer must skip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Whose.
    pub producer_id: ProducerId,
    /// Its first offset in this log.
    pub first_offset: Offset,
    /// The offset of its marker.
    pub last_offset: Offset,
    /// The last stable offset once it had ended.
    pub last_stable_offset: Offset,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    /// Ended, but the marker may lie above the high watermark: first offset and marker.
    unreplicated: Vec<(Offset, Offset)>,
    /// Markers not flushed yet, by marker offset.
    aborted: Vec<AbortedTransaction>,
}

/// What ending this transaction leaves in the index, if it was aborted.
pub(crate) fn aborted(
    ended: &EndedTransaction,
    first_open: Option<Offset>,
) -> Option<AbortedTransaction> {
    ended.aborted.then(|| AbortedTransaction {
        producer_id: ended.producer_id,
        first_offset: ended.first,
        last_offset: ended.last,
        last_stable_offset: first_open.unwrap_or(ended.last.next()),
    })
}

impl Transactions {
    /// A marker is in the log; `first_open` is the oldest transaction still open after it.
    pub(crate) fn ended(&mut self, ended: EndedTransaction, first_open: Option<Offset>) {
        self.unreplicated.push((ended.first, ended.last));
        self.aborted.extend(aborted(&ended, first_open));
    }

    /// Begins again with what ended in the flushed part of the log.
    pub(crate) fn restore(&mut self, flushed: &[EndedTransaction]) {
        self.aborted.clear();
        self.unreplicated = flushed.iter().map(|ended| (ended.first, ended.last)).collect();
    }

    pub(crate) fn last_stable(&self, first_open: Option<Offset>, high_watermark: Offset) -> Offset {
        let undecided = self.unreplicated.iter().filter(|(_, marker)| *marker >= high_watermark);
        let first_undecided = undecided.map(|(first, _)| *first).min();
        [first_open, first_undecided].into_iter().flatten().fold(high_watermark, Ord::min)
    }

    /// The high watermark moved: markers below it are decided for good.
    pub(crate) fn forget_replicated(&mut self, high_watermark: Offset) {
        self.unreplicated.retain(|(_, marker)| *marker >= high_watermark);
    }

    /// A flush wrote the markers below `end`.
    pub(crate) fn forget_flushed(&mut self, end: Offset) {
        self.aborted.retain(|transaction| transaction.last_offset >= end);
    }

    /// The log was cut at `end`, or what lies from there on is about to be walked again.
    pub(crate) fn forget_unflushed(&mut self, end: Offset) {
        self.aborted.retain(|transaction| transaction.last_offset < end);
        self.unreplicated.retain(|(_, marker)| *marker < end);
    }

    /// Aborted transactions that overlap `[from, end)` and are not flushed.
    pub(crate) fn aborted_between(
        &self,
        from: Offset,
        end: Offset,
    ) -> impl Iterator<Item = AbortedTransaction> + '_ {
        let overlaps = move |t: &&AbortedTransaction| t.last_offset >= from && t.first_offset < end;
        self.aborted.iter().filter(overlaps).copied()
    }
}
