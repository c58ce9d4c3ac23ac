//! One record: its parts borrowed from the (decompressed) bytes of its batch.

use bytes::BufMut;
use chronik_types::{Offset, Timestamp};

use super::{BatchHeader, TimestampType};
use crate::varint::{
    VarintError, read_varint, read_varlong, varint_bytes, varlong_bytes, write_varint,
    write_varlong,
};

/// Why bytes are not a record of their batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A number inside it is malformed or cut short.
    #[error("a number in a record is cut short or too long")]
    Varint(#[from] VarintError),
    /// The batch ends before all its records are there.
    #[error("the batch ends inside a record")]
    CutShort,
    /// The length of the record is negative, or not that of its parts.
    #[error("a record's length {length} is not that of its parts")]
    Length {
        /// As the record says.
        length: i32,
    },
    /// The number of headers is negative.
    #[error("a record cannot have {0} headers")]
    HeaderCount(i32),
    /// A header has no key.
    #[error("a header key cannot have the length {0}")]
    HeaderKey(i32),
    /// Its timestamp or offset leaves the range.
    #[error("the timestamp or offset of a record leaves the range")]
    OutOfRange,
}

/// One record of a batch.
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'a> {
    /// Its offset in the log.
    pub offset: Offset,
    /// Its own timestamp, or the append time of its batch.
    pub timestamp: Timestamp,
    /// Its key, if it has one.
    pub key: Option<&'a [u8]>,
    /// Its value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its headers, in order; keys may repeat.
    pub headers: HeadersIter<'a>,
}

/// One header of a record. Kafka's clients read the key as UTF-8; the broker does not look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The key's bytes.
    pub key: &'a [u8],
    /// The value, if it has one.
    pub value: Option<&'a [u8]>,
}

/// The headers of a record, in order.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadersIter<'a> {
    /// Invariant: `left` well-formed headers and nothing more.
    rest: &'a [u8],
    left: usize,
}

impl<'a> Iterator for HeadersIter<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.left = self.left.checked_sub(1)?;
        read_header(&mut self.rest).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for HeadersIter<'_> {}

/// Reads the record at the front of `bytes` and moves `bytes` behind it.
pub(super) fn read_record<'a>(
    bytes: &mut &'a [u8],
    header: &BatchHeader,
) -> Result<RecordRef<'a>, RecordError> {
    let mut rest = *bytes;
    let length = read_varint(&mut rest)?;
    let size = usize::try_from(length).map_err(|_| RecordError::Length { length })?;
    let (mut body, after) = rest.split_at_checked(size).ok_or(RecordError::CutShort)?;
    let (_attributes, tail) = body.split_first().ok_or(RecordError::Length { length })?;
    body = tail;
    let timestamp_delta = read_varlong(&mut body)?;
    let offset_delta = read_varint(&mut body)?;
    let key = read_bytes(&mut body).map_err(|e| within(length, e))?;
    let value = read_bytes(&mut body).map_err(|e| within(length, e))?;
    let headers = read_headers(&mut body).map_err(|e| within(length, e))?;
    if !body.is_empty() {
        return Err(RecordError::Length { length });
    }
    let timestamp = match header.attributes.timestamp_type() {
        TimestampType::LogAppendTime => header.max_timestamp,
        TimestampType::CreateTime => {
            header.base_timestamp.checked_add(timestamp_delta).ok_or(RecordError::OutOfRange)?
        }
    };
    let offset =
        header.base_offset.checked_add(i64::from(offset_delta)).ok_or(RecordError::OutOfRange)?;
    *bytes = after;
    Ok(RecordRef { offset, timestamp: Timestamp(timestamp), key, value, headers })
}

/// A part that runs over the end of its record makes the record's length wrong.
fn within(length: i32, error: RecordError) -> RecordError {
    if error == RecordError::CutShort { RecordError::Length { length } } else { error }
}

fn read_headers<'a>(body: &mut &'a [u8]) -> Result<HeadersIter<'a>, RecordError> {
    let count = read_varint(body)?;
    let left = usize::try_from(count).map_err(|_| RecordError::HeaderCount(count))?;
    let all = *body;
    for _ in 0..left {
        read_header(body)?;
    }
    let rest = all.get(..all.len() - body.len()).unwrap_or_default();
    Ok(HeadersIter { rest, left })
}

fn read_header<'a>(body: &mut &'a [u8]) -> Result<Header<'a>, RecordError> {
    let mut rest = *body;
    let length = read_varint(&mut rest)?;
    let size = usize::try_from(length).map_err(|_| RecordError::HeaderKey(length))?;
    let (key, mut rest) = rest.split_at_checked(size).ok_or(RecordError::CutShort)?;
    let value = read_bytes(&mut rest)?;
    *body = rest;
    Ok(Header { key, value })
}

/// Bytes with their length in front; any negative length means none, as for Kafka.
fn read_bytes<'a>(body: &mut &'a [u8]) -> Result<Option<&'a [u8]>, RecordError> {
    let length = read_varint(body)?;
    let Ok(size) = usize::try_from(length) else { return Ok(None) };
    let (bytes, rest) = body.split_at_checked(size).ok_or(RecordError::CutShort)?;
    *body = rest;
    Ok(Some(bytes))
}

/// The parts of a record to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordParts<'a> {
    pub(crate) timestamp_delta: i64,
    pub(crate) offset_delta: i32,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: &'a [Header<'a>],
}

/// Appends a record to `out`; `None`, and nothing written, if a part exceeds what a length can say.
pub(crate) fn write_record(out: &mut impl BufMut, record: &RecordParts<'_>) -> Option<()> {
    let mut size = 1 + varlong_bytes(record.timestamp_delta) + varint_bytes(record.offset_delta);
    size += sized(record.key)? + sized(record.value)?;
    size += varint_bytes(i32::try_from(record.headers.len()).ok()?);
    for header in record.headers {
        size += sized(Some(header.key))? + sized(header.value)?;
    }
    write_varint(out, i32::try_from(size).ok()?);
    out.put_i8(0);
    write_varlong(out, record.timestamp_delta);
    write_varint(out, record.offset_delta);
    write_bytes(out, record.key);
    write_bytes(out, record.value);
    write_varint(out, record.headers.len() as i32);
    for header in record.headers {
        write_bytes(out, Some(header.key));
        write_bytes(out, header.value);
    }
    Some(())
}

fn sized(bytes: Option<&[u8]>) -> Option<usize> {
    let Some(bytes) = bytes else { return Some(varint_bytes(-1)) };
    Some(varint_bytes(i32::try_from(bytes.len()).ok()?) + bytes.len())
}

fn write_bytes(out: &mut impl BufMut, bytes: Option<&[u8]>) {
    match bytes {
        None => write_varint(out, -1),
        Some(bytes) => {
            write_varint(out, bytes.len() as i32);
            out.put_slice(bytes);
        }
    }
}
