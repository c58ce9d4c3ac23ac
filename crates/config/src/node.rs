//! The typed configuration of a node.

mod cluster;
mod endpoint;
mod listeners;
mod quorum;
mod values;

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    num::NonZeroUsize,
    path::PathBuf,
    time::Duration,
};

use chronik_types::BrokerId;

pub use self::cluster::{Cluster, LeaderRebalance, Quorum, Roles, Voter};
pub use self::endpoint::HostPort;

use self::values::Values;
use crate::{ConfigError, Sources, keys::ConfigMap, sources};

/// A configuration that this node can run with. Fields are named after Kafka's keys.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// `node.id`, or `broker.id`.
    pub node_id: BrokerId,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// This node as one of a cluster.
    pub cluster: Cluster,
    /// `listeners` with `advertised.listeners`.
    pub listeners: Vec<Listener>,
    /// `admin.listener` as host and port; `None`: no admin listener.
    pub admin_listener: Option<(String, u16)>,
    /// `log.dirs`, or `log.dir`; at least one.
    pub log_dirs: Vec<PathBuf>,
    /// Connections.
    pub network: Network,
    /// How much memory is used for what.
    pub memory: Memory,
    /// The journal.
    pub journal: Journal,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// Consumer groups.
    pub groups: Groups,
    /// `fetch.max.bytes`.
    pub fetch_max_bytes: usize,
    /// `max.incremental.fetch.session.cache.slots`.
    pub fetch_session_slots: usize,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration: Duration,
    /// `log.retention.check.interval.ms`.
    pub retention_check_interval: Duration,
    /// `log.open.files.max`.
    pub open_files_max: usize,
    /// `worker.threads`; `None`: one for each core.
    pub worker_threads: Option<NonZeroUsize>,
    /// `log.format`.
    pub log_format: LogFormat,
    /// `log.level`: a level, or a filter by module.
    pub log_level: String,
    /// Every key that was set, as text: the static layer of DescribeConfigs.
    pub static_configs: ConfigMap,
    /// What the operator should know: settings that were understood and have no effect.
    pub notices: Vec<String>,
    /// What was made of several keys, as text; for printing.
    pub(crate) derived: BTreeMap<&'static str, String>,
    /// Where each key was set; for printing.
    pub(crate) settings: BTreeMap<String, sources::Setting>,
}

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name, in capitals.
    pub name: String,
    /// The host to bind; empty for every address of the machine.
    pub host: String,
    /// The port to bind; 0 lets the system choose.
    pub port: u16,
    /// The host that others are told.
    pub advertised_host: String,
    /// The port that others are told; 0 for the one that was bound.
    pub advertised_port: u16,
    /// Whether it is one of `controller.listener.names`: for the nodes of the cluster and for
    /// tools that talk to controllers; clients are not told of it.
    pub controller: bool,
    /// Whether the nodes of the cluster use it among themselves.
    pub internal: bool,
}

impl Listener {
    /// The address that others are told.
    #[must_use]
    pub fn advertised(&self) -> HostPort {
        HostPort { host: self.advertised_host.clone(), port: self.advertised_port }
    }
}

/// Settings of connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// `socket.request.max.bytes`.
    pub request_max_bytes: usize,
    /// `max.connections`.
    pub connections_max: usize,
    /// `max.connections.per.ip`.
    pub connections_per_ip_max: usize,
    /// `max.connections.per.ip.overrides`.
    pub connections_per_ip_overrides: HashMap<IpAddr, usize>,
    /// `connections.max.idle.ms`; `None`: for ever.
    pub connections_max_idle: Option<Duration>,
}

/// How much memory is used for what, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// `memory.request.bytes`, or `queued.max.request.bytes`.
    pub request_bytes: usize,
    /// `memory.unflushed.bytes`.
    pub unflushed_bytes: usize,
    /// `memory.cached.bytes`.
    pub cached_bytes: usize,
    /// `memory.decompressed.batch.max.bytes`.
    pub decompressed_batch_max_bytes: usize,
}

