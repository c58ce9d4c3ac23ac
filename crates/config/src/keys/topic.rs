//! The keys of a topic: Kafka 4.1's, and `write.caching`.

use super::types::{Check, ConfigKey, ConfigType, DynamicScope, Synonym};

const SAME: i64 = 1;
const MINUTES: i64 = 60_000;
const HOURS: i64 = 3_600_000;

/// `"name": Type = default, check, ["broker key" factor, …], "doc";` for each key.
macro_rules! topic_table {
    ($($name:literal: $kind:ident = $default:expr, $check:ident $(($($arg:expr),+))?,
        [$($synonym:literal $factor:ident),*], $doc:literal;)+) => {
        pub(super) const TOPIC: &[ConfigKey] = &[$(ConfigKey {
            name: $name,
            config_type: ConfigType::$kind,
            default: $default,
            check: Check::$check $(($($arg),+))?,
            scope: DynamicScope::ClusterWide,
            synonyms: &[$(Synonym { name: $synonym, factor: $factor }),*],
            doc: $doc,
        },)+];
    };
}

topic_table! {
    "cleanup.policy": List = Some("delete"), EachOf(&["compact", "delete"]), ["log.cleanup.policy" SAME],
        "What happens to old records: delete, compact, or both.";
    "compression.type": String = Some("producer"), OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), ["compression.type" SAME],
        "The compression of stored batches; producer keeps the producer's.";
    "compression.gzip.level": Int = Some("-1"), GzipLevel, ["compression.gzip.level" SAME],
        "The level of gzip when the broker compresses; -1 is gzip's own default.";
    "compression.lz4.level": Int = Some("9"), Between(1.0, 17.0), ["compression.lz4.level" SAME],
        "The level of lz4 when the broker compresses.";
    "compression.zstd.level": Int = Some("3"), Between(-131072.0, 22.0), ["compression.zstd.level" SAME],
        "The level of zstd when the broker compresses.";
    "delete.retention.ms": Long = Some("86400000"), AtLeast(0), ["log.cleaner.delete.retention.ms" SAME],
        "How long the deletion of a key stays readable in a compacted topic.";
    "file.delete.delay.ms": Long = Some("60000"), AtLeast(0), ["log.segment.delete.delay.ms" SAME],
        "How long the file of a deleted segment stays before it is removed.";
    "flush.messages": Long = Some("9223372036854775807"), AtLeast(1), ["log.flush.interval.messages" SAME],
        "Accepted for compatibility: what is acknowledged is in the journal, synced.";
    "flush.ms": Long = Some("9223372036854775807"), AtLeast(0), ["log.flush.interval.ms" SAME, "log.flush.scheduler.interval.ms" SAME],
        "Accepted for compatibility: what is acknowledged is in the journal, synced.";
    "follower.replication.throttled.replicas": List = Some(""), ThrottledReplicas, [],
        "The followers whose replication is throttled, as partition:broker, or * for all.";
    "index.interval.bytes": Int = Some("4096"), AtLeast(0), ["log.index.interval.bytes" SAME],
        "How many bytes of records lie between two entries of the offset index.";
    "leader.replication.throttled.replicas": List = Some(""), ThrottledReplicas, [],
        "The leaders whose replication is throttled, as partition:broker, or * for all.";
    "local.retention.bytes": Long = Some("-2"), AtLeast(-2), ["log.local.retention.bytes" SAME],
        "How many bytes that the remote tier has stay on local disk; -2 follows retention.bytes.";
    "local.retention.ms": Long = Some("-2"), AtLeast(-2), ["log.local.retention.ms" SAME],
        "How long records that the remote tier has stay on local disk; -2 follows retention.ms.";
    "max.compaction.lag.ms": Long = Some("9223372036854775807"), AtLeast(1), ["log.cleaner.max.compaction.lag.ms" SAME],
        "How long a record may stay uncompacted.";
    "max.message.bytes": Int = Some("1048588"), AtLeast(0), ["message.max.bytes" SAME],
        "The largest record batch accepted.";
    "message.timestamp.after.max.ms": Long = Some("3600000"), AtLeast(0), ["log.message.timestamp.after.max.ms" SAME],
        "How far in the future a record's timestamp may lie.";
    "message.timestamp.before.max.ms": Long = Some("9223372036854775807"), AtLeast(0), ["log.message.timestamp.before.max.ms" SAME],
        "How far in the past a record's timestamp may lie.";
    "message.timestamp.type": String = Some("CreateTime"), OneOf(&["CreateTime", "LogAppendTime"]), ["log.message.timestamp.type" SAME],
        "Whether a record carries its creator's time or the broker's.";
    "min.cleanable.dirty.ratio": Double = Some("0.5"), Between(0.0, 1.0), ["log.cleaner.min.cleanable.ratio" SAME],
        "The share of a log that must be uncompacted before it is compacted.";
    "min.compaction.lag.ms": Long = Some("0"), AtLeast(0), ["log.cleaner.min.compaction.lag.ms" SAME],
        "How long a record is safe from compaction.";
    "min.insync.replicas": Int = Some("1"), AtLeast(1), ["min.insync.replicas" SAME],
        "How many replicas must have a batch before acks=all is answered.";
    "preallocate": Bool = Some("false"), Any, ["log.preallocate" SAME],
        "Whether a new segment file is allocated in full.";
    "remote.log.copy.disable": Bool = Some("false"), Any, [],
        "Keep what the remote tier has, but copy nothing more to it.";
    "remote.log.delete.on.disable": Bool = Some("false"), Any, [],
        "Delete what the remote tier has when it is switched off for the topic.";
    "remote.storage.enable": Bool = Some("false"), Any, [],
        "Whether segments of the topic go to the remote tier.";
    "retention.bytes": Long = Some("-1"), Any, ["log.retention.bytes" SAME],
        "The size beyond which a partition drops its oldest segments; -1 means no bound.";
    "retention.ms": Long = Some("604800000"), AtLeast(-1), ["log.retention.ms" SAME, "log.retention.minutes" MINUTES, "log.retention.hours" HOURS],
        "How long records are kept; -1 means for ever.";
    "segment.bytes": Int = Some("1073741824"), AtLeast(1048576), ["log.segment.bytes" SAME],
        "The size at which a segment is closed.";
    "segment.index.bytes": Int = Some("10485760"), AtLeast(4), ["log.index.size.max.bytes" SAME],
        "The largest offset index of a segment.";
    "segment.jitter.ms": Long = Some("0"), AtLeast(0), ["log.roll.jitter.ms" SAME, "log.roll.jitter.hours" HOURS],
        "The most by which segment.ms is shortened at random, so that segments are not closed all at once.";
    "segment.ms": Long = Some("604800000"), AtLeast(1), ["log.roll.ms" SAME, "log.roll.hours" HOURS],
        "The age at which a segment is closed.";
    "unclean.leader.election.enable": Bool = Some("false"), Any, ["unclean.leader.election.enable" SAME],
        "Let a replica outside the in-sync set lead when no other is left, at the price of lost records.";
    "write.caching": Bool = Some("false"), Any, ["write.caching" SAME],
        "Answer produce requests before the record is on disk; a crash of the machine then loses records.";
}
