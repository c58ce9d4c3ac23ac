//! This node's end of every connection to and from other nodes.

use std::{collections::BTreeMap, future::Future, sync::Arc};

use bytes::Bytes;
use chronik_env::Env;
use chronik_types::{BrokerId, DirectoryId, Monotonic};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    CallError, Channel, IdentityCell, Message, OpenError, Options, PeerService, PeerStream,
};

/// Where a node listens for other nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The directory that must be found there; `None` if any will do.
    pub directory_id: Option<DirectoryId>,
}

/// The other nodes. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Peers {
    inner: Arc<Inner>,
}

struct Inner {
    addresses: Mutex<BTreeMap<BrokerId, Address>>,
}

impl Peers {
    /// No other node is known yet, and none is connected before it is needed.
    #[must_use]
    pub fn new(_env: Env, _identity: Arc<IdentityCell>, _options: Options) -> Self {
        Self { inner: Arc::new(Inner { addresses: Mutex::default() }) }
    }

    /// Notes where `node` is. Counts from the next connection on; one that exists stays.
    pub fn set_address(&self, node: BrokerId, address: Address) {
        self.inner.addresses.lock().insert(node, address);
    }

    /// Forgets `node`; its connections end.
    pub fn remove(&self, node: BrokerId) {
        self.inner.addresses.lock().remove(&node);
    }

    /// What is known of where the others are.
    #[must_use]
    pub fn addresses(&self) -> BTreeMap<BrokerId, Address> {
        self.inner.addresses.lock().clone()
    }

    /// Asks `to` and waits for the answer.
    ///
    /// # Errors
    /// What is known of the request's fate; see [`CallError`].
    pub async fn call(
        &self,
        to: BrokerId,
        _channel: Channel,
        _request: Message,
        _deadline: Monotonic,
    ) -> Result<Message, CallError> {
        Err(CallError::NotSent(format!("node {to} is not connected")))
    }

    /// Opens a stream to `to`, with a TCP connection of its own, and sends `first`.
    ///
    /// # Errors
    /// When `to` cannot be reached in time, or refuses.
    pub async fn open(
        &self,
        to: BrokerId,
        _channel: Channel,
        _first: Message,
        _deadline: Monotonic,
    ) -> Result<PeerStream, OpenError> {
        Err(OpenError::Unreachable(format!("node {to} is not connected")))
    }

    /// Serves a connection that another node has made, until it ends. `already_read` is everything
    /// that came before, from the first byte on; once `draining` is done no further call is taken
    /// and the connection ends when those taken are answered.
    pub async fn serve<Io: AsyncRead + AsyncWrite + Unpin + Send>(
        &self,
        io: Io,
        already_read: Bytes,
        _service: Arc<dyn PeerService>,
        _draining: impl Future<Output = ()> + Send,
    ) {
        drop((io, already_read));
    }
}
