//! The task of a stream's connection: moves messages between the stream's queues and the wire.
//!
//! ```text
//!  open ──sender dropped: queue, then End──► half open ──End from the peer──► closed
//!                                              └──receiver dropped too: waits for the peer──► closed
//! ```
//! The wait at the end reads and throws away: closing a socket with unread bytes would take back
//! what was sent last. The peer sees that nobody listens any more, and ends.

use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    frame::{Encoded, FrameType},
    pipe::{Pipe, Sending},
    wire::{Wire, WireError},
};

/// Bytes taken from the queue for one write.
const WRITE_BYTES: usize = 256 * 1024;

/// Serves the stream until it ends, in order or not.
pub(crate) async fn run<Io: AsyncRead + AsyncWrite + Unpin>(
    wire: Wire<Io, ()>,
    pipe: &Pipe,
) -> Result<(), WireError> {
    let _over = Over(pipe);
    let mut driver = StreamDriver { wire, pipe, said_end: false, heard_end: false };
    std::future::poll_fn(|cx| driver.poll(cx)).await
}

/// However the task ends, nobody waits for it any more.
struct Over<'p>(&'p Pipe);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over();
    }
}

struct StreamDriver<'p, Io> {
    wire: Wire<Io, ()>,
    pipe: &'p Pipe,
    said_end: bool,
    heard_end: bool,
}

impl<Io: AsyncRead + AsyncWrite + Unpin> StreamDriver<'_, Io> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WireError>> {
        self.wire.begin_turn();
        loop {
            let (sending, more) = self.write(cx)?;
            let was_full = !self.pipe.has_room();
            if let Err(error) = self.read(cx) {
                let in_order = self.said_end && matches!(error, WireError::Ended);
                return Poll::Ready(if in_order { Ok(()) } else { Err(error) });
            }
            if sending == Sending::Over || self.is_finished() {
                self.wire.end(cx);
                return Poll::Ready(Ok(()));
            }
            // Whoever may read or write again has to: nobody else would wake this task.
            let again = more || (was_full && self.pipe.has_room());
            if !again {
                break;
            }
        }
        let reading = self.pipe.has_room();
        self.wire.poll_pulse(cx, reading).map(Err)
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Result<(), WireError> {
        while self.pipe.has_room()
            && let Poll::Ready(frame) = self.wire.poll_frame(cx)
        {
            let frame = frame?;
            match frame.frame_type {
                FrameType::Item if !self.heard_end => self.pipe.arrived(frame.message),
                FrameType::End if !self.heard_end => {
                    self.heard_end = true;
                    self.pipe.peer_ended();
                }
                other => return Err(WireError::Unexpected(other)),
            }
        }
        Ok(())
    }

    /// Writes what is queued; whether there may be more that can be written at once.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<(Sending, bool), WireError> {
        let bytes = WRITE_BYTES.saturating_sub(self.wire.unwritten());
        let wire = &mut self.wire;
        let sending = self.pipe.take(cx, bytes, |frame| wire.push((), frame));
        if sending == Sending::Ended && !self.said_end {
            self.said_end = true;
            self.wire.push((), Encoded::bare(FrameType::End, 0));
        }
        let anything = self.wire.unwritten() > 0;
        let flushed = self.wire.poll_flush(cx)?;
        if flushed.is_ready() && self.said_end && self.pipe.receiver_is_gone() {
            self.wire.end(cx);
        }
        Ok((sending, anything && flushed.is_ready()))
    }

    /// Whether both sides have said everything.
    fn is_finished(&self) -> bool {
        self.said_end && self.heard_end && self.wire.unwritten() == 0
    }
}
