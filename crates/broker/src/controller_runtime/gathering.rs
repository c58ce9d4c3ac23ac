//! Requests that wait to share an entry of the metadata log.
//!
//! Many clients that each wait for an answer before they ask again come back together when an entry
//! is answered. If each request became an entry when it comes, the quorum would get ever more and
//! ever smaller entries, each with its syncs and messages. So requests gather until as many have
//! come as were answered: mostly the same clients. One client alone never waits: the one that was
//! answered is the one that has come.
//!
//! **Invariants**
//! - Nothing waits here longer than [`GATHERING_MAX`], or when there is enough for a whole entry.
//! - When no entry is on its way, a request waits only right after answers have left, for those who
//!   were answered.
//! - Before anything is answered, a request waits only where answers leave on the leader's own sync:
//!   it would wait for the same disk. Where they wait for the quorum, entries are pipelined.

use std::collections::VecDeque;
use std::time::Duration;

use chronik_controller::REQUEST_BYTES_MAX;
use chronik_types::Monotonic;

/// Requests that share one entry at most.
const REQUESTS_MAX: usize = 256;
/// How many bytes of metadata they may ask for before the last of them has come.
const BYTES_MAX: usize = REQUEST_BYTES_MAX / 2;
/// How long a request waits for others at most.
const GATHERING_MAX: Duration = Duration::from_millis(1);

/// See the module.
pub(super) struct Gathering<T> {
    waiting: VecDeque<T>,
    /// What they ask for together, in bytes of metadata.
    bytes: usize,
    /// When the first of them is not to wait any longer.
    deadline: Monotonic,
    /// Whether answers leave on the leader's own sync, as far as is known.
    early: bool,
    /// How many are to gather, once something has been answered.
    expected: Option<usize>,
    /// Until when they are: whoever asks again, does so at once.
    expected_until: Monotonic,
}

impl<T> Default for Gathering<T> {
    fn default() -> Self {
        let (waiting, deadline) = (VecDeque::new(), Monotonic::default());
        Self { waiting, bytes: 0, deadline, early: false, expected: None, expected_until: deadline }
    }
}

impl<T> Gathering<T> {
    /// A request has come, which asks for about so many bytes of metadata.
    pub fn add(&mut self, request: T, bytes: usize, now: Monotonic) {
        if self.waiting.is_empty() {
            let expected_until = self.expected.map(|_| self.expected_until);
            self.deadline = expected_until.unwrap_or_else(|| now.after(GATHERING_MAX));
        }
        self.waiting.push_back(request);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Whether no more may share the next entry.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= REQUESTS_MAX || self.bytes >= BYTES_MAX
    }

    /// Until when they wait at most; `None` when none does.
    pub fn deadline(&self) -> Option<Monotonic> {
        (!self.waiting.is_empty()).then_some(self.deadline)
    }

    /// Whether those that wait are to be handled now, with so many entries on their way.
    pub fn is_over(&self, in_flight: usize, now: Monotonic) -> bool {
        let enough = match self.expected {
            Some(expected) => self.waiting.len() >= expected,
            None => !self.early,
        };
        let unexpected = in_flight == 0 && self.expected.is_none();
        enough || unexpected || self.is_full() || now >= self.deadline
    }

    /// Takes all that wait: they share the next entry.
    pub fn take(&mut self) -> VecDeque<T> {
        self.expected = None;
        self.bytes = 0;
        std::mem::take(&mut self.waiting)
    }

    /// A change was proposed whose answer leaves on the leader's own sync, or on the commit.
    pub fn proposed(&mut self, early: bool) {
        self.early = early;
    }

