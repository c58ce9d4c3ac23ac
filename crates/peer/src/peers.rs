//! This node's end of every connection to and from other nodes.

use std::{collections::BTreeMap, fmt, future::Future, io, sync::Arc, time::Duration};

use bytes::Bytes;
use chronik_env::{Clock, Env, Rng, net::TcpStream};
use chronik_types::{BrokerId, DirectoryId, Monotonic};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::timeout,
};

use crate::{
    CallError, Channel, Identity, IdentityCell, Message, OpenError, Options, PeerService,
    PeerStream, Purpose, caller,
    dialer::{Connected, DialError, Dialer, Me},
    frame::{Encoded, FrameType},
    handshake::HandshakeError,
    inbound,
    link::Link,
    pipe::Pipe,
    stream_driver,
    wire::Wire,
};

/// Peers that are refused are complained about at most this often.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

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

/// The other nodes. Cheap to clone; clones share everything. When the last one is dropped, the
/// connections for calls end.
#[derive(Clone)]
pub struct Peers {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    rng: Rng,
    me: Arc<Me>,
    nodes: Mutex<BTreeMap<BrokerId, Arc<Node>>>,
    complained: Mutex<Option<Monotonic>>,
}

/// One other node.
struct Node {
    address: watch::Sender<Address>,
    channels: BTreeMap<Channel, Outbound>,
}

/// One channel to one node.
struct Outbound {
    dialer: Arc<Dialer>,
    link: Arc<Link>,
}

