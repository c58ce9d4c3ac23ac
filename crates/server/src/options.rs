//! From a [`NodeConfig`] to what each crate needs to know.

use std::{sync::Arc, time::Duration};

use chronik_config::NodeConfig;
use chronik_coordinator::CoordinatorConfig;
use chronik_net::ListenerInfo;
use chronik_raft::ElectionTimes;

/// Requests in flight may finish for this long when the node stops. Longer than any produce
/// request takes and than clients let a fetch wait by default.
const DRAIN: Duration = Duration::from_secs(5);

/// Open files that are neither connections nor segments: journal, listeners, the runtime's own.
const FILES_RESERVED: usize = 128;

/// The network's options. Connections are bounded so that storage always finds a file descriptor.
pub(crate) fn net(config: &NodeConfig, open_files: usize) -> chronik_net::Options {
    let network = &config.network;
    let taken = segment_files(config, open_files) + FILES_RESERVED;
    let for_connections = open_files.saturating_sub(taken).max(1);
    chronik_net::Options {
        listeners: config.listeners.iter().map(listener).collect(),
        socket_request_max_bytes: network.request_max_bytes,
        max_connections: network.connections_max.min(for_connections),
        max_connections_per_ip: network.connections_per_ip_max,
        max_connections_per_ip_overrides: network.connections_per_ip_overrides.clone(),
        connections_max_idle: network.connections_max_idle,
        request_memory_bytes: config.memory.request_bytes,
        drain: DRAIN,
        ..chronik_net::Options::default()
    }
}

/// How many segment files may be open: what is configured, but at most a quarter of what this
/// process may have open in all.
fn segment_files(config: &NodeConfig, open_files: usize) -> usize {
    config.open_files_max.min(open_files / 4)
}

fn listener(listener: &chronik_config::Listener) -> chronik_net::ListenerOptions {
    chronik_net::ListenerOptions {
        name: listener.name.clone(),
        host: listener.host.clone(),
        port: listener.port,
        advertised_host: listener.advertised_host.clone(),
        advertised_port: listener.advertised_port,
        internal: listener.internal,
    }
}

/// The broker's options, with the listeners as they were bound, in the order of the configuration.
pub(crate) fn broker(
    config: &NodeConfig,
    bound: &[Arc<ListenerInfo>],
    open_files: usize,
) -> chronik_broker::Options {
    let listeners = || config.listeners.iter().zip(bound);
    let clients = listeners().filter(|(listener, _)| !listener.controller);
    let controllers = listeners().filter(|(listener, _)| listener.controller);
    let internal = listeners().find(|(listener, _)| listener.internal);
    chronik_broker::Options {
        node_id: config.node_id,
        rack: config.rack.clone(),
        cluster: config.cluster.clone(),
        endpoints: clients.map(|(_, info)| endpoint(info)).collect(),
        internal: internal.map(|(_, info)| endpoint(info)),
        controller_listeners: controllers.map(|(listener, _)| listener.name.clone()).collect(),
        log_dirs: config.log_dirs.clone(),
        journal_dir: config.journal.dir.clone(),
        journal_max_bytes: config.journal.max_bytes,
        journal_file_bytes: config.journal.file_bytes,
        journal_group_max_bytes: config.journal.group_max_bytes,
        journal_recycle: config.journal.recycle,
        journal_direct_io: config.journal.direct_io,
        decompressed_batch_max_bytes: config.memory.decompressed_batch_max_bytes,
        open_files_max: segment_files(config, open_files),
        unflushed_bytes_max: config.memory.unflushed_bytes,
        cached_bytes_max: config.memory.cached_bytes,
        free_bytes_floor: config.journal.free_bytes_floor,
        election: ElectionTimes {
            election_min: config.cluster.election_timeout / 2,
            election_max: config.cluster.election_timeout,
            heartbeat: config.cluster.election_timeout / 10,
        },
        static_configs: Arc::new(config.static_configs.clone()),
        auto_create_topics: config.auto_create_topics,
        fetch_max_bytes: config.fetch_max_bytes,
        fetch_session_slots: config.fetch_session_slots,
        producer_id_expiration_ms: i64::try_from(config.producer_id_expiration.as_millis())
            .unwrap_or(i64::MAX),
        retention_check: config.retention_check_interval,
        groups: groups(config),
    }
}

fn endpoint(info: &ListenerInfo) -> chronik_broker::Endpoint {
    chronik_broker::Endpoint {
        listener: info.name.clone(),
        host: info.advertised_host.clone(),
        port: info.advertised_port,
    }
}

fn groups(config: &NodeConfig) -> CoordinatorConfig {
    let groups = &config.groups;
    CoordinatorConfig {
        session_timeout_min: groups.session_timeout_min,
        session_timeout_max: groups.session_timeout_max,
        initial_rebalance_delay: groups.initial_rebalance_delay,
        group_members_max: groups.members_max,
        offset_metadata_max: groups.offset_metadata_max,
        offsets_retention: groups.offsets_retention,
        offsets_retention_check_interval: groups.offsets_retention_check_interval,
        ..CoordinatorConfig::default()
    }
}
