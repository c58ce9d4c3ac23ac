//! What a seed stands for: the cluster, the workload, the faults. Made before the run.

use std::fmt::Write as _;
use std::time::Duration;

use chronik_env::{Latency, Rng};
use chronik_types::Acks;

use super::args::Args;
use super::faults::{self, Fault, Script};
use super::history::NodeId;
use super::node::{CLIENT_PORT, CONTROLLER_PORT, host_name};

/// One run.
pub struct Plan {
    pub nodes: u64,
    /// The first so many of them vote on the metadata.
    pub voters: u64,
    /// Whether a topic is acknowledged when the leader of the metadata has it.
    pub fast_path: bool,
    pub topics: Vec<TopicPlan>,
    pub producers: Vec<ProducerPlan>,
    /// Machines on which the clients run.
    pub client_hosts: u64,
    pub consumers: u64,
    pub committers: u64,
    /// Operators whose topics come and go while the faults are on.
    pub admins: Vec<AdminPlan>,
    /// Whether voters come and go meanwhile.
    pub voter_changes: bool,
    /// How long a message takes, at least and at most.
    pub network: (Duration, Duration),
    pub disk: Latency,
    pub script: Script,
    /// How long faults may happen.
    pub chaos: Duration,
    pub sizes: Sizes,
    settings: String,
}

/// A topic that is there from the beginning.
#[derive(Clone, Debug)]
pub struct TopicPlan {
    pub name: String,
    pub partitions: i32,
    pub replication: i16,
    pub min_isr: i32,
}

/// A producer.
#[derive(Clone, Copy, Debug)]
pub struct ProducerPlan {
    pub acks: Acks,
    pub idempotent: bool,
    /// Between two batches, on average.
    pub pause: Duration,
    pub records_max: u64,
    pub value_bytes_max: u64,
}

/// An operator who creates and deletes topics.
#[derive(Clone, Copy, Debug)]
pub struct AdminPlan {
    /// Between two requests, on average.
    pub pause: Duration,
    /// Topics at once, at most.
    pub topics_max: usize,
    /// Whether there is hardly a pause.
    pub is_hasty: bool,
}

/// The number of these acks on the wire.
pub fn wire(acks: Acks) -> i16 {
    match acks {
        Acks::None => 0,
        Acks::Leader => 1,
        Acks::All => -1,
    }
}

/// `from` to `to`, both included.
pub fn between(rng: &Rng, from: u64, to: u64) -> u64 {
    from + rng.below(to - from + 1)
}

impl Plan {
    pub fn of(args: &Args) -> Self {
        let rng = Rng::from_seed(args.seed).fork("plan");
        let nodes = args.nodes.unwrap_or_else(|| match rng.fork("nodes").below(8) {
            0 | 1 => 1,
            // With one that does not vote.
            2 => 4,
            _ => 3,
        });
        let replication = nodes.min(3);
        let topics = (0..between(&rng, 1, 3)).map(|number| TopicPlan {
            name: format!("fixed-{number}"),
            partitions: between(&rng, 1, 4) as i32,
            replication: replication as i16,
            min_isr: if replication == 3 { 2 } else { 1 },
        });
        let topics = topics.collect();
        let producers = (0..between(&rng, 2, 5)).map(|_| producer(&rng)).collect();
        let chaos = Duration::from_secs(between(&rng, 8, 25));
        let fast_path = nodes > 1 && rng.chance(0.4);
        let client_hosts = 2;
        let script = if args.calm {
            Script::new()
        } else {
            faults::script(&rng.fork("faults"), nodes, client_hosts, chaos)
        };
        // With two votes left, a disk that is lost takes the quorum with it.
        let wipes = script.iter().any(|(_, fault)| matches!(fault, Fault::Wipe { .. }));
        let voter_changes = nodes > 2 && !wipes && rng.fork("voters").chance(0.6);
        Self {
            nodes,
            voters: nodes.min(3),
            fast_path,
            topics,
            producers,
            client_hosts,
            consumers: between(&rng, 1, 2),
            committers: rng.below(3),
            admins: admins(&rng),
            voter_changes,
            network: (
                Duration::from_micros(rng.below(500)),
                Duration::from_micros(between(&rng, 500, 5_000)),
            ),
            disk: Latency {
                read: Duration::from_micros(rng.below(200)),
                write: Duration::from_micros(rng.below(1_500)),
                sync: Duration::from_micros(between(&rng, 100, 3_000)),
            },
            script,
            chaos,
            sizes: sizes(&rng),
            settings: settings(&rng, nodes, fast_path),
        }
    }

    /// How many replicas every partition has.
    pub fn replication(&self) -> usize {
        self.nodes.min(3) as usize
    }

