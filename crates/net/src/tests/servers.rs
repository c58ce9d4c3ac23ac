//! Whole servers on loopback sockets.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use chronik_env::{
    Env,
    net::{TcpListener, TcpStream},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::oneshot,
    task::JoinHandle,
};

use super::support::{Answers, Ask, expect_ids, request, response, send};
use crate::{BindError, CloseReason, ListenerOptions, Metrics, Options, Server};

fn listener(name: &str) -> ListenerOptions {
    ListenerOptions {
        name: name.into(),
        host: "127.0.0.1".into(),
        port: 0,
        advertised_host: "localhost".into(),
        advertised_port: 0,
        internal: false,
    }
}

struct Running {
    addresses: Vec<SocketAddr>,
    answers: Arc<Answers>,
    metrics: Arc<Metrics>,
    shutdown: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(options: Options) -> Self {
        let listeners = vec![listener("PLAINTEXT"), listener("OTHER")];
        let server = Server::bind(Options { listeners, ..options }, &Env::real()).await.unwrap();
        let addresses = server.listeners().iter().map(|info| info.address).collect();
        let (answers, metrics) = (Arc::<Answers>::default(), server.metrics());
        let (shutdown, asked) = oneshot::channel();
        let service = Arc::clone(&answers);
        let task = tokio::spawn(server.serve(service, async {
            let _ = asked.await;
        }));
        Self { addresses, answers, metrics, shutdown, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addresses[0]).await.unwrap()
    }
}

#[tokio::test]
async fn a_large_request_and_its_response_travel_whole() {
    let running = Running::start(Options::default()).await;
    let (mut reader, mut writer) = running.connect().await.into_split();
    let payload: Vec<u8> = (0..5_000_000u32).map(|i| (i >> 7) as u8).collect();
    let frame = request(Ask::Now, 9, &payload);
    let (sent, got) = tokio::join!(writer.write_all(&frame), response(&mut reader));
    sent.unwrap();
    assert!(got.unwrap() == (9, payload));
    assert_eq!(running.metrics.open(), 1);
}

#[tokio::test]
async fn every_listener_serves_and_advertises_the_port_it_got() {
    let options = Options { listeners: vec![listener("A")], ..Options::default() };
    let server = Server::bind(options, &Env::real()).await.unwrap();
    let info = &server.listeners()[0];
    assert_ne!(info.address.port(), 0);
    assert_eq!(info.advertised_port, info.address.port());

    let running = Running::start(Options::default()).await;
    for address in &running.addresses {
        let mut client = TcpStream::connect(address).await.unwrap();
        send(&mut client, &[(Ask::Now, 1)]).await;
        expect_ids(&mut client, &[1]).await;
    }
}

#[tokio::test]
async fn a_connection_over_the_limit_is_closed_and_the_next_gets_the_freed_place() {
    let limited = Options { max_connections_per_ip: 2, ..Options::default() };
    let running = Running::start(limited).await;
    let mut first = running.connect().await;
    let mut second = running.connect().await;
    for client in [&mut first, &mut second] {
        send(client, &[(Ask::Now, 1)]).await;
        expect_ids(client, &[1]).await;
    }
    let mut third = running.connect().await;
    assert_eq!(third.read(&mut [0]).await.unwrap_or(0), 0);
    assert_eq!(running.metrics.refused_per_ip.load(Relaxed), 1);

    drop(first);
    let deadline = async {
        loop {
            let mut client = running.connect().await;
            let _ = client.write_all(&request(Ask::Now, 5, b"")).await;
            if response(&mut client).await.is_some() {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), deadline).await.unwrap();
}

#[tokio::test]
async fn the_total_limit_counts_all_listeners() {
    let running = Running::start(Options { max_connections: 1, ..Options::default() }).await;
    let mut first = running.connect().await;
    send(&mut first, &[(Ask::Now, 1)]).await;
    expect_ids(&mut first, &[1]).await;
    let mut second = TcpStream::connect(running.addresses[1]).await.unwrap();
    assert_eq!(second.read(&mut [0]).await.unwrap_or(0), 0);
    assert_eq!(running.metrics.refused_total.load(Relaxed), 1);
}

#[tokio::test]
async fn a_shutdown_accepts_nobody_and_finishes_requests_in_flight() {
    let running = Running::start(Options::default()).await;
    let mut client = running.connect().await;
    let mut idle = running.connect().await;
    send(&mut client, &[(Ask::Later, 1)]).await;
    running.answers.wait_for_calls(1).await;
    running.shutdown.send(()).unwrap();
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
    assert!(TcpStream::connect(running.addresses[0]).await.is_err());
    running.answers.release(1);
    expect_ids(&mut client, &[1]).await;
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    running.task.await.unwrap();
    assert_eq!(running.metrics.closed(CloseReason::Shutdown), 2);
    assert_eq!(running.metrics.open(), 0);
}

#[tokio::test]
async fn a_shutdown_waits_no_longer_than_the_drain_limit() {
    let drain = Duration::from_millis(50);
    let running = Running::start(Options { drain, ..Options::default() }).await;
    let mut client = running.connect().await;
    send(&mut client, &[(Ask::Held, 1)]).await;
    running.answers.wait_for_calls(1).await;
    running.shutdown.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(10), running.task).await.unwrap().unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_listener_that_cannot_be_bound_says_what_to_do() {
    let holder = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = ListenerOptions { port: holder.local_addr().unwrap().port(), ..listener("A") };
    let elsewhere = ListenerOptions { host: "192.0.2.1".into(), ..listener("B") };
    let unknown = ListenerOptions { host: "no such host".into(), ..listener("C") };
    let bind = async |listener| {
        let options = Options { listeners: vec![listener], ..Options::default() };
        Server::bind(options, &Env::real()).await.err()
    };
    assert!(matches!(bind(taken).await, Some(BindError::InUse { .. })));
    assert!(matches!(bind(elsewhere).await, Some(BindError::NotHere { .. })));
    assert!(matches!(bind(unknown).await, Some(BindError::Unresolved { .. })));
}
