//! A checked cursor over the bytes of one message.

use std::borrow::Cow;

use chronik_types::Uuid;

use super::DecodeError;

/// A cursor over `&'a [u8]` in which every read is checked. What it returns borrows from the
/// bytes, not from the reader.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    /// How many more bytes of memory the elements of arrays may take. Bounds the case in which
    /// elements of one or two bytes each become structs of a hundred.
    memory_left: usize,
}

impl<'a> Reader<'a> {
    /// The array elements decoded from a message take at most this many bytes of memory for each
    /// of its bytes, plus [`Reader::MEMORY_FREE`]. Honest messages stay below half of it.
    pub const MEMORY_PER_BYTE: usize = 16;
    /// What any message may take, in bytes of memory, however short it is.
    pub const MEMORY_FREE: usize = 64 * 1024;

    /// Starts at the front of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        let memory_left =
            bytes.len().saturating_mul(Self::MEMORY_PER_BYTE).saturating_add(Self::MEMORY_FREE);
        Self { bytes, memory_left }
    }

    /// How many bytes are not read yet.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes not read yet, without reading them.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(length)
            .ok_or(DecodeError::UnexpectedEnd { wanted: length, left: self.bytes.len() })?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self
            .bytes
            .split_first_chunk::<N>()
            .ok_or(DecodeError::UnexpectedEnd { wanted: N, left: self.bytes.len() })?;
        self.bytes = rest;
        Ok(*taken)
    }

    /// One signed byte.
    ///
    /// # Errors
    /// When the bytes end, as with every fixed-width read below.
    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        self.array().map(i8::from_be_bytes)
    }

    /// One byte; anything but 0 is true.
    #[allow(clippy::missing_errors_doc, reason = "see i8")]
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? != 0)
    }

    /// A big-endian 16-bit integer.
    #[allow(clippy::missing_errors_doc, reason = "see i8")]
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        self.array().map(i16::from_be_bytes)
    }

    /// A big-endian unsigned 16-bit integer.
    #[allow(clippy::missing_errors_doc, reason = "see i8")]
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    /// A big-endian 32-bit integer.
    #[allow(clippy::missing_errors_doc, reason = "see i8")]
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_be_bytes)
    }

    /// A big-endian unsigned 32-bit integer.
    #[allow(clippy::missing_errors_doc, reason = "see i8")]
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A big-endian 64-bit integer.
    #[allow(clippy::missing_errors_doc, reason = "see i8")]
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        self.array().map(i64::from_be_bytes)
    }

    /// A big-endian IEEE 754 double.
    #[allow(clippy::missing_errors_doc, reason = "see i8")]
    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        self.array().map(f64::from_be_bytes)
    }

    /// Sixteen bytes.
    #[allow(clippy::missing_errors_doc, reason = "see i8")]
    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.array().map(Uuid)
    }

    /// An unsigned 32-bit integer of 1 to 5 bytes, seven bits each, the lowest first.
    ///
    /// # Errors
    /// When the bytes end or the number does not fit into 32 bits.
    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        let mut n = 0;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            let bits = u32::from(byte & 0x7F);
            // Only four bits are left for the fifth byte.
            if shift == 28 && bits > 0x0F {
                break;
            }
            n |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(n);
            }
        }
        Err(DecodeError::VarintTooLong)
    }

    /// The length of a string, or `None` for null, which any negative length says, as in Kafka.
    pub(crate) fn string_length(&mut self, flexible: bool) -> Result<Option<usize>, DecodeError> {
        let length = if flexible { self.compact_length()? } else { i64::from(self.i16()?) };
        match length {
            ..0 => Ok(None),
            // Kafka caps strings at this even where the length field could say more.
            0..=0x7FFF => Ok(usize::try_from(length).ok()),
            _ => Err(DecodeError::InvalidLength(length)),
        }
    }

    /// The length of bytes or records or the count of an array, or `None` for null, which any
    /// negative length says, as in Kafka.
    pub(crate) fn length(&mut self, flexible: bool) -> Result<Option<usize>, DecodeError> {
        let length = if flexible { self.compact_length()? } else { i64::from(self.i32()?) };
        Ok(usize::try_from(length).ok())
    }

    /// A length as flexible versions write it, which is a signed number of 32 bits in Kafka.
    fn compact_length(&mut self) -> Result<i64, DecodeError> {
        self.unsigned_varint().map(|n| i64::from(n.cast_signed().wrapping_sub(1)))
    }

    /// The next `length` bytes as text. What is not UTF-8 becomes U+FFFD, as in Kafka: clients in
    /// languages without encoded strings name their groups and themselves in other encodings.
    pub(crate) fn text(&mut self, length: usize) -> Result<Cow<'a, str>, DecodeError> {
        let text = String::from_utf8_lossy(self.take(length)?);
        if let Cow::Owned(owned) = &text {
            self.memory_left =
                self.memory_left.checked_sub(owned.len()).ok_or(DecodeError::TooManyElements)?;
        }
        Ok(text)
    }

    /// How many of `count` array elements to reserve memory for at first, having made sure that
    /// the bytes left can hold all of them and that they may take their memory.
    pub(crate) fn admit_elements(
        &mut self,
        count: usize,
        wire_bytes: usize,
        memory_bytes: usize,
    ) -> Result<usize, DecodeError> {
        let left = self.remaining();
        if count > left / wire_bytes.max(1) {
            return Err(DecodeError::CountTooLarge { count, left });
        }
        self.memory_left = count
            .checked_mul(memory_bytes)
            .and_then(|wanted| self.memory_left.checked_sub(wanted))
            .ok_or(DecodeError::TooManyElements)?;
        // A count alone never reserves more memory than bytes were sent; the rest is reserved
        // as elements really arrive.
        Ok(count.min(left / memory_bytes.max(1) + 1))
    }

    /// Reads the tagged fields at the end of a struct. `known` reads the content of a tag it
    /// knows and says true, or touches nothing and says false; what it does not know is skipped.
    ///
    /// # Errors
    /// When tags repeat or fall, when a content is longer or shorter than its size says, and what
    /// `known` returns.
    pub fn tagged_fields(
        &mut self,
        known: &mut dyn FnMut(u32, &mut Self) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        let mut last = None;
        for _ in 0..self.unsigned_varint()? {
            let tag = self.unsigned_varint()?;
            if last.is_some_and(|last| last >= tag) {
                return Err(DecodeError::TagOrder(tag));
            }
            last = Some(tag);
            let size = self.unsigned_varint()?;
            let content = self.take(usize::try_from(size).unwrap_or(usize::MAX))?;
            let after = std::mem::replace(&mut self.bytes, content);
            if known(tag, self)? && self.remaining() > 0 {
                return Err(DecodeError::TagSize { tag, left: self.remaining() });
            }
            self.bytes = after;
        }
        Ok(())
    }
}
