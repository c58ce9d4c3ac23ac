//! Which logs the journal holds data of, and in which files: what pins a file. Pure.
//!
//! A file is obsolete when no log has unflushed records in it, no log's last flush fact is in it,
//! and so nothing below the next file needs to be read again.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use chronik_types::TopicPartition;

use crate::{Flushed, LogId, Lsn};

/// # Invariants
///
/// - `unflushed` ascends, and each of its files has this log in its pins.
/// - The file of `fact` has this log in its facts.
struct LogState {
    partition: TopicPartition,
    /// The file in which the mapping was last written; 0 if in none.
    mapped: u64,
    /// Per file with records no flush covers: the file, and the position of the last one.
    unflushed: VecDeque<(u64, u32)>,
    /// The last durable flush and where its fact is.
    fact: Option<(Lsn, Box<Flushed>)>,
    dropped: bool,
}

#[derive(Default)]
struct Pins {
    unflushed: BTreeSet<LogId>,
    facts: BTreeSet<LogId>,
    drops: Vec<LogId>,
}

/// What must be known of all logs to recycle files in order.
#[derive(Default)]
pub struct Table {
    logs: HashMap<LogId, LogState>,
    files: BTreeMap<u64, Pins>,
    next_log: u64,
}

impl Table {
    /// A table that gives out ids from `next_log` on, but never 0.
    pub fn new(next_log: u64) -> Self {
        Self { next_log: next_log.max(1), ..Self::default() }
    }

    /// Above every id given out.
    pub fn next_log(&self) -> LogId {
        LogId(self.next_log)
    }

    /// Gives out an id.
    pub fn new_log(&mut self, partition: TopicPartition) -> LogId {
        let log = LogId(self.next_log);
        self.register(log, partition);
        log
    }

    /// Takes in an id that was given out before.
    pub fn register(&mut self, log: LogId, partition: TopicPartition) {
        self.next_log = self.next_log.max(log.0.saturating_add(1));
        self.logs.entry(log).or_insert_with(|| LogState {
            partition,
            mapped: 0,
            unflushed: VecDeque::new(),
            fact: None,
            dropped: false,
        });
    }

    /// The partition to map `log` to in `file`, once per file; `None` when that is done.
    ///
    /// # Panics
    ///
    /// When nobody gave out this id.
    pub fn mapping_due(&mut self, log: LogId, file: u64) -> Option<TopicPartition> {
        let state = self.logs.get_mut(&log);
        assert!(state.is_some(), "log {log} has written without an id from new_log");
        let state = state?;
        if state.mapped == file {
            return None;
        }
        state.mapped = file;
        Some(state.partition)
    }

    /// A record that a flush must cover before its file can go.
    pub fn note_record(&mut self, log: LogId, lsn: Lsn) {
        let Some(state) = self.logs.get_mut(&log).filter(|state| !state.dropped) else { return };
        match state.unflushed.back_mut() {
            Some(last) if last.0 == lsn.file => last.1 = lsn.position,
            _ => {
                state.unflushed.push_back((lsn.file, lsn.position));
                self.files.entry(lsn.file).or_default().unflushed.insert(log);
            }
        }
    }

    /// A flush fact at `lsn` has become durable.
    pub fn apply_flushed(&mut self, log: LogId, lsn: Lsn, flushed: Flushed) {
        let Some(state) = self.logs.get_mut(&log).filter(|state| !state.dropped) else { return };
        while let Some((file, position)) = state.unflushed.front().copied()
            && (Lsn { file, position }) <= flushed.lsn
        {
            state.unflushed.pop_front();
            if let Some(pins) = self.files.get_mut(&file) {
                pins.unflushed.remove(&log);
            }
        }
        if let Some((old, _)) = state.fact.replace((lsn, Box::new(flushed)))
            && let Some(pins) = self.files.get_mut(&old.file)
        {
            pins.facts.remove(&log);
        }
        self.files.entry(lsn.file).or_default().facts.insert(log);
    }