    /// Whether a disk is lost.
    pub fn wipes(&self) -> bool {
        self.script.iter().any(|(_, fault)| matches!(fault, Fault::Wipe { .. }))
    }

    /// The configuration of one broker, as its operator would write it.
    pub fn properties(&self, node: NodeId) -> String {
        let mut text = format!(
            "node.id={node}\n\
             log.dirs=/data\n\
             advertised.listeners=PLAINTEXT://{}:{CLIENT_PORT}\n\
             admin.listener=\n",
            host_name(node)
        );
        let clients = format!("PLAINTEXT://0.0.0.0:{CLIENT_PORT}");
        if self.nodes == 1 {
            let _ = writeln!(text, "listeners={clients}");
        } else {
            let voter = |id| format!("{id}@{}:{CONTROLLER_PORT}", host_name(id));
            let voters: Vec<_> = (1..=self.voters).map(voter).collect();
            let controllers = format!("CONTROLLER://0.0.0.0:{CONTROLLER_PORT}");
            let (roles, listeners) = if node <= self.voters {
                ("broker,controller", format!("{clients},{controllers}"))
            } else {
                ("broker", clients)
            };
            let _ = write!(
                text,
                "process.roles={roles}\n\
                 listeners={listeners}\n\
                 controller.quorum.voters={}\n\
                 controller.listener.names=CONTROLLER\n\
                 inter.broker.listener.name=PLAINTEXT\n",
                voters.join(",")
            );
        }
        if self.wipes() {
            // Otherwise the last in-sync replica of the offsets may be the one that is lost.
            text.push_str("min.insync.replicas=2\n");
        }
        text.push_str(&self.settings);
        text
    }
}

fn producer(rng: &Rng) -> ProducerPlan {
    let acks = match rng.below(10) {
        0 => Acks::None,
        1..=3 => Acks::Leader,
        _ => Acks::All,
    };
    ProducerPlan {
        acks,
        idempotent: acks == Acks::All && rng.chance(0.6),
        pause: Duration::from_millis(between(rng, 2, 60)),
        records_max: between(rng, 1, 12),
        value_bytes_max: between(rng, 0, 2_000),
    }
}

/// One who takes his time, if any; now and then several in a hurry, so that metadata are on their
/// way whenever something goes wrong.
fn admins(rng: &Rng) -> Vec<AdminPlan> {
    let one = rng.chance(0.7);
    let rng = rng.fork("admins");
    let is_hasty = rng.chance(0.15);
    let (count, fastest, slowest) = if is_hasty { (3, 10, 80) } else { (1, 150, 1_500) };
    let plan = |_| AdminPlan {
        pause: Duration::from_millis(between(&rng, fastest, slowest)),
        topics_max: 12,
        is_hasty,
    };
    (0..if one { count } else { 0 }).map(plan).collect()
}

/// Sizes so small that everything that happens at their limits happens often: smaller than what
/// operators may set.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub journal_file_bytes: u32,
    pub journal_max_bytes: u64,
    pub unflushed_bytes: usize,
    pub cached_bytes: usize,
    /// Entries of the metadata log between two snapshots.
    pub snapshot_every: u64,
}

fn sizes(rng: &Rng) -> Sizes {
    let journal_file_bytes = 4_096 * between(rng, 16, 64);
    Sizes {
        journal_file_bytes: journal_file_bytes as u32,
        journal_max_bytes: journal_file_bytes * between(rng, 8, 16),
        unflushed_bytes: between(rng, 200_000, 2_000_000) as usize,
        cached_bytes: between(rng, 0, 1_000_000) as usize,
        snapshot_every: between(&rng.fork("snapshots"), 8, 200),
    }
}

fn settings(rng: &Rng, nodes: u64, fast_path: bool) -> String {
    let replication = nodes.min(3);
    let heartbeat = between(rng, 200, 1_000);
    [
        format!("metadata.acks={}", if fast_path { "leader" } else { "quorum" }),
        format!("broker.heartbeat.interval.ms={heartbeat}"),
        format!("broker.session.timeout.ms={}", heartbeat * between(rng, 3, 8)),
        format!("replica.lag.time.max.ms={}", between(rng, 1_000, 10_000)),
        format!("controller.quorum.election.timeout.ms={}", between(rng, 500, 1_500)),
        "journal.free.bytes.floor=0".to_owned(),
        format!("journal.recycle={}", rng.chance(0.9)),
        format!("journal.direct.io={}", rng.fork("direct io").chance(0.7)),
        format!("log.segment.bytes={}", between(rng, 1 << 20, 2 << 20)),
        "offsets.topic.num.partitions=3".to_owned(),
        format!("offsets.topic.replication.factor={replication}"),
        "auto.create.topics.enable=false".to_owned(),
    ]
    .join("\n")
}
