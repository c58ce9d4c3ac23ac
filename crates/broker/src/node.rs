//! A node from start to stop: the order in which its parts come and go.
//!
//! ```text
//! start:  identity ► storage (journal replayed) ► completions ► metadata quorum ► controller
//!         ► registered and unfenced ► background ► ready
//! stop:   no new requests ► groups and controller ► metadata quorum ► storage sealed
//! ```

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chronik_env::Env;
use chronik_log::Storage;
use chronik_net::{Connection, Frame, Reply, Service};
use chronik_peer::{IdentityCell, PeerService, Peers};
use chronik_raft::bootstrap::{Decision, Role};
use chronik_raft::{Member, MetadataNode};
use chronik_types::Uuid;
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::registry::Registry;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::controller_runtime::{self, ControllerError};
use crate::coordinator_runtime::Groups;
use crate::fetch_sessions::FetchSessions;
use crate::identity::{self, Identity, IdentityError};
use crate::incarnations::Incarnations;
use crate::internal_service::InternalService;
use crate::metrics::{self, ImageMetrics, Metrics, StorageMetrics};
use crate::options::Options;
use crate::partitions::Partitions;
use crate::replication::Replication;
use crate::topic_settings::SettingsSource;
use crate::{Broker, READS_MAX, api, background, router};

/// How long a start may wait for the metadata quorum and its own registration.
const REGISTRATION_PATIENCE: Duration = Duration::from_secs(60);

/// A node could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A data directory belongs to somebody else or cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The storage could not be opened.
    #[error(transparent)]
    Storage(#[from] chronik_log::OpenError),
    /// The metadata quorum could not be started.
    #[error(transparent)]
    Metadata(#[from] chronik_raft::StartError),
    /// The incarnation of this start could not be written down.
    #[error("the file `incarnations` of the first data directory: {0}")]
    Incarnations(#[from] std::io::Error),
    /// The controller refused this broker.
    #[error("the controller did not register this broker: {0}")]
    Registration(#[from] ControllerError),
    /// The committed metadata are those of another cluster.
    #[error(
        "the metadata log is of cluster {found}, but meta.properties names {expected}; the data directory was mixed up with another one"
    )]
    ForeignMetadata {
        /// What the metadata log says.
        found: String,
        /// What `meta.properties` says.
        expected: Uuid,
    },
}

/// A running node.
pub struct Node {
    broker: Arc<Broker>,
    registry: Arc<Mutex<Registry>>,
    stop: watch::Sender<bool>,
    completions: JoinHandle<()>,
    controller: JoinHandle<()>,
}

impl Node {
    /// Starts a node; when this returns it serves.
    ///
    /// # Errors
    /// See [`StartError`]; nothing runs then.
    pub async fn start(env: Env, options: Options) -> Result<Self, StartError> {
        let identity = identity::establish(&env, options.node_id, &options.log_dirs)?;
        let (storage, completions, report) =
            Storage::open(env.clone(), storage_options(&options, &identity))?;
        tracing::info!(
            clean = report.clean,
            lossy = report.lossy,
            logs = report.logs,
            replayed_bytes = report.replayed_bytes,
            "storage open"
        );
        let completions = tokio::spawn(completions.run());
        let peers = peers(&env, &options, &identity);
        let quorum = raft_options(&options, &identity, peers.clone());
        let metadata = MetadataNode::start(env.clone(), storage.clone(), quorum).await?;
        let (metrics, registry) = Metrics::new();
        let (handle, controller) = controller_runtime::start(
            env.clone(),
            metadata.clone(),
            &options,
            metrics.cluster.clone(),
        );
        metrics::register(
            &mut registry.lock(),
            Box::new(ImageMetrics {
                metadata: metadata.clone(),
                node_id: options.node_id,
                static_configs: Arc::clone(&options.static_configs),
            }),
        );
        metrics::register(
            &mut registry.lock(),
            Box::new(StorageMetrics { storage: storage.clone() }),
        );
        let (stop, stopped) = watch::channel(false);
        let replication = Replication::new(
            options.node_id,
            options.cluster.replica_lag_max,
            Arc::clone(&env.clock),
            peers,
            stopped.clone(),
        );
        let parts = Parts { storage, metadata, controller: handle, metrics, replication };
        let broker = Arc::new(assemble(env, options, &identity, parts));
        let node = Self { broker, registry, stop, completions, controller };
        node.register(&identity, report.lossy).await?;
        Groups::attach(&node.broker);
        background::spawn(&node.broker, &stopped);
        Ok(node)
    }

    /// Registers this incarnation with the controller and waits until the image has it unfenced.
    async fn register(&self, identity: &Identity, lossy: bool) -> Result<(), StartError> {
        let broker = &self.broker;
        let deadline = broker.env.clock.monotonic().after(REGISTRATION_PATIENCE);
        let mut incarnations = Incarnations::begin(&broker.env, first_dir(&broker.options))?;
        broker
            .controller
            .register(&broker.options, identity, &incarnations, lossy, deadline)
            .await?;
        incarnations.registered(&broker.env)?;
        let found = broker.committed.borrow().image.cluster_id().map(str::to_owned);
        match found {
            Some(found) if found != identity.cluster_id.to_string() => {
                Err(StartError::ForeignMetadata { found, expected: identity.cluster_id })
            }
            _ => Ok(()),
        }
    }

    /// What answers the requests of the listeners.
    #[must_use]
    pub fn service(&self) -> Arc<impl Service + use<>> {
        Arc::new(Requests { broker: Arc::clone(&self.broker) })
    }

    /// What answers the other nodes.
    #[must_use]
    pub fn internal_service(&self) -> Arc<dyn PeerService> {
        Arc::new(InternalService { broker: Arc::clone(&self.broker) })
    }

    /// The metrics of this node.
    #[must_use]
    pub fn registry(&self) -> Arc<Mutex<Registry>> {
        Arc::clone(&self.registry)
    }

    /// Adds metrics to this node's; their names are put under `chronik_`.
    pub fn register_metrics(&self, collector: Box<dyn Collector>) {
        metrics::register(&mut self.registry.lock(), collector);
    }

    /// Flushes every log to its segments.
    ///
    /// # Errors
    /// When a segment could not be written.
    pub async fn flush_all(&self) -> Result<(), chronik_log::FlushError> {
        let storage = self.broker.storage.clone();
        chronik_env::blocking(move || storage.flush_all()).await
    }

    /// Whether this node serves: its storage runs and its quorum has a leader.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let stopped = self.broker.storage.stopped().borrow().is_some();
        self.broker.metadata.leadership().leader.is_some() && !stopped
    }

    /// Completes with the reason if the storage stops: a failed fsync, or a disk that is gone.
    /// Nothing can be acknowledged after that, so the process must end.
    pub async fn stopped(&self) -> String {
        let mut stopped = self.broker.storage.stopped();
        let reason = stopped.wait_for(Option::is_some).await.map(|reason| reason.clone());
        match reason {
            Ok(Some(reason)) => reason.to_string(),
            _ => "the storage is gone".to_owned(),
        }
    }

    /// Stops in order. What was acknowledged is on disk whether or not this completes.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        self.controller.abort();
        self.broker.metadata.shutdown().await;
        let storage = self.broker.storage.clone();
        chronik_env::blocking(move || storage.shutdown()).await;
        self.completions.abort();
    }
}

