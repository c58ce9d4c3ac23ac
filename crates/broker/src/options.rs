//! What a broker needs to know before it starts; the server builds it from the configuration.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chronik_config::{Cluster, keys::ConfigMap};
use chronik_coordinator::CoordinatorConfig;
use chronik_raft::ElectionTimes;
use chronik_types::BrokerId;

/// A listener as others are told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The listener's name, such as `PLAINTEXT`.
    pub listener: String,
    /// The advertised host.
    pub host: String,
    /// The advertised port.
    pub port: u16,
}

/// See the module. Fields named like Kafka's keys mean what those mean.
#[derive(Clone, Debug)]
pub struct Options {
    /// `node.id`.
    pub node_id: BrokerId,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// Roles, quorum, timeouts of the cluster.
    pub cluster: Cluster,
    /// The advertised listeners for clients; none without the role of a broker.
    pub endpoints: Vec<Endpoint>,
    /// Where the other nodes reach this one: its controller listener if it has one, else its
    /// inter-broker listener; `None` on a node that is to stay alone.
    pub internal: Option<Endpoint>,
    /// The names of the listeners on which only controllers' requests are answered.
    pub controller_listeners: BTreeSet<String>,
    /// `log.dirs`; the first one also holds the metadata log.
    pub log_dirs: Vec<PathBuf>,
    /// Where the journal is (`journal.dir`); in the first of `log_dirs` unless it is set.
    pub journal_dir: Option<PathBuf>,
    /// The size beyond which clients wait for the journal to be flushed (`journal.max.bytes`).
    pub journal_max_bytes: u64,
    /// The size of a journal file (`journal.file.bytes`).
    pub journal_file_bytes: u32,
    /// The most bytes of one group of the journal (`journal.group.max.bytes`).
    pub journal_group_max_bytes: u32,
    /// Whether journal files are written again instead of deleted (`journal.recycle`).
    pub journal_recycle: bool,
    /// Whether the journal is written past the page cache (`journal.direct.io`).
    pub journal_direct_io: bool,
    /// The most bytes that the records of one batch may take decompressed.
    pub decompressed_batch_max_bytes: usize,
    /// Segment and index files kept open at once.
    pub open_files_max: usize,
    /// Appends that may be in memory only because no segment has them yet.
    pub unflushed_bytes_max: usize,
    /// Flushed batches kept in memory for readers near the end.
    pub cached_bytes_max: usize,
    /// Free space of the disk below which clients' records are refused.
    pub free_bytes_floor: u64,
    /// Elections and heartbeats of the metadata quorum.
    pub election: ElectionTimes,
    /// Every key that was set in a file, the environment or on the command line.
    pub static_configs: Arc<ConfigMap>,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `fetch.max.bytes`.
    pub fetch_max_bytes: usize,
    /// `max.incremental.fetch.session.cache.slots`.
    pub fetch_session_slots: usize,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: i64,
    /// `log.retention.check.interval.ms`.
    pub retention_check: Duration,
    /// Groups: timeouts, sizes, retention of offsets.
    pub groups: CoordinatorConfig,
}

impl Options {
    /// The controller's part.
    pub(crate) fn controller(&self) -> chronik_controller::Options {
        chronik_controller::Options::new(self.node_id, Arc::clone(&self.static_configs))
    }
}
