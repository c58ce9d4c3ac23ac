//! What is checked before any record is looked at: that there is one batch, its size, its CRC and
//! its header.

use chronik_types::{ErrorCode, ProducerEpoch};

use super::{BatchRules, InvalidBatch};
use crate::batch::{Attributes, BatchError, BatchHeader, verify_crc};
use crate::compression::Codec;

/// The bytes in front of what the length field counts.
const LENGTH_OVERHEAD: usize = 12;
/// Kafka's least size of what the length counts, from the oldest format; below it the bytes are
/// taken for garbage.
const LEAST_LENGTH: i32 = 14;
/// Up to and with the magic; fewer bytes are taken for a batch cut short.
const BYTES_TO_MAGIC: usize = 17;
const MAGIC: i8 = 2;
const ATTRIBUTES_AT: usize = 21;
/// The first version of Produce that may carry zstd (KIP-110).
const ZSTD_SINCE: i16 = 7;

/// The size of the batch at the front of `bytes`, which must be the only whole one.
pub(super) fn only_batch(bytes: &[u8], rules: &BatchRules) -> Result<usize, InvalidBatch> {
    let Some((batch_bytes, magic)) = peek(bytes)? else {
        return Err(invalid("no whole record batch for the partition"));
    };
    if magic != MAGIC {
        return Err(invalid("only record batches of magic 2 can be produced"));
    }
    if rules.client && rules.produce_version < ZSTD_SINCE {
        let attributes = bytes.get(ATTRIBUTES_AT..).and_then(|from| from.first_chunk());
        let attributes = Attributes(attributes.copied().map_or(0, i16::from_be_bytes));
        if attributes.codec() == Ok(Codec::Zstd) {
            return Err(InvalidBatch::new(
                ErrorCode::UnsupportedCompressionType,
                "zstd needs version 7 of Produce",
            ));
        }
    }
    if peek(bytes.get(batch_bytes..).unwrap_or_default())?.is_some() {
        return Err(invalid("exactly one record batch per partition can be produced"));
    }
    Ok(batch_bytes)
}

/// Clients cannot say where their records go.
pub(super) fn check_base_offset(bytes: &[u8], rules: &BatchRules) -> Result<(), InvalidBatch> {
    let base_offset = bytes.first_chunk().copied().map_or(0, i64::from_be_bytes);
    if rules.client && base_offset != 0 {
        return Err(invalid("the base offset of a produced batch must be 0"));
    }
    Ok(())
}

/// Size and magic of the batch at the front of `bytes`; `None` if no whole one is there.
fn peek(bytes: &[u8]) -> Result<Option<(usize, i8)>, InvalidBatch> {
    let Some(length) = bytes.get(8..).and_then(|from| from.first_chunk()) else {
        return Ok(None);
    };
    let length = i32::from_be_bytes(*length);
    if length < LEAST_LENGTH {
        return Err(corrupt(&BatchError::BadLength { length }));
    }
    let Some(magic) = bytes.get(BYTES_TO_MAGIC - 1) else { return Ok(None) };
    let magic = magic.cast_signed();
    if !(0..=MAGIC).contains(&magic) {
        return Err(corrupt(&BatchError::BadMagic(magic)));
    }
    let batch_bytes = LENGTH_OVERHEAD + length.unsigned_abs() as usize;
    Ok((batch_bytes <= bytes.len()).then_some((batch_bytes, magic)))
}

/// `max.message.bytes` bounds the batch as it comes and as it is stored.
pub(super) fn check_size(batch_bytes: usize, rules: &BatchRules) -> Result<(), InvalidBatch> {
    if batch_bytes <= rules.max_message_bytes {
        return Ok(());
    }
    Err(InvalidBatch::new(
        ErrorCode::MessageTooLarge,
        format!("a batch of {batch_bytes} bytes exceeds the {} allowed", rules.max_message_bytes),
    ))
}

/// Whether `batch` is at least a header and the bytes that were sent.
pub(super) fn check_bytes(batch: &[u8]) -> Result<BatchHeader, InvalidBatch> {
    verify_crc(batch).and_then(|()| BatchHeader::of(batch)).map_err(|error| corrupt(&error))
}

/// What the header says about itself.
pub(super) fn check_header(header: &BatchHeader, rules: &BatchRules) -> Result<(), InvalidBatch> {
    if header.last_offset_delta < 0 {
        return Err(invalid("the offset range of the batch is invalid"));
    }
    // So there is at least one record.
    if i64::from(header.last_offset_delta) + 1 != i64::from(header.record_count) {
        return Err(invalid("the offset range and the record count of the batch disagree"));
    }
    if rules.client {
        if header.attributes.is_control() {
            return Err(invalid("clients cannot write control records"));
        }
        if header.is_idempotent() && header.base_sequence < 0 {
            return Err(invalid("a batch with a producer id needs a sequence"));
        }
    }
    if header.is_idempotent() && header.producer_epoch < ProducerEpoch::ZERO {
        return Err(invalid("a batch with a producer id needs a producer epoch"));
    }
    if header.attributes.is_transactional() && !header.is_idempotent() {
        return Err(invalid("a transactional batch needs a producer id"));
    }
    Ok(())
}

fn invalid(message: &'static str) -> InvalidBatch {
    InvalidBatch::new(ErrorCode::InvalidRecord, message)
}

fn corrupt(error: &BatchError) -> InvalidBatch {
    InvalidBatch::new(ErrorCode::CorruptMessage, error.to_string())
}
