//! What answers other nodes.

use std::{future::Future, pin::Pin};

use crate::{Channel, Hello, Identity, Message, PeerStream, Refusal};

/// A boxed future.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The inbound side: what a node does for the others.
pub trait PeerService: Send + Sync + 'static {
    /// Whether to talk with this peer. Node id, directory and versions have been found right, and
    /// the cluster the same if both sides know theirs.
    ///
    /// # Errors
    /// The refusal that the peer will see.
    fn admit(&self, hello: &Hello) -> Result<(), Refusal>;

    /// Answers one call. Those of one connection begin in the order they were sent and run side by
    /// side, in one task; the future is dropped unfinished when the connection ends.
    fn call<'s>(
        &'s self,
        from: &'s Identity,
        channel: Channel,
        request: Message,
    ) -> BoxFuture<'s, Message>;

    /// Serves one stream, in one task with its connection. That lasts until both halves of
    /// `stream` are dropped, or it is lost.
    fn stream<'s>(
        &'s self,
        channel: Channel,
        first: Message,
        stream: PeerStream,
    ) -> BoxFuture<'s, ()>;
}
