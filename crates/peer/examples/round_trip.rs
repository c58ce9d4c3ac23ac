//! Measures calls and streams between two nodes over loopback.
//!
//! `cargo run --release -p chronik-peer --example round_trip`

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use chronik_env::{Env, net::TcpListener};
use chronik_peer::{
    Address, BoxFuture, Channel, Hello, Identity, IdentityCell, Message, Options, PeerService,
    PeerStream, Peers, Refusal,
};
use chronik_types::{BrokerId, DirectoryId, Monotonic};

const CALLS: usize = 20_000;
const CALLERS: usize = 64;
const STREAM_BYTES: usize = 2 << 30;

/// Echoes calls; swallows streams and tells when all has come.
struct Echo;

impl PeerService for Echo {
    fn admit(&self, _: &Hello) -> Result<(), Refusal> {
        Ok(())
    }

    fn call<'s>(&'s self, _: &'s Identity, _: Channel, request: Message) -> BoxFuture<'s, Message> {
        Box::pin(std::future::ready(request))
    }

    fn stream<'s>(&'s self, _: Channel, first: Message, stream: PeerStream) -> BoxFuture<'s, ()> {
        Box::pin(async move {
            let PeerStream { mut sender, mut receiver, .. } = stream;
            let mut bytes = 0;
            while bytes < STREAM_BYTES {
                let Some(message) = receiver.next().await else { return };
                bytes += message.body().len();
            }
            let _ = sender.send(first).await;
        })
    }
}

fn peers(env: &Env, id: i32) -> Peers {
    let identity = Identity {
        cluster_id: None,
        node_id: BrokerId(id),
        directory_id: DirectoryId(env.rng.uuid()),
        incarnation: env.rng.uuid(),
    };
    Peers::new(env.clone(), Arc::new(IdentityCell::new(identity)), Options::default())
}

#[tokio::main]
async fn main() {
    let env = Env::real();
    let (one, two) = (peers(&env, 1), peers(&env, 2));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (host, port) = (address.ip().to_string(), address.port());
    one.set_address(BrokerId(2), Address { host, port, directory_id: None });
    tokio::spawn(async move {
        while let Ok((io, _)) = listener.accept().await {
            let _ = io.set_nodelay(true);
            let two = two.clone();
            tokio::spawn(async move {
                two.serve(io, Bytes::new(), Arc::new(Echo), std::future::pending()).await;
            });
        }
    });
    let end = env.clock.monotonic().after(Duration::from_secs(600));

    let alone = tokio::spawn(calls(one.clone(), CALLS, end)).await.expect("calls");
    report("one caller", alone);
    let started = Instant::now();
    let callers: Vec<_> =
        (0..CALLERS).map(|_| tokio::spawn(calls(one.clone(), CALLS / 4, end))).collect();
    let mut latencies = Vec::new();
    for caller in callers {
        latencies.extend(caller.await.expect("calls"));
    }
    let per_second = latencies.len() as f64 / started.elapsed().as_secs_f64();
    report(&format!("{CALLERS} callers, {per_second:.0}/s"), latencies);

    for bytes in [1 << 10, 16 << 10, 64 << 10, 1 << 20] {
        let started = Instant::now();
        stream(&one, bytes, end).await;
        let rate = STREAM_BYTES as f64 / started.elapsed().as_secs_f64() / 1e9;
        println!("stream of {bytes} byte messages: {rate:.2} GB/s");
    }
}

async fn calls(peers: Peers, count: usize, end: Monotonic) -> Vec<Duration> {
    let mut latencies = Vec::with_capacity(count);
    for _ in 0..count {
        let request = Message::new(1, Bytes::from_static(&[7; 100]));
        let started = Instant::now();
        peers.call(BrokerId(2), Channel::Control, request, end).await.expect("an answer");
        latencies.push(started.elapsed());
    }
    latencies
}

async fn stream(peers: &Peers, bytes: usize, end: Monotonic) {
    let payload = Bytes::from(vec![7; bytes]);
    let message = Message::new(1, &b"head"[..]).with_payload(vec![payload]);
    let mut stream =
        peers.open(BrokerId(2), Channel::Live, message.clone(), end).await.expect("a stream");
    for _ in 0..STREAM_BYTES / bytes {
        stream.sender.send(message.clone()).await.expect("it is open");
    }
    stream.receiver.next().await.expect("the peer has got it all");
}

fn report(what: &str, mut latencies: Vec<Duration>) {
    latencies.sort_unstable();
    let at = |part: f64| latencies[(latencies.len() as f64 * part) as usize];
    println!("{what}: p50 {:?}, p99 {:?}, p99.9 {:?}", at(0.5), at(0.99), at(0.999));
}
