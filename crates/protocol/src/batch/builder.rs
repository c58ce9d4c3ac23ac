//! Building a batch: what the broker itself writes, and what tests send.

use bytes::BytesMut;
use chronik_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

use super::record::{RecordParts, write_record};
use super::{Attributes, BatchHeader, HEADER_BYTES, Header, TimestampType};
use crate::compression::{Codec, CompressError, compress};

/// Why a batch cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A batch without records has no place in a log that is not being compacted.
    #[error("a batch needs at least one record")]
    Empty,
    /// The record or the batch exceeds what a 32-bit length can say.
    #[error("a batch or record of 2 GiB or more")]
    TooLarge,
    /// Timestamps so far apart that their difference leaves the range.
    #[error("timestamps too far apart for one batch")]
    TimestampRange,
    /// Offsets must rise and stay within 2^31 of the first.
    #[error("offset delta {0} does not follow the one before")]
    OffsetDelta(i32),
    /// The codec failed.
    #[error(transparent)]
    Compress(#[from] CompressError),
}

/// Collects records into one batch. The base offset is 0 and the leader epoch -1 unless given, as in
/// a produce request; the timestamps are the producer's unless `log_append_time` is given.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    header: BatchHeader,
    codec: Codec,
    level: Option<i32>,
    log_append_time: Option<Timestamp>,
    /// The header's place, then the records as they are without compression.
    batch: BytesMut,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// An empty batch, not compressed, of no idempotent producer.
    #[must_use]
    pub fn new() -> Self {
        let header = BatchHeader {
            base_offset: Offset::ZERO,
            batch_bytes: HEADER_BYTES as u32,
            leader_epoch: LeaderEpoch::NONE,
            crc: 0,
            attributes: Attributes::default(),
            last_offset_delta: -1,
            base_timestamp: -1,
            max_timestamp: -1,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch::NONE,
            base_sequence: -1,
            record_count: 0,
        };
        let batch = BytesMut::zeroed(HEADER_BYTES);
        Self { header, codec: Codec::None, level: None, log_append_time: None, batch }
    }

    /// With this base offset.
    #[must_use]
    pub fn base_offset(mut self, base_offset: Offset) -> Self {
        self.header.base_offset = base_offset;
        self
    }

    /// Appended under this leader.
    #[must_use]
    pub fn leader_epoch(mut self, epoch: LeaderEpoch) -> Self {
        self.header.leader_epoch = epoch;
        self
    }

    /// Compressed so; `level` as in [`compress`].
    #[must_use]
    pub fn compression(mut self, codec: Codec, level: Option<i32>) -> Self {
        self.codec = codec;
        self.level = level;
        self
    }

    /// Of this idempotent producer.
    #[must_use]
    pub fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) -> Self {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// Part of a transaction.
    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.header.attributes = self.header.attributes.with_transactional(true);
        self
    }

    /// With records for the machinery.
    #[must_use]
    pub fn control(mut self) -> Self {
        self.header.attributes = self.header.attributes.with_control(true);
        self
    }

    /// Every record has this timestamp, whatever it is appended with.
    #[must_use]
    pub fn log_append_time(mut self, time: Timestamp) -> Self {
        self.log_append_time = Some(time);
        self
    }

    /// Adds a record behind the last one.
    ///
    /// # Errors
    /// [`BuildError::TooLarge`], [`BuildError::TimestampRange`]; the batch is then as before.
    pub fn append(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<(), BuildError> {
        let delta = self.header.last_offset_delta.checked_add(1).ok_or(BuildError::TooLarge)?;
        self.append_at(delta, timestamp, key, value, headers)
    }

    /// Adds a record at an offset delta beyond the last one, leaving a gap as compaction does.
    ///
    /// # Errors
    /// Those of [`BatchBuilder::append`], and [`BuildError::OffsetDelta`].
    pub fn append_at(
        &mut self,
        offset_delta: i32,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<(), BuildError> {
        if offset_delta <= self.header.last_offset_delta {
            return Err(BuildError::OffsetDelta(offset_delta));
        }
        let first = self.header.record_count == 0;
        let base = if first { timestamp.0 } else { self.header.base_timestamp };
        let timestamp_delta = timestamp.0.checked_sub(base).ok_or(BuildError::TimestampRange)?;
        let parts = RecordParts { timestamp_delta, offset_delta, key, value, headers };
        write_record(&mut self.batch, &parts).ok_or(BuildError::TooLarge)?;
        self.header.base_timestamp = base;
        self.header.max_timestamp =
            if first { timestamp.0 } else { self.header.max_timestamp.max(timestamp.0) };
        self.header.last_offset_delta = offset_delta;
        // Each record has its own offset delta, so the count cannot pass the greatest delta.
        self.header.record_count += 1;
        Ok(())
    }

    /// How many records there are.
    #[must_use]
    pub fn record_count(&self) -> i32 {
        self.header.record_count
    }

    /// The size of the batch so far, in bytes, before compression.
    #[must_use]
    pub fn batch_bytes(&self) -> usize {
        self.batch.len()
    }

    /// The finished batch.
    ///
    /// # Errors
    /// [`BuildError::Empty`], [`BuildError::TooLarge`], [`BuildError::Compress`].
    pub fn build(self) -> Result<BytesMut, BuildError> {
        let Self { mut header, codec, level, log_append_time, mut batch } = self;
        if header.record_count == 0 {
            return Err(BuildError::Empty);
        }
        if codec != Codec::None {
            let plain = batch.split_off(HEADER_BYTES);
            batch.extend_from_slice(&compress(codec, level, &plain)?);
        }
        header.attributes = header.attributes.with_codec(codec);
        if let Some(time) = log_append_time {
            header.attributes = header.attributes.with_timestamp_type(TimestampType::LogAppendTime);
            header.max_timestamp = time.0;
        }
        header.batch_bytes =
            i32::try_from(batch.len()).map_err(|_| BuildError::TooLarge)?.unsigned_abs();
        header.seal(&mut batch);
        Ok(batch)
    }
}
