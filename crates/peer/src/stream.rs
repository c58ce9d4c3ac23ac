//! A stream of messages in each direction, on a connection of its own.

use std::{future::poll_fn, sync::Arc};

use crate::{Closed, Identity, Message, TrySendError, pipe::Pipe};

/// A stream to or from another node.
#[derive(Debug)]
pub struct PeerStream {
    /// Who is at the other end.
    pub peer: Identity,
    /// What goes there.
    pub sender: StreamSender,
    /// What comes from there.
    pub receiver: StreamReceiver,
}

impl PeerStream {
    pub(crate) fn new(peer: Identity, pipe: &Arc<Pipe>) -> Self {
        Self {
            peer,
            sender: StreamSender { pipe: Arc::clone(pipe) },
            receiver: StreamReceiver { pipe: Arc::clone(pipe) },
        }
    }
}

/// The sending side. Dropping it tells the peer that no more comes, behind what was sent.
#[derive(Debug)]
pub struct StreamSender {
    pipe: Arc<Pipe>,
}

impl StreamSender {
    /// Queues `message`, once there is room for it. That it is queued says nothing about whether
    /// it will arrive. A message whose future is dropped before it is done is not queued.
    ///
    /// # Errors
    /// When the stream has ended; also when the message is longer than a frame may be, which ends
    /// it.
    pub async fn send(&mut self, message: Message) -> Result<(), Closed> {
        let mut message = message;
        loop {
            poll_fn(|cx| self.pipe.poll_room(cx, &message)).await;
            match self.try_send(message) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(again)) => message = again,
                Err(TrySendError::Closed(_)) => return Err(Closed),
            }
        }
    }

    /// Queues `message` if there is room for it.
    ///
    /// # Errors
    /// The message, when there is no room or the stream has ended.
    pub fn try_send(&mut self, message: Message) -> Result<(), TrySendError> {
        self.pipe.send(message)
    }
}

impl Drop for StreamSender {
    fn drop(&mut self) {
        self.pipe.sender_gone();
    }
}

/// The receiving side. Once it is dropped, what still arrives is thrown away.
#[derive(Debug)]
pub struct StreamReceiver {
    pipe: Arc<Pipe>,
}

impl StreamReceiver {
    /// The next message; `None` when the stream has ended, in order or not. Safe to cancel.
    pub async fn next(&mut self) -> Option<Message> {
        poll_fn(|cx| self.pipe.poll_next(cx)).await
    }
}

impl Drop for StreamReceiver {
    fn drop(&mut self) {
        self.pipe.receiver_gone();
    }
}
