//! Whether a batch may be appended, and the batch as it will be stored.
//!
//! Kafka's `LogValidator` with the checks around it, in Kafka's order, so that a client sees the
//! error code it would see from Kafka:
//!
//! 1. exactly one batch (`INVALID_RECORD`), of magic 2, no zstd below Produce v7
//!    (`UNSUPPORTED_COMPRESSION_TYPE`); then base offset 0 from a client (`INVALID_RECORD`)
//! 2. at most `max.message.bytes` (`MESSAGE_TOO_LARGE`)
//! 3. size of at least a header, CRC-32C (`CORRUPT_MESSAGE`)
//! 4. offset range and count agree, no control bit and a sequence from a client (`INVALID_RECORD`)
//! 5. every record: structure, count, key on a compacted topic (`INVALID_RECORD`), timestamp
//!    (`INVALID_TIMESTAMP`)
//! 6. after a change of codec: the size once more; at most `segment.bytes` (`RECORD_LIST_TOO_LARGE`)
//!
//! **Fast path**: a batch that needs no other codec and whose offset deltas are 0, 1, 2, … stays in
//! its buffer. Its records are walked once without an allocation, compressed ones through a bounded
//! window of which nothing is kept. Only if the timestamp type or the max timestamp is to change is
//! the header written and the CRC computed again. Everything else rebuilds the batch.
//!
//! Kafka is stricter or laxer in these places: a batch whose records do not decompress is
//! `INVALID_RECORD` here (there `UNKNOWN_SERVER_ERROR`), one that decompresses beyond the bound
//! `MESSAGE_TOO_LARGE`, an unknown codec `UNSUPPORTED_COMPRESSION_TYPE`; offset deltas of an uncompressed batch that are not consecutive
//! are put right like those of a compressed one (there they are stored); a transactional batch
//! needs a producer id and that an epoch; the delete horizon bit, which only compaction sets, is
//! cleared.
//!
//! **Invariants**: a [`ValidBatch`] has a correct CRC, at least one record, offset deltas
//! 0..count, a `last_offset_delta` of count - 1, and a `max_timestamp` that is the greatest of its
//! records' (or the append time). Nothing later looks inside.
//!
//! **Not here**: sequence numbers against the producer's state, transactions, offsets (the log);
//! authorization, `acks` and `min.insync.replicas` (the broker).

mod conversion;
mod framing;
mod records;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::BytesMut;
use chronik_types::{ErrorCode, Timestamp};

use crate::batch::{BatchError, BatchHeader, TimestampType};
use crate::compression::{Codec, DecompressError};

/// What `compression.type` of a topic says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TopicCompression {
    /// `producer`: as it comes.
    #[default]
    Producer,
    /// Always this codec; [`Codec::None`] for `uncompressed`.
    Codec {
        /// Which one.
        codec: Codec,
        /// `compression.<codec>.level`; `None` is the codec's default.
        level: Option<i32>,
    },
}

/// What a batch is held against: the topic's configuration and who appends.
#[derive(Clone, Copy, Debug)]
pub struct BatchRules {
    /// The leader's clock.
    pub now: Timestamp,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub after_max_ms: i64,
    /// `compression.type` and its level.
    pub compression: TopicCompression,
    /// `max.message.bytes`, of the whole batch as it came and as it is stored.
    pub max_message_bytes: usize,
    /// `segment.bytes`.
    pub segment_bytes: usize,
    /// `cleanup.policy` contains `compact`: every record needs a key.
    pub compacted: bool,
    /// A client's produce request; false for what the broker's own coordinators append.
    pub client: bool,
    /// The version of the produce request; irrelevant for internal appends.
    pub produce_version: i16,
    /// The most bytes the records may take decompressed.
    pub max_decompressed_bytes: usize,
}

/// A batch that may be appended once it is stamped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidBatch {
    /// The bytes as they will be stored; the buffer that came in unless a rebuild was needed.
    pub batch: BytesMut,
    /// The header of `batch`.
    pub header: BatchHeader,
    /// The greatest timestamp of a record, or the append time; -1 if no record has one.
    pub max_timestamp: Timestamp,
    /// Offset delta of the first record with that timestamp; -1 if no record has one.
    pub offset_of_max_timestamp_delta: i32,
}

/// One record the broker does not accept (KIP-467).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordRefusal {
    /// Its place in the batch, counted from 0.
    pub batch_index: i32,
    /// What is wrong with it.
    pub message: Cow<'static, str>,
}

/// Why a batch is not appended; no part of it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}: {message}")]
pub struct InvalidBatch {
    /// The partition's error code in the response.
    pub error: ErrorCode,
    /// The partition's error message in the response (v8 and later).
    pub message: Cow<'static, str>,
    /// The records at fault, at most [`MAX_RECORD_ERRORS`]; empty below v8.
    pub record_errors: Vec<RecordRefusal>,
    /// Refused for what the request may carry at all (step 1), before the log is looked at.
    pub before_log: bool,
}

/// How many records at fault an answer names: a bound on what a bad request can make us write.
pub const MAX_RECORD_ERRORS: usize = 100;

/// Checks the one batch in `bytes` against `rules` and brings it into the form it is stored in.
///
/// A partial batch behind the first one is cut off, as Kafka does.
///
/// # Errors
/// The whole batch is refused as soon as anything about it, or any record of it, is.
pub fn validate_batch(mut bytes: BytesMut, rules: &BatchRules) -> Result<ValidBatch, InvalidBatch> {
    let batch_bytes = framing::only_batch(&bytes, rules).map_err(InvalidBatch::before_log)?;
    framing::check_base_offset(&bytes, rules)?;
    bytes.truncate(batch_bytes);
    framing::check_size(batch_bytes, rules)?;
    let header = framing::check_bytes(&bytes)?;
    let codec = header.attributes.codec().map_err(|unknown| {
        InvalidBatch::new(ErrorCode::UnsupportedCompressionType, unknown.to_string())
    })?;
    framing::check_header(&header, rules)?;
    let valid = conversion::to_stored_form(bytes, header, codec, rules)?;
    framing::check_size(valid.batch.len(), rules)?;
    if valid.batch.len() > rules.segment_bytes {
        return Err(InvalidBatch::new(
            ErrorCode::RecordListTooLarge,
            format!(
                "a batch of {} bytes does not fit a segment of {}",
                valid.batch.len(),
                rules.segment_bytes
            ),
        ));
    }
    Ok(valid)
}

impl InvalidBatch {
    fn new(error: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { error, message: message.into(), record_errors: Vec::new(), before_log: false }
    }

    fn before_log(self) -> Self {
        Self { before_log: true, ..self }
    }
}

impl From<BatchError> for InvalidBatch {
    /// The error of a batch whose CRC is right, so that the client meant these bytes: sending them
    /// again would not help, which the retriable `CORRUPT_MESSAGE` would suggest. A batch that
    /// grows too large is one the client may split.
    fn from(error: BatchError) -> Self {
        let code = match &error {
            BatchError::Decompress(DecompressError::TooLarge { .. }) => ErrorCode::MessageTooLarge,
            BatchError::UnknownCodec(_) => ErrorCode::UnsupportedCompressionType,
            _ => ErrorCode::InvalidRecord,
        };
        Self::new(code, error.to_string())
    }
}
