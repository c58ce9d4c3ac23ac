//! This node as one of a cluster.

use std::time::Duration;

use chronik_types::BrokerId;

use super::{HostPort, values::Values};

/// What this node is in its cluster, and how long things may take there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// `process.roles`.
    pub roles: Roles,
    /// Where the metadata quorum is.
    pub quorum: Quorum,
    /// `inter.broker.listener.name`, or the listener it stands for when not set; `None` on a node
    /// without a listener for clients.
    pub inter_broker_listener: Option<String>,
    /// `controller.quorum.election.timeout.ms`.
    pub election_timeout: Duration,
    /// `metadata.leader.ack.max.lag.ms`.
    pub leader_ack_max_lag: Duration,
    /// `metadata.log.max.entries.between.snapshots`.
    pub snapshot_every: u64,
    /// `broker.heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `broker.session.timeout.ms`.
    pub session_timeout: Duration,
    /// `replica.lag.time.max.ms`.
    pub replica_lag_max: Duration,
    /// `controlled.shutdown.enable`.
    pub controlled_shutdown: bool,
    /// `auto.leader.rebalance.enable` with its interval and percentage; `None`: never.
    pub leader_rebalance: Option<LeaderRebalance>,
    /// Whether consumers are sent to a replica in their rack (`replica.selector.class`).
    pub rack_aware_fetch: bool,
}

/// `process.roles`; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// It has partitions and serves clients.
    pub broker: bool,
    /// It may lead the cluster's metadata.
    pub controller: bool,
}

/// Where the metadata quorum is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quorum {
    /// `controller.quorum.voters`; this node itself where nothing names others, none where the
    /// quorum has to be found through the bootstrap servers.
    pub voters: Vec<Voter>,
    /// `controller.quorum.bootstrap.servers`.
    pub bootstrap_servers: Vec<HostPort>,
}

/// One voter of the metadata quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// Its `node.id`.
    pub id: BrokerId,
    /// Its controller listener; without host for a node that is alone and has none.
    pub address: HostPort,
}

/// How leaderships move back to preferred leaders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderRebalance {
    /// `leader.imbalance.check.interval.seconds`.
    pub check_interval: Duration,
    /// `leader.imbalance.per.broker.percentage`.
    pub imbalance_percentage: u64,
}

/// Below this an election is not over before the next one begins.
const ELECTION_TIMEOUT_MIN: Duration = Duration::from_millis(50);

pub(super) fn resolve(
    values: &mut Values<'_>,
    roles: Roles,
    quorum: Quorum,
    inter_broker_listener: Option<String>,
) -> Cluster {
    let cluster = Cluster {
        roles,
        quorum,
        inter_broker_listener,
        election_timeout: values.millis("controller.quorum.election.timeout.ms"),
        leader_ack_max_lag: values.millis("metadata.leader.ack.max.lag.ms"),
        snapshot_every: values.count("metadata.log.max.entries.between.snapshots"),
        heartbeat_interval: values.millis("broker.heartbeat.interval.ms"),
        session_timeout: values.millis("broker.session.timeout.ms"),
        replica_lag_max: values.millis("replica.lag.time.max.ms"),
        controlled_shutdown: values.flag("controlled.shutdown.enable"),
        leader_rebalance: leader_rebalance(values),
        rack_aware_fetch: rack_aware_fetch(values),
    };
    check_times(values, &cluster);
    cluster
}

fn leader_rebalance(values: &Values<'_>) -> Option<LeaderRebalance> {
    values.flag("auto.leader.rebalance.enable").then(|| LeaderRebalance {
        check_interval: Duration::from_secs(
            values.count("leader.imbalance.check.interval.seconds"),
        ),
        imbalance_percentage: values.count("leader.imbalance.per.broker.percentage"),
    })
}

fn rack_aware_fetch(values: &mut Values<'_>) -> bool {
    const KEY: &str = "replica.selector.class";
    const RACK: &str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";
    const LEADER: &str = "org.apache.kafka.common.replica.LeaderSelector";
    match values.set_text(KEY).as_deref() {
        None | Some(LEADER) => false,
        Some(RACK) => true,
        Some(other) => {
            let reason = format!(
                "{other} cannot be loaded, being a Java class; set {RACK} to let consumers fetch \
                 in their own rack, or drop the key"
            );
            values.refuse(KEY, reason);
            false
        }
    }
}

fn check_times(values: &mut Values<'_>, cluster: &Cluster) {
    let heartbeat = cluster.heartbeat_interval;
    if heartbeat.is_zero() {
        let reason = "a broker cannot say all the time that it lives; set 2000, or less than half \
                      of broker.session.timeout.ms";
        values.refuse("broker.heartbeat.interval.ms", reason.to_owned());
    } else if heartbeat >= cluster.session_timeout {
        let reason = format!(
            "a broker would be fenced between two heartbeats; set more than \
             broker.heartbeat.interval.ms={}, better four times as much",
            heartbeat.as_millis()
        );
        values.refuse("broker.session.timeout.ms", reason);
    }
    if cluster.election_timeout < ELECTION_TIMEOUT_MIN {
        let reason = format!("set at least {}", ELECTION_TIMEOUT_MIN.as_millis());
        values.refuse("controller.quorum.election.timeout.ms", reason);
    }
    if cluster.replica_lag_max.is_zero() {
        let reason = "every follower would always be late; set 30000, or as long as producers may \
                      wait for a follower that has stopped";
        values.refuse("replica.lag.time.max.ms", reason.to_owned());
    }
}
