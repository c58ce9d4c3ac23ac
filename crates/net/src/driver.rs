//! One connection's task: reads frames, has them answered, writes the answers in order.
//!
//! ```text
//!  Serving ──first frame is another node's──► handed over
//!  Serving ──peer ended──► Draining ──all responses written──► closed
//!     │  └──Close, bad frame, shutdown──►  ▲
//!     └──read or write failed──► Orphaned ──received requests executed──► closed
//! ```
//!
//! **Invariants**
//! - A request is called only when the call before it has returned.
//! - What a peer sent whole before it ended its side is executed: an `acks=0` producer that closes
//!   right after its last request loses nothing by that.
//! - Whenever the task sleeps, somebody will wake it: the socket, a call, a response, the memory
//!   budget, [`Connection::close`] or the timer.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use chronik_protocol::{api::INTERNAL_API_KEY, codec::Chunks};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Sleep, sleep},
};

use crate::{
    CloseReason, Connection, Frame, Metrics, Options, Reply, RequestMemory, Service,
    connection::Asked,
    inbound::{Inbound, InboundError},
    metrics::add,
    outbound::Outbound,
    responses::Responses,
    watch::{Observed, Watch},
};

/// Requests taken before other tasks of the thread get their turn.
const REQUESTS_PER_TURN: usize = 64;

type Call<'c> = Pin<Box<dyn Future<Output = Reply> + Send + 'c>>;

/// What became of a connection.
#[derive(Debug)]
pub(crate) enum Ended<Io> {
    /// It is closed.
    Closed(CloseReason),
    /// Its first frame says that another node is at the other end.
    Internal {
        /// Open, nothing written.
        io: Io,
        /// What was read from it.
        already_read: Bytes,
    },
}

/// Runs a connection until it is closed or handed over.
pub(crate) async fn run<S: Service + ?Sized, Io: AsyncRead + AsyncWrite + Unpin>(
    io: Io,
    service: &S,
    connection: &Arc<Connection>,
    options: &Options,
    memory: Arc<RequestMemory>,
    metrics: &Metrics,
) -> Ended<Io> {
    let mut driver = Driver::new(io, service, connection, options, memory, metrics);
    let stop = std::future::poll_fn(|cx| driver.poll(cx)).await;
    driver.count_bytes();
    match stop {
        Stop::Closed(reason) => Ended::Closed(reason),
        Stop::Internal(hello) => {
            Ended::Internal { already_read: driver.inbound.into_received(&hello), io: driver.io }
        }
    }
}

/// Why the driver stopped.
enum Stop {
    Closed(CloseReason),
    Internal(Frame),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Requests are read and answered.
    Serving,
    /// Nothing more is read; the responses in flight leave.
    Draining(CloseReason),
    /// The peer is gone; nothing is sent.
    Orphaned(CloseReason),
}

/// Why taking requests stopped for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taking {
    /// There will be a wake-up when there is more to do.
    Waits,
    /// The connection's own limits; responses must leave first.
    Limited,
}

struct Driver<'c, S: ?Sized, Io> {
    io: Io,
    service: &'c S,
    connection: &'c Arc<Connection>,
    metrics: &'c Metrics,
    memory: Arc<RequestMemory>,
    in_flight_max: usize,
    send_queue_bytes_max: usize,
    stage: Stage,
    /// Whether frames received before the peer was lost are still to be executed. When it ended
    /// its side in order there are none: the end is seen after the last whole frame.
    executes_received: bool,
    calling: Option<Call<'c>>,
    /// The first frame, if another node sent it; ends this task.
    hello: Option<Frame>,
    inbound: Inbound,
    responses: Responses,
    outbound: Outbound,
    taking: Taking,
    /// What the metrics know of `received` and `sent`.
    counted: (u64, u64),
    watch: Watch,
    timer: Pin<Box<Sleep>>,
    period: Duration,
}

