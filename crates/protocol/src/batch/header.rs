//! The 61 bytes in front of the records, read and changed in place.

use chronik_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

use super::RecordError;
use crate::compression::{Codec, DecompressError, UnknownCodec};

/// The bytes in front of the first record.
pub const HEADER_BYTES: usize = 61;

/// The bytes that the length field does not count: base offset and the length itself.
const LENGTH_OVERHEAD: usize = 12;

/// The magic of the only batch format served.
const MAGIC: i8 = 2;

/// Where each field that is changed in place begins.
pub(crate) mod field {
    pub(crate) const BASE_OFFSET: usize = 0;
    pub(crate) const LENGTH: usize = 8;
    pub(crate) const LEADER_EPOCH: usize = 12;
    pub(crate) const MAGIC: usize = 16;
    pub(crate) const CRC: usize = 17;
    pub(crate) const ATTRIBUTES: usize = 21;
    pub(crate) const LAST_OFFSET_DELTA: usize = 23;
    pub(crate) const BASE_TIMESTAMP: usize = 27;
    pub(crate) const MAX_TIMESTAMP: usize = 35;
    pub(crate) const PRODUCER_ID: usize = 43;
    pub(crate) const PRODUCER_EPOCH: usize = 51;
    pub(crate) const BASE_SEQUENCE: usize = 53;
    pub(crate) const RECORD_COUNT: usize = 57;
}

/// Whose clock the timestamps of a batch are from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's: each record has its own.
    #[default]
    CreateTime,
    /// The leader's when it appended: every record has the batch's max timestamp.
    LogAppendTime,
}

/// The attributes of a batch. Bits beyond the known ones are kept as they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes(pub i16);

impl Attributes {
    const CODEC: i16 = 0x07;
    const LOG_APPEND_TIME: i16 = 0x08;
    const TRANSACTIONAL: i16 = 0x10;
    const CONTROL: i16 = 0x20;
    const DELETE_HORIZON: i16 = 0x40;

    /// How the records are compressed.
    ///
    /// # Errors
    /// When the number names no codec of Kafka's.
    pub fn codec(self) -> Result<Codec, UnknownCodec> {
        Codec::from_id((self.0 & Self::CODEC) as u8)
    }

    /// Whose clock the timestamps are from.
    #[must_use]
    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the batch belongs to a transaction.
    #[must_use]
    pub fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Whether the records are for the brokers and clients' machinery, not for applications.
    #[must_use]
    pub fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Whether the base timestamp is the time from which compaction may drop tombstones (KIP-534).
    #[must_use]
    pub fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    /// These attributes with another codec.
    #[must_use]
    pub fn with_codec(self, codec: Codec) -> Self {
        Self(self.0 & !Self::CODEC | i16::from(codec.id()))
    }

    /// These attributes with another timestamp type.
    #[must_use]
    pub fn with_timestamp_type(self, timestamp_type: TimestampType) -> Self {
        self.with(Self::LOG_APPEND_TIME, timestamp_type == TimestampType::LogAppendTime)
    }

    /// These attributes with the transactional bit so.
    #[must_use]
    pub fn with_transactional(self, transactional: bool) -> Self {
        self.with(Self::TRANSACTIONAL, transactional)
    }

    /// These attributes with the control bit so.
    #[must_use]
    pub fn with_control(self, control: bool) -> Self {
        self.with(Self::CONTROL, control)
    }

    /// These attributes with the delete horizon bit so.
    #[must_use]
    pub fn with_delete_horizon(self, horizon: bool) -> Self {
        self.with(Self::DELETE_HORIZON, horizon)
    }

    fn with(self, bit: i16, on: bool) -> Self {
        if on { Self(self.0 | bit) } else { Self(self.0 & !bit) }
    }
}

