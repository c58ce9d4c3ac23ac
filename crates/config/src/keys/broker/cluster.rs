//! Keys of the node, the cluster, its controller and its metadata log.

use super::broker_table;
use crate::keys::types::ConfigKey;

broker_table! { CLUSTER;
    "node.id": Int = Some("1"), AtLeast(0), ReadOnly,
        "The number of this node; unique in the cluster.";
    "broker.id": Int = Some("-1"), Any, ReadOnly,
        "The older name of node.id; if both are set they must agree.";
    "process.roles": List = Some("broker,controller"), EachOf(&["broker", "controller"]), ReadOnly,
        "What this node does: broker, controller, or both.";
    "broker.rack": String = None, Any, ReadOnly,
        "The rack of this broker; replicas of a partition are spread over racks.";
    "controller.quorum.voters": List = Some(""), Any, ReadOnly,
        "The voters of the metadata quorum, as id@host:port.";
    "controller.quorum.bootstrap.servers": List = Some(""), Any, ReadOnly,
        "Where to find the metadata quorum, as host:port.";
    "controller.listener.names": String = None, Any, ReadOnly,
        "The listeners that controllers use.";
    "controller.quorum.election.timeout.ms": Int = Some("1000"), AtLeast(0), ReadOnly,
        "How long a voter waits for a leader of the metadata quorum before it stands for election.";
    "controller.quorum.election.backoff.max.ms": Int = Some("1000"), AtLeast(0), ReadOnly,
        "The longest random wait before a lost election is repeated.";
    "controller.quorum.fetch.timeout.ms": Int = Some("2000"), AtLeast(0), ReadOnly,
        "How long a leader of the metadata quorum may be out of touch with a majority before it resigns.";
    "controller.quorum.request.timeout.ms": Int = Some("2000"), AtLeast(0), ReadOnly,
        "How long a request between members of the metadata quorum may take.";
    "controller.quorum.retry.backoff.ms": Int = Some("20"), AtLeast(0), ReadOnly,
        "The wait before a failed request between members of the metadata quorum is repeated.";
    "controller.quorum.append.linger.ms": Int = Some("25"), AtLeast(0), ReadOnly,
        "Accepted for compatibility: metadata records are gathered while the disk is busy, never held back.";
    "controller.socket.timeout.ms": Int = Some("30000"), Any, ReadOnly,
        "How long a request to the controller may take.";
    "controller.quota.window.num": Int = Some("11"), AtLeast(1), ReadOnly,
        "How many windows the controller mutation quota looks back.";
    "controller.quota.window.size.seconds": Int = Some("1"), AtLeast(1), ReadOnly,
        "The length of one window of the controller mutation quota.";
    "broker.heartbeat.interval.ms": Int = Some("2000"), Any, ReadOnly,
        "How often a broker tells the controller that it is alive.";
    "broker.session.timeout.ms": Int = Some("9000"), Any, ReadOnly,
        "How long a broker may be silent before it is fenced.";
    "initial.broker.registration.timeout.ms": Int = Some("60000"), Any, ReadOnly,
        "How long a starting broker tries to register before it gives up.";
    "controlled.shutdown.enable": Bool = Some("true"), Any, ReadOnly,
        "Move leaderships away before this broker stops.";
    "auto.leader.rebalance.enable": Bool = Some("true"), Any, ReadOnly,
        "Move leaderships back to preferred leaders from time to time.";
    "leader.imbalance.check.interval.seconds": Long = Some("300"), AtLeast(1), ReadOnly,
        "How often the balance of leaderships is looked at.";
    "unclean.leader.election.enable": Bool = Some("false"), Any, ClusterWide,
        "Let a replica outside the in-sync set lead when no other is left, at the price of lost records.";
    "default.replication.factor": Int = Some("1"), Any, ReadOnly,
        "The replicas of a topic created without a replication factor.";
    "num.partitions": Int = Some("1"), AtLeast(1), ReadOnly,
        "The partitions of a topic created without a number of them.";
    "auto.create.topics.enable": Bool = Some("true"), Any, ReadOnly,
        "Create a topic when a client asks for the metadata of one that does not exist.";
    "delete.topic.enable": Bool = Some("true"), Any, ReadOnly,
        "Whether topics may be deleted.";
    "create.topic.policy.class.name": Class = None, Any, ReadOnly,
        "Accepted for compatibility: Java policies cannot be loaded.";
    "alter.config.policy.class.name": Class = None, Any, ReadOnly,
        "Accepted for compatibility: Java policies cannot be loaded.";
    "background.threads": Int = Some("10"), AtLeast(1), ClusterWide,
        "Accepted for compatibility: background work shares one pool.";
    "metadata.log.dir": String = None, Any, ReadOnly,
        "Accepted for compatibility: the metadata log lives in the first of log.dirs.";
    "metadata.log.segment.bytes": Int = Some("1073741824"), AtLeast(8388608), ReadOnly,
        "Accepted for compatibility: a segment of the metadata log has 64 MiB.";
    "metadata.log.segment.ms": Long = Some("604800000"), Any, ReadOnly,
        "Accepted for compatibility: segments of the metadata log do not age.";
    "metadata.log.max.record.bytes.between.snapshots": Long = Some("20971520"), AtLeast(1), ReadOnly,
        "Accepted for compatibility: snapshots follow metadata.log.max.entries.between.snapshots.";
    "metadata.log.max.snapshot.interval.ms": Long = Some("3600000"), AtLeast(0), ReadOnly,
        "Accepted for compatibility: snapshots follow metadata.log.max.entries.between.snapshots.";
    "metadata.max.idle.interval.ms": Int = Some("500"), AtLeast(0), ReadOnly,
        "Accepted for compatibility: an idle controller writes nothing.";
    "metadata.max.retention.bytes": Long = Some("104857600"), Any, ReadOnly,
        "Accepted for compatibility: a snapshot and a quarter of the entries between two are kept.";
    "metadata.max.retention.ms": Long = Some("604800000"), Any, ReadOnly,
        "Accepted for compatibility: a snapshot and a quarter of the entries between two are kept.";
    "metric.reporters": List = Some(""), Any, ClusterWide,
        "Accepted for compatibility: metrics are served by the admin listener.";
    "metrics.num.samples": Int = Some("2"), AtLeast(1), ReadOnly,
        "Accepted for compatibility: metrics are counters and histograms.";
    "metrics.recording.level": String = Some("INFO"), Any, ReadOnly,
        "Accepted for compatibility: every metric is always recorded.";
    "metrics.sample.window.ms": Long = Some("30000"), AtLeast(1), ReadOnly,
        "Accepted for compatibility: metrics are counters and histograms.";
    "kafka.metrics.polling.interval.secs": Int = Some("10"), AtLeast(1), ReadOnly,
        "Accepted for compatibility: metrics are served by the admin listener.";
    "kafka.metrics.reporters": List = Some(""), Any, ReadOnly,
        "Accepted for compatibility: metrics are served by the admin listener.";
    "telemetry.max.bytes": Int = Some("1048576"), AtLeast(1), ReadOnly,
        "The largest block of metrics a client may push.";
    "request.timeout.ms": Int = Some("30000"), Any, ReadOnly,
        "How long a request to another node may take before it counts as failed.";
}
