//! Who waits for which entry to become durable.
//!
//! **Invariants**
//! - A waiter is told when the log's durable end covers its entry, asked from the log itself: an
//!   end that was on its way while the log was cut and written again says nothing about the new
//!   entries.
//! - Waiters leave in the order of their entries; those of truncated entries are dropped.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock, Weak};

use chronik_log::{Log, LogListener};
use chronik_types::Offset;
use openraft::storage::IOFlushed;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::type_config::TypeConfig;

/// Told when an append is durable.
pub(crate) enum Waiter {
    /// openraft, about everything up to an end.
    Append(IOFlushed<TypeConfig>),
    /// Whoever proposed the entry at this offset.
    Proposer(Offset, oneshot::Sender<Offset>),
}

impl Waiter {
    fn tell(self) {
        match self {
            Self::Append(callback) => callback.io_completed(Ok(())),
            // Whoever proposed may not care about the local sync.
            Self::Proposer(offset, sender) => drop(sender.send(offset)),
        }
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct Flushes {
    log: OnceLock<Weak<Log>>,
    /// By the end offset that must be durable.
    waiting: Mutex<VecDeque<(Offset, Waiter)>>,
}

impl Flushes {
    /// Names the log; once, before the first append.
    pub fn watch(&self, log: &Arc<Log>) {
        // A second name would be the same log's.
        let _ = self.log.set(Arc::downgrade(log));
    }

    /// Registers waiters with the end that must be durable, in order; before the entries are
    /// appended, because they may be durable before the append returns.
    pub fn wait(&self, waiters: Vec<(Offset, Waiter)>) {
        self.waiting.lock().extend(waiters);
    }

    /// Forgets whoever waits for entries from `end` on: they are gone.
    pub fn truncated(&self, end: Offset) {
        self.waiting.lock().retain(|(at, _)| *at <= end);
    }

    fn next_ready(&self, log: &Log) -> Option<Waiter> {
        let mut waiting = self.waiting.lock();
        let (end, _) = waiting.front()?;
        // Asked while the waiter is in the queue: an entry that was written again registered its
        // waiter after the cut, and the log forgot the old durable end at the cut.
        if *end > log.durable_end() {
            return None;
        }
        waiting.pop_front().map(|(_, waiter)| waiter)
    }
}

impl LogListener for Flushes {
    fn durable(&self, _durable_end: Offset) {
        let Some(log) = self.log.get().and_then(Weak::upgrade) else { return };
        while let Some(waiter) = self.next_ready(&log) {
            waiter.tell();
        }
    }
}
