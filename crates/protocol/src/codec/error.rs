//! Why bytes are not a message, and why a message cannot become bytes.

/// Bytes from outside are not the message they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The message goes on where the bytes end.
    #[error("the message ends early: {wanted} bytes wanted, {left} left")]
    UnexpectedEnd {
        /// How many bytes the next value takes at least.
        wanted: usize,
        /// How many there are.
        left: usize,
    },
    /// A length or count is negative, or longer than the format allows.
    #[error("invalid length {0}")]
    InvalidLength(i64),
    /// An array claims more elements than the bytes left could hold.
    #[error("{count} elements cannot fit into the {left} bytes left")]
    CountTooLarge {
        /// The claimed number of elements.
        count: usize,
        /// The bytes that would have to hold them.
        left: usize,
    },
    /// The message would take far more memory than its bytes justify.
    #[error("the message holds too many empty elements for its size")]
    TooManyElements,
    /// A variable-length integer does not end within its width.
    #[error("variable-length integer too long")]
    VarintTooLong,
    /// Null where this version allows none.
    #[error("null where a value is required")]
    UnexpectedNull,
    /// Null in a field that is not nullable in this version.
    #[error("{field} is null, which version {version} does not allow")]
    NullField {
        /// The struct and field, as `Struct.field`.
        field: &'static str,
        /// The message's version.
        version: i16,
    },
    /// Tagged fields must come once each and in rising order (KIP-482).
    #[error("tagged field {0} is out of order or repeated")]
    TagOrder(u32),
    /// A tagged field's content is shorter than its stated size.
    #[error("tagged field {tag} leaves {left} bytes unread")]
    TagSize {
        /// The field's tag.
        tag: u32,
        /// The bytes that are too many.
        left: usize,
    },
    /// Bytes follow the end of the message.
    #[error("{0} bytes follow the message")]
    TrailingBytes(usize),
    /// The schema has no such version.
    #[error("the message has no version {0}")]
    UnsupportedVersion(i16),
}

/// A message of ours cannot be written in the wanted version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The field does not exist in this version, holds more than its default, and must not be
    /// dropped silently.
    #[error("{field} is set, but version {version} has no such field")]
    FieldNotInVersion {
        /// The struct and field, as `Struct.field`.
        field: &'static str,
        /// The message's version.
        version: i16,
    },
    /// The field is null, which this version cannot say.
    #[error("{field} is null, which version {version} does not allow")]
    NullField {
        /// The struct and field, as `Struct.field`.
        field: &'static str,
        /// The message's version.
        version: i16,
    },
    /// A string, byte field or array is longer than its length field can say.
    #[error("a value of length {0} is too long for its field")]
    TooLong(usize),
    /// The schema has no such version.
    #[error("the message has no version {0}")]
    UnsupportedVersion(i16),
}