impl<'c, S: Service + ?Sized, Io: AsyncRead + AsyncWrite + Unpin> Driver<'c, S, Io> {
    fn new(
        io: Io,
        service: &'c S,
        connection: &'c Arc<Connection>,
        options: &Options,
        memory: Arc<RequestMemory>,
        metrics: &'c Metrics,
    ) -> Self {
        let watch = Watch::new(options);
        let period = watch.period(&Observed::default());
        Self {
            io,
            service,
            connection,
            metrics,
            inbound: Inbound::new(options.socket_request_max_bytes, Arc::clone(&memory)),
            memory,
            in_flight_max: options.in_flight_max.max(1),
            send_queue_bytes_max: options.send_queue_bytes_max.max(1),
            stage: Stage::Serving,
            executes_received: false,
            calling: None,
            hello: None,
            responses: Responses::default(),
            outbound: Outbound::default(),
            taking: Taking::Waits,
            counted: (0, 0),
            watch,
            timer: Box::pin(sleep(period)),
            period,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Stop> {
        match self.connection.asked(cx.waker()) {
            Asked::Nothing => {}
            Asked::Drain => self.drain(CloseReason::Shutdown),
            Asked::Close => return Poll::Ready(Stop::Closed(CloseReason::Shutdown)),
        }
        let mut turn = REQUESTS_PER_TURN;
        loop {
            self.taking = self.take_requests(cx, &mut turn);
            if let Some(hello) = self.hello.take() {
                return Poll::Ready(Stop::Internal(hello));
            }
            self.collect_responses(cx);
            if let Poll::Ready(Err(error)) = self.outbound.poll_flush(cx, &mut self.io) {
                tracing::debug!(connection = ?self.connection, %error, "writing failed");
                self.orphan();
                continue;
            }
            if let Some(reason) = self.finished() {
                // Best effort: a peer that still listens sees an orderly end.
                let _ = Pin::new(&mut self.io).poll_shutdown(cx);
                return Poll::Ready(Stop::Closed(reason));
            }
            if self.taking == Taking::Waits || self.is_limited() {
                break;
            }
        }
        self.count_bytes();
        self.poll_timer(cx).map(Stop::Closed)
    }

    /// Calls the service for as many requests as there are, unless a limit is reached.
    fn take_requests(&mut self, cx: &mut Context<'_>, turn: &mut usize) -> Taking {
        loop {
            if let Some(call) = &mut self.calling {
                let Poll::Ready(reply) = call.as_mut().poll(cx) else {
                    return Taking::Waits;
                };
                self.calling = None;
                self.note_reply(reply);
            }
            if self.is_limited() {
                return Taking::Limited;
            }
            if *turn == 0 {
                cx.waker().wake_by_ref();
                return Taking::Waits;
            }
            let Poll::Ready(frame) = self.poll_request(cx) else {
                return Taking::Waits;
            };
            *turn -= 1;
            if self.is_hello(&frame) {
                self.hello = Some(frame);
                return Taking::Waits;
            }
            add(&self.metrics.requests, 1);
            self.calling = Some(self.service.call(self.connection, frame));
        }
    }

    /// Whether `frame` is the first one, and another node's.
    fn is_hello(&self, frame: &Frame) -> bool {
        self.connection.listener.internal
            && self.stage == Stage::Serving
            && self.inbound.frames() == 1
            && frame.bytes.starts_with(&INTERNAL_API_KEY.to_be_bytes())
    }

    /// The next request that may still be executed; pending also when there will be none.
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Frame> {
        loop {
            let serving = self.stage == Stage::Serving;
            let next = if serving {
                ready!(self.inbound.poll_frame(cx, &mut self.io))
            } else if self.executes_received {
                ready!(self.inbound.poll_received(cx))
            } else {
                return Poll::Pending;
            };
            match next {
                Ok(Some(frame)) => return Poll::Ready(frame),
                Ok(None) if serving => self.drain(CloseReason::PeerClosed),
                Ok(None) => self.executes_received = false,
                Err(InboundError::Length(length)) => {
                    tracing::debug!(connection = ?self.connection, length, "no request's length");
                    self.drain(CloseReason::FrameLength);
                }
                Err(InboundError::Io(error)) => {
                    tracing::debug!(connection = ?self.connection, %error, "reading failed");
                    self.orphan();
                }
            }
        }
    }

    fn note_reply(&mut self, reply: Reply) {
        let orphaned = matches!(self.stage, Stage::Orphaned(_));
        match reply {
            Reply::Now(response) if !orphaned && self.responses.is_empty() => self.send(response),
            Reply::Now(response) if !orphaned => self.responses.push_ready(response),
            Reply::Later(later) if !orphaned => self.responses.push_later(later),
            Reply::Now(_) | Reply::Later(_) | Reply::Nothing => {}
            Reply::Close => self.drain(CloseReason::Service),
        }
    }

    /// Moves the responses whose turn it is to the socket's queue.
    fn collect_responses(&mut self, cx: &mut Context<'_>) {
        self.responses.poll_waiting(cx);
        while let Some(response) = self.responses.pop() {
            self.send(response);
        }
    }

    fn send(&mut self, response: Chunks) {
        if let Err(error) = self.outbound.push(response) {
            tracing::error!(connection = ?self.connection, %error, "the connection is closed");
            self.responses.clear();
            self.drain(CloseReason::ResponseTooLong);
        }
    }

    /// Ends the taking of requests; the responses in flight still leave.
    fn drain(&mut self, reason: CloseReason) {
        self.executes_received = false;
        if self.stage == Stage::Serving {
            self.stage = Stage::Draining(reason);
        }
    }

    /// Gives up the peer; what it had sent whole is still executed.
    fn orphan(&mut self) {
        let reason = match self.stage {
            Stage::Serving => {
                self.executes_received = true;
                CloseReason::PeerReset
            }
            Stage::Draining(reason) | Stage::Orphaned(reason) => reason,
        };
        self.stage = Stage::Orphaned(reason);
        self.responses.clear();
        self.outbound.clear();
    }

    /// Why the connection ends, once nothing is left to do.
    fn finished(&self) -> Option<CloseReason> {
        if self.calling.is_some() || self.executes_received {
            return None;
        }
        match self.stage {
            Stage::Serving => None,
            Stage::Draining(reason) => {
                (self.responses.is_empty() && self.outbound.is_empty()).then_some(reason)
            }
            Stage::Orphaned(reason) => Some(reason),
        }
    }

    fn is_limited(&self) -> bool {
        self.responses.len() >= self.in_flight_max
            || self.outbound.bytes() >= self.send_queue_bytes_max
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let period = self.watch.period(&self.observe());
        if period < self.period {
            self.arm(period);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            let observed = self.observe();
            if let Some(reason) = self.watch.tick(self.period, observed) {
                return Poll::Ready(match (reason, self.stage) {
                    (CloseReason::Shutdown, Stage::Draining(why) | Stage::Orphaned(why)) => why,
                    _ => reason,
                });
            }
            self.arm(self.watch.period(&observed));
        }
        Poll::Pending
    }

    fn arm(&mut self, period: Duration) {
        self.period = period;
        self.timer.as_mut().set(sleep(period));
    }

    fn observe(&self) -> Observed {
        let serving = self.stage == Stage::Serving;
        Observed {
            received: self.inbound.received(),
            frames: self.inbound.frames(),
            sent: self.outbound.sent(),
            mid_frame: self.inbound.is_mid_frame(),
            waits_for_memory: self.inbound.waits_for_memory(),
            paused: !serving || self.calling.is_some() || self.taking == Taking::Limited,
            unsent: !self.outbound.is_empty(),
            in_flight: self.calling.is_some() || !self.responses.is_empty(),
            draining: !serving,
            contended: self.memory.contended() && self.inbound.holds_memory(),
        }
    }

    fn count_bytes(&mut self) {
        let now = (self.inbound.received(), self.outbound.sent());
        let before = mem::replace(&mut self.counted, now);
        if now != before {
            add(&self.metrics.bytes_in, now.0 - before.0);
            add(&self.metrics.bytes_out, now.1 - before.1);
        }
    }
}
