//! Keys of partition replication.

use super::broker_table;
use crate::keys::types::ConfigKey;

broker_table! { REPLICATION;
    "replica.lag.time.max.ms": Long = Some("30000"), Any, ReadOnly,
        "How long a follower may lag before it leaves the in-sync set.";
    "replica.socket.timeout.ms": Int = Some("30000"), Any, ReadOnly,
        "How long a replication request may take.";
    "replica.socket.receive.buffer.bytes": Int = Some("65536"), Any, ReadOnly,
        "The receive buffer of a replication connection.";
    "replica.fetch.max.bytes": Int = Some("1048576"), AtLeast(0), ReadOnly,
        "The most bytes a follower asks for in one partition.";
    "replica.fetch.response.max.bytes": Int = Some("10485760"), AtLeast(0), ReadOnly,
        "The most bytes a follower asks for in one answer.";
    "replica.fetch.wait.max.ms": Int = Some("500"), Any, ReadOnly,
        "Accepted for compatibility: leaders push batches as they are appended.";
    "replica.fetch.min.bytes": Int = Some("1"), Any, ReadOnly,
        "Accepted for compatibility: leaders push batches as they are appended.";
    "replica.fetch.backoff.ms": Int = Some("1000"), AtLeast(0), ReadOnly,
        "The wait before a failed replication stream is opened again.";
    "replica.high.watermark.checkpoint.interval.ms": Long = Some("5000"), Any, ReadOnly,
        "How often high watermarks are saved.";
    "replica.selector.class": String = None, Any, ReadOnly,
        "How a fetching consumer is given a replica near to it.";
    "num.replica.fetchers": Int = Some("1"), Any, ClusterWide,
        "Accepted for compatibility: one stream for each pair of brokers carries all partitions.";
    "num.replica.alter.log.dirs.threads": Int = None, Any, ReadOnly,
        "How many replicas move between data directories at a time.";
    "replication.quota.window.num": Int = Some("11"), AtLeast(1), ReadOnly,
        "How many windows a replication quota looks back.";
    "replication.quota.window.size.seconds": Int = Some("1"), AtLeast(1), ReadOnly,
        "The length of one window of a replication quota.";
    "alter.log.dirs.replication.quota.window.num": Int = Some("11"), AtLeast(1), ReadOnly,
        "How many windows the quota of moves between data directories looks back.";
    "alter.log.dirs.replication.quota.window.size.seconds": Int = Some("1"), AtLeast(1), ReadOnly,
        "The length of one window of the quota of moves between data directories.";
    "leader.replication.throttled.rate": Long = Some("9223372036854775807"), AtLeast(0), ClusterWide,
        "How many bytes a second the throttled leaders of a broker send to followers.";
    "follower.replication.throttled.rate": Long = Some("9223372036854775807"), AtLeast(0), ClusterWide,
        "How many bytes a second the throttled followers of a broker receive.";
    "replica.alter.log.dirs.io.max.bytes.per.second": Long = Some("9223372036854775807"), AtLeast(0), ClusterWide,
        "How many bytes a second moves between data directories take.";
}
