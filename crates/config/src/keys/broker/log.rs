//! Keys of partition logs: where they lie, retention, compaction, formats.

use super::broker_table;
use crate::keys::types::ConfigKey;

broker_table! { LOG;
    "log.dirs": String = None, Any, ReadOnly,
        "The data directories, separated by commas; log.dir when not set.";
    "log.dir": String = Some("./data"), Any, ReadOnly,
        "The data directory, when log.dirs is not set.";
    "log.segment.bytes": Int = Some("1073741824"), AtLeast(1048576), ClusterWide,
        "The size at which a segment is closed.";
    "log.roll.ms": Long = None, Any, ClusterWide,
        "The age at which a segment is closed; log.roll.hours when not set.";
    "log.roll.hours": Int = Some("168"), AtLeast(1), ReadOnly,
        "The age at which a segment is closed, when log.roll.ms is not set.";
    "log.roll.jitter.ms": Long = None, Any, ClusterWide,
        "The most by which log.roll.ms is shortened at random, so that segments are not closed all at once.";
    "log.roll.jitter.hours": Int = Some("0"), AtLeast(0), ReadOnly,
        "The same in hours, when log.roll.jitter.ms is not set.";
    "log.retention.ms": Long = None, Any, ClusterWide,
        "How long records are kept; -1 means for ever; log.retention.minutes when not set.";
    "log.retention.minutes": Int = None, Any, ReadOnly,
        "How long records are kept, when log.retention.ms is not set.";
    "log.retention.hours": Int = Some("168"), Any, ReadOnly,
        "How long records are kept, when neither log.retention.ms nor log.retention.minutes is set.";
    "log.retention.bytes": Long = Some("-1"), Any, ClusterWide,
        "The size beyond which a partition drops its oldest segments; -1 means no bound.";
    "log.retention.check.interval.ms": Long = Some("300000"), AtLeast(1), ReadOnly,
        "How often retention is looked at.";
    "log.cleanup.policy": List = Some("delete"), EachOf(&["compact", "delete"]), ClusterWide,
        "What happens to old records: delete, compact, or both.";
    "log.cleaner.enable": Bool = Some("true"), Any, ReadOnly,
        "Whether compaction runs.";
    "log.cleaner.threads": Int = Some("1"), AtLeast(0), ClusterWide,
        "How many partitions are compacted at a time.";
    "log.cleaner.io.max.bytes.per.second": Double = Some("1.7976931348623157E308"), Any, ClusterWide,
        "How fast compaction reads and writes at most.";
    "log.cleaner.dedupe.buffer.size": Long = Some("134217728"), Any, ClusterWide,
        "The memory of compaction for the keys of one round.";
    "log.cleaner.io.buffer.size": Int = Some("524288"), AtLeast(0), ClusterWide,
        "The memory of compaction for reading and writing.";
    "log.cleaner.io.buffer.load.factor": Double = Some("0.9"), Any, ClusterWide,
        "How full compaction's table of keys may become.";
    "log.cleaner.backoff.ms": Long = Some("15000"), AtLeast(0), ClusterWide,
        "How long compaction sleeps when there is nothing to do.";
    "log.cleaner.min.cleanable.ratio": Double = Some("0.5"), Between(0.0, 1.0), ClusterWide,
        "The share of a log that must be uncompacted before it is compacted.";
    "log.cleaner.delete.retention.ms": Long = Some("86400000"), AtLeast(0), ClusterWide,
        "How long the deletion of a key stays readable in a compacted log.";
    "log.cleaner.min.compaction.lag.ms": Long = Some("0"), AtLeast(0), ClusterWide,
        "How long a record is safe from compaction.";
    "log.cleaner.max.compaction.lag.ms": Long = Some("9223372036854775807"), AtLeast(1), ClusterWide,
        "How long a record may stay uncompacted.";
    "log.index.size.max.bytes": Int = Some("10485760"), AtLeast(4), ClusterWide,
        "The largest offset index of a segment.";
    "log.index.interval.bytes": Int = Some("4096"), AtLeast(0), ClusterWide,
        "How many bytes of records lie between two entries of the offset index.";
    "log.flush.interval.messages": Long = Some("9223372036854775807"), AtLeast(1), ClusterWide,
        "Accepted for compatibility: what is acknowledged is in the journal, synced.";
    "log.flush.interval.ms": Long = None, Any, ClusterWide,
        "Accepted for compatibility: what is acknowledged is in the journal, synced.";
    "log.flush.scheduler.interval.ms": Long = Some("9223372036854775807"), Any, ReadOnly,
        "Accepted for compatibility: what is acknowledged is in the journal, synced.";
    "log.flush.offset.checkpoint.interval.ms": Int = Some("60000"), AtLeast(0), ReadOnly,
        "Accepted for compatibility: the journal knows what has been flushed.";
    "log.flush.start.offset.checkpoint.interval.ms": Int = Some("60000"), AtLeast(0), ReadOnly,
        "Accepted for compatibility: the journal knows the log start offset.";
    "log.segment.delete.delay.ms": Long = Some("60000"), AtLeast(0), ClusterWide,
        "How long the file of a deleted segment stays before it is removed.";
    "log.preallocate": Bool = Some("false"), Any, ClusterWide,
        "Whether a new segment file is allocated in full.";
    "log.message.timestamp.type": String = Some("CreateTime"), OneOf(&["CreateTime", "LogAppendTime"]), ClusterWide,
        "Whether a record carries its creator's time or the broker's.";
    "log.message.timestamp.before.max.ms": Long = Some("9223372036854775807"), AtLeast(0), ClusterWide,
        "How far in the past a record's timestamp may lie.";
    "log.message.timestamp.after.max.ms": Long = Some("3600000"), AtLeast(0), ClusterWide,
        "How far in the future a record's timestamp may lie.";
    "log.dir.failure.timeout.ms": Long = Some("30000"), AtLeast(1), ReadOnly,
        "How long a failed data directory may stay unreported to the controller before the broker stops.";
    "num.recovery.threads.per.data.dir": Int = Some("2"), AtLeast(1), ClusterWide,
        "Accepted for compatibility: recovery uses every core.";
    "message.max.bytes": Int = Some("1048588"), AtLeast(0), ClusterWide,
        "The largest record batch accepted.";
    "compression.type": String = Some("producer"), OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), ClusterWide,
        "The compression of stored batches; producer keeps the producer's.";
    "compression.gzip.level": Int = Some("-1"), GzipLevel, ClusterWide,
        "The level of gzip when the broker compresses; -1 is gzip's own default.";
    "compression.lz4.level": Int = Some("9"), Between(1.0, 17.0), ClusterWide,
        "The level of lz4 when the broker compresses.";
    "compression.zstd.level": Int = Some("3"), Between(-131072.0, 22.0), ClusterWide,
        "The level of zstd when the broker compresses.";
    "min.insync.replicas": Int = Some("1"), AtLeast(1), ClusterWide,
        "How many replicas must have a batch before acks=all is answered.";
}
