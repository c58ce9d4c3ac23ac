//! The driver: owns the state machines, runs their effects, answers the APIs.
//!
//! ```text
//! frame ─► router ─► api/<name> ─┬─► partition (log, progress)     produce, fetch, offsets
//!                                ├─► controller_runtime            changes of metadata
//!                                ├─► coordinator_runtime           groups
//!                                └─► the committed image           everything that only reads
//! ```
//!
//! **Invariants**
//! - The data plane (leadership, produce, fetch) acts on the committed image only.
//! - An answer that promises durability leaves through `progress` and nowhere else.
//! - There is one match on the API key (`router`) and one map to Kafka's codes (`api/error`).
//!
//! **Not here:** sockets (`chronik-net`), files (`chronik-log`), decisions (`chronik-controller`,
//! `chronik-coordinator`).

mod api;
mod background;
mod bugs;
mod controller_runtime;
mod coordinator_runtime;
mod fetch_sessions;
mod forwarding;
mod front;
#[doc(hidden)]
pub mod fuzzing;
mod identity;
mod incarnations;
mod journal_room;
mod latch;
mod lifecycle;
mod metrics;
mod node;
mod options;
mod partition;
mod partitions;
mod progress;
mod quorum_relay;
mod replication;
mod role;
mod router;
mod starting;
mod strays;
#[cfg(test)]
mod testing;
mod topic_settings;
mod view;

use std::time::Duration;

use chronik_env::Env;
use chronik_journal::Class;
use chronik_log::{AdmitError, Fetched, Permit, ReadError, SegmentRead, Storage};
use chronik_peer::Peers;
use chronik_raft::{Committed, MetadataNode};
use chronik_types::{BrokerId, Monotonic, Uuid};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

pub use identity::{Identity, IdentityError};
pub use lifecycle::RegistrationError;
pub use node::Node;
pub use options::{Endpoint, Options};
pub use starting::{StartError, Starting};

use crate::api::context::Context;
use crate::controller_runtime::ControllerHandle;
use crate::coordinator_runtime::Groups;
use crate::fetch_sessions::FetchSessions;
use crate::metrics::Metrics;
use crate::partitions::Partitions;
use crate::replication::Replication;

/// Everything a handler may use. Made whole by [`Node::start`]; nothing in it is optional.
pub(crate) struct Broker {
    pub env: Env,
    pub options: Options,
    pub cluster_id: Uuid,
    pub storage: Storage,
    pub metadata: MetadataNode,
    /// The committed image and its position.
    pub committed: watch::Receiver<Committed>,
    pub partitions: Partitions,
    pub replication: Replication,
    pub controller: ControllerHandle,
    pub peers: Peers,
    pub groups: Groups,
    pub fetch_sessions: Mutex<FetchSessions>,
    pub producer_ids: api::init_producer_id::ProducerIds,
    pub metrics: Metrics,
    /// Reads from segments that may run at a time: more would only queue at the disk, and hold
    /// their buffers while they do.
    reads: Semaphore,
}

/// A node as clients of one listener reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeEndpoint {
    pub id: BrokerId,
    pub host: String,
    pub port: u16,
    pub rack: Option<String>,
}

/// How many segment reads run at a time.
const READS_MAX: usize = 16;

impl Broker {
    /// Waits for `done`, but not beyond `deadline`; whether it was done.
    pub async fn until(&self, deadline: Monotonic, done: impl Future<Output = ()>) -> bool {
        let left = deadline.since(self.env.clock.monotonic());
        tokio::time::timeout(left, done).await.is_ok()
    }

    /// Room for `bytes` of a client's batches, waiting until `deadline` for it.
    pub async fn admit_client(
        &self,
        bytes: usize,
        deadline: Monotonic,
    ) -> Result<Permit, AdmitError> {
        match self.storage.try_admit(Class::Client, bytes) {
            Some(permit) => Ok(permit),
            None => self.storage.admit(Class::Client, bytes, deadline).await,
        }
    }

    /// Where clients of the listener of `ctx` reach `node`.
    pub fn endpoint_of(&self, node: BrokerId, ctx: &Context) -> Option<NodeEndpoint> {
        let committed = self.committed.borrow();
        let registration = committed.image.broker(node)?;
        let wanted = &ctx.connection.listener.name;
        let listener = registration.listeners.iter().find(|listener| listener.name == *wanted)?;
        Some(NodeEndpoint {
            id: node,
            host: listener.host.clone(),
            port: listener.port,
            rack: registration.rack.clone(),
        })
    }

    /// The moment until which a request may take that says how long it may.
    pub fn deadline(&self, timeout_ms: i32) -> Monotonic {
        let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
        self.env.clock.monotonic().after(timeout)
    }

    /// Whether this node leads the metadata quorum.
    pub fn leads_quorum(&self) -> bool {
        self.metadata.leads(self.metadata.leadership())
    }

    /// Whether only controllers' requests are answered on the listener of this name.
    pub fn is_controller_listener(&self, name: &str) -> bool {
        self.options.controller_listeners.contains(name)
    }

    /// The broker that clients should send changes of metadata to: the leader of the quorum.
    pub fn controller_id(&self) -> BrokerId {
        self.metadata.leadership().leader.unwrap_or(BrokerId::NONE)
    }

    /// Whether the committed image has this partition.
    pub fn exists(&self, topic: &str, partition: i32) -> bool {
        let committed = self.committed.borrow();
        let topic = committed.image.topic_named(topic);
        topic.is_some_and(|topic| topic.partitions.get(partition).is_some())
    }

    /// Runs a read from a segment where it blocks nobody.
    pub async fn run_read(&self, job: SegmentRead) -> Result<Fetched, ReadError> {
        self.run_blocking_read(move || job.run()).await
    }

    /// As [`Broker::run_read`], for any read.
    pub async fn run_blocking_read<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let _place = self.reads.acquire().await;
        chronik_env::blocking(read).await
    }
}