/// Why bytes are not a record batch, or its records cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Fewer bytes than a header has.
    #[error("{have} bytes are fewer than the {HEADER_BYTES} of a batch header")]
    TooShort {
        /// How many bytes there are.
        have: usize,
    },
    /// The length field is negative or less than the header needs.
    #[error("a batch cannot have the length {length}")]
    BadLength {
        /// The length field, which does not count the first 12 bytes.
        length: i32,
    },
    /// The slice does not hold exactly the batch.
    #[error("a batch of {batch_bytes} bytes in a slice of {have}")]
    WrongSlice {
        /// What the header says.
        batch_bytes: u32,
        /// How many bytes there are.
        have: usize,
    },
    /// Not the format of Kafka 0.11 and later.
    #[error("batch magic {0} is not 2")]
    BadMagic(i8),
    /// The bytes are not the ones that were sent.
    #[error("stored CRC-32C {stored:08x}, computed {computed:08x}")]
    BadCrc {
        /// From the header.
        stored: u32,
        /// Of the bytes.
        computed: u32,
    },
    /// The record count is negative.
    #[error("a batch cannot hold {0} records")]
    BadRecordCount(i32),
    /// More bytes after the last record.
    #[error("bytes remain after the last of {0} records")]
    TrailingBytes(i32),
    /// The attributes name no codec.
    #[error(transparent)]
    UnknownCodec(#[from] UnknownCodec),
    /// A record is malformed.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The records do not decompress, or not within the bound.
    #[error(transparent)]
    Decompress(#[from] DecompressError),
}

/// The header of a batch, read from its first 61 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// The offset of the record with offset delta 0 (which compaction may have removed).
    pub base_offset: Offset,
    /// The size of the whole batch in bytes, from the base offset to the last record; at least 61.
    pub batch_bytes: u32,
    /// Under which leader it was appended; -1 in a produce request.
    pub leader_epoch: LeaderEpoch,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Codec and flags.
    pub attributes: Attributes,
    /// Last offset minus base offset; compaction keeps it.
    pub last_offset_delta: i32,
    /// What timestamp deltas are added to, in milliseconds.
    pub base_timestamp: i64,
    /// The greatest timestamp of its records, or when it was appended; in milliseconds.
    pub max_timestamp: i64,
    /// -1 unless the producer is idempotent.
    pub producer_id: ProducerId,
    /// -1 unless the producer is idempotent.
    pub producer_epoch: ProducerEpoch,
    /// The sequence of the first record; -1 unless the producer is idempotent.
    pub base_sequence: i32,
    /// How many records there are; 0 is possible after compaction.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the front of `bytes`. The rest of the batch need not be there.
    ///
    /// # Errors
    /// [`BatchError::TooShort`], [`BatchError::BadLength`], [`BatchError::BadMagic`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let head: &[u8; HEADER_BYTES] =
            bytes.first_chunk().ok_or(BatchError::TooShort { have: bytes.len() })?;
        let magic = i8::from_be_bytes(get(head, field::MAGIC));
        if magic != MAGIC {
            return Err(BatchError::BadMagic(magic));
        }
        let length = i32::from_be_bytes(get(head, field::LENGTH));
        let batch_bytes = batch_bytes(length)?;
        Ok(Self {
            base_offset: Offset(i64::from_be_bytes(get(head, field::BASE_OFFSET))),
            batch_bytes,
            leader_epoch: LeaderEpoch(i32::from_be_bytes(get(head, field::LEADER_EPOCH))),
            crc: u32::from_be_bytes(get(head, field::CRC)),
            attributes: Attributes(i16::from_be_bytes(get(head, field::ATTRIBUTES))),
            last_offset_delta: i32::from_be_bytes(get(head, field::LAST_OFFSET_DELTA)),
            base_timestamp: i64::from_be_bytes(get(head, field::BASE_TIMESTAMP)),
            max_timestamp: i64::from_be_bytes(get(head, field::MAX_TIMESTAMP)),
            producer_id: ProducerId(i64::from_be_bytes(get(head, field::PRODUCER_ID))),
            producer_epoch: ProducerEpoch(i16::from_be_bytes(get(head, field::PRODUCER_EPOCH))),
            base_sequence: i32::from_be_bytes(get(head, field::BASE_SEQUENCE)),
            record_count: i32::from_be_bytes(get(head, field::RECORD_COUNT)),
        })
    }

    /// The header of `batch`, which must be the whole batch and nothing more.
    ///
    /// # Errors
    /// Those of [`BatchHeader::parse`], and [`BatchError::WrongSlice`].
    pub fn of(batch: &[u8]) -> Result<Self, BatchError> {
        let header = Self::parse(batch)?;
        if header.batch_bytes as usize != batch.len() {
            return Err(BatchError::WrongSlice {
                batch_bytes: header.batch_bytes,
                have: batch.len(),
            });
        }
        Ok(header)
    }

    /// The offset of the last record (compaction may have removed it). Saturating.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        Offset(self.base_offset.0.saturating_add(i64::from(self.last_offset_delta)))
    }

    /// The offset after the batch. Saturating.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.last_offset().next()
    }

    /// The sequence of the last record, -1 if there is none. After `i32::MAX` comes 0.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return -1;
        }
        let sum = i64::from(self.base_sequence) + i64::from(self.last_offset_delta);
        sum.rem_euclid(1 << 31) as i32
    }

    /// Whether an idempotent producer wrote it, so that duplicates can be told.
    #[must_use]
    pub fn is_idempotent(&self) -> bool {
        self.producer_id > ProducerId::NONE
    }

    /// Writes these fields over the header at the front of `batch`; nothing if it is too short.
    pub(crate) fn write(&self, batch: &mut [u8]) {
        let length = self.batch_bytes.saturating_sub(LENGTH_OVERHEAD as u32);
        put(batch, field::BASE_OFFSET, self.base_offset.0.to_be_bytes());
        put(batch, field::LENGTH, length.to_be_bytes());
        put(batch, field::LEADER_EPOCH, self.leader_epoch.0.to_be_bytes());
        put(batch, field::MAGIC, MAGIC.to_be_bytes());
        put(batch, field::CRC, self.crc.to_be_bytes());
        put(batch, field::ATTRIBUTES, self.attributes.0.to_be_bytes());
        put(batch, field::LAST_OFFSET_DELTA, self.last_offset_delta.to_be_bytes());
        put(batch, field::BASE_TIMESTAMP, self.base_timestamp.to_be_bytes());
        put(batch, field::MAX_TIMESTAMP, self.max_timestamp.to_be_bytes());
        put(batch, field::PRODUCER_ID, self.producer_id.0.to_be_bytes());
        put(batch, field::PRODUCER_EPOCH, self.producer_epoch.0.to_be_bytes());
        put(batch, field::BASE_SEQUENCE, self.base_sequence.to_be_bytes());
        put(batch, field::RECORD_COUNT, self.record_count.to_be_bytes());
    }

    /// Writes the header with a fresh CRC; `batch` must be the whole batch.
    pub(crate) fn seal(&mut self, batch: &mut [u8]) {
        self.write(batch);
        self.crc = compute_crc(batch);
        put(batch, field::CRC, self.crc.to_be_bytes());
    }
}

