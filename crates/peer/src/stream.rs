//! A stream of messages in each direction, on a connection of its own.

use tokio::sync::mpsc;

use crate::{Closed, Identity, Message, TrySendError};

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

/// The sending side; dropping it tells the peer that no more comes, behind what was sent.
#[derive(Debug)]
pub struct StreamSender {
    queue: mpsc::Sender<Message>,
}

impl StreamSender {
    /// Queues `message`, once there is room for it.
    ///
    /// # Errors
    /// When the stream has ended.
    pub async fn send(&mut self, message: Message) -> Result<(), Closed> {
        self.queue.send(message).await.map_err(|_| Closed)
    }

    /// Queues `message` if there is room for it.
    ///
    /// # Errors
    /// The message, when there is no room or the stream has ended.
    pub fn try_send(&mut self, message: Message) -> Result<(), TrySendError> {
        self.queue.try_send(message).map_err(|error| match error {
            mpsc::error::TrySendError::Full(message) => TrySendError::Full(message),
            mpsc::error::TrySendError::Closed(message) => TrySendError::Closed(message),
        })
    }
}

/// The receiving side.
#[derive(Debug)]
pub struct StreamReceiver {
    queue: mpsc::Receiver<Message>,
}

impl StreamReceiver {
    /// The next message; `None` when the stream has ended, in order or not.
    pub async fn next(&mut self) -> Option<Message> {
        self.queue.recv().await
    }
}
