//! From the batch as it came to the batch as it is stored: in place, with another codec, or with
//! its offset deltas put right.

use bytes::{BufMut, BytesMut};
use chronik_types::{ErrorCode, Timestamp};

use super::records::{Tally, check_records};
use super::{BatchRules, InvalidBatch, TopicCompression, ValidBatch};
use crate::batch::{
    BatchError, BatchHeader, HEADER_BYTES, RecordError, SliceSource, StreamSource, TimestampType,
};
use crate::compression::{Codec, compress, decompress};
use crate::varint::{read_varint, read_varlong, varint_bytes, write_varint};

/// Checks the records of `batch`, whose header is in order, and changes what must change.
pub(super) fn to_stored_form(
    batch: BytesMut,
    header: BatchHeader,
    codec: Codec,
    rules: &BatchRules,
) -> Result<ValidBatch, InvalidBatch> {
    let (target, level) = target(&header, codec, rules.compression);
    let stored = batch.get(HEADER_BYTES..).unwrap_or_default();
    if target == codec {
        let tally = match codec {
            Codec::None => check_records(&mut SliceSource::new(stored), &header, rules)?,
            _ => {
                let bound = rules.max_decompressed_bytes;
                check_records(&mut StreamSource::new(codec, stored, bound)?, &header, rules)?
            }
        };
        if tally.consecutive {
            return Ok(in_place(batch, header, &tally, rules));
        }
        let plain = plain_records(codec, stored, rules)?;
        let renumbered = renumber(plain.as_deref().unwrap_or(stored), header.record_count)?;
        return Ok(rebuild(header, &tally, rules, target, &packed(target, level, renumbered)?));
    }
    let plain = plain_records(codec, stored, rules)?;
    let plain = plain.as_deref().unwrap_or(stored);
    let tally = check_records(&mut SliceSource::new(plain), &header, rules)?;
    let records = if tally.consecutive {
        compress(target, level, plain).map_err(want_of_memory)?
    } else {
        packed(target, level, renumber(plain, header.record_count)?)?
    };
    Ok(rebuild(header, &tally, rules, target, &records))
}

/// The codec the batch is stored with, and its level.
fn target(
    header: &BatchHeader,
    codec: Codec,
    compression: TopicCompression,
) -> (Codec, Option<i32>) {
    match compression {
        TopicCompression::Codec { codec: target, level } => {
            // Control records stay readable without a codec unless they were written with one.
            let leave = codec == Codec::None && header.attributes.is_control();
            (if leave { codec } else { target }, level)
        }
        TopicCompression::Producer => (codec, None),
    }
}

/// The records decompressed; `None` when they already lie in the batch so.
fn plain_records(
    codec: Codec,
    stored: &[u8],
    rules: &BatchRules,
) -> Result<Option<Vec<u8>>, InvalidBatch> {
    match codec {
        Codec::None => Ok(None),
        _ => Ok(Some(
            decompress(codec, stored, rules.max_decompressed_bytes).map_err(BatchError::from)?,
        )),
    }
}

fn packed(codec: Codec, level: Option<i32>, plain: Vec<u8>) -> Result<Vec<u8>, InvalidBatch> {
    match codec {
        Codec::None => Ok(plain),
        _ => compress(codec, level, &plain).map_err(want_of_memory),
    }
}

fn want_of_memory(error: impl std::fmt::Display) -> InvalidBatch {
    InvalidBatch::new(ErrorCode::UnknownServerError, error.to_string())
}

/// The header as it is stored, but for size and CRC.
fn stored_header(header: &BatchHeader, tally: &Tally, rules: &BatchRules) -> BatchHeader {
    BatchHeader {
        // Only compaction may say when tombstones go.
        attributes: header
            .attributes
            .with_timestamp_type(rules.timestamp_type)
            .with_delete_horizon(false),
        max_timestamp: greatest(tally, rules).0.0,
        ..*header
    }
}

/// The timestamp the header and the time index go by, and the offset delta of its record.
fn greatest(tally: &Tally, rules: &BatchRules) -> (Timestamp, i32) {
    match rules.timestamp_type {
        TimestampType::CreateTime => (Timestamp(tally.max_timestamp), tally.index_of_max),
        TimestampType::LogAppendTime => (rules.now, 0),
    }
}

/// The fast path: nothing is written unless the header must say something else.
fn in_place(
    mut batch: BytesMut,
    header: BatchHeader,
    tally: &Tally,
    rules: &BatchRules,
) -> ValidBatch {
    let mut stored = stored_header(&header, tally, rules);
    if stored != header {
        stored.seal(&mut batch);
    }
    finish(batch, stored, tally, rules)
}

fn rebuild(
    header: BatchHeader,
    tally: &Tally,
    rules: &BatchRules,
    codec: Codec,
    records: &[u8],
) -> ValidBatch {
    let mut stored = stored_header(&header, tally, rules);
    stored.attributes = stored.attributes.with_codec(codec);
    let mut batch = BytesMut::zeroed(HEADER_BYTES);
    batch.put_slice(records);
    // A batch too large for its length field is larger than any `max.message.bytes`.
    stored.batch_bytes = u32::try_from(batch.len()).unwrap_or(u32::MAX);
    stored.seal(&mut batch);
    finish(batch, stored, tally, rules)
}

fn finish(batch: BytesMut, header: BatchHeader, tally: &Tally, rules: &BatchRules) -> ValidBatch {
    let (max_timestamp, offset_of_max_timestamp_delta) = greatest(tally, rules);
    ValidBatch { batch, header, max_timestamp, offset_of_max_timestamp_delta }
}

/// The records, each with its place as its offset delta. They have been walked, so what fails here
/// cannot fail.
fn renumber(plain: &[u8], record_count: i32) -> Result<Vec<u8>, BatchError> {
    let mut out = Vec::with_capacity(plain.len());
    let mut rest = plain;
    for offset_delta in 0..record_count {
        let length = read_varint(&mut rest).map_err(RecordError::from)?;
        let size = usize::try_from(length).map_err(|_| RecordError::Length { length })?;
        let (body, after) = rest.split_at_checked(size).ok_or(RecordError::CutShort)?;
        rest = after;
        let mut parts = body.get(1..).ok_or(RecordError::CutShort)?;
        read_varlong(&mut parts).map_err(RecordError::from)?;
        let front = body.get(..body.len() - parts.len()).unwrap_or_default();
        read_varint(&mut parts).map_err(RecordError::from)?;
        let size = front.len() + varint_bytes(offset_delta) + parts.len();
        write_varint(&mut out, i32::try_from(size).map_err(|_| RecordError::Length { length })?);
        out.put_slice(front);
        write_varint(&mut out, offset_delta);
        out.put_slice(parts);
    }
    Ok(out)
}
