//! A node on its way: from its data directories to a member of its cluster that serves.
//!
//! ```text
//! identity ► [which cluster? ask the voters] ► storage (journal replayed) ► metadata quorum
//!          ► controller ► registered, as long as it takes ► unfenced ► background ► serves
//! ```
//!
//! A node that is the only voter asks nobody: its start needs no network.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chronik_config::Voter;
use chronik_env::Env;
use chronik_log::{StartReport, Storage};
use chronik_net::Service;
use chronik_peer::{IdentityCell, Peers};
use chronik_raft::bootstrap::{self, Answers, BootstrapError, Decision, Local, Newcomer, Role};
use chronik_raft::{LogKept, Member, MetadataNode};
use chronik_types::Uuid;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

use crate::controller_runtime::{self, ControllerHandle};
use crate::coordinator_runtime::Groups;
use crate::fetch_sessions::FetchSessions;
use crate::front::Front;
use crate::identity::{Found, Identity, IdentityError};
use crate::incarnations::Incarnations;
use crate::lifecycle::{Lifecycle, RegistrationError};
use crate::metrics::{self, Metrics};
use crate::node::Node;
use crate::options::{Endpoint, Options};
use crate::partitions::Partitions;
use crate::replication::Replication;
use crate::topic_settings::SettingsSource;
use crate::{Broker, READS_MAX, api, background};