/// Settings of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// `journal.dir`; in the first of `log.dirs` when not set.
    pub dir: Option<PathBuf>,
    /// `journal.file.bytes`.
    pub file_bytes: u32,
    /// `journal.max.bytes`.
    pub max_bytes: u64,
    /// `journal.group.max.bytes`.
    pub group_max_bytes: u32,
    /// `journal.recycle`.
    pub recycle: bool,
    /// `journal.direct.io`.
    pub direct_io: bool,
    /// `journal.free.bytes.floor`.
    pub free_bytes_floor: u64,
}

/// Settings of consumer groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    /// `group.min.session.timeout.ms`.
    pub session_timeout_min: Duration,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_max: Duration,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay: Duration,
    /// `group.max.size`.
    pub members_max: usize,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_max: usize,
    /// `offsets.retention.minutes`.
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval: Duration,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Makes a node's configuration of all sources.
///
/// # Errors
/// Every fault there is, in the order of the sources.
pub fn parse(sources: &Sources) -> Result<NodeConfig, Vec<ConfigError>> {
    let mut errors = Vec::new();
    let settings = sources::gather(sources, &mut errors);
    let mut values = Values::new(&settings);
    let node_id = quorum::node_id(&mut values);
    let roles = quorum::roles(&mut values);
    let quorum = quorum::parse(&mut values);
    let own_vote = quorum.voters.iter().find(|voter| voter.id == node_id);
    let own_vote = own_vote.map(|voter| voter.address.clone());
    let listeners = listeners::resolve(&mut values, roles, own_vote.as_ref(), &sources.machine);
    let quorum = quorum::resolve(&mut values, node_id, roles, quorum, &listeners);
    quorum::refuse_what_is_not_there(&mut values);
    let config = NodeConfig {
        node_id,
        rack: values.set_text("broker.rack"),
        cluster: cluster::resolve(&mut values, roles, quorum, listeners.inter_broker),
        listeners: listeners.all,
        admin_listener: listeners::admin(&mut values),
        log_dirs: log_dirs(&mut values),
        network: network(&mut values),
        memory: memory(&mut values, sources.machine.memory_bytes),
        journal: journal(&mut values),
        auto_create_topics: values.flag("auto.create.topics.enable"),
        groups: groups(&mut values),
        fetch_max_bytes: values.size("fetch.max.bytes"),
        fetch_session_slots: values.size("max.incremental.fetch.session.cache.slots"),
        producer_id_expiration: values.millis("producer.id.expiration.ms"),
        retention_check_interval: values.millis("log.retention.check.interval.ms"),
        open_files_max: values.size("log.open.files.max"),
        worker_threads: NonZeroUsize::new(values.size("worker.threads")),
        log_format: match values.text("log.format").as_str() {
            "json" => LogFormat::Json,
            _ => LogFormat::Text,
        },
        log_level: values.text("log.level"),
        static_configs: settings.iter().map(|(k, v)| (k.clone(), v.value.clone())).collect(),
        notices: std::mem::take(&mut values.notices),
        derived: std::mem::take(&mut values.derived),
        settings: BTreeMap::new(),
    };
    errors.extend(values.into_errors());
    if errors.is_empty() { Ok(NodeConfig { settings, ..config }) } else { Err(errors) }
}

fn log_dirs(values: &mut Values<'_>) -> Vec<PathBuf> {
    let (key, text) = match values.set_text("log.dirs") {
        Some(text) => ("log.dirs", text),
        None => ("log.dir", values.text("log.dir")),
    };
    let dirs: Vec<&str> = text.split(',').map(str::trim).collect();
    let mut distinct = dirs.clone();
    distinct.sort_unstable();
    distinct.dedup();
    if dirs.iter().any(|dir| dir.is_empty()) {
        values.refuse(key, "a directory's name is empty".to_owned());
    } else if distinct.len() < dirs.len() {
        values.refuse(key, "a directory is named twice".to_owned());
    }
    values.derived.insert("log.dirs", text.clone());
    dirs.into_iter().map(PathBuf::from).collect()
}

