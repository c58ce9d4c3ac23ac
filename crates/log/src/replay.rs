//! What the journal's records make of a log: pure.
//!
//! **Invariants**
//! - Records count in the order in which they were submitted; one that would leave a gap is damage.
//! - What was known of a past that a truncation or a reset ended ends with it: the high watermark too.
//!   Otherwise it would, once the log has grown again, stand for records that no other replica has.
//!
//! **Not here:** which files hold the flushed part (`recovery`).

use bytes::Bytes;
use chronik_journal::{Lsn, Record, RecoveredLog};
use chronik_protocol::batch::BatchHeader;
use chronik_types::{Offset, TopicPartition};

use crate::bugs;
use crate::error::LogError;
use crate::leader_epochs::LeaderEpochs;
use crate::tail::{Tail, TailBatch};

/// What the journal's records make of a log.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) start: Offset,
    pub(crate) end: Offset,
    pub(crate) epochs: LeaderEpochs,
    pub(crate) tail: Tail,
    /// Up to where segments still count.
    pub(crate) flushed_end: Offset,
    /// As the last flush knew it, of what every cut since has left.
    pub(crate) high_watermark: Offset,
    pub(crate) reset: bool,
    pub(crate) lsn: Lsn,
}

pub(crate) fn replay(
    partition: TopicPartition,
    recovered: &RecoveredLog,
) -> Result<Replayed, LogError> {
    let flushed = recovered.flushed.clone().unwrap_or_default();
    let mut log = Replayed {
        start: flushed.start,
        end: flushed.end,
        epochs: LeaderEpochs::from_entries(&flushed.epochs),
        tail: Tail::default(),
        flushed_end: flushed.end,
        high_watermark: flushed.high_watermark,
        reset: false,
        lsn: flushed.lsn,
    };
    for (lsn, record) in &recovered.records {
        log.lsn = log.lsn.max(*lsn);
        log.apply(partition, record)?;
    }
    log.start = log.start.min(log.end);
    log.high_watermark = log.high_watermark.max(log.start).min(log.end);
    Ok(log)
}

impl Replayed {
    fn apply(&mut self, partition: TopicPartition, record: &Record) -> Result<(), LogError> {
        match record {
            Record::Append { base_offset, batch, .. } => {
                self.append(partition, *base_offset, batch)?;
            }
            Record::TruncateTo { end } => {
                if *end <= self.end && !bugs::drop_truncations() {
                    self.tail.truncate(*end);
                    self.end = *end;
                    self.start = self.start.min(*end);
                    self.flushed_end = self.flushed_end.min(*end);
                    self.high_watermark = self.high_watermark.min(*end);
                    self.epochs.truncate_from_end(*end);
                }
            }
            Record::ResetTo { start, epoch } => {
                self.tail.clear();
                self.start = *start;
                self.end = *start;
                self.flushed_end = *start;
                self.high_watermark = *start;
                self.reset = true;
                self.epochs = LeaderEpochs::from_entries(&[(*epoch, *start)]);
            }
            Record::StartOffset { start } => {
                self.start = self.start.max(*start);
                self.high_watermark = self.high_watermark.max(*start);
                self.epochs.truncate_from_start(*start);
            }
            Record::EpochStart { epoch, start } => {
                self.epochs.assign(*epoch, *start);
            }
            Record::Flushed(_) | Record::Drop => {}
        }
        Ok(())
    }

    fn append(
        &mut self,
        partition: TopicPartition,
        base: Offset,
        batch: &Bytes,
    ) -> Result<(), LogError> {
        if base != self.end {
            return Err(LogError::Gap { partition, end: self.end, found: base });
        }
        let unreadable = || LogError::Batch { partition, offset: base };
        let header = BatchHeader::of(batch).map_err(|_| unreadable())?;
        if header.base_offset != base || header.last_offset_delta < 0 {
            return Err(unreadable());
        }
        // The journal hands out slices of its read buffers; one small batch would keep a whole
        // buffer in memory until this log is flushed.
        let bytes = Bytes::copy_from_slice(batch);
        self.epochs.assign(header.leader_epoch, base);
        self.end = header.next_offset();
        self.tail.push(TailBatch::new(&header, bytes, batch.len()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chronik_journal::{Flushed, batch_crc};
    use chronik_protocol::batch::{BatchBuilder, stamp};
    use chronik_types::{LeaderEpoch, Timestamp, TopicId, Uuid};

    use super::*;

    fn partition() -> TopicPartition {
        TopicPartition { topic_id: TopicId(Uuid::from_entropy([7; 16])), partition: 0 }
    }

    fn appended(base: i64) -> Record {
        let mut builder = BatchBuilder::new();
        builder.append(Timestamp(1), None, Some(b"value"), &[]).unwrap();
        let mut bytes = builder.build().unwrap();
        stamp(&mut bytes, Offset(base), LeaderEpoch(1));
        let batch = bytes.freeze();
        Record::Append {
            base_offset: Offset(base),
            last_offset: Offset(base),
            epoch: LeaderEpoch(1),
            crc: batch_crc(&batch),
            batch,
        }
    }

    /// The log after a flush up to 8 with 6 replicated, and these records since.
    fn after(records: Vec<Record>) -> Replayed {
        let flushed = Flushed {
            lsn: Lsn { file: 1, position: 0 },
            start: Offset(2),
            end: Offset(8),
            epochs: vec![(LeaderEpoch(1), Offset(2))],
            active_segment: Some((Offset(0), 100)),
            high_watermark: Offset(6),
        };
        let lsn = |position| Lsn { file: 1, position };
        let records = (1..).map(lsn).zip(records).collect();
        let partition = partition();
        let log = RecoveredLog { partition, flushed: Some(flushed), records, dropped: false };
        replay(partition, &log).unwrap()
    }

    #[test]
    fn appends_go_on_where_the_flush_ended() {
        let log = after(vec![appended(8), appended(9)]);
        assert_eq!((log.start, log.end, log.flushed_end), (Offset(2), Offset(10), Offset(8)));
        assert_eq!(log.high_watermark, Offset(6));
    }

    #[test]
    fn a_high_watermark_does_not_outlive_a_reset() {
        let reset = Record::ResetTo { start: Offset(3), epoch: LeaderEpoch(1) };
        let log = after(vec![reset, appended(3), appended(4), appended(5), appended(6)]);
        assert_eq!((log.end, log.high_watermark), (Offset(7), Offset(3)));
    }

    #[test]
    fn a_high_watermark_does_not_outlive_a_truncation() {
        let cut = Record::TruncateTo { end: Offset(5) };
        let log = after(vec![cut, appended(5), appended(6)]);
        assert_eq!((log.end, log.high_watermark), (Offset(7), Offset(5)));
    }

    #[test]
    fn a_start_takes_the_high_watermark_with_it() {
        let log = after(vec![appended(8), Record::StartOffset { start: Offset(8) }]);
        assert_eq!((log.start, log.high_watermark), (Offset(8), Offset(8)));
    }

    #[test]
    fn a_gap_is_damage() {
        let records = vec![(Lsn { file: 1, position: 1 }, appended(9))];
        let partition = partition();
        let log = RecoveredLog { partition, flushed: None, records, dropped: false };
        assert!(matches!(replay(partition, &log), Err(LogError::Gap { .. })));
    }
}
