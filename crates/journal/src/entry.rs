//! One entry of a group's directory: a record without its payload.

use bytes::Bytes;
use chronik_types::{LeaderEpoch, Offset, TopicId, TopicPartition, Uuid};

use crate::crc::crc32c;
use crate::fields::Fields;
use crate::{Flushed, LogId, Lsn, Record};

mod kind {
    pub const APPEND: u8 = 1;
    pub const TRUNCATE_TO: u8 = 2;
    pub const RESET_TO: u8 = 3;
    pub const START_OFFSET: u8 = 4;
    pub const EPOCH_START: u8 = 5;
    pub const FLUSHED: u8 = 6;
    pub const DROP: u8 = 7;
    pub const VOTE: u8 = 8;
    pub const SEAL: u8 = 9;
    pub const LOG: u8 = 10;
}

/// Bytes of the entry that maps a log id to its partition.
pub const MAPPING_BYTES: usize = 1 + 8 + 16 + 4;
/// Bytes of the entry of a vote, without the vote.
pub const VOTE_BYTES: usize = 1 + 4 + 4;

/// A payload, which follows the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Its length.
    pub bytes: u32,
    /// Its CRC-32C.
    pub crc: u32,
}

/// A decoded entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// From here on in this file, this log id stands for this partition.
    Mapping { log: LogId, partition: TopicPartition },
    /// A batch; the record is whole but for its batch.
    Append {
        log: LogId,
        base_offset: Offset,
        last_offset: Offset,
        epoch: LeaderEpoch,
        payload: Payload,
    },
    /// A record without a payload.
    Record { log: LogId, record: Record },
    /// The vote.
    Vote { payload: Payload },
    /// A clean stop.
    Seal,
}

/// Bytes of a record's entry.
pub fn entry_bytes(record: &Record) -> usize {
    9 + match record {
        Record::Append { .. } => 8 + 8 + 4 + 4 + 4,
        Record::TruncateTo { .. } | Record::StartOffset { .. } => 8,
        Record::ResetTo { .. } | Record::EpochStart { .. } => 12,
        Record::Flushed(flushed) => 12 + 8 * 3 + 17 + 4 + flushed.epochs.len() * 12,
        Record::Drop => 0,
    }
}

/// Bytes of a record's payload.
pub fn payload_bytes(record: &Record) -> usize {
    match record {
        Record::Append { batch, .. } => batch.len(),
        _ => 0,
    }
}

fn put_payload(out: &mut Vec<u8>, payload: &Bytes, crc: Option<u32>) {
    let bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&bytes.to_le_bytes());
    out.extend_from_slice(&crc.unwrap_or_else(|| crc32c(payload)).to_le_bytes());
}

/// Appends the entry of a record.
pub fn put_record(out: &mut Vec<u8>, log: LogId, record: &Record) {
    let mut put = |kind: u8, fields: &[&[u8]]| {
        out.push(kind);
        out.extend_from_slice(&log.0.to_le_bytes());
        for field in fields {
            out.extend_from_slice(field);
        }
    };
    match record {
        Record::Append { base_offset, last_offset, epoch, batch, crc } => {
            let (base, last) = (base_offset.0.to_le_bytes(), last_offset.0.to_le_bytes());
            put(kind::APPEND, &[&base, &last, &epoch.0.to_le_bytes()]);
            put_payload(out, batch, *crc);
        }
        Record::TruncateTo { end } => put(kind::TRUNCATE_TO, &[&end.0.to_le_bytes()]),
        Record::ResetTo { start, epoch } => {
            put(kind::RESET_TO, &[&start.0.to_le_bytes(), &epoch.0.to_le_bytes()]);
        }
        Record::StartOffset { start } => put(kind::START_OFFSET, &[&start.0.to_le_bytes()]),
        Record::EpochStart { epoch, start } => {
            put(kind::EPOCH_START, &[&epoch.0.to_le_bytes(), &start.0.to_le_bytes()]);
        }
        Record::Flushed(flushed) => {
            put(kind::FLUSHED, &[]);
            put_flushed(out, flushed);
        }
        Record::Drop => put(kind::DROP, &[]),
    }
}

fn put_flushed(out: &mut Vec<u8>, flushed: &Flushed) {
    out.extend_from_slice(&flushed.lsn.file.to_le_bytes());
    out.extend_from_slice(&flushed.lsn.position.to_le_bytes());
    for offset in [flushed.start, flushed.end, flushed.high_watermark] {
        out.extend_from_slice(&offset.0.to_le_bytes());
    }
    let (base, bytes) = flushed.active_segment.unwrap_or_default();
    out.push(u8::from(flushed.active_segment.is_some()));
    out.extend_from_slice(&base.0.to_le_bytes());
    out.extend_from_slice(&bytes.to_le_bytes());
    out.extend_from_slice(&u32::try_from(flushed.epochs.len()).unwrap_or(u32::MAX).to_le_bytes());
    for (epoch, start) in &flushed.epochs {
        out.extend_from_slice(&epoch.0.to_le_bytes());
        out.extend_from_slice(&start.0.to_le_bytes());
    }
}

/// Appends the entry of a mapping.
pub fn put_mapping(out: &mut Vec<u8>, log: LogId, partition: TopicPartition) {
    out.push(kind::LOG);
    out.extend_from_slice(&log.0.to_le_bytes());
    out.extend_from_slice(&partition.topic_id.0.0);
    out.extend_from_slice(&partition.partition.to_le_bytes());
}

