//! One connection on which another node calls: its requests are answered side by side, in the
//! connection's own task.
//!
//! **Invariant:** every call up to `last_taken` was given to the service, none above it was.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    Channel, Identity, Message, Options, PeerService,
    frame::{Encoded, FrameType},
    service::BoxFuture,
    wire::{Wire, WireError},
};

/// Answers calls until the connection ends or, once `draining` is done, all that were taken are
/// answered.
pub(crate) async fn run<Io: AsyncRead + AsyncWrite + Unpin>(
    wire: Wire<Io, ()>,
    from: &Identity,
    channel: Channel,
    service: &dyn PeerService,
    options: &Options,
    draining: impl Future<Output = ()>,
) -> Result<(), WireError> {
    let mut draining = std::pin::pin!(draining);
    let calls = FuturesUnordered::new();
    let mut answerer =
        Answerer { wire, from, channel, service, options, calls, last_taken: 0, drains: false };
    std::future::poll_fn(|cx| {
        if !answerer.drains && draining.as_mut().poll(cx).is_ready() {
            answerer.say_goodbye();
        }
        answerer.poll(cx)
    })
    .await
}

struct Answerer<'s, Io> {
    wire: Wire<Io, ()>,
    from: &'s Identity,
    channel: Channel,
    service: &'s dyn PeerService,
    options: &'s Options,
    calls: FuturesUnordered<Answering<'s>>,
    last_taken: u64,
    drains: bool,
}

struct Answering<'s> {
    id: u64,
    answer: BoxFuture<'s, Message>,
}

impl Future for Answering<'_> {
    type Output = (u64, Message);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let id = self.id;
        self.answer.as_mut().poll(cx).map(|answer| (id, answer))
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Answerer<'_, Io> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WireError>> {
        self.wire.begin_turn();
        let _ = self.wire.poll_flush(cx)?;
        loop {
            let was_full = !self.takes_calls();
            let taken = self.take_calls(cx)?;
            self.collect_answers(cx)?;
            let flushed = self.wire.poll_flush(cx)?;
            if self.drains && self.calls.is_empty() && flushed.is_ready() {
                self.wire.end(cx);
                return Poll::Ready(Ok(()));
            }
            // Whoever may read again has to: nobody else would wake this task.
            let again = taken || (was_full && self.takes_calls());
            if !again {
                break;
            }
        }
        let reading = self.takes_calls();
        self.wire.poll_pulse(cx, reading).map(Err)
    }

    fn takes_calls(&self) -> bool {
        !self.drains
            && self.calls.len() < self.options.calls_in_flight_max
            && self.wire.unwritten() < self.options.send_queue_bytes_max
    }

    /// Gives the service what has arrived; whether there was anything.
    fn take_calls(&mut self, cx: &mut Context<'_>) -> Result<bool, WireError> {
        let mut any = false;
        while self.takes_calls()
            && let Poll::Ready(frame) = self.wire.poll_frame(cx)
        {
            let frame = frame?;
            if frame.frame_type != FrameType::Call {
                return Err(WireError::Unexpected(frame.frame_type));
            }
            self.last_taken = frame.id;
            let answer = self.service.call(self.from, self.channel, frame.message);
            self.calls.push(Answering { id: frame.id, answer });
            any = true;
        }
        Ok(any)
    }

    /// Queues the answers that are there.
    fn collect_answers(&mut self, cx: &mut Context<'_>) -> Result<(), WireError> {
        while let Poll::Ready(Some((id, answer))) = self.calls.poll_next_unpin(cx) {
            let frame = Encoded::new(FrameType::Answer, id, &answer, self.options.frame_bytes_max)?;
            self.wire.push((), frame);
        }
        Ok(())
    }

    fn say_goodbye(&mut self) {
        self.drains = true;
        self.wire.push((), Encoded::bare(FrameType::Goodbye, self.last_taken));
    }
}
