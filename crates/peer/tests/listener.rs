//! Nodes meet through the listeners that they serve clients on.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use chronik_env::{Env, net::TcpStream};
use chronik_net::{Connection, Frame, ListenerOptions, Options, Reply, Server, Service};
use chronik_peer::{
    Address, BoxFuture, CallError, Channel, Hello, Identity, IdentityCell, Message, PeerService,
    PeerStream, Peers, Refusal,
};
use chronik_types::{BrokerId, DirectoryId, Uuid};
use tokio::sync::{mpsc, oneshot};

/// Echoes calls once they are released; answers no client.
struct Node {
    peers: Peers,
    service: Arc<Echo>,
}

struct Echo {
    taken: mpsc::UnboundedSender<oneshot::Sender<()>>,
}

impl PeerService for Echo {
    fn admit(&self, _: &Hello) -> Result<(), Refusal> {
        Ok(())
    }

    fn call<'s>(&'s self, _: &'s Identity, _: Channel, request: Message) -> BoxFuture<'s, Message> {
        let (release, released) = oneshot::channel();
        self.taken.send(release).unwrap();
        Box::pin(async move {
            let _ = released.await;
            request
        })
    }

    fn stream<'s>(&'s self, _: Channel, first: Message, stream: PeerStream) -> BoxFuture<'s, ()> {
        Box::pin(async move {
            let PeerStream { mut sender, mut receiver, .. } = stream;
            let _ = sender.send(first).await;
            while let Some(message) = receiver.next().await {
                let _ = sender.send(message).await;
            }
        })
    }
}

impl Service for Node {
    fn call<'s>(
        &'s self,
        _: &'s Arc<Connection>,
        _: Frame,
    ) -> Pin<Box<dyn Future<Output = Reply> + Send + 's>> {
        Box::pin(async { Reply::Close })
    }

    fn internal<'s>(
        &'s self,
        connection: &'s Arc<Connection>,
        io: TcpStream,
        already_read: Bytes,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 's>> {
        let service: Arc<dyn PeerService> = Arc::clone(&self.service) as _;
        Box::pin(async move {
            self.peers.serve(io, already_read, service, connection.draining()).await;
        })
    }
}

fn peers(env: &Env, id: u8) -> Peers {
    let identity = Identity {
        cluster_id: Some(Uuid([1; 16])),
        node_id: BrokerId(id.into()),
        directory_id: DirectoryId(Uuid([id; 16])),
        incarnation: env.rng.uuid(),
    };
    Peers::new(env.clone(), Arc::new(IdentityCell::new(identity)), chronik_peer::Options::default())
}

#[tokio::test]
async fn nodes_talk_through_an_internal_listener_until_it_has_drained() {
    let env = Env::real();
    let listener = |name: &str, internal| ListenerOptions {
        name: name.into(),
        host: "127.0.0.1".into(),
        port: 0,
        advertised_host: "localhost".into(),
        advertised_port: 0,
        internal,
    };
    let listeners = vec![listener("CONTROLLER", true), listener("PLAINTEXT", false)];
    let server = Server::bind(Options { listeners, ..Options::default() }, &env).await.unwrap();
    let ports: Vec<u16> = server.listeners().iter().map(|info| info.address.port()).collect();
    let (taken, mut calls) = mpsc::unbounded_channel();
    let node = Arc::new(Node { peers: peers(&env, 1), service: Arc::new(Echo { taken }) });
    let (stop, stopped) = oneshot::channel();
    let serving = tokio::spawn(server.serve(node, async {
        let _ = stopped.await;
    }));

    let two = peers(&env, 2);
    let address = |port| Address { host: "127.0.0.1".into(), port, directory_id: None };
    let deadline = env.clock.monotonic().after(Duration::from_secs(30));
    let one = BrokerId(1);
    two.set_address(one, address(ports[1]));
    let call = || two.call(one, Channel::Control, Message::new(7, &b"hello"[..]), deadline);
    let elsewhere = call().await;
    assert!(matches!(elsewhere, Err(CallError::NotSent(_))), "{elsewhere:?}");

    two.set_address(one, address(ports[0]));
    let first = Message::new(1, &b"first"[..]);
    let mut stream = two.open(one, Channel::Live, first.clone(), deadline).await.unwrap();
    assert_eq!(stream.receiver.next().await, Some(first));
    let (answer, ()) = tokio::join!(call(), async {
        let release = calls.recv().await.unwrap();
        stop.send(()).unwrap();
        assert_eq!(stream.receiver.next().await, None);
        release.send(()).unwrap();
    });
    assert_eq!(answer.unwrap().head, &b"hello"[..], "what was taken is answered");
    serving.await.unwrap();
    let gone = call().await;
    assert!(matches!(gone, Err(CallError::NotSent(_))), "{gone:?}");
}
