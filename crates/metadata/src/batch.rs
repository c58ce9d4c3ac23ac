//! From a batch to bytes and back, strictly.

use bytes::Bytes;
use prost::Message as _;

use crate::record::MetadataBatch;

/// The first byte of an encoded batch: the version of the framing, not of the records.
const FORMAT: u8 = 1;

/// Why bytes are not a batch that this version can apply. A node that meets it must stop: going
/// on would give it another image than its peers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeBatchError {
    /// No bytes at all.
    #[error("an empty metadata entry")]
    Empty,
    /// Written by a version with another framing.
    #[error("metadata entry of format {0}; this version reads format {FORMAT}")]
    Format(u8),
    /// Not a batch.
    #[error("malformed metadata entry: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// A kind of record that this version does not know.
    #[error(
        "metadata record {0} of an entry is of a kind this version does not know; update this node"
    )]
    UnknownRecord(usize),
    /// A field that this version does not know.
    #[error("a metadata entry has fields this version does not know; update this node")]
    UnknownField,
}

/// The bytes of a metadata log entry.
#[must_use]
pub fn encode_batch(batch: &MetadataBatch) -> Bytes {
    let mut bytes = Vec::with_capacity(1 + batch.encoded_len());
    bytes.push(FORMAT);
    batch.encode_raw(&mut bytes);
    bytes.into()
}

/// The batch of a metadata log entry.
///
/// # Errors
/// [`DecodeBatchError`] for whatever [`encode_batch`] of this version cannot have written. A
/// record or field from a later version is told by its bytes that are not accounted for.
pub fn decode_batch(bytes: &[u8]) -> Result<MetadataBatch, DecodeBatchError> {
    let (format, body) = bytes.split_first().ok_or(DecodeBatchError::Empty)?;
    if *format != FORMAT {
        return Err(DecodeBatchError::Format(*format));
    }
    let batch = MetadataBatch::decode(body)?;
    if let Some(at) = batch.records.iter().position(|record| record.change.is_none()) {
        return Err(DecodeBatchError::UnknownRecord(at));
    }
    // Known fields are encoded in one way only, so a difference in length is an unknown field.
    if batch.encoded_len() != body.len() {
        return Err(DecodeBatchError::UnknownField);
    }
    Ok(batch)
}

#[cfg(test)]
mod tests;