/// A quorum of this node alone.
fn raft_options(options: &Options, identity: &Identity, peers: Peers) -> chronik_raft::Options {
    let directory = identity.directories.first().copied().unwrap_or_default();
    let member = Member { directory, endpoint: String::new(), stands: true };
    let founders = BTreeMap::from([(options.node_id, member.clone())]);
    chronik_raft::Options {
        node_id: options.node_id,
        member,
        snapshot_dir: first_dir(options).join("metadata-snapshots"),
        times: options.election,
        voters: vec![options.node_id],
        decision: Decision { cluster_id: identity.cluster_id, role: Role::Initialise(founders) },
        peers,
    }
}

fn first_dir(options: &Options) -> &Path {
    options.log_dirs.first().map_or(Path::new("."), |dir| dir.as_path())
}

fn storage_options(options: &Options, identity: &Identity) -> chronik_log::Options {
    let dir = options.journal_dir.clone();
    let dir = dir.unwrap_or_else(|| first_dir(options).join("journal"));
    let directory = identity.directories.first().copied().unwrap_or_default();
    let mut journal =
        chronik_journal::Options::new(dir, identity.cluster_id, options.node_id, directory);
    journal.file_bytes = options.journal_file_bytes;
    journal.max_bytes = options.journal_max_bytes;
    journal.group_bytes_max = options.journal_group_max_bytes;
    journal.recycle = options.journal_recycle;
    journal.free_bytes_floor = options.free_bytes_floor;
    let mut storage = chronik_log::Options::new(options.log_dirs.clone(), journal);
    storage.unflushed_bytes_max = options.unflushed_bytes_max;
    storage.cached_bytes_max = options.cached_bytes_max;
    storage.open_files_max = options.open_files_max;
    storage
}

/// This node among the others.
fn peers(env: &Env, options: &Options, identity: &Identity) -> Peers {
    let identity = chronik_peer::Identity {
        cluster_id: Some(identity.cluster_id),
        node_id: options.node_id,
        directory_id: identity.directories.first().copied().unwrap_or_default(),
        incarnation: env.rng.uuid(),
    };
    let identity = Arc::new(IdentityCell::new(identity));
    Peers::new(env.clone(), identity, chronik_peer::Options::default())
}

/// What a broker is made of.
struct Parts {
    storage: Storage,
    metadata: MetadataNode,
    controller: controller_runtime::ControllerHandle,
    metrics: Metrics,
    replication: Replication,
}

fn assemble(env: Env, options: Options, identity: &Identity, parts: Parts) -> Broker {
    let Parts { storage, metadata, controller, metrics, replication } = parts;
    let committed = metadata.committed();
    let settings = SettingsSource::new(
        options.node_id,
        Arc::clone(&options.static_configs),
        options.producer_id_expiration_ms,
        options.decompressed_batch_max_bytes,
    );
    Broker {
        partitions: Partitions::new(
            options.node_id,
            storage.clone(),
            committed.clone(),
            settings,
            Arc::clone(&replication.leading),
        ),
        replication,
        groups: Groups::new(&options),
        fetch_sessions: Mutex::new(FetchSessions::new(options.fetch_session_slots)),
        producer_ids: api::init_producer_id::ProducerIds::default(),
        reads: Semaphore::new(READS_MAX),
        cluster_id: identity.cluster_id,
        env,
        options,
        storage,
        metadata,
        committed,
        controller,
        metrics,
    }
}

/// The broker as its listeners see it.
struct Requests {
    broker: Arc<Broker>,
}

impl Service for Requests {
    fn call<'s>(
        &'s self,
        connection: &'s Arc<Connection>,
        frame: Frame,
    ) -> Pin<Box<dyn Future<Output = Reply> + Send + 's>> {
        Box::pin(router::route(&self.broker, connection, frame))
    }
}
