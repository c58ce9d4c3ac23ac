//! How far the high watermark may go: the only place where it moves.

use chronik_types::Offset;

use super::Leader;
use super::isr::Proposing;
use crate::bugs;
use crate::replica::Replica;

impl Leader {
    /// Moves it as far as it may. Where it is now, if it moved.
    pub(super) fn advance(&mut self) -> Option<Offset> {
        let floor = self.high_watermark.max(self.log_start);
        let reached = self.replicated().unwrap_or(floor).max(floor);
        if reached == self.high_watermark {
            return None;
        }
        self.high_watermark = reached;
        Some(reached)
    }

    /// What the whole maximal in-sync set has; `None` if that cannot be told or may not count.
    fn replicated(&self) -> Option<Offset> {
        if self.is_under_min_isr() && !bugs::ignore_min_isr() {
            return None;
        }
        let mut lowest = if bugs::forget_own_disk() { self.end } else { self.durable };
        for follower in self.followers.iter().filter(|follower| self.counts(follower)) {
            match follower.durable() {
                Some(durable) => lowest = lowest.min(durable),
                None if bugs::skip_the_disconnected() => {}
                None => return None,
            }
        }
        Some(lowest)
    }

    /// Whether a follower is in the maximal in-sync set.
    fn counts(&self, follower: &Replica) -> bool {
        if bugs::forget_proposed_additions() {
            return follower.committed;
        }
        let is_in_flight = matches!(self.proposing, Proposing::InFlight { .. });
        if bugs::remove_before_commit() && is_in_flight && follower.lags_since.is_some() {
            return false;
        }
        follower.may_be_in_sync()
    }
}
