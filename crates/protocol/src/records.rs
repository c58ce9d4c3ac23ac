//! The records of `__consumer_offsets`, and what members of a classic consumer group tell each
//! other through the coordinator.
//!
//! **Invariants**: keys and values begin with a two-byte version. The version of a key says which
//! record it is; keys are never flexible. Both forms are Kafka's, as tools read this topic.
//!
//! **Not here**: when records are written and what replaying them does (the coordinator).

mod consumer_protocol;
mod group;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::codec::{Decode, DecodeError, Encode, EncodeError, Reader, Versioned, Writer};
pub use consumer_protocol::*;
pub use group::*;

/// Which record a key of `__consumer_offsets` stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum RecordKey<'a> {
    /// A stored offset.
    OffsetCommit(OffsetCommitKey<'a>),
    /// A classic group.
    GroupMetadata(GroupMetadataKey<'a>),
    /// A record of another type, such as those of KIP-848 groups; the type is the key's version.
    Other(i16),
}

impl<'a> RecordKey<'a> {
    /// The version, and so the type, of the key of a stored offset; 0 means the same.
    pub const OFFSET_COMMIT: i16 = 1;
    /// The version, and so the type, of a classic group's key.
    pub const GROUP_METADATA: i16 = 2;

    /// Reads a whole key.
    ///
    /// # Errors
    /// When the bytes are too short to have a type, or not a key of their type.
    pub fn decode(key: &'a [u8]) -> Result<Self, DecodeError> {
        match Reader::new(key).i16()? {
            0 | Self::OFFSET_COMMIT => decode_versioned(key).map(Self::OffsetCommit),
            Self::GROUP_METADATA => decode_versioned(key).map(Self::GroupMetadata),
            other => Ok(Self::Other(other)),
        }
    }
}

/// `message` with its version before it.
///
/// # Errors
/// As [`Encode::encode`].
pub fn encode_versioned<M: Encode>(message: &M, version: i16) -> Result<Bytes, EncodeError> {
    let mut w = Writer::with_capacity(128);
    w.put(&version.to_be_bytes());
    message.encode(&mut w, version)?;
    Ok(w.finish().concat().freeze())
}

/// A message that has its version before it and fills `bytes` to the end.
///
/// # Errors
/// When the version is not known or the bytes are not such a message.
pub fn decode_versioned<'a, M: Decode<'a>>(bytes: &'a [u8]) -> Result<M, DecodeError> {
    let mut r = Reader::new(bytes);
    let version = r.i16()?;
    let message = M::decode(&mut r, version)?;
    match r.remaining() {
        0 => Ok(message),
        left => Err(DecodeError::TrailingBytes(left)),
    }
}

/// A subscription or assignment with its version before it. The consumer protocol only ever adds
/// fields at the end, so a version newer than known is read as the newest known one and what
/// follows is left unread.
///
/// # Errors
/// When the version is negative or the bytes are not such a message.
pub fn decode_consumer_protocol<'a, M>(bytes: &'a [u8]) -> Result<M, DecodeError>
where
    M: Decode<'a> + Versioned,
{
    let mut r = Reader::new(bytes);
    let version = r.i16()?;
    M::decode(&mut r, version.min(M::MAX))
}