fn network(values: &mut Values<'_>) -> Network {
    let idle = values.number("connections.max.idle.ms");
    Network {
        request_max_bytes: values.size("socket.request.max.bytes"),
        connections_max: values.size("max.connections"),
        connections_per_ip_max: values.size("max.connections.per.ip"),
        connections_per_ip_overrides: listeners::connection_overrides(values),
        connections_max_idle: u64::try_from(idle)
            .ok()
            .filter(|ms| *ms > 0)
            .map(Duration::from_millis),
    }
}

/// The memory of a broker that is given a machine of its own: a sixteenth for requests, an eighth
/// for records on their way to segments, an eighth for recent ones.
fn memory(values: &mut Values<'_>, machine_bytes: u64) -> Memory {
    const MIB: u64 = 1 << 20;
    let request = (machine_bytes / 16).clamp(32 * MIB, 1024 * MIB);
    let unflushed = (machine_bytes / 8).clamp(64 * MIB, 1024 * MIB);
    let cached = (machine_bytes / 8).clamp(32 * MIB, 4096 * MIB);
    let queued = u64::try_from(values.number("queued.max.request.bytes")).ok().filter(|n| *n > 0);
    let mut share = |key: &'static str, share: u64| {
        let bytes = values.set_number(key).unwrap_or(share);
        values.derived.insert(key, bytes.to_string());
        usize::try_from(bytes).unwrap_or(usize::MAX)
    };
    Memory {
        request_bytes: share("memory.request.bytes", queued.unwrap_or(request)),
        unflushed_bytes: share("memory.unflushed.bytes", unflushed),
        cached_bytes: share("memory.cached.bytes", cached),
        decompressed_batch_max_bytes: values.size("memory.decompressed.batch.max.bytes"),
    }
}

fn journal(values: &mut Values<'_>) -> Journal {
    let (file_bytes, max_bytes) =
        (values.count("journal.file.bytes"), values.count("journal.max.bytes"));
    if max_bytes < 4 * file_bytes {
        let reason = format!(
            "{max_bytes} is less than four files of journal.file.bytes={file_bytes}; raise it or \
             make the files smaller"
        );
        values.refuse("journal.max.bytes", reason);
    }
    Journal {
        dir: values.set_text("journal.dir").map(PathBuf::from),
        file_bytes: u32::try_from(file_bytes).unwrap_or(u32::MAX),
        max_bytes,
        group_max_bytes: u32::try_from(values.count("journal.group.max.bytes")).unwrap_or(u32::MAX),
        recycle: values.flag("journal.recycle"),
        direct_io: values.flag("journal.direct.io"),
        free_bytes_floor: values.count("journal.free.bytes.floor"),
    }
}

fn groups(values: &mut Values<'_>) -> Groups {
    let minutes = values.count("offsets.retention.minutes");
    let groups = Groups {
        session_timeout_min: values.millis("group.min.session.timeout.ms"),
        session_timeout_max: values.millis("group.max.session.timeout.ms"),
        initial_rebalance_delay: values.millis("group.initial.rebalance.delay.ms"),
        members_max: values.size("group.max.size"),
        offset_metadata_max: values.size("offset.metadata.max.bytes"),
        offsets_retention: Duration::from_secs(minutes * 60),
        offsets_retention_check_interval: values.millis("offsets.retention.check.interval.ms"),
    };
    if groups.session_timeout_min > groups.session_timeout_max {
        let reason = "it is longer than group.max.session.timeout.ms".to_owned();
        values.refuse("group.min.session.timeout.ms", reason);
    }
    groups
}

#[cfg(test)]
mod tests;
