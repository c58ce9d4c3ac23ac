//! Keys of the remote tier.

use super::broker_table;
use crate::keys::types::ConfigKey;

broker_table! { TIER;
    "log.local.retention.ms": Long = Some("-2"), AtLeast(-2), ClusterWide,
        "How long records that the remote tier has stay on local disk; -2 follows log.retention.ms.";
    "log.local.retention.bytes": Long = Some("-2"), AtLeast(-2), ClusterWide,
        "How many bytes that the remote tier has stay on local disk; -2 follows log.retention.bytes.";
    "remote.log.storage.system.enable": Bool = Some("false"), Any, ReadOnly,
        "Whether this broker has a remote tier.";
    "remote.fetch.max.wait.ms": Int = Some("500"), AtLeast(1), ClusterWide,
        "How long a fetch may wait for the remote tier.";
    "remote.list.offsets.request.timeout.ms": Long = Some("30000"), AtLeast(1), ClusterWide,
        "How long a lookup by time may wait for the remote tier.";
    "remote.log.index.file.cache.total.size.bytes": Long = Some("1073741824"), AtLeast(1), ClusterWide,
        "How many bytes of the remote tier's indexes are kept locally.";
    "remote.log.manager.copier.thread.pool.size": Int = Some("10"), AtLeast(1), ClusterWide,
        "How many segments are copied to the remote tier at a time.";
    "remote.log.manager.expiration.thread.pool.size": Int = Some("10"), AtLeast(1), ClusterWide,
        "How many partitions are trimmed in the remote tier at a time.";
    "remote.log.manager.copy.max.bytes.per.second": Long = Some("9223372036854775807"), AtLeast(1), ClusterWide,
        "How fast segments are copied to the remote tier at most.";
    "remote.log.manager.copy.quota.window.num": Int = Some("11"), AtLeast(1), ReadOnly,
        "How many windows the quota of copies to the remote tier looks back.";
    "remote.log.manager.copy.quota.window.size.seconds": Int = Some("1"), AtLeast(1), ReadOnly,
        "The length of one window of the quota of copies to the remote tier.";
    "remote.log.manager.fetch.max.bytes.per.second": Long = Some("9223372036854775807"), AtLeast(1), ClusterWide,
        "How fast the remote tier is read at most.";
    "remote.log.manager.fetch.quota.window.num": Int = Some("11"), AtLeast(1), ReadOnly,
        "How many windows the quota of reads from the remote tier looks back.";
    "remote.log.manager.fetch.quota.window.size.seconds": Int = Some("1"), AtLeast(1), ReadOnly,
        "The length of one window of the quota of reads from the remote tier.";
    "remote.log.manager.task.interval.ms": Long = Some("30000"), AtLeast(1), ReadOnly,
        "How often work for the remote tier is looked for.";
    "remote.log.manager.thread.pool.size": Int = Some("2"), AtLeast(1), ReadOnly,
        "How many tasks for the remote tier are planned at a time.";
    "remote.log.metadata.custom.metadata.max.bytes": Int = Some("128"), AtLeast(0), ReadOnly,
        "The largest text that the remote tier may store with a segment.";
    "remote.log.metadata.manager.class.name": String = None, NonEmpty, ReadOnly,
        "Accepted for compatibility: Java classes cannot be loaded.";
    "remote.log.metadata.manager.class.path": String = None, Any, ReadOnly,
        "Accepted for compatibility: Java classes cannot be loaded.";
    "remote.log.metadata.manager.impl.prefix": String = Some("rlmm.config."), NonEmpty, ReadOnly,
        "Accepted for compatibility: Java classes cannot be loaded.";
    "remote.log.metadata.manager.listener.name": String = None, NonEmpty, ReadOnly,
        "Accepted for compatibility: the remote tier's manifest needs no listener.";
    "remote.log.reader.max.pending.tasks": Int = Some("100"), AtLeast(1), ReadOnly,
        "The most waiting reads of the remote tier.";
    "remote.log.reader.threads": Int = Some("10"), AtLeast(1), ClusterWide,
        "How many reads of the remote tier run at a time.";
    "remote.log.storage.manager.class.name": String = None, NonEmpty, ReadOnly,
        "Accepted for compatibility: Java classes cannot be loaded.";
    "remote.log.storage.manager.class.path": String = None, Any, ReadOnly,
        "Accepted for compatibility: Java classes cannot be loaded.";
    "remote.log.storage.manager.impl.prefix": String = Some("rsm.config."), NonEmpty, ReadOnly,
        "Accepted for compatibility: Java classes cannot be loaded.";
}
