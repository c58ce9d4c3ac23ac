//! Measures calls and streams between two nodes over loopback, each with a runtime of its own.
//!
//! `cargo run --release -p chronik-peer --example round_trip`
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a tool")]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use chronik_env::{Clock, Env, net::TcpListener};
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

/// Serves node 2 on this socket, for ever.
async fn serve(env: Env, listener: std::net::TcpListener) {
    listener.set_nonblocking(true).unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    let two = peers(&env, 2);
    loop {
        let (io, _) = listener.accept().await.unwrap();
        io.set_nodelay(true).unwrap();
        let two = two.clone();
        tokio::spawn(async move {
            two.serve(io, Bytes::new(), Arc::new(Echo), std::future::pending()).await;
        });
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn main() {
    let env = Env::real();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let its = runtime();
    its.spawn(serve(env.clone(), listener));
    runtime().block_on(async {
        let one = peers(&env, 1);
        let (host, port) = (address.ip().to_string(), address.port());
        one.set_address(BrokerId(2), Address { host, port, directory_id: None });
        tokio::spawn(measure(env, one)).await.unwrap();
    });
    its.shutdown_background();
}

async fn measure(env: Env, one: Peers) {
    let clock = &env.clock;
    let end = clock.monotonic().after(Duration::from_secs(600));

    let alone = tokio::spawn(calls(one.clone(), Arc::clone(clock), CALLS, end)).await.unwrap();
    report("one caller", alone);
    let started = clock.monotonic();
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| tokio::spawn(calls(one.clone(), Arc::clone(clock), CALLS / 4, end)))
        .collect();
    let mut latencies = Vec::new();
    for caller in callers {
        latencies.extend(caller.await.unwrap());
    }
    let per_second = latencies.len() as f64 / clock.monotonic().since(started).as_secs_f64();
    report(&format!("{CALLERS} callers, {per_second:.0}/s"), latencies);

    for bytes in [1 << 10, 16 << 10, 64 << 10, 1 << 20] {
        let started = clock.monotonic();
        stream(&one, bytes, end).await;
        let rate = STREAM_BYTES as f64 / clock.monotonic().since(started).as_secs_f64() / 1e9;
        println!("stream of {bytes} byte messages: {rate:.2} GB/s");
    }
}

async fn calls(peers: Peers, clock: Arc<dyn Clock>, count: usize, end: Monotonic) -> Vec<Duration> {
    let mut latencies = Vec::with_capacity(count);
    for _ in 0..count {
        let request = Message::new(1, Bytes::from_static(&[7; 100]));
        let started = clock.monotonic();
        peers.call(BrokerId(2), Channel::Control, request, end).await.unwrap();
        latencies.push(clock.monotonic().since(started));
    }
    latencies
}

async fn stream(peers: &Peers, bytes: usize, end: Monotonic) {
    let payload = Bytes::from(vec![7; bytes]);
    let message = Message::new(1, &b"head"[..]).with_payload(vec![payload]);
    let mut stream = peers.open(BrokerId(2), Channel::Live, message.clone(), end).await.unwrap();
    for _ in 0..STREAM_BYTES / bytes {
        stream.sender.send(message.clone()).await.unwrap();
    }
    stream.receiver.next().await.unwrap();
}

fn report(what: &str, mut latencies: Vec<Duration>) {
    latencies.sort_unstable();
    let at = |part: f64| latencies[(latencies.len() as f64 * part) as usize];
    println!("{what}: p50 {:?}, p99 {:?}, p99.9 {:?}", at(0.5), at(0.99), at(0.999));
}
