//! Who led before this node does, and when it was last heard of.
//!
//! **Invariants**
//! - Only what a leader sent in a later term than this node itself led in is taken note of: a
//!   leader of long ago is not the one before. Nor is one of a term before another leader's.
//! - The moment is that of the arrival here, so it is never earlier than the truth.

use std::sync::Arc;

use chronik_types::{BrokerId, Monotonic};
use parking_lot::Mutex;

/// The leader before, and when it was last heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastHeard {
    /// The node.
    pub leader: BrokerId,
    /// When something that it sent as leader arrived here.
    pub at: Monotonic,
}

/// See the module. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct LastLeader(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The last term in which this node itself led.
    own_term: u64,
    /// The last term of which a leader was heard.
    heard_term: u64,
    heard: Option<LastHeard>,
}

impl LastLeader {
    /// A leader of `term` has sent something.
    pub fn heard(&self, leader: BrokerId, term: u64, at: Monotonic) {
        let mut state = self.0.lock();
        if term > state.own_term && term >= state.heard_term {
            state.heard_term = term;
            state.heard = Some(LastHeard { leader, at });
        }
    }

    /// This node leads in `term`: who led before. Told once.
    pub fn succeeded(&self, term: u64) -> Option<LastHeard> {
        let mut state = self.0.lock();
        state.own_term = state.own_term.max(term);
        state.heard.take()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic(Duration::from_secs(seconds))
    }

    fn heard(leader: i32, seconds: u64) -> Option<LastHeard> {
        Some(LastHeard { leader: BrokerId(leader), at: at(seconds) })
    }

    #[test]
    fn the_last_leader_is_told_once_and_is_never_one_of_before_this_node_led() {
        let last = LastLeader::default();
        assert_eq!(last.succeeded(1), None);
        last.heard(BrokerId(2), 2, at(1));
        last.heard(BrokerId(3), 3, at(2));
        last.heard(BrokerId(3), 3, at(4));
        // A leader before that one, which does not know it yet.
        last.heard(BrokerId(2), 2, at(5));
        assert_eq!(last.succeeded(5), heard(3, 4));
        // This node is the controller anew, in the same term.
        assert_eq!(last.succeeded(5), None);
        // What the leader before sends without knowing that it leads no more.
        last.heard(BrokerId(3), 3, at(6));
        assert_eq!(last.succeeded(7), None);
        last.heard(BrokerId(2), 8, at(7));
        assert_eq!(last.succeeded(9), heard(2, 7));
    }
}
