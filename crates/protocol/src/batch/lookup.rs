//! Which record of a batch answers a question about timestamps (ListOffsets).
//!
//! Compressed batches are walked through a window; nothing is kept.

use chronik_types::{Offset, Timestamp};

use super::walk::{RecordShape, Source, walk_record};
use super::{
    BatchError, BatchHeader, HEADER_BYTES, RecordError, SliceSource, StreamSource, TimestampType,
};
use crate::compression::Codec;

/// The first record of `batch` with an offset of at least `from` and a timestamp of at least
/// `target`, if there is one.
///
/// # Errors
/// [`BatchError`] when the batch is malformed as far as it had to be read.
pub fn find_timestamp(
    batch: &[u8],
    target: Timestamp,
    from: Offset,
) -> Result<Option<(Offset, Timestamp)>, BatchError> {
    let header = BatchHeader::of(batch)?;
    // The max timestamp was checked against the records when the batch was appended.
    if header.max_timestamp < target.0 || header.last_offset() < from {
        return Ok(None);
    }
    let mut found = None;
    for_each(batch, &header, |offset, timestamp| {
        if offset >= from && timestamp >= target {
            found = Some((offset, timestamp));
        }
        found.is_none()
    })?;
    Ok(found)
}

/// The first record of `batch` that has the greatest timestamp of all (KIP-734); `None` for a batch
/// without records.
///
/// # Errors
/// [`BatchError`] when the batch is malformed as far as it had to be read.
pub fn find_max_timestamp(batch: &[u8]) -> Result<Option<(Offset, Timestamp)>, BatchError> {
    let header = BatchHeader::of(batch)?;
    let mut greatest: Option<(Offset, Timestamp)> = None;
    for_each(batch, &header, |offset, timestamp| {
        if greatest.is_none_or(|(_, so_far)| timestamp > so_far) {
            greatest = Some((offset, timestamp));
        }
        // With the append time all are the same.
        header.attributes.timestamp_type() == TimestampType::CreateTime
    })?;
    Ok(greatest)
}

/// Shows offset and timestamp of each record to `see` until it says false.
fn for_each(
    batch: &[u8],
    header: &BatchHeader,
    see: impl FnMut(Offset, Timestamp) -> bool,
) -> Result<(), BatchError> {
    if header.record_count == 0 {
        // Compaction leaves headers behind whose codec has nothing to read.
        return Ok(());
    }
    let stored = batch.get(HEADER_BYTES..).unwrap_or_default();
    match header.attributes.codec()? {
        Codec::None => walk(&mut SliceSource::new(stored), header, see),
        // The window bounds the memory, and the batch was bounded when it was appended.
        codec => walk(&mut StreamSource::new(codec, stored, usize::MAX)?, header, see),
    }
}

fn walk(
    source: &mut impl Source,
    header: &BatchHeader,
    mut see: impl FnMut(Offset, Timestamp) -> bool,
) -> Result<(), BatchError> {
    for _ in 0..header.record_count {
        let shape = walk_record(source)?;
        let (offset, timestamp) = place(header, &shape).ok_or(RecordError::OutOfRange)?;
        if !see(offset, timestamp) {
            break;
        }
    }
    Ok(())
}

fn place(header: &BatchHeader, shape: &RecordShape) -> Option<(Offset, Timestamp)> {
    let timestamp = match header.attributes.timestamp_type() {
        TimestampType::LogAppendTime => header.max_timestamp,
        TimestampType::CreateTime => header.base_timestamp.checked_add(shape.timestamp_delta)?,
    };
    let offset = header.base_offset.checked_add(i64::from(shape.offset_delta))?;
    Some((offset, Timestamp(timestamp)))
}
