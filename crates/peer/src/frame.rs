//! One frame: a fixed header, the head, the payload. Format: `docs/formats/internal.md`.
//!
//! **Not here:** collecting a frame's bytes (`reader`), writing them (`writer`).

use bytes::{BufMut, Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, Digest, crc32_iscsi};

use crate::Message;

/// Bytes of the header.
pub(crate) const HEADER_BYTES: usize = 24;
/// Where the part begins that the checksum covers.
const COVERED_FROM: usize = 4;
/// Up to this size a piece is copied behind the header: one more piece to write costs more.
const COPIED_MAX: usize = 1024;

/// What a frame is to the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FrameType {
    /// Its sender is alive.
    Ping = 1,
    /// A request; its id is above those before it.
    Call = 2,
    /// The answer to the call with the same id.
    Answer = 3,
    /// A message of a stream.
    Item = 4,
    /// No more items come from this side.
    End = 5,
    /// No call above this id was or will be taken.
    Goodbye = 6,
}

impl FrameType {
    const ALL: [Self; 6] =
        [Self::Ping, Self::Call, Self::Answer, Self::Item, Self::End, Self::Goodbye];
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame announces {0} bytes")]
    Length(u32),
    #[error("a frame of the unknown type {0}")]
    Type(u8),
    #[error("a frame with the unknown flags {0:#04x}")]
    Flags(u8),
    #[error("a frame whose head is longer than itself ({0} bytes)")]
    Head(u32),
    #[error("a frame whose checksum is wrong")]
    Checksum,
}

/// The fixed part of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    crc: u32,
    /// Bytes of the whole frame: at least [`HEADER_BYTES`], at most the limit it was read with.
    pub length: usize,
    pub frame_type: FrameType,
    pub kind: u16,
    /// At most `length - HEADER_BYTES`.
    pub head_bytes: usize,
    pub id: u64,
}

impl Header {
    /// Reads the header at the start of `bytes`; `None` if they are too few.
    pub(crate) fn read(bytes: &[u8], frame_bytes_max: usize) -> Result<Option<Self>, FrameError> {
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let &[a, b, c, d, e, f, g, h, frame_type, flags, i, j, k, l, m, n, ref id @ ..] = header;
        let length = u32::from_le_bytes([e, f, g, h]);
        let whole = usize::try_from(length)
            .ok()
            .filter(|whole| (HEADER_BYTES..=frame_bytes_max).contains(whole))
            .ok_or(FrameError::Length(length))?;
        let known = FrameType::ALL.into_iter().find(|known| *known as u8 == frame_type);
        let head = u32::from_le_bytes([k, l, m, n]);
        let head_bytes = usize::try_from(head)
            .ok()
            .filter(|head| *head <= whole - HEADER_BYTES)
            .ok_or(FrameError::Head(head))?;
        if flags != 0 {
            return Err(FrameError::Flags(flags));
        }
        Ok(Some(Self {
            crc: u32::from_le_bytes([a, b, c, d]),
            length: whole,
            frame_type: known.ok_or(FrameError::Type(frame_type))?,
            kind: u16::from_le_bytes([i, j]),
            head_bytes,
            id: u64::from_le_bytes(*id),
        }))
    }

    /// Whether `frame`, of this header's length, is what its sender checksummed.
    pub(crate) fn check(&self, frame: &[u8]) -> Result<(), FrameError> {
        let covered = frame.get(COVERED_FROM..).unwrap_or_default();
        if crc32_iscsi(covered) == self.crc { Ok(()) } else { Err(FrameError::Checksum) }
    }
}

/// A frame as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub frame_type: FrameType,
    pub id: u64,
    pub message: Message,
}

/// A frame ready to be written; its pieces are never empty.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    first: Bytes,
    rest: Vec<Bytes>,
    bytes: usize,
}

/// A message of this many bytes fits no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of {0} bytes is longer than a frame may be")]
pub(crate) struct TooLong(pub usize);

impl Encoded {
    /// A frame that carries `message`. Small pieces are copied, the others are not.
    pub(crate) fn new(
        frame_type: FrameType,
        id: u64,
        message: &Message,
        frame_bytes_max: usize,
    ) -> Result<Self, TooLong> {
        let too_long = TooLong(message.bytes());
        let bytes = message.bytes().checked_add(HEADER_BYTES).ok_or(too_long)?;
        if bytes > frame_bytes_max {
            return Err(too_long);
        }
        let length = u32::try_from(bytes).map_err(|_| too_long)?;
        let head_bytes = u32::try_from(message.head.len()).map_err(|_| too_long)?;

        let Message { kind, head, payload } = message;
        let pieces = || std::iter::once(head).chain(payload).filter(|piece| !piece.is_empty());
        let is_small = |piece: &&Bytes| piece.len() <= COPIED_MAX;
        let small: usize = pieces().take_while(is_small).map(Bytes::len).sum();
        let mut first = BytesMut::with_capacity(HEADER_BYTES + small);
        first.put_u32_le(0);
        first.put_u32_le(length);
        first.put_u8(frame_type as u8);
        first.put_u8(0);
        first.put_u16_le(*kind);
        first.put_u32_le(head_bytes);
        first.put_u64_le(id);

        pieces().take_while(is_small).for_each(|piece| first.extend_from_slice(piece));
        let rest: Vec<Bytes> = pieces().skip_while(is_small).cloned().collect();
        let crc = checksum(first.get(COVERED_FROM..).unwrap_or_default(), &rest);
        if let Some(field) = first.first_chunk_mut() {
            *field = crc.to_le_bytes();
        }
        Ok(Self { first: first.freeze(), rest, bytes })
    }

    /// A frame without a message.
    pub(crate) fn bare(frame_type: FrameType, id: u64) -> Self {
        match Self::new(frame_type, id, &Message::default(), HEADER_BYTES) {
            Ok(frame) => frame,
            Err(_) => unreachable!("a frame of nothing but its header fits"),
        }
    }

    /// Bytes on the wire.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The bytes in order.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.first).chain(&self.rest)
    }
}

fn checksum(first: &[u8], rest: &[Bytes]) -> u32 {
    if rest.is_empty() {
        return crc32_iscsi(first);
    }
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(first);
    rest.iter().for_each(|piece| digest.update(piece));
    u32::try_from(digest.finalize()).unwrap_or(0)
}
