//! Nodes for tests: a service whose answers the requests themselves ask for, whole nodes on
//! loopback sockets, and peers that say exactly what they are told to.

use std::{
    collections::BTreeSet, future::Future, net::SocketAddr, sync::Arc, task::Poll, time::Duration,
};

use bytes::{Bytes, BytesMut};
use chronik_env::{Clock, Env, Rng, net::TcpListener};
use chronik_types::{BrokerId, DirectoryId, Monotonic, Timestamp, Uuid};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex},
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::Instant,
};

use crate::{
    Address, BoxFuture, CallError, Channel, Hello, Identity, IdentityCell, Message, OpenError,
    Options, PeerService, PeerStream, Peers, Purpose, Refusal, VERSIONS,
    frame::{Encoded, Frame, FrameType},
    hello_codec::{Answer, decode_answer, encode_hello, take_envelope},
    reader::{ReadError, Reader},
};

pub const CLUSTER: Uuid = Uuid([1; 16]);

/// Node `id` of the cluster, on the directory that it always has.
pub fn identity(id: u8) -> Identity {
    Identity {
        cluster_id: Some(CLUSTER),
        node_id: BrokerId(id.into()),
        directory_id: DirectoryId(Uuid([id; 16])),
        incarnation: Uuid([100 + id; 16]),
    }
}

pub fn hello(from: u8, to: u8, purpose: Purpose) -> Hello {
    Hello {
        identity: identity(from),
        versions: VERSIONS,
        channel: Channel::Control,
        purpose,
        expects_node: Some(BrokerId(to.into())),
        expects_directory: None,
        mute_after: Duration::from_secs(2),
    }
}

/// What a request's kind asks for.
pub const ECHO: u16 = 1;
/// An echo, once [`Answers::release`] was called with the kind.
pub const HELD: u16 = 0x100;

/// Echoes calls; hands out streams.
pub struct Answers {
    released: watch::Sender<BTreeSet<u16>>,
    calls: watch::Sender<Vec<(Identity, Message)>>,
    streams: mpsc::UnboundedSender<(Channel, Message, PeerStream)>,
    refuses: Mutex<Option<Refusal>>,
}

pub type Streams = mpsc::UnboundedReceiver<(Channel, Message, PeerStream)>;

impl Answers {
    pub fn new() -> (Arc<Self>, Streams) {
        let (streams, receiver) = mpsc::unbounded_channel();
        let answers = Self {
            released: watch::Sender::default(),
            calls: watch::Sender::default(),
            streams,
            refuses: Mutex::default(),
        };
        (Arc::new(answers), receiver)
    }

    pub fn release(&self, kind: u16) {
        self.released.send_modify(|released| {
            released.insert(kind);
        });
    }

    pub fn refuse(&self, refusal: Option<Refusal>) {
        *self.refuses.lock() = refusal;
    }

    /// The calls so far, in the order of arrival.
    pub fn calls(&self) -> Vec<(Identity, Message)> {
        self.calls.borrow().clone()
    }

    pub async fn wait_for_calls(&self, count: usize) {
        self.calls.subscribe().wait_for(|calls| calls.len() >= count).await.unwrap();
    }
}

impl PeerService for Answers {
    fn admit(&self, _: &Hello) -> Result<(), Refusal> {
        self.refuses.lock().clone().map_or(Ok(()), Err)
    }

    fn call<'s>(
        &'s self,
        from: &'s Identity,
        _: Channel,
        request: Message,
    ) -> BoxFuture<'s, Message> {
        self.calls.send_modify(|calls| calls.push((from.clone(), request.clone())));
        Box::pin(async move {
            if request.kind >= HELD {
                let mut released = self.released.subscribe();
                let _ = released.wait_for(|released| released.contains(&request.kind)).await;
            }
            request
        })
    }

    fn stream<'s>(
        &'s self,
        channel: Channel,
        first: Message,
        stream: PeerStream,
    ) -> BoxFuture<'s, ()> {
        self.streams.send((channel, first, stream)).unwrap();
        Box::pin(std::future::ready(()))
    }
}

