//! The records of a batch, one after the other.

use std::borrow::Cow;

use super::record::read_record;
use super::{BatchError, BatchHeader, HEADER_BYTES, RecordRef};
use crate::compression::{Codec, decompress};

/// The records of one batch, decompressed if they were compressed.
#[derive(Clone, Debug)]
pub struct BatchRecords<'b> {
    header: BatchHeader,
    bytes: Cow<'b, [u8]>,
}

/// The records of `batch` (exactly one whole batch), decompressed to at most
/// `max_decompressed_bytes`; that bound does not concern a batch that is not compressed. The CRC is
/// not looked at.
///
/// # Errors
/// Those of [`BatchHeader::of`]; [`BatchError::UnknownCodec`], [`BatchError::Decompress`],
/// [`BatchError::BadRecordCount`].
pub fn records(
    batch: &[u8],
    max_decompressed_bytes: usize,
) -> Result<BatchRecords<'_>, BatchError> {
    let header = BatchHeader::of(batch)?;
    if header.record_count < 0 {
        return Err(BatchError::BadRecordCount(header.record_count));
    }
    let stored = batch.get(HEADER_BYTES..).unwrap_or_default();
    let bytes = match header.attributes.codec()? {
        Codec::None => Cow::Borrowed(stored),
        // Nothing was compressed, not even nothing: compaction leaves such headers behind.
        _ if header.record_count == 0 && stored.is_empty() => Cow::Borrowed(stored),
        codec => Cow::Owned(decompress(codec, stored, max_decompressed_bytes)?),
    };
    Ok(BatchRecords { header, bytes })
}

impl BatchRecords<'_> {
    /// The header of the batch.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The records in order. After an error there is nothing more; bytes left over behind the last
    /// record are an error, too.
    #[must_use]
    pub fn iter(&self) -> RecordsIter<'_> {
        RecordsIter {
            header: self.header,
            rest: &self.bytes,
            left: self.header.record_count,
            ended: false,
        }
    }
}

impl<'r> IntoIterator for &'r BatchRecords<'_> {
    type Item = Result<RecordRef<'r>, BatchError>;
    type IntoIter = RecordsIter<'r>;

    fn into_iter(self) -> RecordsIter<'r> {
        self.iter()
    }
}

/// See [`BatchRecords::iter`].
#[derive(Clone, Debug)]
pub struct RecordsIter<'r> {
    header: BatchHeader,
    rest: &'r [u8],
    left: i32,
    ended: bool,
}

impl<'r> Iterator for RecordsIter<'r> {
    type Item = Result<RecordRef<'r>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        if self.left == 0 {
            self.ended = true;
            let count = self.header.record_count;
            return (!self.rest.is_empty()).then_some(Err(BatchError::TrailingBytes(count)));
        }
        self.left -= 1;
        let record = read_record(&mut self.rest, &self.header).map_err(BatchError::from);
        self.ended = record.is_err();
        Some(record)
    }
}
