//! What a connection needs from whoever answers its requests.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use bytes::{Bytes, BytesMut};
use chronik_env::net::TcpStream;
use chronik_protocol::codec::Chunks;

use crate::{Connection, MemoryPermit};

/// The part of an answer that is not there yet. `None`: no response leaves for this request.
pub type Later = Pin<Box<dyn Future<Output = Option<Chunks>> + Send>>;

/// Answers requests.
pub trait Service: Send + Sync + 'static {
    /// Takes one request. Awaited one after the other per connection, so what must keep the order
    /// of requests (an append, say) happens before this returns; waiting that need not keep it
    /// (for durability, for new records) goes into [`Reply::Later`].
    ///
    /// The future is dropped unfinished only when a shutdown runs out of patience.
    fn call<'s>(
        &'s self,
        connection: &'s Arc<Connection>,
        frame: Frame,
    ) -> Pin<Box<dyn Future<Output = Reply> + Send + 's>>;

    /// Takes over a connection from another node; it is closed when the future is done.
    /// `already_read` is all that came so far, from the first byte on. A shutdown tells through
    /// [`Connection::draining`] and drops the future when it runs out of patience. Called only on
    /// listeners with [`ListenerOptions::internal`](crate::ListenerOptions::internal).
    fn internal<'s>(
        &'s self,
        connection: &'s Arc<Connection>,
        io: TcpStream,
        already_read: Bytes,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 's>> {
        tracing::debug!(?connection, "nobody here speaks with other nodes");
        drop((io, already_read));
        Box::pin(std::future::ready(()))
    }
}

/// What becomes of a request.
pub enum Reply {
    /// The whole response with its header, without the length in front of it.
    Now(Chunks),
    /// The response comes later; those of later requests wait for it, their processing does not.
    Later(Later),
    /// The request has no response (`acks=0`).
    Nothing,
    /// Close the connection once the responses to earlier requests have left.
    Close,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Now(_) => "Now",
            Self::Later(_) => "Later",
            Self::Nothing => "Nothing",
            Self::Close => "Close",
        })
    }
}

/// One request as it came from the wire, without the length in front of it.
#[derive(Debug)]
pub struct Frame {
    /// The request. The buffer holds this frame and nothing else, so splitting it into disjoint
    /// mutable parts pins no other request's memory.
    pub bytes: BytesMut,
    /// What the bytes are charged to; whoever keeps the bytes after the request is done, drops
    /// this when it has accounted for them elsewhere.
    pub permit: MemoryPermit,
}
