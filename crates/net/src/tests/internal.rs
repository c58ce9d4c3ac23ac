//! Connections from other nodes are handed over, and only those.

use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use chronik_env::{Env, net::TcpStream};
use chronik_protocol::{api::INTERNAL_API_KEY, codec::Chunks};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    CloseReason, Connection, Frame, ListenerOptions, Metrics, Options, Reply, Server, Service,
};

/// Echoes requests; tells what it is handed, and keeps it until the connection drains.
struct Node {
    handed_over: mpsc::UnboundedSender<Bytes>,
    outlives_drain: bool,
}

impl Service for Node {
    fn call<'s>(
        &'s self,
        _: &'s Arc<Connection>,
        frame: Frame,
    ) -> Pin<Box<dyn Future<Output = Reply> + Send + 's>> {
        Box::pin(async { Reply::Now(Chunks::from(vec![frame.bytes.freeze()])) })
    }

    fn internal<'s>(
        &'s self,
        connection: &'s Arc<Connection>,
        mut io: TcpStream,
        already_read: Bytes,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 's>> {
        Box::pin(async move {
            self.handed_over.send(already_read).unwrap();
            connection.draining().await;
            io.write_all(b"bye").await.unwrap();
            if self.outlives_drain {
                std::future::pending::<()>().await;
            }
        })
    }
}

struct Running {
    address: SocketAddr,
    metrics: Arc<Metrics>,
    handed_over: mpsc::UnboundedReceiver<Bytes>,
    shutdown: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn start(internal: bool, outlives_drain: bool) -> Running {
    let listener = ListenerOptions {
        name: "CONTROLLER".into(),
        host: "127.0.0.1".into(),
        port: 0,
        advertised_host: "localhost".into(),
        advertised_port: 0,
        internal,
    };
    let drain = Duration::from_millis(if outlives_drain { 50 } else { 60_000 });
    let options = Options { listeners: vec![listener], drain, ..Options::default() };
    let server = Server::bind(options, &Env::real()).await.unwrap();
    let (address, metrics) = (server.listeners()[0].address, server.metrics());
    let (sender, handed_over) = mpsc::unbounded_channel();
    let (shutdown, asked) = oneshot::channel();
    let service = Arc::new(Node { handed_over: sender, outlives_drain });
    let task = tokio::spawn(server.serve(service, async {
        let _ = asked.await;
    }));
    Running { address, metrics, handed_over, shutdown, task }
}

/// A frame of this API with its length in front.
fn frame(api_key: i16, rest: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(8 + rest.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(api_key.to_be_bytes());
    bytes.extend([0; 6]);
    bytes.extend(rest);
    bytes
}

/// Sends a connection's first frame in these parts, and expects it handed over.
async fn is_handed_over(parts: &[&[u8]]) {
    let mut running = start(true, false).await;
    let mut node = TcpStream::connect(running.address).await.unwrap();
    for part in parts {
        node.write_all(part).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(running.handed_over.recv().await.unwrap(), parts.concat());
    running.shutdown.send(()).unwrap();
    let mut last = Vec::new();
    node.read_to_end(&mut last).await.unwrap();
    assert_eq!(last, b"bye");
    running.task.await.unwrap();
    assert_eq!(running.metrics.closed(CloseReason::Internal), 1);
    assert_eq!(running.metrics.open(), 0);
}

#[tokio::test]
async fn the_first_frame_with_the_private_key_hands_the_connection_over() {
    let hello = frame(INTERNAL_API_KEY, b"hello");
    is_handed_over(&[&hello]).await;
    let (start, end) = hello.split_at(3);
    is_handed_over(&[start, end]).await;
}

#[tokio::test]
async fn bytes_behind_the_first_frame_are_not_lost() {
    let mut running = start(true, false).await;
    let mut node = TcpStream::connect(running.address).await.unwrap();
    let mut bytes = frame(INTERNAL_API_KEY, &[7; 100]);
    bytes.extend(frame(INTERNAL_API_KEY, b"another"));
    bytes.extend([9; 5]);
    node.write_all(&bytes).await.unwrap();
    assert_eq!(running.handed_over.recv().await.unwrap(), bytes);
}

#[tokio::test]
async fn a_client_cannot_become_a_node_later_or_elsewhere() {
    for (internal, requests) in
        [(true, vec![18, INTERNAL_API_KEY]), (false, vec![INTERNAL_API_KEY])]
    {
        let mut running = start(internal, false).await;
        let mut client = TcpStream::connect(running.address).await.unwrap();
        for api_key in requests {
            let request = frame(api_key, b"x");
            client.write_all(&request).await.unwrap();
            let mut echo = vec![0; request.len()];
            client.read_exact(&mut echo).await.unwrap();
            assert_eq!(echo, request);
        }
        assert!(running.handed_over.try_recv().is_err());
    }
}

#[tokio::test]
async fn a_connection_between_nodes_that_does_not_end_is_closed_when_the_drain_is_over() {
    let mut running = start(true, true).await;
    let mut node = TcpStream::connect(running.address).await.unwrap();
    node.write_all(&frame(INTERNAL_API_KEY, b"hello")).await.unwrap();
    running.handed_over.recv().await.unwrap();
    running.shutdown.send(()).unwrap();
    running.task.await.unwrap();
    let mut last = Vec::new();
    node.read_to_end(&mut last).await.unwrap();
    assert_eq!(last, b"bye");
    assert_eq!(running.metrics.closed(CloseReason::Shutdown), 1);
}
