//! The batches between being made and being committed.
//!
//! **Invariants:** numbers are given out in order within a term and never twice; the batches in
//! flight are in order, each made on top of the one before it; the gathering batch is made on top
//! of the last of them.

use std::collections::VecDeque;

use chronik_metadata::{Applied, Image, MetadataBatch, MetadataRecord};

/// A batch that has been given out and is not committed yet.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) sequence: u64,
    /// Its records of topics that come and go, if those may be answered on the leader's sync.
    pub(crate) fast: Vec<MetadataRecord>,
    /// The speculative image just behind it, if it has no other records than those.
    pub(crate) after: Option<Image>,
    pub(crate) leader_synced: bool,
}

/// The proposals of one activation.
#[derive(Debug)]
pub(crate) struct Proposals {
    term: u64,
    /// The number the next batch gets.
    next: u64,
    /// The batch that the next one is made on top of; 0 for none of this term.
    last: u64,
    records: Vec<MetadataRecord>,
    fast: Vec<MetadataRecord>,
    in_flight: VecDeque<InFlight>,
}

impl Proposals {
    /// Starts on top of a committed image; `used` is the highest number that was given out in
    /// this term before, if this node has been its controller already.
    pub(crate) fn new(term: u64, applied: Applied, used: u64) -> Self {
        let last = if applied.term == term { applied.sequence } else { 0 };
        Self {
            term,
            next: last.max(used) + 1,
            last,
            records: Vec::new(),
            fast: Vec::new(),
            in_flight: VecDeque::new(),
        }
    }

    pub(crate) fn term(&self) -> u64 {
        self.term
    }

    /// The highest number given out.
    pub(crate) fn used(&self) -> u64 {
        self.next - 1
    }

    /// The number of the last batch that a decision made now rests on; `None` if all is committed.
    pub(crate) fn last_uncommitted(&self) -> Option<u64> {
        if self.records.is_empty() {
            self.in_flight.back().map(|batch| batch.sequence)
        } else {
            Some(self.next)
        }
    }

    /// Adds the records of a request to the gathering batch; `keep` if they may be acknowledged
    /// before they are committed.
    pub(crate) fn gather(&mut self, records: Vec<MetadataRecord>, keep: bool) {
        if keep {
            self.fast.extend(records.iter().cloned());
        }
        self.records.extend(records);
    }

    /// Gives out the gathering batch, if there is anything in it; `speculative` has it replayed.
    pub(crate) fn next_batch(&mut self, speculative: &Image) -> Option<MetadataBatch> {
        if self.records.is_empty() {
            return None;
        }
        let (sequence, follows) = (self.next, self.last);
        self.next += 1;
        self.last = sequence;
        let fast = std::mem::take(&mut self.fast);
        let records = std::mem::take(&mut self.records);
        let after = (fast.len() == records.len()).then(|| speculative.clone());
        self.in_flight.push_back(InFlight { sequence, fast, after, leader_synced: false });
        Some(MetadataBatch { term: self.term, sequence, follows, records })
    }

    /// Forgets the batches up to this one, which is committed. False if it is not one of those in
    /// flight: then the log has another history than what was proposed here.
    pub(crate) fn committed(&mut self, sequence: u64) -> bool {
        let is_ours = self.in_flight.iter().any(|batch| batch.sequence == sequence);
        self.in_flight.retain(|batch| batch.sequence > sequence);
        is_ours
    }

    pub(crate) fn in_flight_mut(&mut self) -> impl Iterator<Item = &mut InFlight> {
        self.in_flight.iter_mut()
    }

    /// The first of those in flight, as far as the leader has synced them.
    pub(crate) fn leader_synced(&self) -> impl Iterator<Item = &InFlight> {
        self.in_flight.iter().take_while(|batch| batch.leader_synced)
    }

    /// Whether something that is in flight is acknowledged already.
    pub(crate) fn acknowledges_more(&self) -> bool {
        self.leader_synced().any(|batch| !batch.fast.is_empty())
    }

    /// Whether nothing is gathering or in flight.
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.in_flight.is_empty()
    }
}