/// A node could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A data directory belongs to somebody else or cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The incarnation of this start could not be written down.
    #[error("the file `incarnations` of the first data directory: {0}")]
    Incarnations(std::io::Error),
    /// Nothing says who votes in the metadata quorum.
    #[error(
        "nobody is known who votes in the metadata quorum; set \
         controller.quorum.voters=id@host:port,…"
    )]
    NoVoters,
    /// The cluster could not be joined.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// The storage could not be opened.
    #[error(transparent)]
    Storage(#[from] chronik_log::OpenError),
    /// The metadata quorum could not be started.
    #[error(transparent)]
    Metadata(#[from] chronik_raft::StartError),
    /// The controller refused this broker.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
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

/// A node that has read who it is, and can be reached by other nodes.
pub struct Starting {
    env: Env,
    options: Options,
    found: Found,
    incarnations: Incarnations,
    peers: Peers,
    own_identity: Arc<IdentityCell>,
    newcomer: Newcomer,
    answers: Answers,
    front: Front,
}

impl Starting {
    /// Reads who this node is. Its [`Self::service`] is to be served from now on: the other nodes
    /// may have to reach it for the start to end.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn prepare(env: Env, options: Options) -> Result<Self, StartError> {
        let found = Found::read(&env, options.node_id, &options.log_dirs)?;
        let incarnations = Incarnations::begin(&env, first_dir(&options));
        let incarnations = incarnations.map_err(StartError::Incarnations)?;
        let directory = found.directories.first().copied().unwrap_or_default();
        let own_identity = Arc::new(IdentityCell::new(chronik_peer::Identity {
            cluster_id: found.cluster_id,
            node_id: options.node_id,
            directory_id: directory,
            incarnation: incarnations.current(),
        }));
        let peers =
            Peers::new(env.clone(), Arc::clone(&own_identity), chronik_peer::Options::default());
        let newcomer = Newcomer {
            node_id: options.node_id,
            directory,
            endpoint: options.internal.as_ref().map(endpoint).unwrap_or_default(),
            voters: options.cluster.quorum.voters.iter().map(voter).collect(),
            without: BTreeSet::new(),
            local: bootstrap::local_state(&env, found.cluster_id, &snapshot_dir(&options)),
        };
        let answers = Answers::new(&newcomer);
        let front = Front::new(peers.clone(), answers.clone(), &options);
        Ok(Self {
            env,
            options,
            found,
            incarnations,
            peers,
            own_identity,
            newcomer,
            answers,
            front,
        })
    }

    /// What answers the requests of the listeners. Those of clients wait until the node serves.
    #[must_use]
    pub fn service(&self) -> Arc<impl Service + use<>> {
        Arc::new(self.front.clone())
    }

    /// Starts the node; when this returns it serves.
    ///
    /// # Errors
    /// See [`StartError`]; nothing runs then.
    pub async fn start(self) -> Result<Node, StartError> {
        let decision = self.decide().await?;
        let identity = self.found.settle(&self.env, decision.cluster_id)?;
        self.own_identity.set_cluster_id(decision.cluster_id);
        let (env, options) = (self.env, self.options);
        let (storage, completions, report) =
            Storage::open(env.clone(), storage_options(&options, &identity))?;
        say_opened(&report);
        let completions = tokio::spawn(completions.run());
        let (stop, stopped) = watch::channel(false);
        background::keep_room(&storage, &stopped);
        let quorum = chronik_raft::Options {
            node_id: options.node_id,
            member: Member {
                directory: self.newcomer.directory,
                endpoint: self.newcomer.endpoint,
                stands: options.cluster.roles.controller,
            },
            snapshot_dir: snapshot_dir(&options),
            times: options.election,
            kept: LogKept::with_snapshots_every(options.cluster.snapshot_every),
            voters: options.cluster.quorum.voters.iter().map(|voter| voter.id).collect(),
            decision,
            peers: self.peers.clone(),
        };
        let metadata = MetadataNode::start(env.clone(), storage.clone(), quorum).await?;
        let (metrics, registry) = Metrics::new();
        let (controller, controlling) = controller_runtime::start(
            env.clone(),
            metadata.clone(),
            self.peers.clone(),
            identity.cluster_id,
            &options,
            metrics.cluster.clone(),
        );
        let lifecycle = Lifecycle::new(
            env.clone(),
            options.clone(),
            &identity,
            metadata.clone(),
            controller.clone(),
            self.incarnations,
            report.lossy,
        );
        let replication = Replication::new(
            options.node_id,
            options.cluster.replica_lag_max,
            Arc::clone(&env.clock),
            self.peers.clone(),
            stopped.clone(),
        );
        let peers = self.peers;
        let parts = Parts { storage, metadata, peers, controller, metrics, replication };
        let broker = Arc::new(assemble(env, options, &identity, parts));
        metrics::register_parts(&mut registry.lock(), &broker);
        self.front.joined(&broker);
        let lifecycle = Arc::new(lifecycle);
        if broker.options.cluster.roles.broker {
            lifecycle.join().await?;
            check_cluster(&broker)?;
            Groups::attach(&broker);
        }
        background::spawn(&broker, &lifecycle, &stopped);
        self.front.serves(&broker);
        Ok(Node { broker, lifecycle, registry, stop, completions, controlling })
    }

    /// Finds out which cluster this node belongs to, and as what it goes on.
    async fn decide(&self) -> Result<Decision, StartError> {
        let me = self.options.node_id;
        let voters = &self.newcomer.voters;
        if voters.is_empty() {
            return Err(StartError::NoVoters);
        }
        if voters.iter().all(|voter| voter.node_id == me) {
            let member = Member {
                directory: self.newcomer.directory,
                endpoint: self.newcomer.endpoint.clone(),
                stands: true,
            };
            let cluster_id = self.found.cluster_id.unwrap_or_else(|| self.env.rng.uuid());
            return Ok(Decision {
                cluster_id,
                role: Role::Initialise(BTreeMap::from([(me, member)])),
            });
        }
        if self.newcomer.local == Local::Empty {
            self.found.keep(&self.env)?;
        }
        let format = |cluster_id| {
            let (found, env, identity) =
                (self.found.clone(), self.env.clone(), Arc::clone(&self.own_identity));
            async move {
                let settled = chronik_env::blocking(move || found.settle(&env, cluster_id)).await;
                settled.map_err(std::io::Error::other)?;
                identity.set_cluster_id(cluster_id);
                Ok(())
            }
        };
        let newcomer = self.newcomer.clone();
        let answers = &self.answers;
        Ok(bootstrap::join(&self.env, &self.peers, newcomer, answers, format).await?)
    }
}

fn say_opened(report: &StartReport) {
    tracing::info!(
        clean = report.clean,
        lossy = report.lossy,
        logs = report.logs,
        replayed_bytes = report.replayed_bytes,
        "storage open"
    );
}

/// The image is caught up by now, so it names the cluster.
fn check_cluster(broker: &Broker) -> Result<(), StartError> {
    let expected = broker.cluster_id;
    match broker.committed.borrow().image.cluster_id() {
        Some(found) if found != expected.to_string() => {
            Err(StartError::ForeignMetadata { found: found.to_owned(), expected })
        }
        _ => Ok(()),
    }
}

fn voter(voter: &Voter) -> bootstrap::Voter {
    let address = &voter.address;
    bootstrap::Voter { node_id: voter.id, endpoint: host_port(&address.host, address.port) }
}

fn endpoint(endpoint: &Endpoint) -> String {
    host_port(&endpoint.host, endpoint.port)
}

/// An IPv6 address stands in brackets.
fn host_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn first_dir(options: &Options) -> &Path {
    options.log_dirs.first().map_or(Path::new("."), |dir| dir.as_path())
}

fn snapshot_dir(options: &Options) -> PathBuf {
    first_dir(options).join("metadata-snapshots")
}

/// Journal files are made of such blocks.
const JOURNAL_BLOCK_BYTES: u32 = 4096;

fn storage_options(options: &Options, identity: &Identity) -> chronik_log::Options {
    let dir = options.journal_dir.clone();
    let dir = dir.unwrap_or_else(|| first_dir(options).join("journal"));
    let directory = identity.directories.first().copied().unwrap_or_default();
    let mut journal =
        chronik_journal::Options::new(dir, identity.cluster_id, options.node_id, directory);
    // What is configured may be smaller than the defaults of what depends on it.
    journal.file_bytes = options.journal_file_bytes / JOURNAL_BLOCK_BYTES * JOURNAL_BLOCK_BYTES;
    journal.first_file_bytes = journal.first_file_bytes.min(journal.file_bytes);
    journal.max_bytes = options.journal_max_bytes;
    journal.reserve_bytes = journal.reserve_bytes.min(journal.max_bytes / 4);
    journal.group_bytes_max = options.journal_group_max_bytes;
    journal.recycle = options.journal_recycle;
    journal.direct = options.journal_direct_io;
    journal.free_bytes_floor = options.free_bytes_floor;
    let mut storage = chronik_log::Options::new(options.log_dirs.clone(), journal);
    storage.unflushed_bytes_max = options.unflushed_bytes_max;
    storage.cached_bytes_max = options.cached_bytes_max;
    storage.open_files_max = options.open_files_max;
    storage
}

/// What a broker is made of.
struct Parts {
    storage: Storage,
    metadata: MetadataNode,
    peers: Peers,
    controller: ControllerHandle,
    metrics: Metrics,
    replication: Replication,
}

fn assemble(env: Env, options: Options, identity: &Identity, parts: Parts) -> Broker {
    let Parts { storage, metadata, peers, controller, metrics, replication } = parts;
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
        peers,
        controller,
        metrics,
    }
}
