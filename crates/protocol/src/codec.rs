//! Bytes to values and back: the primitives of Kafka's wire format and the schema macro that
//! builds every message from them.
//!
//! **Invariants**
//! - Decoding never panics and never reserves memory for elements that the bytes left cannot
//!   hold. What a message decodes to is bounded by [`Reader::MEMORY_PER_BYTE`].
//! - Decoding borrows: strings, bytes and records point into the frame.
//! - Encoding never drops a value silently: a field that the version lacks and that holds more
//!   than its default is an error, unless the schema calls it ignorable.
//!
//! **Not here**: what the fields mean (the handlers), and which versions are served
//! ([`crate::api`]).

use crate::api::ApiKey;

mod error;
mod field;
mod reader;
mod records;
mod schema;
mod writer;

#[cfg(test)]
pub(crate) mod allocations;
#[cfg(test)]
pub(crate) mod arbitrary;
#[cfg(test)]
mod tests;

pub use error::{DecodeError, EncodeError};
pub(crate) use field::{ReadField, WriteField, differs};
pub use reader::Reader;
pub use records::Records;
pub(crate) use schema::{default, field, messages, structs, versions};
pub use writer::{Chunks, Writer};

/// A whole message that can be read from bytes.
pub trait Decode<'a>: Sized {
    /// Reads one message of `version` from the front of `r`; what follows it stays there.
    ///
    /// # Errors
    /// When the version is not in the schema's range, or the bytes are not such a message.
    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError>;
}

/// A whole message that can be written as bytes.
pub trait Encode {
    /// Writes the message in the form of `version`.
    ///
    /// # Errors
    /// When the version is not in the schema's range, or a value cannot be said in it. What was
    /// written until then stays in `w`, so the caller must discard it.
    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError>;
}

/// A request: a message with an API key and a response.
pub trait Request<'a>: Decode<'a> + Encode {
    /// The API it belongs to.
    const KEY: ApiKey;
    /// What answers it, in the same version.
    type Response<'r>: Decode<'r> + Encode;
}

/// The versions of a message that its schema knows.
pub trait Versioned {
    /// The lowest version.
    const MIN: i16;
    /// The highest version.
    const MAX: i16;
    /// The first flexible version (KIP-482); `None` if no version is flexible.
    const FLEXIBLE: Option<i16>;
}

/// The version in which a message is read or written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Version {
    /// The message's version; its nested structs count with the same number.
    pub number: i16,
    /// Whether lengths are compact and structs end in tagged fields (KIP-482).
    pub flexible: bool,
}

impl Version {
    /// `number`, if message `M` has such a version.
    pub fn of<M: Versioned>(number: i16) -> Option<Self> {
        let flexible = M::FLEXIBLE.is_some_and(|from| number >= from);
        (M::MIN <= number && number <= M::MAX).then_some(Self { number, flexible })
    }
}

/// Reads a message that must fill `bytes` to the end.
///
/// # Errors
/// As [`Decode::decode`]; also when bytes are left over.
pub fn decode_whole<'a, M: Decode<'a>>(bytes: &'a [u8], version: i16) -> Result<M, DecodeError> {
    let mut r = Reader::new(bytes);
    let message = M::decode(&mut r, version)?;
    match r.remaining() {
        0 => Ok(message),
        left => Err(DecodeError::TrailingBytes(left)),
    }
}
