//! From durable groups of the journal to durable offsets of logs.
//!
//! ```text
//! journal thread ─► Sink ─► channel ─► Completions ─► Log::complete ─► LogListener::durable
//! ```
//!
//! **Invariants**
//! - The journal's thread only sends: it locks no log and wakes no waiter.
//! - Groups are applied in the order in which they became durable, by one task.
//!
//! **Not here:** what a listener does with a durable offset (`broker`).

use std::sync::Arc;

use chronik_journal::{Completed, DurableGroup, DurableSink, JournalError, LogId};
use chronik_types::Offset;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::log::Log;
use crate::storage::Shared;

/// What the journal reports.
enum Event {
    Group(DurableGroup),
    SpaceFreed,
    Failed(String),
}

/// The journal's side of the channel. Bounded by what admission lets into the journal.
pub(crate) struct Sink {
    events: UnboundedSender<Event>,
}

/// What will become the task once the storage exists.
pub(crate) struct Pending {
    events: UnboundedReceiver<Event>,
}

pub(crate) fn channel() -> (Sink, Pending) {
    let (sender, receiver) = unbounded_channel();
    (Sink { events: sender }, Pending { events: receiver })
}

impl Pending {
    pub(crate) fn of(self, shared: Arc<Shared>) -> Completions {
        Completions { shared, events: self.events }
    }
}

impl DurableSink for Sink {
    fn group_durable(&mut self, group: DurableGroup) {
        // A closed channel means that the storage is gone; there is nobody left to tell.
        drop(self.events.send(Event::Group(group)));
    }

    fn space_freed(&mut self) {
        drop(self.events.send(Event::SpaceFreed));
    }

    fn failed(&mut self, error: &JournalError) {
        drop(self.events.send(Event::Failed(error.to_string())));
    }
}

/// The one task that advances durable offsets. The broker spawns [`Completions::run`].
pub struct Completions {
    shared: Arc<Shared>,
    events: UnboundedReceiver<Event>,
}

impl Completions {
    /// Applies what the journal reports until the storage is shut down.
    pub async fn run(mut self) {
        while let Some(event) = self.events.recv().await {
            self.apply(event);
        }
    }

    /// Applies what has been reported so far, without waiting; for tests and simulations that
    /// step the journal themselves.
    pub fn drain(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.apply(event);
        }
    }

    fn apply(&self, event: Event) {
        match event {
            Event::Group(group) => {
                self.shared.see_durable(group.lsn);
                self.group(&group.records);
            }
            Event::SpaceFreed => self.shared.admission.pump(),
            Event::Failed(reason) => self.shared.stop(reason),
        }
    }

    fn group(&self, records: &[Completed]) {
        let mut moved: Vec<(Arc<Log>, Offset)> = Vec::new();
        let mut at: std::collections::HashMap<LogId, usize> = std::collections::HashMap::new();
        for completed in records {
            if completed.log == LogId::JOURNAL {
                self.shared.votes.durable(completed.ticket);
                continue;
            }
            let Some(log) = self.shared.log_by_id(completed.log) else { continue };
            let Some(durable_end) = log.complete(completed) else { continue };
            let place = *at.entry(completed.log).or_insert(moved.len());
            match moved.get_mut(place) {
                Some(entry) => entry.1 = durable_end,
                None => moved.push((log, durable_end)),
            }
        }
        for (log, durable_end) in moved {
            log.tell_durable(durable_end);
        }
        self.shared.feel_pressure();
        self.shared.admission.pump();
    }
}
