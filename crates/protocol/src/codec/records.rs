//! Record bytes inside a message.

use bytes::Bytes;

use super::{DecodeError, EncodeError, ReadField, Reader, Version, WriteField, Writer};

/// The `records` of a produce request or fetch response: whole record batches, not looked into.
/// Two values are equal when their bytes are, however they are held.
#[derive(Clone, Debug, Default)]
pub enum Records<'a> {
    /// Null. Some clients cannot read it in a fetch response: send [`Records::EMPTY`] there.
    #[default]
    Null,
    /// Bytes of the frame they came in, or of the caller.
    Borrowed(&'a [u8]),
    /// Shared bytes, sent one after the other without being copied.
    Chunks(Vec<Bytes>),
}

impl Records<'_> {
    /// No records.
    pub const EMPTY: Self = Self::Borrowed(&[]);

    /// The number of bytes; 0 for null.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Borrowed(bytes) => bytes.len(),
            Self::Chunks(chunks) => chunks.iter().map(Bytes::len).sum(),
        }
    }

    /// Whether there is not one byte; true for null.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn bytes(&self) -> impl Iterator<Item = u8> {
        let (borrowed, chunks): (&[u8], &[Bytes]) = match self {
            Self::Null => (&[], &[]),
            Self::Borrowed(bytes) => (bytes, &[]),
            Self::Chunks(chunks) => (&[], chunks),
        };
        borrowed.iter().copied().chain(chunks.iter().flat_map(|chunk| chunk.iter().copied()))
    }
}

impl PartialEq for Records<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.is_null() == other.is_null()
            && self.len() == other.len()
            && self.bytes().eq(other.bytes())
    }
}

impl<'a> ReadField<'a> for Records<'a> {
    fn min_bytes(v: Version) -> usize {
        if v.flexible { 1 } else { 4 }
    }

    fn read(r: &mut Reader<'a>, v: Version) -> Result<Self, DecodeError> {
        Ok(match r.length(v.flexible)? {
            None => Self::Null,
            Some(length) => Self::Borrowed(r.take(length)?),
        })
    }
}

impl WriteField for Records<'_> {
    fn write(&self, w: &mut Writer, v: Version) -> Result<(), EncodeError> {
        w.length((!self.is_null()).then(|| self.len()), v.flexible)?;
        match self {
            Self::Null => {}
            Self::Borrowed(bytes) => w.put(bytes),
            Self::Chunks(chunks) => chunks.iter().for_each(|chunk| w.put_chunk(chunk.clone())),
        }
        Ok(())
    }

    fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}
