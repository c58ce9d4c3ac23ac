//! From groups to what each log has to know. Pure.

use std::collections::BTreeMap;

use bytes::Bytes;
use chronik_types::{Offset, TopicPartition};

use crate::entry::Entry;
use crate::reader::{Located, ReadGroup};
use crate::table::Table;
use crate::{Flushed, LogId, Lsn, Record};

/// What the journal's files said about one log.
#[derive(Debug)]
pub struct RecoveredLog {
    /// Whose log it is.
    pub partition: TopicPartition,
    /// The last flush.
    pub flushed: Option<Flushed>,
    /// What came after it, in order. Batches are slices of read buffers of some megabytes: one kept
    /// keeps its whole buffer.
    pub records: Vec<(Lsn, Record)>,
    /// Whether the log has been dropped: only its deletion is left to finish.
    pub dropped: bool,
}

/// # Invariants
///
/// - Groups come in the order of their positions.
/// - `records` of a log are above its `flushed.lsn`, and ascend.
pub struct Replay {
    pub table: Table,
    pub logs: BTreeMap<LogId, RecoveredLog>,
    pub vote: Option<Bytes>,
    /// Whether the last group seals the journal.
    pub sealed: bool,
}

impl Replay {
    /// Log ids below `next_log` are or were in use.
    pub fn new(next_log: u64) -> Self {
        Self { table: Table::new(next_log), logs: BTreeMap::new(), vote: None, sealed: false }
    }

    /// Takes in one group. `Err` names what is impossible in it.
    pub fn group(&mut self, group: ReadGroup) -> Result<(), &'static str> {
        self.sealed = false;
        for Located { position, entry, payload } in group.entries {
            let lsn = Lsn { file: group.header.file, position };
            match entry {
                Entry::Mapping { log, partition } => self.map(log, partition)?,
                Entry::Vote { .. } => self.vote = Some(payload),
                Entry::Seal => self.sealed = true,
                Entry::Append { log, base_offset, last_offset, epoch, .. } => {
                    let (batch, crc) = (payload, None);
                    let append = Record::Append { base_offset, last_offset, epoch, batch, crc };
                    self.record(log, lsn, append)?;
                }
                Entry::Record { log, record } => self.record(log, lsn, record)?,
            }
        }
        Ok(())
    }

    fn map(&mut self, log: LogId, partition: TopicPartition) -> Result<(), &'static str> {
        self.table.register(log, partition);
        let known = self.logs.entry(log).or_insert_with(|| RecoveredLog {
            partition,
            flushed: None,
            records: Vec::new(),
            dropped: false,
        });
        if known.partition == partition {
            Ok(())
        } else {
            Err("a log id stands for two partitions")
        }
    }

    fn record(&mut self, log: LogId, lsn: Lsn, record: Record) -> Result<(), &'static str> {
        let state = self.logs.get_mut(&log).ok_or("a log id stands for no partition")?;
        if state.dropped {
            return Ok(());
        }
        match record {
            Record::Flushed(flushed) => {
                if !crate::bugs::replay_below_flushed() {
                    let covered =
                        state.records.partition_point(|(record, _)| *record <= flushed.lsn);
                    state.records.drain(..covered);
                }
                self.table.apply_flushed(log, lsn, flushed.clone());
                state.flushed = Some(flushed);
            }
            Record::Drop => {
                state.dropped = true;
                state.flushed = None;
                state.records = Vec::new();
                self.table.apply_drop(log, lsn);
            }
            record => {
                self.table.note_record(log, lsn);
                state.records.push((lsn, record));
            }
        }
        Ok(())
    }

    /// After damage was skipped: keeps of each log only what follows on without a gap. A log whose
    /// mapping was lost is not known at all.
    pub fn cut_at_gaps(&mut self) {
        for log in self.logs.values_mut() {
            let mut end: Option<Offset> = log.flushed.as_ref().map(|flushed| flushed.end);
            let mut gap = false;
            log.records.retain(|(_, record)| {
                match record {
                    Record::Append { base_offset, last_offset, .. } => {
                        gap |= end.is_some_and(|end| *base_offset > end);
                        if !gap {
                            end = Some(last_offset.next());
                        }
                    }
                    Record::ResetTo { start, .. } => (gap, end) = (false, Some(*start)),
                    Record::TruncateTo { end: to } if end.is_some_and(|end| *to <= end) => {
                        (gap, end) = (false, Some(*to));
                    }
                    _ => {}
                }
                !gap
            });
        }
    }
}
