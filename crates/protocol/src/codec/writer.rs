//! Bytes under construction: small values are gathered, large ones are referenced.

use bytes::{BufMut, Bytes, BytesMut};

use super::EncodeError;

/// Collects an encoded message. Fields go into a growing buffer; record bytes that are already
/// shared become chunks of their own and are never copied.
#[derive(Debug, Default)]
pub struct Writer {
    done: Vec<Bytes>,
    head: BytesMut,
}

/// Where the content of a tagged field begins; made by [`Writer::begin_tag`].
#[derive(Debug)]
pub(crate) struct TagMark {
    start: usize,
    chunks: usize,
}

impl Writer {
    /// An empty writer that reserves nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty writer with room for `bytes` before it has to grow.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { done: Vec::new(), head: BytesMut::with_capacity(bytes) }
    }

    /// Appends bytes by copying them.
    pub fn put(&mut self, bytes: &[u8]) {
        self.head.put_slice(bytes);
    }

    /// Appends shared bytes without copying them.
    pub fn put_chunk(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        if !self.head.is_empty() {
            self.done.push(self.head.split().freeze());
        }
        self.done.push(chunk);
    }

    /// Appends an unsigned integer in 1 to 5 bytes, seven bits each, the lowest first.
    pub fn unsigned_varint(&mut self, mut n: u32) {
        while n >= 0x80 {
            self.head.put_u8((n & 0x7F) as u8 | 0x80);
            n >>= 7;
        }
        self.head.put_u8(n as u8);
    }

    /// Appends the length of a string, which Kafka caps at 32767 bytes; `None` is null.
    pub(crate) fn string_length(
        &mut self,
        length: Option<usize>,
        flexible: bool,
    ) -> Result<(), EncodeError> {
        let wire = match length {
            None => -1,
            Some(n) => i16::try_from(n).map_err(|_| EncodeError::TooLong(n))?,
        };
        if flexible {
            self.unsigned_varint((i32::from(wire) + 1).cast_unsigned());
        } else {
            self.put(&wire.to_be_bytes());
        }
        Ok(())
    }

    /// Appends the length of bytes or records or the count of an array; `None` is null.
    pub(crate) fn length(
        &mut self,
        length: Option<usize>,
        flexible: bool,
    ) -> Result<(), EncodeError> {
        let wire = match length {
            None => -1,
            Some(n) => i32::try_from(n).map_err(|_| EncodeError::TooLong(n))?,
        };
        if flexible {
            self.unsigned_varint(wire.cast_unsigned().wrapping_add(1));
        } else {
            self.put(&wire.to_be_bytes());
        }
        Ok(())
    }

    /// Begins a tagged field; its content follows, then [`Writer::end_tag`].
    pub(crate) fn begin_tag(&mut self, tag: u32) -> TagMark {
        self.unsigned_varint(tag);
        TagMark { start: self.head.len(), chunks: self.done.len() }
    }

    /// Ends a tagged field: puts the size of what was written since `mark` before it.
    pub(crate) fn end_tag(&mut self, mark: &TagMark) -> Result<(), EncodeError> {
        assert!(mark.chunks == self.done.len(), "no tagged field of any schema holds records");
        let end = self.head.len();
        let size = end - mark.start;
        self.unsigned_varint(u32::try_from(size).map_err(|_| EncodeError::TooLong(size))?);
        // The size was appended last but belongs first.
        let size_bytes = self.head.len() - end;
        if let Some(field) = self.head.get_mut(mark.start..) {
            field.rotate_right(size_bytes);
        }
        Ok(())
    }

    /// What was written, in order.
    #[must_use]
    pub fn finish(mut self) -> Chunks {
        if !self.head.is_empty() {
            self.done.push(self.head.freeze());
        }
        Chunks(self.done)
    }
}

/// An encoded message as pieces to be sent one after the other. No piece is empty.
#[derive(Clone, Debug, Default)]
pub struct Chunks(Vec<Bytes>);

impl Chunks {
    /// The sum of all pieces' lengths in bytes.
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// The pieces in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Bytes> {
        self.0.iter()
    }

    /// The pieces themselves.
    #[must_use]
    pub fn into_inner(self) -> Vec<Bytes> {
        self.0
    }

    /// All pieces copied into one.
    #[must_use]
    pub fn concat(&self) -> BytesMut {
        let mut whole = BytesMut::with_capacity(self.total_bytes());
        for chunk in &self.0 {
            whole.extend_from_slice(chunk);
        }
        whole
    }
}

impl<'c> IntoIterator for &'c Chunks {
    type Item = &'c Bytes;
    type IntoIter = std::slice::Iter<'c, Bytes>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl IntoIterator for Chunks {
    type Item = Bytes;
    type IntoIter = std::vec::IntoIter<Bytes>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl From<Vec<Bytes>> for Chunks {
    fn from(mut chunks: Vec<Bytes>) -> Self {
        chunks.retain(|chunk| !chunk.is_empty());
        Self(chunks)
    }
}