/// A node that listens on a loopback socket.
pub struct Node {
    pub peers: Peers,
    pub identity: Arc<IdentityCell>,
    pub answers: Arc<Answers>,
    pub streams: Streams,
    pub address: Address,
    /// Connections that others have made so far.
    pub accepted: watch::Receiver<usize>,
    /// Those of them that are open.
    pub open: watch::Receiver<usize>,
    draining: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Node {
    pub async fn start(id: u8) -> Self {
        Self::start_as(identity(id), Options::default()).await
    }

    pub async fn start_as(identity: Identity, options: Options) -> Self {
        let (answers, streams) = Answers::new();
        let identity = Arc::new(IdentityCell::new(identity));
        let peers = Peers::new(env(), Arc::clone(&identity), options);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = at(listener.local_addr().unwrap());
        let (draining, drains) = watch::channel(false);
        let (count, accepted) = watch::channel(0);
        let (count_open, open) = watch::channel(0);
        let accepting = tokio::spawn(accept(
            listener,
            peers.clone(),
            Arc::clone(&answers),
            drains,
            (count, count_open),
        ));
        Self { peers, identity, answers, streams, address, accepted, open, draining, accepting }
    }

    pub fn id(&self) -> BrokerId {
        self.identity.get().node_id
    }

    /// Tells this node where `other` is.
    pub fn knows(&self, other: &Self) {
        self.peers.set_address(other.id(), other.address.clone());
    }

    pub async fn call(&self, to: &Self, kind: u16) -> Result<Message, CallError> {
        self.peers.call(to.id(), Channel::Control, message(kind), soon()).await
    }

    pub async fn open(&self, to: &Self) -> Result<PeerStream, OpenError> {
        self.peers.open(to.id(), Channel::Live, message(ECHO), soon()).await
    }

    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Closes its socket and every connection made to it, as the end of its process would.
    pub async fn stop(mut self) -> BrokerId {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
        self.identity.get().node_id
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    peers: Peers,
    answers: Arc<Answers>,
    drains: watch::Receiver<bool>,
    (count, open): (watch::Sender<usize>, watch::Sender<usize>),
) {
    let mut connections = JoinSet::new();
    let open = Arc::new(open);
    loop {
        let (io, _) = listener.accept().await.unwrap();
        io.set_nodelay(true).unwrap();
        count.send_modify(|count| *count += 1);
        open.send_modify(|open| *open += 1);
        let open = Arc::clone(&open);
        let (peers, service, mut drains) = (peers.clone(), Arc::clone(&answers), drains.clone());
        connections.spawn(async move {
            let draining = async move {
                let _ = drains.wait_for(|drains| *drains).await;
            };
            peers.serve(io, Bytes::new(), service, draining).await;
            open.send_modify(|open| *open -= 1);
        });
    }
}

pub fn at(address: SocketAddr) -> Address {
    Address { host: address.ip().to_string(), port: address.port(), directory_id: None }
}

/// An address where nobody listens.
pub async fn nowhere() -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    at(listener.local_addr().unwrap())
}

pub fn message(kind: u16) -> Message {
    Message::new(kind, &b"head"[..]).with_payload(vec![Bytes::from_static(b"payload")])
}

/// A deadline that no test is meant to reach.
pub fn soon() -> Monotonic {
    within(Duration::from_secs(30))
}

pub fn within(patience: Duration) -> Monotonic {
    TokioClock.monotonic().after(patience)
}

fn env() -> Env {
    Env { clock: Arc::new(TokioClock), rng: Rng::from_seed(7), ..Env::real() }
}

/// A clock that stands still and jumps together with tokio's timers.
pub struct TokioClock;

impl Clock for TokioClock {
    fn monotonic(&self) -> Monotonic {
        thread_local! {
            static START: Instant = Instant::now();
        }
        Monotonic(START.with(Instant::elapsed))
    }

