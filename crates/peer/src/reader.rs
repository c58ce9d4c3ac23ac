//! From bytes to frames: one connection's reading side.
//!
//! **Invariants**
//! - No more memory is allocated than the most of: one step of 16 KiB; four times what has arrived
//!   of the frame; the length of the frame before it, which did arrive whole. What a header
//!   announces never decides alone.
//! - A frame of at least 4 KiB is handed out where it was read; a smaller one is copied, so that it
//!   does not keep alive a buffer many times its size.

use std::{
    io,
    pin::pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::{
    Message,
    frame::{Frame, FrameError, HEADER_BYTES, Header},
};

/// The buffer while nothing larger is known to come.
pub(crate) const STEP_BYTES: usize = 16 * 1024;
/// Smaller frames are copied.
const COPIED_BELOW: usize = 4 * 1024;
/// A read into less room than this is not worth its call, if there may be more.
const ROOM_MIN: usize = 4 * 1024;

/// Why no further frame can be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the connection ends within a frame")]
    Truncated,
    #[error("reading: {0}")]
    Io(#[from] io::Error),
}

/// One connection's reading side.
#[derive(Debug)]
pub(crate) struct Reader {
    buffer: BytesMut,
    frame_bytes_max: usize,
    /// Bytes of the frame handed out last.
    last_frame: usize,
    /// Bytes read since the beginning; only grows.
    received: u64,
}

impl Reader {
    /// Reads on after `already_read`.
    pub(crate) fn new(already_read: BytesMut, frame_bytes_max: usize) -> Self {
        Self { buffer: already_read, frame_bytes_max, last_frame: 0, received: 0 }
    }

    /// Bytes read since the beginning.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Bytes that are allocated.
    #[cfg(test)]
    pub(crate) fn allocated(&self) -> usize {
        self.buffer.capacity()
    }

    /// The next frame; `None` when the peer has ended its side.
    pub(crate) fn poll_frame<Io: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut Io,
    ) -> Poll<Result<Option<Frame>, ReadError>> {
        loop {
            let header = Header::read(&self.buffer, self.frame_bytes_max)?;
            if let Some(header) = header
                && header.length <= self.buffer.len()
            {
                return Poll::Ready(self.take_frame(&header).map(Some).map_err(Into::into));
            }
            self.make_room(header.map(|header| header.length));
            let read = ready!(pin!(io.read_buf(&mut self.buffer)).poll(cx))?;
            if read == 0 {
                let ended =
                    if self.buffer.is_empty() { Ok(None) } else { Err(ReadError::Truncated) };
                return Poll::Ready(ended);
            }
            self.received += read as u64;
        }
    }

    fn take_frame(&mut self, header: &Header) -> Result<Frame, FrameError> {
        let frame = self.buffer.get(..header.length).unwrap_or_default();
        header.check(frame)?;
        self.last_frame = header.length;
        let mut head = if header.length < COPIED_BELOW {
            let contents = Bytes::copy_from_slice(frame.get(HEADER_BYTES..).unwrap_or_default());
            self.buffer.advance(header.length);
            contents
        } else {
            self.buffer.split_to(header.length).freeze().split_off(HEADER_BYTES)
        };
        let payload = if header.head_bytes < head.len() {
            vec![head.split_off(header.head_bytes)]
        } else {
            Vec::new()
        };
        Ok(Frame {
            frame_type: header.frame_type,
            id: header.id,
            message: Message { kind: header.kind, head, payload },
        })
    }

    /// Makes room to read more of a frame, whose length is not known before its header is there.
    fn make_room(&mut self, length: Option<usize>) {
        let arrived = self.buffer.len();
        let capacity = self.buffer.capacity();
        let Some(length) = length else {
            if capacity - arrived < ROOM_MIN && !self.buffer.try_reclaim(ROOM_MIN) {
                self.exchange(STEP_BYTES);
            }
            return;
        };
        let proven = arrived.saturating_mul(4).max(self.last_frame).max(STEP_BYTES);
        if length > capacity && (length <= proven || capacity - arrived < ROOM_MIN) {
            self.exchange(length.max(STEP_BYTES).min(proven));
        }
    }

    fn exchange(&mut self, capacity: usize) {
        let mut larger = BytesMut::with_capacity(capacity);
        larger.extend_from_slice(&self.buffer);
        self.buffer = larger;
    }
}
