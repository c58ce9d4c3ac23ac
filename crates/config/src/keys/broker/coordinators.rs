//! Keys of group, share and transaction coordinators.

use super::broker_table;
use crate::keys::types::ConfigKey;

broker_table! { COORDINATORS;
    "offsets.topic.num.partitions": Int = Some("50"), AtLeast(1), ReadOnly,
        "The partitions of the topic of committed offsets; not to be changed once it exists.";
    "offsets.topic.replication.factor": Short = Some("3"), AtLeast(1), ReadOnly,
        "The replicas of the topic of committed offsets; at most the live brokers.";
    "offsets.topic.segment.bytes": Int = Some("104857600"), AtLeast(1), ReadOnly,
        "The segment size of the topic of committed offsets.";
    "offsets.topic.compression.codec": Int = Some("0"), Any, ReadOnly,
        "The compression of the topic of committed offsets: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.";
    "offsets.load.buffer.size": Int = Some("5242880"), AtLeast(1), ReadOnly,
        "How many bytes are read at a time when a coordinator loads its state.";
    "offsets.retention.minutes": Int = Some("10080"), AtLeast(1), ReadOnly,
        "How long committed offsets outlive their group.";
    "offsets.retention.check.interval.ms": Long = Some("600000"), AtLeast(1), ReadOnly,
        "How often expired offsets are looked for.";
    "offsets.commit.timeout.ms": Int = Some("5000"), AtLeast(1), ReadOnly,
        "How long an offset commit may wait for its replicas.";
    "offset.metadata.max.bytes": Int = Some("4096"), Any, ReadOnly,
        "The largest text a client may store with a committed offset.";
    "group.min.session.timeout.ms": Int = Some("6000"), Any, ReadOnly,
        "The shortest session timeout a classic group's member may ask for.";
    "group.max.session.timeout.ms": Int = Some("1800000"), Any, ReadOnly,
        "The longest session timeout a classic group's member may ask for.";
    "group.initial.rebalance.delay.ms": Int = Some("3000"), Any, ReadOnly,
        "How long the first rebalance of an empty classic group waits for more members.";
    "group.max.size": Int = Some("2147483647"), AtLeast(1), ReadOnly,
        "The most members of a classic group.";
    "group.coordinator.rebalance.protocols": List = Some("classic"), EachOf(&["consumer", "classic", "share", "streams"]), ReadOnly,
        "The group protocols served.";
    "group.coordinator.threads": Int = Some("4"), AtLeast(1), ReadOnly,
        "Accepted for compatibility: coordinators share one pool of threads.";
    "group.coordinator.append.linger.ms": Int = Some("5"), AtLeast(0), ReadOnly,
        "Accepted for compatibility: records are gathered while the disk is busy, never held back.";
    "group.consumer.session.timeout.ms": Int = Some("45000"), AtLeast(1), ReadOnly,
        "How long a member of a consumer group may be silent before it is removed.";
    "group.consumer.min.session.timeout.ms": Int = Some("45000"), AtLeast(1), ReadOnly,
        "The shortest session timeout of a consumer group.";
    "group.consumer.max.session.timeout.ms": Int = Some("60000"), AtLeast(1), ReadOnly,
        "The longest session timeout of a consumer group.";
    "group.consumer.heartbeat.interval.ms": Int = Some("5000"), AtLeast(1), ReadOnly,
        "How often a member of a consumer group is told to heartbeat.";
    "group.consumer.min.heartbeat.interval.ms": Int = Some("5000"), AtLeast(1), ReadOnly,
        "The shortest heartbeat interval of a consumer group.";
    "group.consumer.max.heartbeat.interval.ms": Int = Some("15000"), AtLeast(1), ReadOnly,
        "The longest heartbeat interval of a consumer group.";
    "group.consumer.max.size": Int = Some("2147483647"), AtLeast(1), ReadOnly,
        "The most members of a consumer group.";
    "group.consumer.assignors": List = Some("uniform,range"), Any, ReadOnly,
        "The server-side assignors of consumer groups; the first is the default.";
    "group.consumer.migration.policy": String = Some("bidirectional"), OneOfIgnoringCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]), ReadOnly,
        "Whether groups may move between the classic and the consumer protocol while they run.";
    "group.share.session.timeout.ms": Int = Some("45000"), AtLeast(1), ReadOnly,
        "How long a member of a share group may be silent before it is removed.";
    "group.share.min.session.timeout.ms": Int = Some("45000"), AtLeast(1), ReadOnly,
        "The shortest session timeout of a share group.";
    "group.share.max.session.timeout.ms": Int = Some("60000"), AtLeast(1), ReadOnly,
        "The longest session timeout of a share group.";
    "group.share.heartbeat.interval.ms": Int = Some("5000"), AtLeast(1), ReadOnly,
        "How often a member of a share group is told to heartbeat.";
    "group.share.min.heartbeat.interval.ms": Int = Some("5000"), AtLeast(1), ReadOnly,
        "The shortest heartbeat interval of a share group.";
    "group.share.max.heartbeat.interval.ms": Int = Some("15000"), AtLeast(1), ReadOnly,
        "The longest heartbeat interval of a share group.";
    "group.share.max.size": Int = Some("200"), Between(1.0, 1000.0), ReadOnly,
        "The most members of a share group.";
    "group.share.max.share.sessions": Int = Some("2000"), AtLeast(1), ReadOnly,
        "The most share sessions of one broker.";
    "group.share.assignors": List = Some("simple"), Any, ReadOnly,
        "The server-side assignors of share groups.";
    "group.share.delivery.count.limit": Int = Some("5"), Between(2.0, 10.0), ReadOnly,
        "How often a record is delivered to a share group before it is given up.";
    "group.share.record.lock.duration.ms": Int = Some("30000"), Between(1000.0, 3600000.0), ReadOnly,
        "How long a delivered record of a share group stays locked.";
    "group.share.min.record.lock.duration.ms": Int = Some("15000"), Between(1000.0, 30000.0), ReadOnly,
        "The shortest lock a share group may ask for.";
    "group.share.max.record.lock.duration.ms": Int = Some("60000"), Between(30000.0, 3600000.0), ReadOnly,
        "The longest lock a share group may ask for.";
    "group.share.partition.max.record.locks": Int = Some("2000"), Between(100.0, 10000.0), ReadOnly,
        "The most locked records of one partition of a share group.";
    "share.coordinator.state.topic.num.partitions": Int = Some("50"), AtLeast(1), ReadOnly,
        "The partitions of the topic of share group state; not to be changed once it exists.";
    "share.coordinator.state.topic.replication.factor": Short = Some("3"), AtLeast(1), ReadOnly,
        "The replicas of the topic of share group state.";
    "share.coordinator.state.topic.min.isr": Short = Some("2"), AtLeast(1), ReadOnly,
        "The least in-sync replicas of the topic of share group state.";
    "share.coordinator.state.topic.segment.bytes": Int = Some("104857600"), AtLeast(1), ReadOnly,
        "The segment size of the topic of share group state.";
    "share.coordinator.state.topic.compression.codec": Int = Some("0"), Any, ReadOnly,
        "The compression of the topic of share group state.";
    "share.coordinator.load.buffer.size": Int = Some("5242880"), AtLeast(1), ReadOnly,
        "How many bytes are read at a time when a share coordinator loads its state.";
    "share.coordinator.snapshot.update.records.per.snapshot": Int = Some("500"), AtLeast(0), ReadOnly,
        "How many updates follow a snapshot of share group state before the next.";
    "share.coordinator.threads": Int = Some("1"), AtLeast(1), ReadOnly,
        "Accepted for compatibility: coordinators share one pool of threads.";
    "share.coordinator.write.timeout.ms": Int = Some("5000"), AtLeast(1), ReadOnly,
        "How long a write of share group state may wait for its replicas.";
    "share.coordinator.append.linger.ms": Int = Some("5"), AtLeast(0), ReadOnly,
        "Accepted for compatibility: records are gathered while the disk is busy, never held back.";
    "share.fetch.purgatory.purge.interval.requests": Int = Some("1000"), Any, ReadOnly,
        "Accepted for compatibility: a finished wait is forgotten at once.";
    "group.streams.session.timeout.ms": Int = Some("45000"), AtLeast(1), ReadOnly,
        "How long a member of a streams group may be silent before it is removed.";
    "group.streams.min.session.timeout.ms": Int = Some("45000"), AtLeast(1), ReadOnly,
        "The shortest session timeout of a streams group.";
    "group.streams.max.session.timeout.ms": Int = Some("60000"), AtLeast(1), ReadOnly,
        "The longest session timeout of a streams group.";
    "group.streams.heartbeat.interval.ms": Int = Some("5000"), AtLeast(1), ReadOnly,
        "How often a member of a streams group is told to heartbeat.";
    "group.streams.min.heartbeat.interval.ms": Int = Some("5000"), AtLeast(1), ReadOnly,
        "The shortest heartbeat interval of a streams group.";
    "group.streams.max.heartbeat.interval.ms": Int = Some("15000"), AtLeast(1), ReadOnly,
        "The longest heartbeat interval of a streams group.";
    "group.streams.max.size": Int = Some("2147483647"), AtLeast(1), ReadOnly,
        "The most members of a streams group.";
    "group.streams.num.standby.replicas": Int = Some("0"), AtLeast(0), ReadOnly,
        "The standby replicas of each task of a streams group.";
    "group.streams.max.standby.replicas": Int = Some("2"), AtLeast(0), ReadOnly,
        "The most standby replicas a streams group may ask for.";
    "transaction.state.log.num.partitions": Int = Some("50"), AtLeast(1), ReadOnly,
        "The partitions of the topic of transactions; not to be changed once it exists.";
    "transaction.state.log.replication.factor": Short = Some("3"), AtLeast(1), ReadOnly,
        "The replicas of the topic of transactions; at most the live brokers.";
    "transaction.state.log.min.isr": Int = Some("2"), AtLeast(1), ReadOnly,
        "The least in-sync replicas of the topic of transactions; at most the live brokers.";
    "transaction.state.log.segment.bytes": Int = Some("104857600"), AtLeast(1), ReadOnly,
        "The segment size of the topic of transactions.";
    "transaction.state.log.load.buffer.size": Int = Some("5242880"), AtLeast(1), ReadOnly,
        "How many bytes are read at a time when a transaction coordinator loads its state.";
    "transaction.max.timeout.ms": Int = Some("900000"), AtLeast(1), ReadOnly,
        "The longest timeout a transactional producer may ask for.";
    "transaction.partition.verification.enable": Bool = Some("true"), Any, ClusterWide,
        "Check that a transactional batch belongs to an open transaction.";
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": Int = Some("10000"), AtLeast(1), ReadOnly,
        "How often transactions past their timeout are looked for.";
    "transaction.remove.expired.transaction.cleanup.interval.ms": Int = Some("3600000"), AtLeast(1), ReadOnly,
        "How often expired transactional ids are looked for.";
    "transaction.two.phase.commit.enable": Bool = Some("false"), Any, ReadOnly,
        "Whether producers may take part in an outside two-phase commit.";
    "transactional.id.expiration.ms": Int = Some("604800000"), AtLeast(1), ReadOnly,
        "How long an unused transactional id is remembered.";
    "producer.id.expiration.ms": Int = Some("86400000"), AtLeast(1), ClusterWide,
        "How long an idle producer's sequence numbers are remembered.";
    "add.partitions.to.txn.retry.backoff.ms": Int = Some("20"), AtLeast(1), ReadOnly,
        "The wait before a partition is added to a transaction again.";
    "add.partitions.to.txn.retry.backoff.max.ms": Int = Some("100"), AtLeast(0), ReadOnly,
        "The longest time a partition's joining a transaction is retried by the broker.";
}
