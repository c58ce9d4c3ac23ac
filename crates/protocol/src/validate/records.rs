//! The one walk over the records of a batch: each is checked, and what the header must say about
//! all of them is gathered.

use std::borrow::Cow;

use chronik_types::ErrorCode;

use super::{BatchRules, InvalidBatch, MAX_RECORD_ERRORS, RecordRefusal};
use crate::batch::{
    BatchError, BatchHeader, RecordError, RecordShape, Source, TimestampType, walk_record,
};

/// The first version of Produce whose response names records (KIP-467).
const RECORD_ERRORS_SINCE: i16 = 8;

/// What a walk over all records found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tally {
    /// The greatest timestamp of a record; -1 if none has one.
    pub(super) max_timestamp: i64,
    /// The place of the first record with it; -1 if none has one.
    pub(super) index_of_max: i32,
    /// Whether the offset deltas are 0, 1, 2, and so on.
    pub(super) consecutive: bool,
}

/// Walks over exactly the records the header announces.
pub(super) fn check_records(
    source: &mut impl Source,
    header: &BatchHeader,
    rules: &BatchRules,
) -> Result<Tally, InvalidBatch> {
    let mut tally = Tally { max_timestamp: -1, index_of_max: -1, consecutive: true };
    let mut refused = Refused::default();
    for index in 0..header.record_count {
        let shape = walk_record(source)?;
        let timestamp = header
            .base_timestamp
            .checked_add(shape.timestamp_delta)
            .ok_or(BatchError::Record(RecordError::OutOfRange))?;
        if let Some(refusal) = refuse(&shape, timestamp, header, rules) {
            refused.add(index, refusal, rules);
        }
        if timestamp > tally.max_timestamp {
            tally.max_timestamp = timestamp;
            tally.index_of_max = index;
        }
        tally.consecutive &= shape.offset_delta == index;
    }
    if !source.at_end()? {
        return Err(BatchError::TrailingBytes(header.record_count).into());
    }
    refused.into_result().map(|()| tally)
}

/// Why one record is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    NoKey,
    TimestampOutOfRange(i64),
    ClaimsAppendTime,
}

/// The first reason, in Kafka's order, not to accept a record.
fn refuse(
    shape: &RecordShape,
    timestamp: i64,
    header: &BatchHeader,
    rules: &BatchRules,
) -> Option<Refusal> {
    if rules.compacted && !shape.has_key {
        return Some(Refusal::NoKey);
    }
    if rules.timestamp_type == TimestampType::CreateTime && timestamp != -1 {
        let age = i128::from(rules.now.0) - i128::from(timestamp);
        let out_of_range =
            age > i128::from(rules.before_max_ms) || -age > i128::from(rules.after_max_ms);
        return out_of_range.then_some(Refusal::TimestampOutOfRange(timestamp));
    }
    // Where the producer's times count, the claim is dropped with the attribute.
    let claims = header.attributes.timestamp_type() == TimestampType::LogAppendTime;
    claims.then_some(Refusal::ClaimsAppendTime)
}

/// The records at fault: all are counted, some are named.
#[derive(Debug, Default)]
struct Refused {
    count: usize,
    by_timestamp: bool,
    named: Vec<RecordRefusal>,
}

impl Refused {
    fn add(&mut self, batch_index: i32, refusal: Refusal, rules: &BatchRules) {
        self.count += 1;
        self.by_timestamp |= refusal != Refusal::NoKey;
        if rules.produce_version < RECORD_ERRORS_SINCE || self.named.len() >= MAX_RECORD_ERRORS {
            return;
        }
        let message = match refusal {
            Refusal::NoKey => Cow::Borrowed("a record of a compacted topic needs a key"),
            Refusal::ClaimsAppendTime => Cow::Borrowed("a producer cannot set the append time"),
            Refusal::TimestampOutOfRange(timestamp) => Cow::Owned(format!(
                "the timestamp {timestamp} is not within [{}, {}]",
                rules.now.0.saturating_sub(rules.before_max_ms),
                rules.now.0.saturating_add(rules.after_max_ms)
            )),
        };
        self.named.push(RecordRefusal { batch_index, message });
    }

    /// One bad timestamp outweighs any number of missing keys, as for Kafka.
    fn into_result(self) -> Result<(), InvalidBatch> {
        if self.count == 0 {
            return Ok(());
        }
        let (error, what) = if self.by_timestamp {
            (ErrorCode::InvalidTimestamp, "timestamp")
        } else {
            (ErrorCode::InvalidRecord, "missing key")
        };
        let message = Cow::Owned(format!("{} records refused for their {what}", self.count));
        Err(InvalidBatch { error, message, record_errors: self.named, before_log: false })
    }
}
