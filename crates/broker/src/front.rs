//! Where connections meet the node: requests of clients, and the protocol between nodes.
//!
//! **Invariants**
//! - Other nodes are answered from the moment the listener is open: a cluster comes into being by
//!   its nodes asking each other.
//! - A client's request waits until the node serves; one to a controller listener until the
//!   metadata quorum runs here.
//! - Only a node of this cluster is answered as a controller or as a replica.
//!
//! **Not here:** sockets (`chronik-net`), framing and hellos (`chronik-peer`), what a request means
//! (`router`).

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use chronik_env::net::TcpStream;
use chronik_net::{Connection, Frame, Reply, Service};
use chronik_peer::{
    BoxFuture, Channel, Hello, Identity, Message, PeerService, PeerStream, Peers, Refusal,
};
use chronik_raft::bootstrap::Answers;
use tokio::sync::watch;

use crate::options::Options;
use crate::{Broker, forwarding, quorum_relay, replication, router};

/// What a message is answered with that nobody here understands.
const NOT_UNDERSTOOD: u16 = 0;

/// How far the node has come.
enum Stage {
    /// It does not know its cluster yet, or opens what it has.
    Starting,
    /// It takes part in the metadata quorum.
    Joined(Arc<Broker>),
    /// It is registered and unfenced: clients are served.
    Serving(Arc<Broker>),
}

/// See the module. Clones share it.
#[derive(Clone)]
pub(crate) struct Front {
    inner: Arc<Inner>,
}

struct Inner {
    peers: Peers,
    /// What other nodes are told before there is more to tell.
    answers: Answers,
    controller_listeners: std::collections::BTreeSet<String>,
    stage: watch::Sender<Stage>,
    /// The broker once it serves; to look without a lock.
    serving: OnceLock<Arc<Broker>>,
}

impl Front {
    pub fn new(peers: Peers, answers: Answers, options: &Options) -> Self {
        let inner = Inner {
            peers,
            answers,
            controller_listeners: options.controller_listeners.clone(),
            stage: watch::Sender::new(Stage::Starting),
            serving: OnceLock::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The metadata quorum runs on this node.
    pub fn joined(&self, broker: &Arc<Broker>) {
        self.inner.stage.send_replace(Stage::Joined(Arc::clone(broker)));
    }

    /// This node serves clients.
    pub fn serves(&self, broker: &Arc<Broker>) {
        let _ = self.inner.serving.set(Arc::clone(broker));
        self.inner.stage.send_replace(Stage::Serving(Arc::clone(broker)));
    }
}

impl Inner {
    /// The broker, once it takes part in the quorum.
    async fn joined(&self) -> Option<Arc<Broker>> {
        let mut stage = self.stage.subscribe();
        let stage = stage.wait_for(|stage| !matches!(stage, Stage::Starting)).await.ok()?;
        match &*stage {
            Stage::Starting => None,
            Stage::Joined(broker) | Stage::Serving(broker) => Some(Arc::clone(broker)),
        }
    }

    /// The broker, once it serves clients.
    async fn serving(&self) -> Option<Arc<Broker>> {
        let mut stage = self.stage.subscribe();
        let stage = stage.wait_for(|stage| matches!(stage, Stage::Serving(_))).await.ok()?;
        match &*stage {
            Stage::Starting | Stage::Joined(_) => None,
            Stage::Serving(broker) => Some(Arc::clone(broker)),
        }
    }

    async fn broker_for(&self, connection: &Connection) -> Option<Arc<Broker>> {
        if let Some(broker) = self.serving.get() {
            return Some(Arc::clone(broker));
        }
        if self.controller_listeners.contains(&connection.listener.name) {
            self.joined().await
        } else {
            self.serving().await
        }
    }

    async fn answer(&self, from: &Identity, request: Message) -> Option<Message> {
        if is_rafts(&request)
            && matches!(*self.stage.borrow(), Stage::Starting)
            && let Some(answer) = self.answers.handle(&request)
        {
            return Some(answer);
        }
        let broker = self.joined().await?;
        if is_rafts(&request) {
            return Some(broker.metadata.handle(from, request).await);
        }
        if from.cluster_id != Some(broker.cluster_id) {
            return None;
        }
        match request.kind {
            forwarding::FORWARD => Some(broker.controller.forwarded(&request).await),
            quorum_relay::RELAY => Some(quorum_relay::serve(&broker, &request).await),
            _ => None,
        }
    }
}

/// Whether a message is for the metadata quorum.
fn is_rafts(message: &Message) -> bool {
    message.kind >> 8 == 0x01
}

impl Service for Front {
    fn call<'s>(
        &'s self,
        connection: &'s Arc<Connection>,
        frame: Frame,
    ) -> Pin<Box<dyn Future<Output = Reply> + Send + 's>> {
        Box::pin(async move {
            match self.inner.broker_for(connection).await {
                Some(broker) => router::route(&broker, connection, frame).await,
                None => Reply::Close,
            }
        })
    }

    fn internal<'s>(
        &'s self,
        connection: &'s Arc<Connection>,
        io: TcpStream,
        already_read: Bytes,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 's>> {
        let service = Arc::clone(&self.inner) as Arc<dyn PeerService>;
        Box::pin(self.inner.peers.serve(io, already_read, service, connection.draining()))
    }
}

impl PeerService for Inner {
    fn admit(&self, _hello: &Hello) -> Result<(), Refusal> {
        Ok(())
    }

    fn call<'s>(
        &'s self,
        from: &'s Identity,
        _channel: Channel,
        request: Message,
    ) -> BoxFuture<'s, Message> {
        Box::pin(async move {
            let kind = request.kind;
            match self.answer(from, request).await {
                Some(answer) => answer,
                None => {
                    tracing::warn!(from = from.node_id.0, kind, "a call that is not answered here");
                    Message::new(NOT_UNDERSTOOD, Bytes::new())
                }
            }
        })
    }

    fn stream<'s>(
        &'s self,
        _channel: Channel,
        first: Message,
        stream: PeerStream,
    ) -> BoxFuture<'s, ()> {
        Box::pin(async move {
            let Some(broker) = self.joined().await else { return };
            if is_rafts(&first) {
                broker.metadata.stream(first, stream).await;
            } else if stream.peer.cluster_id == Some(broker.cluster_id) {
                replication::serve(broker, first, stream).await;
            }
        })
    }
}
