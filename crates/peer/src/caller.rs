//! The task behind the calls to one node on one channel: connects when there are calls, writes
//! them, hands out the answers.
//!
//! **Invariant:** between two turns of the task no frame is out of the link's queue of which
//! nothing is written; so what the link says of a call's fate is exact.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    CallError, Purpose,
    dialer::Dialer,
    frame::FrameType,
    link::{Demand, Link, Queued},
    wire::{Wire, WireError},
};

/// Bytes of calls taken from the queue for one write.
const WRITE_BYTES: usize = 256 * 1024;

/// Serves `link` until it is closed.
pub(crate) async fn run(link: Arc<Link>, dialer: Arc<Dialer>) {
    while demand(&link).await == Demand::Calls {
        let connected = match dialer.connect(Purpose::Calls).await {
            Ok(connected) => connected,
            Err(error) => {
                link.not_connected(error.into());
                continue;
            }
        };
        link.connected();
        let (io, mute_after) = (connected.io, connected.welcome.mute_after);
        let wire = Wire::new(io, connected.already_read, mute_after, &dialer.me.options);
        let renamed = dialer.me.identity.changed_from(&connected.me);
        converse(&link, wire, renamed).await;
    }
    link.not_connected(CallError::NotSent("the node is not known any more".to_owned()));
}

/// Calls on one connection until it is over or this node has `renamed` itself.
pub(crate) async fn converse<Io: AsyncRead + AsyncWrite + Unpin>(
    link: &Link,
    wire: Wire<Io, u64>,
    renamed: impl Future<Output = ()>,
) {
    let mut caller = Caller { link, wire, said_goodbye: false };
    let why = tokio::select! {
        biased;
        () = renamed => "this node has found its cluster".to_owned(),
        why = std::future::poll_fn(|cx| caller.poll(cx)) => why,
    };
    caller.end(&why);
}

async fn demand(link: &Link) -> Demand {
    std::future::poll_fn(|cx| match link.demand(cx) {
        Demand::Nothing => Poll::Pending,
        demand => Poll::Ready(demand),
    })
    .await
}

/// One connection.
struct Caller<'l, Io> {
    link: &'l Link,
    wire: Wire<Io, u64>,
    /// The peer takes no more calls.
    said_goodbye: bool,
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Caller<'_, Io> {
    /// Goes on until the connection is over; why it is.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        self.wire.begin_turn();
        let over = loop {
            let demand = match self.write(cx) {
                Ok(Demand::Closed) => break "the node is not known any more".to_owned(),
                Ok(demand) => demand,
                Err(error) => break error.to_string(),
            };
            if let Err(error) = self.read(cx) {
                break error.to_string();
            }
            if demand == Demand::Calls {
                continue;
            }
            match self.wire.poll_pulse(cx, true) {
                Poll::Ready(error) => break error.to_string(),
                Poll::Pending => return Poll::Pending,
            }
        };
        Poll::Ready(over)
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Result<(), WireError> {
        while let Poll::Ready(frame) = self.wire.poll_frame(cx) {
            let frame = frame?;
            match frame.frame_type {
                FrameType::Answer => self.link.answer(frame.id, frame.message),
                FrameType::Goodbye => {
                    self.said_goodbye = true;
                    self.link.not_taken(frame.id);
                }
                other => return Err(WireError::Unexpected(other)),
            }
        }
        Ok(())
    }

    /// Writes what is queued; what is left to do at once.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<Demand, WireError> {
        let mut demand = if self.said_goodbye {
            self.link.demand(cx)
        } else {
            let wire = &mut self.wire;
            self.link.take(cx, WRITE_BYTES, |call| wire.push(call.id, call.frame))
        };
        let flushed = self.wire.poll_flush(cx)?;
        if flushed.is_pending() {
            self.put_back();
        }
        if demand == Demand::Calls && (flushed.is_pending() || self.said_goodbye) {
            demand = Demand::Nothing;
        }
        Ok(demand)
    }

    fn put_back(&mut self) {
        while let Some((id, frame)) = self.wire.take_back() {
            self.link.put_back(Queued { id, frame });
        }
    }

    fn end(mut self, why: &str) {
        self.put_back();
        self.link.connection_lost(self.wire.half_written().copied(), why);
    }
}
