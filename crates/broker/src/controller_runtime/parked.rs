//! Answers that wait until what they rest on is durable enough.
//!
//! **Invariants**
//! - Batches become durable in the order of their numbers, so each queue is in that order and is
//!   released from its front.
//! - An answer that may leave on the leader's own sync is judged once more at that moment; if the
//!   gate is closed, it waits for the commit like any other.
//! - An answer that is dropped means that nobody knows the outcome.

use std::collections::VecDeque;

use chronik_controller::{Durability, Response};
use chronik_types::Offset;
use tokio::sync::oneshot;

use crate::forwarding::Fate;

/// The answers that wait.
#[derive(Default)]
pub(super) struct Parked {
    /// For the leader's own sync.
    early: VecDeque<Waiting>,
    /// For the commit, after the gate was found closed at the leader's own sync.
    fallen: VecDeque<Waiting>,
    /// For the commit.
    late: VecDeque<Waiting>,
}

struct Waiting {
    /// The number of the batch.
    sequence: u64,
    response: Response,
    answer: oneshot::Sender<Fate>,
}

impl Waiting {
    /// Whoever asked may have given up.
    fn leave(self, visible_at: Offset) {
        let _ = self.answer.send(Fate::Answered { response: self.response, visible_at });
    }
}

impl Parked {
    /// Keeps an answer until the batch of this number is as durable as this.
    pub fn park(
        &mut self,
        sequence: u64,
        durability: Durability,
        response: Response,
        answer: oneshot::Sender<Fate>,
    ) {
        let waiting = Waiting { sequence, response, answer };
        match durability {
            Durability::LeaderSynced => self.early.push_back(waiting),
            Durability::Committed => self.late.push_back(waiting),
        }
    }

    /// Whether an answer waits for the leader's own sync of the batches up to this one.
    pub fn waits_for_sync(&self, sequence: u64) -> bool {
        self.early.front().is_some_and(|first| first.sequence <= sequence)
    }

    /// The leader has synced the batches up to this one, and the gate is open. How many answers
    /// leave.
    pub fn synced(&mut self, sequence: u64) -> usize {
        // Every node sees the change in its own time; there is nothing to wait for.
        release(&mut self.early, sequence, Offset::ZERO)
    }

    /// The leader has synced the batches up to this one, but the gate is closed. How many answers
    /// wait on for that.
    pub fn fall_back(&mut self, sequence: u64) -> usize {
        let count = self.early.iter().take_while(|first| first.sequence <= sequence).count();
        self.fallen.extend(self.early.drain(..count));
        count
    }

    /// The batches up to this one are committed and applied; images up to `visible_at` show them.
    /// How many answers leave.
    pub fn committed(&mut self, sequence: u64, visible_at: Offset) -> usize {
        let queues = [&mut self.fallen, &mut self.late, &mut self.early];
        queues.into_iter().map(|queue| release(queue, sequence, visible_at)).sum()
    }

    /// Nothing that waits was carried out, and whoever asked may try again elsewhere.
    pub fn not_carried_out(&mut self) {
        for queue in [&mut self.early, &mut self.fallen, &mut self.late] {
            for waiting in queue.drain(..) {
                let _ = waiting.answer.send(Fate::NotController);
            }
        }
    }
}

/// Releases the answers of the batches up to this one; how many.
fn release(queue: &mut VecDeque<Waiting>, sequence: u64, visible_at: Offset) -> usize {
    let count = queue.iter().take_while(|first| first.sequence <= sequence).count();
    queue.drain(..count).for_each(|waiting| waiting.leave(visible_at));
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    const EARLY: Durability = Durability::LeaderSynced;
    const LATE: Durability = Durability::Committed;

    fn park(parked: &mut Parked, sequence: u64, durability: Durability) -> Asked {
        let (answer, receiver) = oneshot::channel();
        parked.park(sequence, durability, Response::Bootstrap, answer);
        Asked { receiver }
    }

    struct Asked {
        receiver: oneshot::Receiver<Fate>,
    }

    impl Asked {
        /// Where the answer is visible; `None` while there is none.
        fn visible_at(&mut self) -> Option<i64> {
            match self.receiver.try_recv() {
                Ok(Fate::Answered { visible_at, .. }) => Some(visible_at.0),
                Ok(other) => panic!("{other:?}"),
                Err(oneshot::error::TryRecvError::Empty) => None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn each_answer_leaves_when_its_batch_is_durable_enough_and_not_before() {
        let mut parked = Parked::default();
        let mut late = park(&mut parked, 1, LATE);
        let mut early = park(&mut parked, 1, EARLY);
        let mut next = park(&mut parked, 2, EARLY);
        assert!(parked.waits_for_sync(1));
        parked.synced(1);
        assert!(!parked.waits_for_sync(1));
        assert_eq!(
            (early.visible_at(), next.visible_at(), late.visible_at()),
            (Some(0), None, None)
        );
        parked.committed(1, Offset(7));
        assert_eq!((late.visible_at(), next.visible_at()), (Some(7), None));
        // The quorum may have a batch before the leader's own disk has it.
        parked.committed(2, Offset(8));
        assert_eq!(next.visible_at(), Some(8));
    }

    #[test]
    fn with_the_gate_closed_at_its_sync_an_answer_waits_for_the_commit() {
        let mut parked = Parked::default();
        let mut first = park(&mut parked, 1, EARLY);
        let mut second = park(&mut parked, 1, EARLY);
        let mut third = park(&mut parked, 3, EARLY);
        assert_eq!(parked.fall_back(2), 2);
        parked.synced(3);
        assert_eq!(third.visible_at(), Some(0));
        assert_eq!((first.visible_at(), second.visible_at()), (None, None));
        parked.committed(1, Offset(5));
        assert_eq!((first.visible_at(), second.visible_at()), (Some(5), Some(5)));
    }

    #[test]
    fn what_was_not_carried_out_is_told_so_and_what_nobody_knows_is_dropped() {
        let mut parked = Parked::default();
        let mut asked: Vec<_> =
            [EARLY, LATE].into_iter().map(|d| park(&mut parked, 1, d)).collect();
        parked.not_carried_out();
        for asked in &mut asked {
            assert_eq!(asked.receiver.try_recv(), Ok(Fate::NotController));
        }
        let mut lost = park(&mut parked, 2, LATE);
        drop(parked);
        assert_eq!(lost.receiver.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }
}
