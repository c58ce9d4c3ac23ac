//! The Raft vote on its way to the journal.
//!
//! **Invariants**: a vote counts as saved only when it is durable; the one shown is the last
//! durable one.

use std::collections::VecDeque;

use bytes::Bytes;
use chronik_journal::Journal;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::error::Stopped;

struct Saving {
    ticket: u64,
    vote: Bytes,
    saved: oneshot::Sender<()>,
}

#[derive(Default)]
struct State {
    durable: Option<Bytes>,
    /// By ticket: votes become durable in the order in which they were submitted.
    saving: VecDeque<Saving>,
    stopped: bool,
}

/// See the module.
pub(crate) struct Votes {
    state: Mutex<State>,
}

impl Votes {
    pub(crate) fn new(durable: Option<Bytes>) -> Self {
        Self { state: Mutex::new(State { durable, ..State::default() }) }
    }

    pub(crate) fn durable_vote(&self) -> Option<Bytes> {
        self.state.lock().durable.clone()
    }

    pub(crate) async fn save(&self, journal: &Journal, vote: Bytes) -> Result<(), Stopped> {
        let durable = {
            let mut state = self.state.lock();
            if state.stopped {
                return Err(Stopped);
            }
            let (saved, durable) = oneshot::channel();
            // Under the lock, so that its completion finds it in the queue, in order.
            let ticket = journal.save_vote(vote.clone());
            state.saving.push_back(Saving { ticket, vote, saved });
            durable
        };
        durable.await.map_err(|_| Stopped)
    }

    /// The vote with this ticket is durable.
    pub(crate) fn durable(&self, ticket: u64) {
        let mut state = self.state.lock();
        while state.saving.front().is_some_and(|saving| saving.ticket <= ticket) {
            let Some(saving) = state.saving.pop_front() else { break };
            state.durable = Some(saving.vote);
            // Whoever asked may have gone; the vote is saved all the same.
            let _ = saving.saved.send(());
        }
    }

    pub(crate) fn stop(&self) {
        let mut state = self.state.lock();
        state.stopped = true;
        state.saving.clear();
    }
}