    fn wall(&self) -> Timestamp {
        Timestamp(0)
    }
}

/// A peer that says exactly what it is told to.
pub struct Script<Io> {
    pub io: Io,
    reader: Reader,
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Script<Io> {
    pub fn new(io: Io) -> Self {
        Self { io, reader: Reader::new(BytesMut::new(), usize::MAX) }
    }

    pub async fn say(&mut self, frame_type: FrameType, id: u64, message: &Message) {
        let frame = Encoded::new(frame_type, id, message, usize::MAX).unwrap();
        for piece in frame.pieces() {
            self.io.write_all(piece).await.unwrap();
        }
    }

    /// The next frame, pings included.
    pub async fn hear(&mut self) -> Result<Option<Frame>, ReadError> {
        std::future::poll_fn(|cx| self.reader.poll_frame(cx, &mut self.io)).await
    }

    /// The next frame that is not a ping.
    pub async fn expect(&mut self, frame_type: FrameType) -> Frame {
        loop {
            let frame = self.hear().await.unwrap().expect("the connection is open");
            if frame.frame_type != FrameType::Ping {
                assert_eq!(frame.frame_type, frame_type);
                return frame;
            }
        }
    }

    pub async fn expect_end(&mut self) {
        while let Ok(Some(frame)) = self.hear().await {
            assert_eq!(frame.frame_type, FrameType::Ping);
        }
    }
}

/// An inbound connection of node 1 over an in-memory stream, after the hellos.
pub struct Served {
    pub script: Script<DuplexStream>,
    pub answers: Arc<Answers>,
    pub streams: Streams,
    pub draining: watch::Sender<bool>,
    pub task: JoinHandle<()>,
}

impl Served {
    pub async fn start(purpose: Purpose, options: Options) -> Self {
        Self::greeted(&hello(2, 1, purpose), options).await
    }

    pub async fn greeted(hello: &Hello, options: Options) -> Self {
        Self::greeted_over(64 * 1024, hello, options).await
    }

    /// Over a stream that takes this many bytes in each direction.
    pub async fn greeted_over(bytes: usize, hello: &Hello, options: Options) -> Self {
        let (answers, streams) = Answers::new();
        let (draining, mut drains) = watch::channel(false);
        let (io, ours) = duplex(bytes);
        let peers = node_one(options);
        let task = tokio::spawn({
            let answers = Arc::clone(&answers);
            async move {
                let draining = async {
                    let _ = drains.wait_for(|drains| *drains).await;
                };
                peers.serve(ours, Bytes::new(), answers, draining).await;
            }
        });
        let mut script = Script::new(io);
        assert!(matches!(greets(&mut script.io, hello).await, Answer::Welcome(_)));
        Self { script, answers, streams, draining, task }
    }
}

fn node_one(options: Options) -> Peers {
    Peers::new(env(), Arc::new(IdentityCell::new(identity(1))), options)
}

/// Node 1 serves `io`.
pub fn serve(
    io: DuplexStream,
    answers: Arc<Answers>,
    options: Options,
) -> impl Future<Output = ()> + Send {
    let peers = node_one(options);
    async move { peers.serve(io, Bytes::new(), answers, std::future::pending()).await }
}

/// Says hello and hears the answer, without judging it.
pub async fn greets(io: &mut DuplexStream, hello: &Hello) -> Answer {
    io.write_all(&encode_hello(hello)).await.unwrap();
    let mut read = BytesMut::new();
    loop {
        if let Some(contents) = take_envelope(&mut read).unwrap() {
            assert!(read.is_empty());
            return decode_answer(contents).unwrap();
        }
        let byte = io.read_u8().await.unwrap();
        read.extend_from_slice(&[byte]);
    }
}

/// Polls `future` until nothing can go on without it, and asserts that it is not done.
pub async fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
    for _ in 0..100 {
        if std::future::poll_fn(|cx| {
            Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_ready())
        })
        .await
        {
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}
