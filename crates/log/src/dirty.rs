//! Which logs have records that no flush covers, by the oldest of them: the order of flushing.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_journal::{LogId, Lsn};
use parking_lot::Mutex;

use crate::log::Log;

/// See the module. A log is in it once, under its oldest unflushed record.
#[derive(Default)]
pub(crate) struct DirtyLogs {
    by_age: Mutex<BTreeMap<(Lsn, LogId), Arc<Log>>>,
}

impl DirtyLogs {
    pub(crate) fn insert(&self, oldest: Lsn, id: LogId, log: &Arc<Log>) {
        self.by_age.lock().insert((oldest, id), Arc::clone(log));
    }

    pub(crate) fn remove(&self, oldest: Lsn, id: LogId) {
        self.by_age.lock().remove(&(oldest, id));
    }

    pub(crate) fn len(&self) -> usize {
        self.by_age.lock().len()
    }

    pub(crate) fn clear(&self) {
        self.by_age.lock().clear();
    }

    /// The greatest of the oldest unflushed records.
    pub(crate) fn newest(&self) -> Option<Lsn> {
        self.by_age.lock().keys().next_back().map(|(lsn, _)| *lsn)
    }

    /// Up to `count` logs, oldest first, behind `after`.
    pub(crate) fn oldest(
        &self,
        after: Option<(Lsn, LogId)>,
        count: usize,
    ) -> Vec<((Lsn, LogId), Arc<Log>)> {
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let by_age = self.by_age.lock();
        let logs = by_age.range((from, std::ops::Bound::Unbounded));
        logs.take(count).map(|(key, log)| (*key, Arc::clone(log))).collect()
    }
}
