//! What the two halves of a stream and the task of its connection share: a queue each way.
//!
//! **Invariants**
//! - Each queue holds at most its limit in bytes, or one message.
//! - Nothing is queued for sending once `over` or `sender_gone` holds, or for the receiver once
//!   `over` or `receiver_gone` does.

use std::{
    collections::VecDeque,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

use crate::{
    Message, Options, TrySendError,
    frame::{Encoded, FrameType, HEADER_BYTES},
};

/// A stream's queues.
#[derive(Debug)]
pub(crate) struct Pipe {
    state: Mutex<State>,
    send_bytes_max: usize,
    receive_bytes_max: usize,
    frame_bytes_max: usize,
}

#[derive(Debug, Default)]
struct State {
    outgoing: VecDeque<Encoded>,
    outgoing_bytes: usize,
    incoming: VecDeque<Message>,
    incoming_bytes: usize,
    /// No more is sent; what is queued still is.
    sender_gone: bool,
    /// Nobody takes what arrives.
    receiver_gone: bool,
    /// The peer sends no more.
    peer_ended: bool,
    /// The connection is lost or closed.
    over: bool,
    task: Option<Waker>,
    sender: Option<Waker>,
    receiver: Option<Waker>,
}

/// What the connection's task is to do about the sending side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// More may come.
    Open,
    /// What was taken is the last.
    Ended,
    /// The stream has been given up.
    Over,
}

impl Pipe {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            state: Mutex::default(),
            send_bytes_max: options.send_queue_bytes_max,
            receive_bytes_max: options.receive_queue_bytes_max.max(1),
            frame_bytes_max: options.frame_bytes_max,
        }
    }

    /// Queues a message for the peer.
    pub(crate) fn send(&self, message: Message) -> Result<(), TrySendError> {
        match self.state.lock().room_for(&message, self.send_bytes_max) {
            Room::Free => {}
            Room::Full => return Err(TrySendError::Full(message)),
            Room::Over => return Err(TrySendError::Closed(message)),
        }
        // Only the one sender adds to the queue, so the room cannot have gone meanwhile.
        let frame = match Encoded::new(FrameType::Item, 0, &message, self.frame_bytes_max) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::error!(%error, "a stream to another node is given up");
                self.over();
                return Err(TrySendError::Closed(message));
            }
        };
        let mut state = self.state.lock();
        if !state.over {
            state.outgoing_bytes += frame.bytes();
            state.outgoing.push_back(frame);
        }
        let task = state.task.take();
        drop(state);
        wake(task);
        Ok(())
    }

    /// Ready when `message` can be queued or the stream is over.
    pub(crate) fn poll_room(&self, cx: &Context<'_>, message: &Message) -> Poll<()> {
        let mut state = self.state.lock();
        if state.room_for(message, self.send_bytes_max) == Room::Full {
            state.sender = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// The next message from the peer; `None` when there will be none.
    pub(crate) fn poll_next(&self, cx: &Context<'_>) -> Poll<Option<Message>> {
        let mut state = self.state.lock();
        let Some(message) = state.incoming.pop_front() else {
            if state.over || state.peer_ended {
                return Poll::Ready(None);
            }
            state.receiver = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let was_full = state.incoming_bytes >= self.receive_bytes_max;
        state.incoming_bytes -= frame_bytes(&message);
        let has_room = state.incoming_bytes < self.receive_bytes_max;
        let task = if was_full && has_room { state.task.take() } else { None };
        drop(state);
        wake(task);
        Poll::Ready(Some(message))
    }

    /// The sender is dropped.
    pub(crate) fn sender_gone(&self) {
        let mut state = self.state.lock();
        state.sender_gone = true;
        let task = state.task.take();
        drop(state);
        wake(task);
    }

    /// The receiver is dropped.
    pub(crate) fn receiver_gone(&self) {
        let mut state = self.state.lock();
        state.receiver_gone = true;
        state.incoming_bytes = 0;
        let unread = std::mem::take(&mut state.incoming);
        let task = state.task.take();
        drop((state, unread));
        wake(task);
    }

    /// For the connection's task, which is woken when there is more to do: hands frames to `write`
    /// until it has got `bytes`.
    pub(crate) fn take(
        &self,
        cx: &Context<'_>,
        bytes: usize,
        write: impl FnMut(Encoded),
    ) -> Sending {
        let mut write = write;
        let mut state = self.state.lock();
        match &mut state.task {
            Some(task) => task.clone_from(cx.waker()),
            None => state.task = Some(cx.waker().clone()),
        }
        let mut taken = 0;
        while taken < bytes
            && let Some(frame) = state.outgoing.pop_front()
        {
            taken += frame.bytes();
            write(frame);
        }
        state.outgoing_bytes -= taken;
        let sending = match state.sender_gone && state.outgoing.is_empty() {
            _ if state.over => Sending::Over,
            true => Sending::Ended,
            false => Sending::Open,
        };
        let sender = if taken > 0 { state.sender.take() } else { None };
        drop(state);
        wake(sender);
        sending
    }

    /// Whether what arrives may be read.
    pub(crate) fn has_room(&self) -> bool {
        let state = self.state.lock();
        state.incoming.is_empty() || state.incoming_bytes < self.receive_bytes_max
    }

    /// Whether nobody takes what arrives.
    pub(crate) fn receiver_is_gone(&self) -> bool {
        self.state.lock().receiver_gone
    }

    /// A message has arrived.
    pub(crate) fn arrived(&self, message: Message) {
        let mut state = self.state.lock();
        if state.receiver_gone {
            return;
        }
        state.incoming_bytes += frame_bytes(&message);
        state.incoming.push_back(message);
        let receiver = state.receiver.take();
        drop(state);
        wake(receiver);
    }

    /// The peer sends no more.
    pub(crate) fn peer_ended(&self) {
        let mut state = self.state.lock();
        state.peer_ended = true;
        let receiver = state.receiver.take();
        drop(state);
        wake(receiver);
    }

    /// The connection is over. What has arrived can still be taken.
    pub(crate) fn over(&self) {
        let mut state = self.state.lock();
        state.over = true;
        state.outgoing_bytes = 0;
        let unsent = std::mem::take(&mut state.outgoing);
        let wakers = [state.task.take(), state.sender.take(), state.receiver.take()];
        drop((state, unsent));
        wakers.into_iter().for_each(wake);
    }
}

impl State {
    fn room_for(&self, message: &Message, max: usize) -> Room {
        let after = self.outgoing_bytes.saturating_add(frame_bytes(message));
        match self.outgoing.is_empty() || after <= max {
            _ if self.over => Room::Over,
            true => Room::Free,
            false => Room::Full,
        }
    }
}

/// Whether a message can be queued for sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Free,
    Full,
    Over,
}

/// What a message counts for; even an empty one takes room.
fn frame_bytes(message: &Message) -> usize {
    message.bytes().saturating_add(HEADER_BYTES)
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
