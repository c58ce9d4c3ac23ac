//! A service whose answers the requests themselves ask for, and clients for it.

use std::{
    collections::HashSet,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use bytes::Bytes;
use chronik_protocol::codec::Chunks;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex},
    sync::watch,
    task::JoinHandle,
};

use crate::{
    CloseReason, Connection, Frame, ListenerInfo, MemoryPermit, Metrics, Options, Reply,
    RequestMemory, Service,
    driver::{self, Ended},
};

/// What a test request asks for; stands where a request has its API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i16)]
pub enum Ask {
    /// Echo at once.
    Now,
    /// Echo after [`Answers::release`], without holding up later requests.
    Later,
    /// No response at all, once released.
    LaterNothing,
    /// No response.
    Nothing,
    /// The call itself waits for [`Answers::release`]; then an echo.
    Held,
    /// Close the connection, as anything unknown does.
    Close,
    /// Echo at once and keep the grant until [`Answers::forget_kept`].
    Keep,
    /// Answer with a mebibyte.
    Big,
}

/// One request: its bytes as a frame with the length in front.
pub fn request(ask: Ask, id: i32, payload: &[u8]) -> Vec<u8> {
    let length = i32::try_from(8 + payload.len()).unwrap();
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend((ask as i16).to_be_bytes());
    bytes.extend(0i16.to_be_bytes());
    bytes.extend(id.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The answers; shared between a test and its service.
pub struct Answers {
    released: watch::Sender<HashSet<i32>>,
    calls: watch::Sender<Vec<i32>>,
    kept: Mutex<Vec<MemoryPermit>>,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            released: watch::Sender::new(HashSet::new()),
            calls: watch::Sender::new(Vec::new()),
            kept: Mutex::default(),
        }
    }
}

impl Answers {
    pub fn release(&self, id: i32) {
        self.released.send_modify(|released| {
            released.insert(id);
        });
    }

    /// The requests called so far, in order.
    pub fn calls(&self) -> Vec<i32> {
        self.calls.borrow().clone()
    }

    pub async fn wait_for_calls(&self, count: usize) {
        let mut calls = self.calls.subscribe();
        calls.wait_for(|calls| calls.len() >= count).await.unwrap();
    }

    pub fn forget_kept(&self) {
        self.kept.lock().clear();
    }

    fn released(&self, id: i32) -> impl Future<Output = ()> + Send + use<> {
        let mut released = self.released.subscribe();
        async move {
            let _ = released.wait_for(|released| released.contains(&id)).await;
        }
    }
}

impl Service for Answers {
    fn call<'s>(
        &'s self,
        _: &'s Arc<Connection>,
        frame: Frame,
    ) -> Pin<Box<dyn Future<Output = Reply> + Send + 's>> {
        let ask = i16::from_be_bytes(frame.bytes[..2].try_into().unwrap());
        let id = i32::from_be_bytes(frame.bytes[4..8].try_into().unwrap());
        assert_eq!(frame.bytes.capacity(), frame.bytes.len(), "the buffer is the frame's own");
        self.calls.send_modify(|calls| calls.push(id));
        let Frame { bytes, permit } = frame;
        let whole = bytes.freeze();
        // In several pieces, one of them empty, as real responses are.
        let pieces = vec![whole.slice(..4), Bytes::new(), whole.slice(4..8), whole.slice(8..)];
        let echo = Chunks::from(pieces);
        Box::pin(async move {
            match ask {
                ask if ask == Ask::Now as i16 => Reply::Now(echo),
                ask if ask == Ask::Later as i16 || ask == Ask::LaterNothing as i16 => {
                    let released = self.released(id);
                    let answers = ask == Ask::Later as i16;
                    Reply::Later(Box::pin(async move {
                        released.await;
                        answers.then_some(echo)
                    }))
                }
                ask if ask == Ask::Nothing as i16 => Reply::Nothing,
                ask if ask == Ask::Held as i16 => {
                    self.released(id).await;
                    Reply::Now(echo)
                }
                ask if ask == Ask::Keep as i16 => {
                    self.kept.lock().push(permit);
                    Reply::Now(echo)
                }
                ask if ask == Ask::Big as i16 => {
                    let rest = Bytes::from(vec![0; 1 << 20]);
                    Reply::Now(Chunks::from(vec![whole.slice(..8), rest]))
                }
                _ => Reply::Close,
            }
        })
    }
}

/// Reads one response: its id and payload; `None` at the end of the stream.
pub async fn response<Io: AsyncRead + Unpin>(io: &mut Io) -> Option<(i32, Vec<u8>)> {
    let length = io.read_i32().await.ok()?;
    let mut bytes = vec![0; usize::try_from(length).unwrap()];
    io.read_exact(&mut bytes).await.ok()?;
    let id = i32::from_be_bytes(bytes[4..8].try_into().unwrap());
    Some((id, bytes.split_off(8)))
}

pub async fn send<Io: AsyncWrite + Unpin>(io: &mut Io, requests: &[(Ask, i32)]) {
    let bytes: Vec<u8> = requests.iter().flat_map(|(ask, id)| request(*ask, *id, b"x")).collect();
    io.write_all(&bytes).await.unwrap();
}

pub async fn expect_ids<Io: AsyncRead + Unpin>(io: &mut Io, ids: &[i32]) {
    for id in ids {
        assert_eq!(response(io).await.map(|(id, _)| id), Some(*id));
    }
}

/// A connection's task over an in-memory stream.
pub struct Bench {
    pub client: DuplexStream,
    pub answers: Arc<Answers>,
    pub connection: Arc<Connection>,
    pub metrics: Arc<Metrics>,
    pub task: JoinHandle<CloseReason>,
}

/// Bytes that the in-memory stream takes in each direction before a writer waits.
pub const STREAM_BYTES: usize = 64 * 1024;

impl Bench {
    pub fn new(options: Options) -> Self {
        let memory =
            RequestMemory::new(options.request_memory_bytes, options.socket_request_max_bytes);
        Self::with_memory(options, memory)
    }

    pub fn with_memory(options: Options, memory: Arc<RequestMemory>) -> Self {
        let (client, io) = duplex(STREAM_BYTES);
        let answers: Arc<Answers> = Arc::default();
        let metrics: Arc<Metrics> = Arc::default();
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let listener = ListenerInfo {
            name: "PLAINTEXT".into(),
            advertised_host: "localhost".into(),
            advertised_port: 9092,
            address: peer,
            internal: false,
        };
        let connection = Connection::detached(peer, listener);
        let task = tokio::spawn({
            let (answers, connection) = (Arc::clone(&answers), Arc::clone(&connection));
            let metrics = Arc::clone(&metrics);
            async move {
                match driver::run(io, &*answers, &connection, &options, memory, &metrics).await {
                    Ended::Closed(reason) => reason,
                    Ended::Internal { .. } => panic!("the listener is not internal"),
                }
            }
        });
        Self { client, answers, connection, metrics, task }
    }

    pub fn requests(&self) -> u64 {
        self.metrics.requests.load(Relaxed)
    }

    /// The connection has ended, for this reason, and sends nothing more.
    pub async fn expect_closed(mut self, reason: CloseReason) {
        let mut rest = Vec::new();
        self.client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"");
        assert_eq!(self.task.await.unwrap(), reason);
    }
}