/// Appends the entry of a vote.
pub fn put_vote(out: &mut Vec<u8>, vote: &Bytes) {
    out.push(kind::VOTE);
    put_payload(out, vote, None);
}

/// Appends the entry of a clean stop.
pub fn put_seal(out: &mut Vec<u8>) {
    out.push(kind::SEAL);
}

/// Reads the next entry; `None` when the bytes are none.
pub fn read(fields: &mut Fields<'_>) -> Option<Entry> {
    let kind = fields.u8()?;
    match kind {
        kind::VOTE => return Some(Entry::Vote { payload: read_payload(fields)? }),
        kind::SEAL => return Some(Entry::Seal),
        _ => {}
    }
    let log = LogId(fields.u64()?);
    let record = match kind {
        kind::APPEND => {
            return Some(Entry::Append {
                log,
                base_offset: Offset(fields.i64()?),
                last_offset: Offset(fields.i64()?),
                epoch: LeaderEpoch(fields.i32()?),
                payload: read_payload(fields)?,
            });
        }
        kind::LOG => {
            let topic_id = TopicId(Uuid(fields.bytes()?));
            let partition = TopicPartition { topic_id, partition: fields.i32()? };
            return Some(Entry::Mapping { log, partition });
        }
        kind::TRUNCATE_TO => Record::TruncateTo { end: Offset(fields.i64()?) },
        kind::RESET_TO => {
            Record::ResetTo { start: Offset(fields.i64()?), epoch: LeaderEpoch(fields.i32()?) }
        }
        kind::START_OFFSET => Record::StartOffset { start: Offset(fields.i64()?) },
        kind::EPOCH_START => {
            Record::EpochStart { epoch: LeaderEpoch(fields.i32()?), start: Offset(fields.i64()?) }
        }
        kind::FLUSHED => Record::Flushed(read_flushed(fields)?),
        kind::DROP => Record::Drop,
        _ => return None,
    };
    Some(Entry::Record { log, record })
}

fn read_payload(fields: &mut Fields<'_>) -> Option<Payload> {
    Some(Payload { bytes: fields.u32()?, crc: fields.u32()? })
}

fn read_flushed(fields: &mut Fields<'_>) -> Option<Flushed> {
    let lsn = Lsn { file: fields.u64()?, position: fields.u32()? };
    let (start, end) = (Offset(fields.i64()?), Offset(fields.i64()?));
    let high_watermark = Offset(fields.i64()?);
    let has_segment = fields.u8()? != 0;
    let segment = (Offset(fields.i64()?), fields.u64()?);
    let count = fields.u32()? as usize;
    if count > fields.0.len() / 12 {
        return None;
    }
    let mut epochs = Vec::with_capacity(count);
    for _ in 0..count {
        epochs.push((LeaderEpoch(fields.i32()?), Offset(fields.i64()?)));
    }
    let active_segment = has_segment.then_some(segment);
    Some(Flushed { lsn, start, end, epochs, active_segment, high_watermark })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flushed() -> Flushed {
        Flushed {
            lsn: Lsn { file: 9, position: 4_200 },
            start: Offset(1),
            end: Offset(50),
            epochs: vec![(LeaderEpoch(0), Offset(0)), (LeaderEpoch(3), Offset(20))],
            active_segment: Some((Offset(10), 4_000)),
            high_watermark: Offset(48),
        }
    }

    #[test]
    fn every_record_round_trips_in_the_bytes_foretold() {
        let records = [
            Record::TruncateTo { end: Offset(5) },
            Record::ResetTo { start: Offset(7), epoch: LeaderEpoch(2) },
            Record::StartOffset { start: Offset(9) },
            Record::EpochStart { epoch: LeaderEpoch(4), start: Offset(11) },
            Record::Flushed(flushed()),
            Record::Flushed(Flushed { active_segment: None, epochs: Vec::new(), ..flushed() }),
            Record::Drop,
        ];
        for record in records {
            let mut out = Vec::new();
            put_record(&mut out, LogId(77), &record);
            assert_eq!(out.len(), entry_bytes(&record));
            let mut fields = Fields(&out);
            assert_eq!(read(&mut fields), Some(Entry::Record { log: LogId(77), record }));
            assert!(fields.0.is_empty());
        }
        let mut out = Vec::new();
        let batch = Bytes::from_static(b"payload");
        let (base_offset, last_offset, epoch) = (Offset(5), Offset(8), LeaderEpoch(1));
        let append =
            Record::Append { base_offset, last_offset, epoch, batch: batch.clone(), crc: None };
        put_record(&mut out, LogId(7), &append);
        assert_eq!(out.len(), entry_bytes(&append));
        let payload = Payload { bytes: 7, crc: crc32c(&batch) };
        let entry = Entry::Append { log: LogId(7), base_offset, last_offset, epoch, payload };
        assert_eq!(read(&mut Fields(&out)), Some(entry));
    }

    #[test]
    fn hostile_bytes_are_refused_without_allocating() {
        let mut out = Vec::new();
        put_record(&mut out, LogId(1), &Record::Flushed(flushed()));
        let count_at = out.len() - 24 - 4;
        out[count_at..count_at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(read(&mut Fields(&out)), None);
        assert_eq!(read(&mut Fields(&[200, 0, 0, 0, 0, 0, 0, 0, 0])), None);
        for len in 0..out.len() {
            assert_eq!(read(&mut Fields(&out[..len])), None);
        }
    }
}
