//! One connection's writing side: responses as the pieces they are made of, written without
//! being put together.
//!
//! **Invariants**
//! - No queued piece is empty, so a write of nothing means a broken socket.
//! - `bytes` is the sum of what is queued; `offset` lies within the first piece.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use chronik_protocol::codec::Chunks;
use tokio::io::AsyncWrite;

/// Pieces per write. Far below the system's limit of 1024; more would not save calls, since a
/// socket buffer holds less than this many pieces of any useful size.
const PIECES_PER_WRITE: usize = 64;

/// A response of this many bytes cannot be framed.
#[derive(Debug, thiserror::Error)]
#[error("a response of {0} bytes is longer than the protocol can say")]
pub(crate) struct ResponseTooLong(pub usize);

/// One connection's writing side.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    pieces: VecDeque<Piece>,
    offset: usize,
    bytes: usize,
    /// Bytes written to the socket; only grows.
    sent: u64,
}

#[derive(Debug)]
enum Piece {
    Length([u8; 4]),
    Bytes(Bytes),
}

impl Piece {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Length(bytes) => bytes,
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl Outbound {
    /// Bytes queued.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing is queued.
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Bytes written since the beginning.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Queues a response behind those already there, with its length in front.
    pub(crate) fn push(&mut self, response: Chunks) -> Result<(), ResponseTooLong> {
        let bytes = response.total_bytes();
        let length = i32::try_from(bytes).map_err(|_| ResponseTooLong(bytes))?;
        self.pieces.push_back(Piece::Length(length.to_be_bytes()));
        let chunks = response.into_iter().filter(|chunk| !chunk.is_empty());
        self.pieces.extend(chunks.map(Piece::Bytes));
        self.bytes += size_of_val(&length) + bytes;
        Ok(())
    }

    /// Drops what is queued.
    pub(crate) fn clear(&mut self) {
        self.pieces.clear();
        self.offset = 0;
        self.bytes = 0;
    }

    /// Writes until nothing is queued or the socket takes no more.
    pub(crate) fn poll_flush<Io: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut Io,
    ) -> Poll<io::Result<()>> {
        while !self.pieces.is_empty() {
            let mut slices = [IoSlice::new(&[]); PIECES_PER_WRITE];
            let mut skip = self.offset;
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                *slice = IoSlice::new(piece.as_slice().get(skip..).unwrap_or_default());
                skip = 0;
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
        self.offset += written;
        while let Some(first) = self.pieces.front() {
            let length = first.as_slice().len();
            if self.offset < length {
                return;
            }
            self.offset -= length;
            self.pieces.pop_front();
        }
    }
}
