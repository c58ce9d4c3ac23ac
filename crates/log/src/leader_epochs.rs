//! Which leader epoch begins at which offset (KIP-101): how replicas find where they diverge.
//!
//! **Invariants**: epochs and start offsets both ascend strictly, save that the last epochs of an
//! empty stretch may share nothing: an epoch without records gives way to the one that follows it
//! at the same offset.

use chronik_types::{LeaderEpoch, Offset};

/// The epochs of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeaderEpochs {
    entries: Vec<(LeaderEpoch, Offset)>,
}

impl LeaderEpochs {
    pub(crate) fn from_entries(entries: &[(LeaderEpoch, Offset)]) -> Self {
        let mut epochs = Self::default();
        for (epoch, start) in entries {
            epochs.assign(*epoch, *start);
        }
        epochs
    }

    pub(crate) fn entries(&self) -> &[(LeaderEpoch, Offset)] {
        &self.entries
    }

    /// The latest epoch, if there is one.
    pub(crate) fn latest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|(epoch, _)| *epoch)
    }

    /// `epoch` begins at `start`. Says whether anything changed: an epoch that is known, or older
    /// than the latest, changes nothing.
    pub(crate) fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        if epoch < LeaderEpoch::ZERO || self.latest().is_some_and(|latest| epoch <= latest) {
            return false;
        }
        while self.entries.last().is_some_and(|(_, at)| *at >= start) {
            self.entries.pop();
        }
        self.entries.push((epoch, start));
        true
    }

    /// Whether the latest epoch begins at `offset` or after it.
    pub(crate) fn begins_at(&self, offset: Offset) -> bool {
        self.entries.last().is_some_and(|(_, at)| *at >= offset)
    }

    /// Forgets epochs that begin at or after `end`.
    pub(crate) fn truncate_from_end(&mut self, end: Offset) {
        while self.entries.last().is_some_and(|(_, at)| *at >= end) {
            self.entries.pop();
        }
    }

    /// Forgets epochs that ended at or before `start`; the one in force there begins at it now.
    pub(crate) fn truncate_from_start(&mut self, start: Offset) {
        let in_force = self.entries.partition_point(|(_, at)| *at <= start);
        if in_force == 0 {
            return;
        }
        self.entries.drain(..in_force - 1);
        if let Some(first) = self.entries.first_mut() {
            first.1 = start;
        }
    }

    /// The epochs a flush up to `end` states: with the one that begins there without a record yet.
    pub(crate) fn up_to(&self, end: Offset) -> Vec<(LeaderEpoch, Offset)> {
        self.entries.iter().copied().filter(|(_, at)| *at <= end).collect()
    }

    /// The answer to OffsetForLeaderEpoch: the largest epoch not above `requested`, and where the
    /// one after it begins. (-1, -1) if the log cannot say.
    pub(crate) fn end_offset_for(
        &self,
        requested: LeaderEpoch,
        log_end: Offset,
    ) -> (LeaderEpoch, Offset) {
        let unknown = (LeaderEpoch::NONE, Offset::UNKNOWN);
        let Some(latest) = self.latest() else { return unknown };
        if requested == latest {
            return (latest, log_end);
        }
        if requested == LeaderEpoch::NONE || requested > latest {
            return unknown;
        }
        let next = self.entries.partition_point(|(epoch, _)| *epoch <= requested);
        let Some((_, next_start)) = self.entries.get(next) else { return unknown };
        match next.checked_sub(1).and_then(|at| self.entries.get(at)) {
            Some((epoch, _)) => (*epoch, *next_start),
            // Below the first known epoch: all there is lies at or after its start.
            None => (requested, *next_start),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(entries: &[(i32, i64)]) -> LeaderEpochs {
        let entries: Vec<_> = entries.iter().map(|&(e, o)| (LeaderEpoch(e), Offset(o))).collect();
        LeaderEpochs::from_entries(&entries)
    }

    fn answer(of: &LeaderEpochs, requested: i32, end: i64) -> (i32, i64) {
        let (epoch, offset) = of.end_offset_for(LeaderEpoch(requested), Offset(end));
        (epoch.0, offset.0)
    }

    #[test]
    fn end_offsets_are_answered_as_kafka_does() {
        let of = epochs(&[(2, 10), (5, 30)]);
        assert_eq!(answer(&of, 5, 44), (5, 44));
        assert_eq!(answer(&of, 6, 44), (-1, -1));
        assert_eq!(answer(&of, -1, 44), (-1, -1));
        assert_eq!(answer(&of, 1, 44), (1, 10));
        assert_eq!(answer(&of, 2, 44), (2, 30));
        assert_eq!(answer(&of, 4, 44), (2, 30));
        assert_eq!(answer(&epochs(&[]), 0, 0), (-1, -1));
    }

    #[test]
    fn an_epoch_without_records_gives_way() {
        let mut of = epochs(&[(1, 0), (2, 10)]);
        assert!(of.assign(LeaderEpoch(3), Offset(10)));
        assert_eq!(of, epochs(&[(1, 0), (3, 10)]));
        assert!(!of.assign(LeaderEpoch(3), Offset(20)));
        assert!(!of.assign(LeaderEpoch(2), Offset(20)));
    }

    #[test]
    fn both_ends_can_be_cut() {
        let mut of = epochs(&[(1, 0), (2, 10), (4, 20)]);
        of.truncate_from_start(Offset(15));
        assert_eq!(of, epochs(&[(2, 15), (4, 20)]));
        of.truncate_from_end(Offset(20));
        assert_eq!(of, epochs(&[(2, 15)]));
        of.truncate_from_start(Offset(40));
        assert_eq!(of, epochs(&[(2, 40)]));
    }
}
