//! One connection after the hellos: frames in both directions, and keepalives.
//!
//! Each turn of a connection's task writes first and then reads no more than [`READ_PER_TURN`]:
//! under a flood tokio lets a task do only so much, and what is left for the end is never done.
//!
//! **Not here:** what the frames are for (`caller`, `answerer`, `stream_driver`).

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    Options,
    frame::{Encoded, Frame, FrameType, TooLong},
    pulse::{Pulse, Tick},
    reader::{ReadError, Reader},
    writer::{Outgoing, Writer},
};

/// Bytes read in one turn of the task; well within what tokio allows a task in small reads.
const READ_PER_TURN: u64 = 512 * 1024;

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("the peer closed the connection")]
    Ended,
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("writing: {0}")]
    Write(io::Error),
    #[error("nothing was heard of the peer for {0:?}")]
    Mute(Duration),
    #[error(transparent)]
    TooLong(#[from] TooLong),
    #[error("the peer sent a frame of the type {0:?}, which has no place here")]
    Unexpected(FrameType),
}

/// One connection. `T` is what its owner calls the frames it sends; pings have no name.
pub(crate) struct Wire<Io, T> {
    io: Io,
    reader: Reader,
    writer: Writer<Option<T>>,
    pulse: Pulse,
    /// This side says nothing any more, not even that it is alive.
    ended: bool,
    /// How much will have been read when this turn is over.
    turn_ends_at: u64,
}

impl<Io: AsyncRead + AsyncWrite + Unpin, T> Wire<Io, T> {
    /// Goes on after the hellos, behind which `already_read` came.
    pub(crate) fn new(
        io: Io,
        already_read: BytesMut,
        peers_mute_after: Duration,
        options: &Options,
    ) -> Self {
        Self {
            io,
            reader: Reader::new(already_read, options.frame_bytes_max),
            writer: Writer::new(),
            pulse: Pulse::new(options.mute_after, peers_mute_after),
            ended: false,
            turn_ends_at: READ_PER_TURN,
        }
    }

    /// Begins a turn of the task.
    pub(crate) fn begin_turn(&mut self) {
        self.turn_ends_at = self.reader.received() + READ_PER_TURN;
    }

    /// The next frame that is not a ping; pending, and due again at once, when the turn is over.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame, WireError>> {
        loop {
            if self.reader.received() >= self.turn_ends_at {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let frame = ready!(self.reader.poll_frame(cx, &mut self.io))?;
            match frame {
                None => return Poll::Ready(Err(WireError::Ended)),
                Some(frame) if frame.frame_type == FrameType::Ping => {}
                Some(frame) => return Poll::Ready(Ok(frame)),
            }
        }
    }

    /// Queues a frame.
    pub(crate) fn push(&mut self, tag: T, frame: Encoded) {
        self.writer.push(Some(tag), frame);
    }

    /// Bytes queued and not written.
    pub(crate) fn unwritten(&self) -> usize {
        self.writer.bytes()
    }

    /// Writes what is queued; pending when the socket takes no more.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, WireError> {
        match self.writer.poll_flush(cx, &mut self.io) {
            Poll::Ready(Ok(())) => Ok(Poll::Ready(())),
            Poll::Ready(Err(error)) => Err(WireError::Write(error)),
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    /// Takes back the last queued frame of which no byte is written.
    pub(crate) fn take_back(&mut self) -> Option<(T, Encoded)> {
        loop {
            let Outgoing { tag, frame } = self.writer.pop_unwritten()?;
            if let Some(tag) = tag {
                return Some((tag, frame));
            }
        }
    }

    /// What the frame is called of which some bytes are written and some are not.
    pub(crate) fn half_written(&self) -> Option<&T> {
        self.writer.partial().and_then(|outgoing| outgoing.tag.as_ref())
    }

    /// Keeps the connection alive; ready only when the peer is gone. To be polled after everything
    /// else.
    pub(crate) fn poll_pulse(&mut self, cx: &mut Context<'_>, reading: bool) -> Poll<WireError> {
        loop {
            let (received, sent) = (self.reader.received(), self.writer.sent());
            match ready!(self.pulse.poll_tick(cx, received, sent, reading)) {
                Tick::Mute(how_long) => return Poll::Ready(WireError::Mute(how_long)),
                Tick::Ping if self.writer.bytes() == 0 && !self.ended => {
                    self.writer.push(None, Encoded::bare(FrameType::Ping, 0));
                    if let Err(error) = self.poll_flush(cx) {
                        return Poll::Ready(error);
                    }
                }
                Tick::Ping | Tick::Fine => {}
            }
        }
    }

    /// Ends this side behind what is written; best effort.
    pub(crate) fn end(&mut self, cx: &mut Context<'_>) {
        if !std::mem::replace(&mut self.ended, true) {
            let _ = Pin::new(&mut self.io).poll_shutdown(cx);
        }
    }
}