    /// So many answers have left.
    pub fn answered(&mut self, count: usize, now: Monotonic) {
        if count > 0 {
            self.expected_until = now.after(GATHERING_MAX);
            let expected = self.expected.unwrap_or(self.waiting.len());
            self.expected = Some(expected + count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Monotonic = Monotonic(Duration::from_secs(1));
    const LATER: Monotonic = Monotonic(Duration::from_millis(1_001));

    /// What gathers while one entry of two requests is on its way.
    fn behind_two(early: bool) -> Gathering<u8> {
        let mut gathering = Gathering::default();
        gathering.add(1, 0, NOW);
        gathering.add(2, 0, NOW);
        assert!(gathering.is_over(0, NOW));
        assert_eq!(gathering.take(), [1, 2]);
        gathering.proposed(early);
        gathering
    }

    #[test]
    fn a_request_waits_for_those_that_were_answered() {
        let mut gathering = behind_two(true);
        gathering.add(3, 0, NOW);
        assert!(!gathering.is_over(1, NOW));
        gathering.answered(2, NOW);
        assert!(!gathering.is_over(1, NOW));
        gathering.add(1, 0, NOW);
        assert!(!gathering.is_over(1, NOW));
        gathering.add(2, 0, NOW);
        assert!(gathering.is_over(1, NOW));
        assert_eq!(gathering.take(), [3, 1, 2]);
        assert_eq!(gathering.deadline(), None);
    }

    #[test]
    fn it_does_not_wait_for_long_nor_for_those_who_do_not_come_at_once() {
        for early in [true, false] {
            let mut gathering = behind_two(early);
            gathering.answered(2, NOW);
            gathering.add(3, 0, NOW);
            assert_eq!(gathering.deadline(), Some(LATER));
            assert!(!gathering.is_over(1, NOW) && gathering.is_over(1, LATER));
            assert!(!gathering.is_over(0, NOW) && gathering.is_over(0, LATER));
            // Long after the answers nobody is expected any more.
            gathering.take();
            gathering.answered(2, NOW);
            gathering.add(3, 0, LATER);
            assert!(gathering.is_over(0, LATER) && gathering.is_over(1, LATER));
        }
    }

    #[test]
    fn without_answers_nothing_waits_when_nothing_is_on_its_way() {
        let mut gathering = behind_two(true);
        gathering.add(3, 0, NOW);
        assert!(!gathering.is_over(1, NOW) && gathering.is_over(0, NOW));
    }

    #[test]
    fn nothing_waits_behind_a_whole_entry() {
        for early in [true, false] {
            let mut gathering = behind_two(early);
            gathering.answered(2 * REQUESTS_MAX, NOW);
            (1..REQUESTS_MAX).for_each(|_| gathering.add(0, 0, NOW));
            assert!(!gathering.is_over(1, NOW) && !gathering.is_full());
            gathering.add(0, 0, NOW);
            assert!(gathering.is_over(1, NOW) && gathering.is_full());
        }
    }

    #[test]
    fn what_gathers_stays_of_a_size_that_a_journal_takes_at_once() {
        let mut gathering = behind_two(true);
        gathering.add(3, BYTES_MAX - 1, NOW);
        assert!(!gathering.is_full());
        gathering.add(4, REQUEST_BYTES_MAX, NOW);
        assert!(gathering.is_full() && gathering.is_over(1, NOW));
        gathering.take();
        assert!(!gathering.is_full());
    }

    #[test]
    fn one_client_alone_never_waits() {
        for early in [true, false] {
            let mut gathering = Gathering::default();
            for _ in 0..3 {
                gathering.add(1, 0, NOW);
                assert!(gathering.is_over(1, NOW));
                gathering.take();
                gathering.proposed(early);
                gathering.answered(1, NOW);
            }
        }
    }

    #[test]
    fn entries_are_pipelined_where_answers_wait_for_the_quorum() {
        let mut gathering = behind_two(false);
        gathering.add(3, 0, NOW);
        assert!(gathering.is_over(1, NOW));
        gathering.take();
        // Both entries are answered; all three are expected back.
        gathering.answered(2, NOW);
        gathering.add(1, 0, NOW);
        gathering.answered(1, NOW);
        gathering.add(3, 0, NOW);
        assert!(!gathering.is_over(1, NOW));
        gathering.add(2, 0, NOW);
        assert!(gathering.is_over(1, NOW));
    }
}
