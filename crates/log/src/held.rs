//! Which logs hold the journal though no flush can help it: those that nobody has opened.
//!
//! **Invariants**
//! - Only a parked log is named: the records of an open one are for a flush to move.
//! - Whoever waits is told after each flush round that leaves the journal held.
//!
//! **Not here:** opening them, and saying so (`broker`).

use chronik_types::TopicPartition;

use crate::storage::{Shared, Storage};

impl Storage {
    /// The logs that are not open and have records in the journal's oldest file: until they are
    /// opened or deleted, it cannot go, nor can any after it. None while the journal is at most
    /// half full, for nobody needs its room then. In order.
    #[must_use]
    pub fn journal_holders(&self) -> Vec<TopicPartition> {
        self.shared.journal_holders()
    }

    /// Completes when a flush round has left the journal held by such logs.
    pub async fn journal_held(&self) {
        self.shared.held.notified().await;
    }
}

impl Shared {
    pub(crate) fn journal_holders(&self) -> Vec<TopicPartition> {
        if !self.journal_is_filling() || self.tables.read().parked.is_empty() {
            return Vec::new();
        }
        let Some((_, pinning)) = self.journal.oldest_unrecyclable() else { return Vec::new() };
        let tables = self.tables.read();
        // By id: of an earlier incarnation of a parked log, a DROP is under way.
        let holds = |id| pinning.binary_search(id).is_ok();
        let parked = tables.parked.iter();
        let mut holders: Vec<_> =
            parked.filter(|(_, (id, _))| holds(id)).map(|(partition, _)| *partition).collect();
        drop(tables);
        holders.sort_unstable();
        holders
    }

    /// Tells whoever opens logs, if that is what the journal waits for.
    pub(crate) fn look_for_holders(&self) {
        if !self.journal_holders().is_empty() {
            self.held.notify_one();
        }
    }
}