/// Gives the batch at the front of `batch` its place in a log. Both fields lie outside the CRC,
/// and the rest of the batch is untouched. Nothing happens if there is no whole header.
pub fn stamp(batch: &mut [u8], base_offset: Offset, epoch: LeaderEpoch) {
    if batch.len() >= HEADER_BYTES {
        put(batch, field::BASE_OFFSET, base_offset.0.to_be_bytes());
        put(batch, field::LEADER_EPOCH, epoch.0.to_be_bytes());
    }
}

/// Whether the CRC of `batch` (exactly one whole batch) is that of its bytes.
///
/// # Errors
/// Those of [`BatchHeader::of`], and [`BatchError::BadCrc`].
pub fn verify_crc(batch: &[u8]) -> Result<(), BatchError> {
    let header = BatchHeader::of(batch)?;
    let computed = compute_crc(batch);
    if header.crc == computed {
        Ok(())
    } else {
        Err(BatchError::BadCrc { stored: header.crc, computed })
    }
}

/// CRC-32C (Castagnoli) of what the CRC field covers; the stored form is big-endian.
pub(crate) fn compute_crc(batch: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(batch.get(field::ATTRIBUTES..).unwrap_or_default())
}

/// Walks the whole batches at the front of `bytes`; a partial one at the end is not an error.
/// After an error there is nothing more.
#[must_use]
pub fn batches(bytes: &[u8]) -> Batches<'_> {
    Batches { rest: bytes }
}

/// See [`batches`].
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    rest: &'a [u8],
}

impl<'a> Batches<'a> {
    /// The bytes not walked yet; after the end, the partial batch there.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn step(&mut self) -> Result<Option<(BatchHeader, &'a [u8])>, BatchError> {
        if self.rest.len() < HEADER_BYTES {
            return Ok(None);
        }
        let header = BatchHeader::parse(self.rest)?;
        let Some((batch, rest)) = self.rest.split_at_checked(header.batch_bytes as usize) else {
            return Ok(None);
        };
        self.rest = rest;
        Ok(Some((header, batch)))
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<(BatchHeader, &'a [u8]), BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.rest = &[];
        }
        step.transpose()
    }
}

fn batch_bytes(length: i32) -> Result<u32, BatchError> {
    u32::try_from(length)
        .ok()
        .map(|length| length + LENGTH_OVERHEAD as u32)
        .filter(|bytes| *bytes as usize >= HEADER_BYTES)
        .ok_or(BatchError::BadLength { length })
}

/// The field at `at`; every caller asks within the 61 bytes, so the zeros are never seen.
fn get<const N: usize>(head: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    head.get(at..).and_then(|from| from.first_chunk()).copied().unwrap_or([0; N])
}

fn put<const N: usize>(batch: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(place) = batch.get_mut(at..).and_then(|from| from.first_chunk_mut()) {
        *place = value;
    }
}
