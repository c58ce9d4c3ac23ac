//! From frames to bytes: one connection's writing side.
//!
//! **Invariants**
//! - `written` bytes of the first frame are with the system, and it is not complete; no byte of the
//!   others is. So it is exact whether a frame can have been seen by the peer.
//! - No piece is empty, so a write of nothing means a broken socket.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::AsyncWrite;

use crate::frame::Encoded;

/// Pieces per write; what is beyond waits for the next one.
const PIECES_PER_WRITE: usize = 64;

/// A frame on its way to the socket, and what its owner calls it.
#[derive(Debug)]
pub(crate) struct Outgoing<T> {
    pub tag: T,
    pub frame: Encoded,
}

/// One connection's writing side.
#[derive(Debug)]
pub(crate) struct Writer<T> {
    frames: VecDeque<Outgoing<T>>,
    written: usize,
    /// Bytes in `frames` that are not written.
    bytes: usize,
    /// Bytes written since the beginning; only grows.
    sent: u64,
}

impl<T> Writer<T> {
    pub(crate) fn new() -> Self {
        Self { frames: VecDeque::new(), written: 0, bytes: 0, sent: 0 }
    }

    /// Bytes not written yet.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes written since the beginning.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Queues a frame behind those already there.
    pub(crate) fn push(&mut self, tag: T, frame: Encoded) {
        self.bytes += frame.bytes();
        self.frames.push_back(Outgoing { tag, frame });
    }

    /// The last frame of which nothing is written, taken out.
    pub(crate) fn pop_unwritten(&mut self) -> Option<Outgoing<T>> {
        if self.frames.len() == 1 && self.written > 0 {
            return None;
        }
        let last = self.frames.pop_back()?;
        self.bytes -= last.frame.bytes();
        Some(last)
    }

    /// The frame of which a part is written.
    pub(crate) fn partial(&self) -> Option<&Outgoing<T>> {
        self.frames.front().filter(|_| self.written > 0)
    }

    /// Writes until nothing is queued or the socket takes no more.
    pub(crate) fn poll_flush<Io: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut Io,
    ) -> Poll<io::Result<()>> {
        while !self.frames.is_empty() {
            let mut slices = [IoSlice::new(&[]); PIECES_PER_WRITE];
            let mut skip = self.written;
            let mut count = 0;
            let pieces = self.frames.iter().flat_map(|outgoing| outgoing.frame.pieces());
            let unwritten = pieces.filter_map(|piece| {
                let now = skip.min(piece.len());
                skip -= now;
                piece.get(now..).filter(|rest| !rest.is_empty())
            });
            for (slice, piece) in slices.iter_mut().zip(unwritten) {
                *slice = IoSlice::new(piece);
                count += 1;
            }
            let slices = slices.get(..count).unwrap_or_default();
            let written = ready!(Pin::new(&mut *io).poll_write_vectored(cx, slices))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.consume(written);
        }
        Poll::Ready(Ok(()))
    }

    fn consume(&mut self, written: usize) {
        self.sent += written as u64;
        self.bytes -= written;
        self.written += written;
        while let Some(first) = self.frames.front()
            && self.written >= first.frame.bytes()
        {
            self.written -= first.frame.bytes();
            self.frames.pop_front();
        }
    }
}