    /// The log is gone, durably. It is remembered as long as the file with its drop.
    pub fn apply_drop(&mut self, log: LogId, lsn: Lsn) {
        let Some(state) = self.logs.get_mut(&log).filter(|state| !state.dropped) else { return };
        state.dropped = true;
        for (file, _) in state.unflushed.drain(..) {
            if let Some(pins) = self.files.get_mut(&file) {
                pins.unflushed.remove(&log);
            }
        }
        if let Some((old, _)) = state.fact.take()
            && let Some(pins) = self.files.get_mut(&old.file)
        {
            pins.facts.remove(&log);
        }
        self.files.entry(lsn.file).or_default().drops.push(log);
    }

    /// The logs with unflushed records in `file`.
    pub fn unflushed(&self, file: u64) -> Vec<LogId> {
        self.files
            .get(&file)
            .map(|pins| pins.unflushed.iter().copied().collect())
            .unwrap_or_default()
    }

    /// Whether some log has unflushed records in `file`.
    pub fn has_unflushed(&self, file: u64) -> bool {
        self.files.get(&file).is_some_and(|pins| !pins.unflushed.is_empty())
    }

    /// Whether the last flush fact of some log is in `file`.
    pub fn has_facts(&self, file: u64) -> bool {
        self.files.get(&file).is_some_and(|pins| !pins.facts.is_empty())
    }

    /// The facts that must be written again before `file` can go.
    pub fn facts(&self, file: u64) -> impl Iterator<Item = (LogId, &Flushed)> {
        let logs = self.files.get(&file).map(|pins| pins.facts.iter()).into_iter().flatten();
        logs.filter_map(|log| {
            let (_, flushed) = self.logs.get(log)?.fact.as_ref()?;
            Some((*log, flushed.as_ref()))
        })
    }

    /// The file is read no more.
    pub fn retire(&mut self, file: u64) {
        for log in self.files.remove(&file).map(|pins| pins.drops).unwrap_or_default() {
            self.logs.remove(&log);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: LogId = LogId(1);

    fn lsn(file: u64, position: u32) -> Lsn {
        Lsn { file, position }
    }

    fn covering(lsn: Lsn) -> Flushed {
        Flushed { lsn, ..Flushed::default() }
    }

    fn table() -> Table {
        let mut table = Table::new(0);
        assert_eq!(table.new_log(TopicPartition::METADATA), A);
        table
    }

    #[test]
    fn a_flush_unpins_only_what_it_covers_and_pins_its_own_file() {
        let mut table = table();
        table.note_record(A, lsn(1, 100));
        table.note_record(A, lsn(1, 200));
        table.note_record(A, lsn(2, 100));
        table.apply_flushed(A, lsn(2, 300), covering(lsn(1, 100)));
        assert!(table.has_unflushed(1), "a later record of file 1 is not covered");
        table.apply_flushed(A, lsn(3, 100), covering(lsn(1, 200)));
        assert!(!table.has_unflushed(1) && table.has_unflushed(2));
        assert!(!table.has_facts(2) && table.has_facts(3), "only the last fact counts");
    }

    #[test]
    fn a_drop_unpins_everything_and_is_forgotten_with_its_file() {
        let mut table = table();
        table.note_record(A, lsn(1, 100));
        table.apply_flushed(A, lsn(1, 150), covering(lsn(1, 50)));
        table.apply_drop(A, lsn(2, 100));
        assert!(!table.has_unflushed(1) && !table.has_facts(1));
        table.note_record(A, lsn(2, 200));
        assert!(!table.has_unflushed(2));
        table.retire(1);
        assert_eq!(table.mapping_due(A, 3), Some(TopicPartition::METADATA));
        table.retire(2);
        assert!(table.logs.is_empty());
        assert_eq!(table.next_log(), LogId(2), "an id is never given twice");
    }

    #[test]
    fn a_mapping_is_due_once_in_each_file() {
        let mut table = table();
        assert!(table.mapping_due(A, 1).is_some());
        assert!(table.mapping_due(A, 1).is_none());
        assert!(table.mapping_due(A, 2).is_some());
    }
}
