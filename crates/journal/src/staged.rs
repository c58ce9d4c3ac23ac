//! What the writer has taken from the queue and not yet put in a group: who is next. Pure.
//!
//! Usually everything fits in one group and goes in the order of its arrival. Only when it does not
//! are the logs given turns, so that one log cannot hold up all others.

use std::collections::{HashMap, VecDeque};

use crate::LogId;
use crate::shared::Submission;

/// # Invariants
///
/// - A log is in `turns` exactly if it has submissions in `by_log`.
/// - Either `arrivals` or `by_log` is empty.
#[derive(Default)]
pub struct Staged {
    metadata: VecDeque<Submission>,
    arrivals: VecDeque<Submission>,
    by_log: HashMap<LogId, VecDeque<Submission>>,
    turns: VecDeque<LogId>,
}

impl Staged {
    /// Takes in what arrived.
    pub fn take_in(
        &mut self,
        metadata: &mut VecDeque<Submission>,
        others: &mut VecDeque<Submission>,
    ) {
        self.metadata.append(metadata);
        if self.turns.is_empty() {
            self.arrivals.append(others);
        } else {
            others.drain(..).for_each(|submission| self.queue_by_log(submission));
        }
    }

    fn queue_by_log(&mut self, submission: Submission) {
        let log = submission.log;
        let queue = self.by_log.entry(log).or_default();
        if queue.is_empty() {
            self.turns.push_back(log);
        }
        queue.push_back(submission);
    }

    pub fn is_empty(&self) -> bool {
        self.metadata.is_empty() && self.arrivals.is_empty() && self.turns.is_empty()
    }

    /// The next submission, if it `fits`; metadata first. When one does not fit, nothing behind it
    /// is taken instead: it has its turn first in the next group.
    pub fn next_if(&mut self, mut fits: impl FnMut(&Submission) -> bool) -> Option<Submission> {
        if let Some(first) = self.metadata.front() {
            return if fits(first) { self.metadata.pop_front() } else { None };
        }
        if let Some(first) = self.arrivals.front() {
            if fits(first) {
                return self.arrivals.pop_front();
            }
            // The group is full: from here on each log waits in its own line.
            let arrivals = std::mem::take(&mut self.arrivals);
            arrivals.into_iter().for_each(|submission| self.queue_by_log(submission));
            return None;
        }
        let log = *self.turns.front()?;
        let queue = self.by_log.get_mut(&log)?;
        if !queue.front().is_some_and(fits) {
            return None;
        }
        let submission = queue.pop_front();
        self.turns.pop_front();
        if queue.is_empty() {
            self.by_log.remove(&log);
        } else {
            self.turns.push_back(log);
        }
        submission
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::Content;

    fn submissions(list: &[(u64, u64)]) -> VecDeque<Submission> {
        let content = || Content::Records(Vec::new());
        list.iter()
            .map(|(log, ticket)| Submission {
                log: LogId(*log),
                ticket: *ticket,
                content: content(),
                cost: 0,
            })
            .collect()
    }

    fn group(staged: &mut Staged, count: usize) -> Vec<u64> {
        let mut tickets = Vec::new();
        while let Some(next) = staged.next_if(|_| tickets.len() < count) {
            tickets.push(next.ticket);
        }
        tickets
    }

    #[test]
    fn a_flood_of_one_log_lets_others_through_and_keeps_its_order() {
        let mut staged = Staged::default();
        let mut others = submissions(&[(1, 1), (1, 2), (1, 3), (1, 4), (1, 5), (2, 6), (3, 7)]);
        staged.take_in(&mut submissions(&[]), &mut others);
        assert_eq!(group(&mut staged, 2), [1, 2]);
        staged.take_in(&mut submissions(&[(9, 9)]), &mut submissions(&[(2, 8)]));
        assert_eq!(group(&mut staged, 4), [9, 3, 6, 7]);
        assert_eq!(group(&mut staged, 9), [4, 8, 5]);
        assert!(staged.is_empty());
    }
}
