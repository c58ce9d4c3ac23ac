//! From bytes to frames: one connection's reading side.
//!
//! ```text
//!  Length ──4 bytes──► Body ──complete──► frame
//!                      │ ▲
//!   full, without the  ▼ │ granted: the next step, or the whole
//!   grant it needs   Waiting (for memory)
//! ```
//!
//! Reads go into a buffer that all connections of a thread share, and from there into the frame's
//! own allocation, so an idle connection holds no buffer. The rest of a frame longer than one read
//! goes from the socket straight into its own allocation. A frame that has hardly begun holds no
//! grant: whoever sends half of a short one keeps nothing from the others.
//!
//! **Invariants**
//! - A buffer longer than a short frame's is covered by the grant it carries. A frame that is handed
//!   out is covered whole, and its buffer is exactly as long.
//! - `backlog` holds what one read brought beyond the frame that was handed out; nothing is read
//!   while it is not empty.

use std::{
    cell::RefCell,
    future::Future,
    io, mem,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use crate::{
    Frame, MemoryPermit, RequestMemory,
    memory::{FIRST_STEP, SHORT_FRAME},
};

/// The fixed part of every request header: API key, version, correlation id.
const FRAME_BYTES_MIN: usize = 8;
/// The most that one read takes from a socket beyond the frame it is in.
const READ_BYTES: usize = 32 * 1024;
/// From this many missing bytes on, a frame is read straight into its own buffer.
const DIRECT_READ_MIN: usize = 8 * 1024;
/// Up to this size a frame gets its full buffer once its first step has arrived; beyond, the
/// buffer grows fourfold at a time.
const UNDIVIDED_MAX: usize = 4 * 1024 * 1024;

thread_local! {
    static SHARED: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// Why no more frames can be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InboundError {
    /// The announced length is no length of a request.
    #[error("a frame announces {0} bytes")]
    Length(i32),
    /// The peer is gone.
    #[error("reading: {0}")]
    Io(#[from] io::Error),
}

/// One connection's reading side.
pub(crate) struct Inbound {
    frame_bytes_max: usize,
    memory: Arc<RequestMemory>,
    state: State,
    backlog: BytesMut,
    /// Bytes read from the socket; only grows.
    received: u64,
    /// Frames handed out; only grows.
    frames: u64,
}

type Grant = Pin<Box<dyn Future<Output = MemoryPermit> + Send>>;

enum State {
    Length { bytes: [u8; 4], filled: usize },
    Body(Body),
    Waiting { body: Body, grant: Grant },
}

struct Body {
    length: usize,
    bytes: BytesMut,
    permit: Option<MemoryPermit>,
}

impl Body {
    /// Nothing of it has arrived yet.
    fn new(length: usize, capacity: usize) -> Self {
        let bytes = BytesMut::with_capacity(length.min(capacity));
        Self { length, bytes, permit: None }
    }

    /// Bytes that the buffer can still take.
    fn room(&self) -> usize {
        self.bytes.capacity().min(self.length).saturating_sub(self.bytes.len())
    }

    /// Exchanges a full buffer for one as large as `permit` allows; exact, because the service
    /// keeps it.
    fn grow(&mut self, permit: MemoryPermit) {
        let target = if self.length <= FIRST_STEP || !permit.covers_whole() {
            self.length.min(FIRST_STEP)
        } else {
            self.bytes.len().saturating_mul(4).max(UNDIVIDED_MAX).min(self.length)
        };
        self.permit = Some(permit);
        if target > self.bytes.len() {
            let mut larger = BytesMut::with_capacity(target);
            larger.extend_from_slice(&self.bytes);
            self.bytes = larger;
        }
    }

    /// The frame, if it is complete and covered whole.
    fn into_frame(self) -> Result<Frame, Self> {
        match self.permit {
            Some(permit) if self.bytes.len() == self.length => {
                Ok(Frame { bytes: self.bytes, permit })
            }
            permit => Err(Self { permit, ..self }),
        }
    }
}

const NO_LENGTH_YET: State = State::Length { bytes: [0; 4], filled: 0 };

impl Inbound {
    pub(crate) fn new(frame_bytes_max: usize, memory: Arc<RequestMemory>) -> Self {
        Self {
            frame_bytes_max,
            memory,
            state: NO_LENGTH_YET,
            backlog: BytesMut::new(),
            received: 0,
            frames: 0,
        }
    }

    /// Bytes read from the socket since the beginning.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Frames handed out since the beginning.
    pub(crate) fn frames(&self) -> u64 {
        self.frames
    }

    /// Everything received when `first`, the first frame, has just been handed out: as if nobody
    /// had cut frames from it.
    pub(crate) fn into_received(self, first: &Frame) -> Bytes {
        let length = u32::try_from(first.bytes.len()).unwrap_or(u32::MAX);
        let mut all = BytesMut::with_capacity(4 + first.bytes.len() + self.backlog.len());
        all.put_u32(length);
        all.extend_from_slice(&first.bytes);
        all.extend_from_slice(&self.backlog);
        all.freeze()
    }

    /// Whether a frame has begun and is not complete.
    pub(crate) fn is_mid_frame(&self) -> bool {
        !matches!(self.state, State::Length { filled: 0, .. })
    }

    /// Whether reading pauses until other requests have given memory back.
    pub(crate) fn waits_for_memory(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }

    /// Whether an incomplete frame keeps memory from others.
    pub(crate) fn holds_memory(&self) -> bool {
        matches!(&self.state, State::Body(body) if body.permit.is_some())
    }

    /// The next frame; `None` when the peer has ended its side.
    pub(crate) fn poll_frame<Io: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut Io,
    ) -> Poll<Result<Option<Frame>, InboundError>> {
        loop {
            if let Some(frame) = ready!(self.poll_received(cx))? {
                return Poll::Ready(Ok(Some(frame)));
            }
            let (read, frame) = ready!(self.poll_read(cx, io))?;
            if let Some(frame) = frame {
                return Poll::Ready(Ok(Some(frame)));
            }
            if read == 0 {
                return Poll::Ready(Ok(None));
            }
        }
    }

    /// The next frame among the bytes already received; `None` when they hold no whole one.
    pub(crate) fn poll_received(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame>, InboundError>> {
        let mut backlog = mem::take(&mut self.backlog);
        let mut input: &[u8] = &backlog;
        let step = self.poll_assemble(cx, &mut input);
        let rest = input.len();
        if rest > 0 {
            backlog.advance(backlog.len() - rest);
            self.backlog = backlog;
        }
        step
    }

    /// Reads once: how many bytes came, and a frame that they completed.
    fn poll_read<Io: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut Io,
    ) -> Poll<Result<(usize, Option<Frame>), InboundError>> {
        if let State::Body(body) = &mut self.state {
            let room = body.room();
            if room >= DIRECT_READ_MIN {
                let mut target = (&mut body.bytes).limit(room);
                let read = ready!(pin!(io.read_buf(&mut target)).poll(cx))?;
                self.received += read as u64;
                return Poll::Ready(Ok((read, None)));
            }
        }
        SHARED.with_borrow_mut(|shared| {
            let mut target = ReadBuf::new(shared);
            ready!(Pin::new(io).poll_read(cx, &mut target))?;
            let mut input = target.filled();
            let read = input.len();
            self.received += read as u64;
            let step = self.poll_assemble(cx, &mut input);
            self.backlog.extend_from_slice(input);
            match step {
                Poll::Ready(Ok(frame)) => Poll::Ready(Ok((read, frame))),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => Poll::Pending,
            }
        })
    }

    /// Moves the state machine on with `input`; pending only while it waits for memory.
    fn poll_assemble(
        &mut self,
        cx: &mut Context<'_>,
        input: &mut &[u8],
    ) -> Poll<Result<Option<Frame>, InboundError>> {
        loop {
            match mem::replace(&mut self.state, NO_LENGTH_YET) {
                State::Length { mut bytes, mut filled } => {
                    filled += take_into(bytes.get_mut(filled..).unwrap_or_default(), input);
                    if filled < bytes.len() {
                        self.state = State::Length { bytes, filled };
                        return Poll::Ready(Ok(None));
                    }
                    self.state = self.begin(i32::from_be_bytes(bytes), input.len())?;
                }
                State::Body(mut body) => {
                    let (now, rest) = input.split_at(body.room().min(input.len()));
                    body.bytes.extend_from_slice(now);
                    *input = rest;
                    match body.into_frame() {
                        Ok(frame) => {
                            self.frames += 1;
                            return Poll::Ready(Ok(Some(frame)));
                        }
                        Err(body) if body.room() > 0 => {
                            self.state = State::Body(body);
                            return Poll::Ready(Ok(None));
                        }
                        Err(body) => self.state = self.enlarge(body),
                    }
                }
                State::Waiting { mut body, mut grant } => match grant.as_mut().poll(cx) {
                    Poll::Ready(permit) => {
                        body.grow(permit);
                        self.state = State::Body(body);
                    }
                    Poll::Pending => {
                        self.state = State::Waiting { body, grant };
                        return Poll::Pending;
                    }
                },
            }
        }
    }

    /// The state after the length of a frame is known, of which `at_hand` bytes have been read.
    fn begin(&self, announced: i32, at_hand: usize) -> Result<State, InboundError> {
        let length = usize::try_from(announced)
            .ok()
            .filter(|length| (FRAME_BYTES_MIN..=self.frame_bytes_max).contains(length))
            .ok_or(InboundError::Length(announced))?;
        if at_hand < length.min(SHORT_FRAME) {
            return Ok(State::Body(Body::new(length, SHORT_FRAME)));
        }
        // Enough is there to ask at once, before anything is copied.
        Ok(self.enlarge(Body::new(length, 0)))
    }

    /// The state after a frame's buffer is full and the frame is not complete, or not covered.
    fn enlarge(&self, mut body: Body) -> State {
        let memory = &self.memory;
        let granted = match body.permit.take() {
            None => memory.try_first_step(body.length),
            Some(permit) if permit.covers_whole() => Some(permit),
            Some(first_step) => {
                body.permit = Some(first_step);
                memory.try_whole(body.length)
            }
        };
        if let Some(permit) = granted {
            body.grow(permit);
            return State::Body(body);
        }
        let memory = Arc::clone(memory);
        let grant: Grant = match body.permit {
            None => Box::pin(memory.first_step(body.length)),
            Some(_) => Box::pin(memory.whole(body.length)),
        };
        State::Waiting { body, grant }
    }
}

/// Moves as many bytes as both sides allow; returns how many.
fn take_into(target: &mut [u8], input: &mut &[u8]) -> usize {
    let (now, rest) = input.split_at(target.len().min(input.len()));
    for (to, from) in target.iter_mut().zip(now) {
        *to = *from;
    }
    *input = rest;
    now.len()
}
