//! A partition log of the simulation: like the real one it is durable through a journal, so a crash
//! leaves a prefix of the operations, not of the records.

use std::collections::VecDeque;

use chronik_types::{LeaderEpoch, Offset};

use crate::{EpochIndex, LogPosition, bugs};

/// A record is its epoch and a value that no other has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimRecord {
    pub epoch: i32,
    pub value: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    start: i64,
    records: VecDeque<SimRecord>,
    epochs: Vec<(i32, i64)>,
}

#[derive(Clone, Debug)]
enum Op {
    Append(SimRecord),
    Truncate(i64),
    Reset(i64),
    Start(i64),
    Epoch(i32),
}

impl State {
    fn end(&self) -> i64 {
        self.start + self.records.len() as i64
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Append(record) => {
                self.assign(record.epoch);
                self.records.push_back(record);
            }
            Op::Truncate(to) => {
                self.records.truncate((to - self.start) as usize);
                while self.epochs.last().is_some_and(|(_, at)| *at >= to) {
                    self.epochs.pop();
                }
            }
            Op::Reset(start) => *self = Self { start, ..Self::default() },
            Op::Start(start) => {
                while self.start < start {
                    self.records.pop_front();
                    self.start += 1;
                }
                let in_force = self.epochs.partition_point(|(_, at)| *at <= start);
                if in_force > 0 {
                    self.epochs.drain(..in_force - 1);
                    self.epochs[0].1 = start;
                }
            }
            Op::Epoch(epoch) => self.assign(epoch),
        }
    }

    fn assign(&mut self, epoch: i32) {
        if self.epochs.last().is_some_and(|(latest, _)| epoch <= *latest) {
            return;
        }
        let end = self.end();
        while self.epochs.last().is_some_and(|(_, at)| *at >= end) {
            self.epochs.pop();
        }
        self.epochs.push((epoch, end));
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct SimLog {
    disk: State,
    unsynced: VecDeque<Op>,
    memory: State,
    durable: i64,
}

impl SimLog {
    pub fn start(&self) -> i64 {
        self.memory.start
    }

    pub fn end(&self) -> i64 {
        self.memory.end()
    }

    pub fn last_epoch(&self) -> i32 {
        self.memory.epochs.last().map_or(-1, |(epoch, _)| *epoch)
    }

    pub fn record(&self, offset: i64) -> Option<SimRecord> {
        let at = usize::try_from(offset - self.memory.start).ok()?;
        self.memory.records.get(at).copied()
    }

    pub fn position(&self) -> LogPosition {
        let resets = self.unsynced.iter().any(|op| matches!(op, Op::Reset(_)));
        let durable = if resets && !bugs::is("acknowledge_a_reset_at_once") {
            Offset::UNKNOWN
        } else {
            Offset(self.durable)
        };
        LogPosition {
            start: Offset(self.start()),
            end: Offset(self.end()),
            durable,
            last_epoch: LeaderEpoch(self.last_epoch()),
        }
    }

    pub fn append(&mut self, record: SimRecord) {
        assert!(record.epoch >= self.last_epoch(), "a log refuses stale epochs");
        self.perform(Op::Append(record));
    }

    pub fn truncate(&mut self, to: i64) {
        assert!(to >= self.start() && to <= self.end());
        self.perform(Op::Truncate(to));
        self.durable = self.durable.min(to);
    }

    pub fn reset(&mut self, start: i64) {
        self.perform(Op::Reset(start));
        self.durable = start;
    }

    pub fn set_start(&mut self, start: i64) {
        assert!(start <= self.end());
        if start > self.start() {
            self.perform(Op::Start(start));
        }
    }

    pub fn begin_epoch(&mut self, epoch: i32) {
        assert!(epoch >= self.last_epoch());
        self.perform(Op::Epoch(epoch));
    }

    /// Whether the disk has this value there, or lets it go because the log begins later.
    pub fn is_on_disk(&self, offset: i64, value: Option<u64>) -> bool {
        if offset < self.disk.start {
            return true;
        }
        let at = (offset - self.disk.start) as usize;
        self.disk.records.get(at).map(|record| record.value) == value
    }

    pub fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    /// The first `count` unsynced operations are on the disk.
    pub fn sync(&mut self, count: usize) {
        for op in self.unsynced.drain(..count) {
            self.disk.apply(&op);
        }
        // As far as what is still in memory only does not cut it away.
        let mut end = self.disk.end();
        for op in &self.unsynced {
            match op {
                Op::Truncate(to) => end = end.min(*to),
                Op::Reset(start) => end = *start,
                _ => {}
            }
        }
        self.durable = end.min(self.end());
    }

    /// What is not synced may be there afterwards, up to some operation, or not.
    pub fn crash(&mut self, survive: usize) {
        self.sync(survive.min(self.unsynced.len()));
        self.unsynced.clear();
        self.memory = self.disk.clone();
        self.durable = self.disk.end();
    }

    pub fn wipe(&mut self) {
        *self = Self::default();
    }

    fn perform(&mut self, op: Op) {
        self.memory.apply(&op);
        self.unsynced.push_back(op);
    }
}

impl EpochIndex for SimLog {
    fn end_offset_for(&self, requested: LeaderEpoch) -> (LeaderEpoch, Offset) {
        let unknown = (LeaderEpoch::NONE, Offset::UNKNOWN);
        let epochs = &self.memory.epochs;
        let Some((latest, _)) = epochs.last() else { return unknown };
        if requested.0 == *latest {
            return (requested, Offset(self.end()));
        }
        if requested.0 < 0 || requested.0 > *latest {
            return unknown;
        }
        let next = epochs.partition_point(|(epoch, _)| *epoch <= requested.0);
        let end = Offset(epochs[next].1);
        let epoch = next.checked_sub(1).map_or(requested.0, |at| epochs[at].0);
        (LeaderEpoch(epoch), end)
    }
}