impl Peers {
    /// No other node is known yet, and none is connected before it is needed.
    #[must_use]
    pub fn new(env: Env, identity: Arc<IdentityCell>, options: Options) -> Self {
        let inner = Inner {
            rng: env.rng.fork("peers"),
            clock: env.clock,
            me: Arc::new(Me { identity, options }),
            nodes: Mutex::default(),
            complained: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// This node.
    #[must_use]
    pub fn me(&self) -> Identity {
        self.inner.me.identity.get()
    }

    /// Notes where `node` is. A connection that exists stays; if there is none, another address is
    /// tried at once, however the last attempt at the old one ended.
    pub fn set_address(&self, node: BrokerId, address: Address) {
        let mut nodes = self.inner.nodes.lock();
        let Some(known) = nodes.get(&node) else {
            nodes.insert(node, Arc::new(self.inner.node(node, address)));
            return;
        };
        let changed = known.address.send_if_modified(|current| {
            let changes = *current != address;
            *current = address;
            changes
        });
        if changed {
            known.reset_pacing();
        }
    }

    /// Forgets `node`. Its connections for calls end; streams go on until their users end them.
    pub fn remove(&self, node: BrokerId) {
        let removed = self.inner.nodes.lock().remove(&node);
        if let Some(removed) = removed {
            removed.close();
        }
    }

    /// What is known of where the others are.
    #[must_use]
    pub fn addresses(&self) -> BTreeMap<BrokerId, Address> {
        let nodes = self.inner.nodes.lock();
        nodes.iter().map(|(id, node)| (*id, node.address.borrow().clone())).collect()
    }

    /// Asks `to` and waits for the answer. Waits for a connection if there is none; a failed
    /// attempt at one fails every call that waits for it. Dropping the future gives the call up.
    ///
    /// # Errors
    /// What is known of the request's fate; see [`CallError`].
    pub async fn call(
        &self,
        to: BrokerId,
        channel: Channel,
        request: Message,
        deadline: Monotonic,
    ) -> Result<Message, CallError> {
        let Some(link) = self.link(to, channel) else {
            return Err(CallError::NotSent(format!("no address is known for node {to}")));
        };
        let mut call = match timeout(self.patience(deadline), link.queue(request)).await {
            Ok(call) => call?,
            Err(_) => {
                return Err(CallError::NotSent("the deadline passed in the queue".to_owned()));
            }
        };
        match timeout(self.patience(deadline), call.answer()).await {
            Ok(answer) => answer,
            Err(_) => Err(call.timed_out()),
        }
    }

    /// Asks whoever is at `address`, on a connection of its own; also says who that is. For finding
    /// nodes of which only an address is configured.
    ///
    /// # Errors
    /// What is known of the request's fate; see [`CallError`].
    pub async fn call_at(
        &self,
        address: &Address,
        channel: Channel,
        request: Message,
        deadline: Monotonic,
    ) -> Result<(Identity, Message), CallError> {
        let me = &*self.inner.me;
        let connecting = me.connect(address, None, channel, Purpose::Calls);
        let Ok(connected) = timeout(self.patience(deadline), connecting).await else {
            return Err(CallError::NotSent("no connection within the deadline".to_owned()));
        };
        let whom = format!("{}:{}", address.host, address.port);
        let connected = connected.map_err(|error| DialError::new(&whom, error))?;
        let Connected { io, welcome, already_read, .. } = connected;
        let link = Link::new(&me.options);
        let wire = Wire::new(io, already_read, welcome.mute_after, &me.options);
        let mut call = link.queue(request).await?;
        let conversation = async {
            caller::converse(&link, wire, std::future::pending()).await;
            link.not_connected(CallError::NotSent("the connection was lost".to_owned()));
            std::future::pending().await
        };
        let answer = async {
            tokio::select! {
                biased;
                answer = call.answer() => answer,
                never = conversation => never,
            }
        };
        match timeout(self.patience(deadline), answer).await {
            Ok(answer) => Ok((welcome.identity, answer?)),
            Err(_) => Err(call.timed_out()),
        }
    }

    /// Whether anybody listens where `node` should; `None` when that cannot be told within
    /// `patience`. Says nothing to whoever is there.
    pub async fn listens(&self, node: BrokerId, patience: Duration) -> Option<bool> {
        let address = self.inner.nodes.lock().get(&node)?.address.borrow().clone();
        let connecting = TcpStream::connect((address.host.as_str(), address.port));
        match timeout(patience, connecting).await {
            Ok(Ok(_)) => Some(true),
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Some(false),
            Ok(Err(_)) | Err(_) => None,
        }
    }

    /// Opens a stream to `to`, with a TCP connection of its own, and sends `first`.
    ///
    /// # Errors
    /// When `to` cannot be reached in time, or refuses.
    pub async fn open(
        &self,
        to: BrokerId,
        channel: Channel,
        first: Message,
        deadline: Monotonic,
    ) -> Result<PeerStream, OpenError> {
        let unreachable = |text: String| Err(OpenError::Unreachable(text));
        let Some(dialer) = self.dialer(to, channel) else {
            return unreachable(format!("no address is known for node {to}"));
        };
        let options = &self.inner.me.options;
        let first = match Encoded::new(FrameType::Item, 0, &first, options.frame_bytes_max) {
            Ok(first) => first,
            Err(error) => return unreachable(error.to_string()),
        };
        let attempt = timeout(self.patience(deadline), dialer.connect(Purpose::Stream)).await;
        let Ok(connected) = attempt else {
            return unreachable(format!("node {to}: no connection within the deadline"));
        };
        let Connected { io, welcome, already_read, .. } = connected?;
        let mut wire = Wire::new(io, already_read, welcome.mute_after, options);
        wire.push((), first);
        let pipe = Arc::new(Pipe::new(options));
        let stream = PeerStream::new(welcome.identity, &pipe);
        tokio::spawn(async move {
            if let Err(error) = stream_driver::run(wire, &pipe).await {
                tracing::debug!(node = %to, ?channel, %error, "a stream has ended");
            }
        });
        Ok(stream)
    }

    /// Serves a connection that another node has made, until it ends. `already_read` is everything
    /// that came before, from the first byte on. Once `draining` is done no further call is taken,
    /// and the connection ends when those taken are answered; a stream ends at once.
    pub async fn serve<Io: AsyncRead + AsyncWrite + Unpin + Send>(
        &self,
        mut io: Io,
        already_read: Bytes,
        service: Arc<dyn PeerService>,
        draining: impl Future<Output = ()> + Send,
    ) {
        let Me { identity, options } = &*self.inner.me;
        let me = identity.get();
        let met = inbound::welcome(&mut io, already_read, &me, options, &*service).await;
        let met = match met {
            Ok(met) => met,
            Err(error) => return self.inner.turned_away(&error),
        };
        let (node, channel) = (met.said.identity.node_id, met.said.channel);
        self.inner.heard_from(node);
        let leaves = async {
            tokio::select! {
                biased;
                () = identity.changed_from(&me) => {}
                () = draining => {}
            }
        };
        if let Err(error) = inbound::serve(io, met, &*service, options, leaves).await {
            tracing::debug!(%node, ?channel, %error, "a connection from a node has ended");
        }
    }

    fn patience(&self, deadline: Monotonic) -> Duration {
        deadline.since(self.inner.clock.monotonic())
    }

    fn dialer(&self, to: BrokerId, channel: Channel) -> Option<Arc<Dialer>> {
        let nodes = self.inner.nodes.lock();
        Some(Arc::clone(&nodes.get(&to)?.channels.get(&channel)?.dialer))
    }

    fn link(&self, to: BrokerId, channel: Channel) -> Option<Arc<Link>> {
        let nodes = self.inner.nodes.lock();
        let outbound = nodes.get(&to)?.channels.get(&channel)?;
        let link = Arc::clone(&outbound.link);
        if link.start_task() {
            tokio::spawn(caller::run(Arc::clone(&link), Arc::clone(&outbound.dialer)));
        }
        Some(link)
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").field("addresses", &self.addresses()).finish_non_exhaustive()
    }
}

impl Inner {
    fn node(&self, node: BrokerId, address: Address) -> Node {
        let (address, current) = watch::channel(address);
        let outbound = |channel| {
            let dialer = Dialer {
                node,
                channel,
                address: current.clone(),
                me: Arc::clone(&self.me),
                clock: Arc::clone(&self.clock),
                rng: self.rng.fork(&format!("{node}/{channel:?}")),
                pacing: Default::default(),
            };
            let link = Link::new(&self.me.options);
            Outbound { dialer: Arc::new(dialer), link: Arc::new(link) }
        };
        let channels = Channel::ALL.map(|channel| (channel, outbound(channel))).into();
        Node { address, channels }
    }

    /// A node that connects here can be connected to.
    fn heard_from(&self, node: BrokerId) {
        let known = self.nodes.lock().get(&node).cloned();
        if let Some(known) = known {
            known.reset_pacing();
        }
    }

    fn turned_away(&self, error: &HandshakeError) {
        let now = self.clock.monotonic();
        let mut last = self.complained.lock();
        if last.is_none_or(|last| now.since(last) >= COMPLAIN_EVERY) {
            *last = Some(now);
            tracing::warn!(%error, "a connection from another node was turned away");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.nodes.get_mut().values().for_each(|node| node.close());
    }
}

impl Node {
    fn reset_pacing(&self) {
        self.channels.values().for_each(|outbound| outbound.dialer.pacing.reset());
    }

    fn close(&self) {
        self.channels.values().for_each(|outbound| outbound.link.close());
    }
}
