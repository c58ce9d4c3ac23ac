//! Walking over records without keeping them: what validation and timestamp lookup need.
//!
//! **Invariants**: a walk holds one window of [`WINDOW_BYTES`] at most, whatever the records say
//! about themselves; after a record was walked, exactly its length has been consumed.

use super::{BatchError, RecordError};
use crate::compression::{Codec, Decompressor};
use crate::varint::{
    Accumulator, VarintError, read_varint, read_varlong, zigzag_to_i32, zigzag_to_i64,
};

/// How much of a compressed batch is decompressed at a time.
const WINDOW_BYTES: usize = 16 * 1024;

/// Where the bytes of records come from.
pub(crate) trait Source {
    /// The next zigzag 32-bit number.
    fn varint(&mut self) -> Result<i32, BatchError>;
    /// The next zigzag 64-bit number.
    fn varlong(&mut self) -> Result<i64, BatchError>;
    /// Moves on by `bytes`.
    fn skip(&mut self, bytes: u64) -> Result<(), BatchError>;
    /// How many bytes have been consumed.
    fn consumed(&self) -> u64;
    /// Whether nothing is left.
    fn at_end(&mut self) -> Result<bool, BatchError>;
}

/// What a walk tells of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordShape {
    pub(crate) timestamp_delta: i64,
    pub(crate) offset_delta: i32,
    pub(crate) has_key: bool,
}

/// Walks over one record. Its parts may say what they like: in the end they must have taken exactly
/// what the record said, and until then no more than the batch has.
pub(crate) fn walk_record(source: &mut impl Source) -> Result<RecordShape, BatchError> {
    let length = source.varint()?;
    let size = u64::try_from(length).map_err(|_| RecordError::Length { length })?;
    let end = source.consumed() + size;
    // The attributes of a record have no meaning yet.
    source.skip(1)?;
    let timestamp_delta = source.varlong()?;
    let offset_delta = source.varint()?;
    let has_key = skip_bytes(source)?;
    skip_bytes(source)?;
    skip_headers(source)?;
    if source.consumed() != end {
        return Err(RecordError::Length { length }.into());
    }
    Ok(RecordShape { timestamp_delta, offset_delta, has_key })
}

fn skip_headers(source: &mut impl Source) -> Result<(), BatchError> {
    let count = source.varint()?;
    if count < 0 {
        return Err(RecordError::HeaderCount(count).into());
    }
    for _ in 0..count {
        let key = source.varint()?;
        source.skip(u64::try_from(key).map_err(|_| RecordError::HeaderKey(key))?)?;
        skip_bytes(source)?;
    }
    Ok(())
}

/// Skips bytes with their length in front; whether there are any (no bytes at all are some).
fn skip_bytes(source: &mut impl Source) -> Result<bool, BatchError> {
    match u64::try_from(source.varint()?) {
        Err(_) => Ok(false),
        Ok(bytes) => source.skip(bytes).map(|()| true),
    }
}

/// Records that lie in memory as they are.
#[derive(Debug)]
pub(crate) struct SliceSource<'a> {
    rest: &'a [u8],
    whole: usize,
}

impl<'a> SliceSource<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, whole: bytes.len() }
    }
}

impl Source for SliceSource<'_> {
    #[inline]
    fn varint(&mut self) -> Result<i32, BatchError> {
        if self.rest.is_empty() {
            return Err(RecordError::CutShort.into());
        }
        Ok(read_varint(&mut self.rest).map_err(RecordError::from)?)
    }

    #[inline]
    fn varlong(&mut self) -> Result<i64, BatchError> {
        Ok(read_varlong(&mut self.rest).map_err(RecordError::from)?)
    }

    #[inline]
    fn skip(&mut self, bytes: u64) -> Result<(), BatchError> {
        let after = usize::try_from(bytes).ok().and_then(|bytes| self.rest.get(bytes..));
        self.rest = after.ok_or(RecordError::CutShort)?;
        Ok(())
    }

    #[inline]
    fn consumed(&self) -> u64 {
        (self.whole - self.rest.len()) as u64
    }

    fn at_end(&mut self) -> Result<bool, BatchError> {
        Ok(self.rest.is_empty())
    }
}

/// Compressed records, seen through a window that moves on.
#[derive(Debug)]
pub(crate) struct StreamSource<'a> {
    decompressor: Decompressor<'a>,
    window: Vec<u8>,
    /// What of the window has been decompressed.
    filled: usize,
    /// What of that has been consumed.
    at: usize,
    /// What was consumed before this window.
    before: u64,
}

impl<'a> StreamSource<'a> {
    pub(crate) fn new(codec: Codec, bytes: &'a [u8], limit: usize) -> Result<Self, BatchError> {
        let decompressor = Decompressor::new(codec, bytes, limit)?;
        Ok(Self { decompressor, window: vec![0; WINDOW_BYTES], filled: 0, at: 0, before: 0 })
    }

    /// Moves the window on if it is used up; false at the end.
    fn refill(&mut self) -> Result<bool, BatchError> {
        if self.at == self.filled {
            self.before += self.filled as u64;
            self.at = 0;
            self.filled = 0;
            self.filled = self.decompressor.read(&mut self.window)?;
        }
        Ok(self.at < self.filled)
    }

    fn raw(&mut self) -> Result<u64, BatchError> {
        let mut number = Accumulator::default();
        loop {
            if self.at == self.filled && !self.refill()? {
                return Err(RecordError::CutShort.into());
            }
            let byte = *self.window.get(self.at).ok_or(RecordError::CutShort)?;
            self.at += 1;
            if let Some(raw) = number.push(byte).map_err(RecordError::from)? {
                return Ok(raw);
            }
        }
    }
}

impl Source for StreamSource<'_> {
    fn varint(&mut self) -> Result<i32, BatchError> {
        let raw = u32::try_from(self.raw()?).map_err(|_| RecordError::Varint(VarintError))?;
        Ok(zigzag_to_i32(raw))
    }

    fn varlong(&mut self) -> Result<i64, BatchError> {
        self.raw().map(zigzag_to_i64)
    }

    fn skip(&mut self, bytes: u64) -> Result<(), BatchError> {
        let mut left = bytes;
        while left > 0 {
            if !self.refill()? {
                return Err(RecordError::CutShort.into());
            }
            let step = left.min((self.filled - self.at) as u64);
            self.at += step as usize;
            left -= step;
        }
        Ok(())
    }

    fn consumed(&self) -> u64 {
        self.before + self.at as u64
    }

    fn at_end(&mut self) -> Result<bool, BatchError> {
        self.refill().map(|more| !more)
    }
}
