//! Keys that Kafka does not have, or has no longer.

use super::broker_table;
use crate::keys::types::ConfigKey;

broker_table! { OWN;
    "metadata.acks": String = Some("quorum"), OneOf(&["quorum", "leader"]), ClusterWide,
        "When the creation or deletion of a topic is answered: once a quorum has it on disk, or once the controller has.";
    "metadata.leader.ack.max.lag.ms": Int = Some("500"), AtLeast(1), ReadOnly,
        "With metadata.acks=leader, how old an unreplicated change may be before answers wait for the quorum.";
    "metadata.log.max.entries.between.snapshots": Int = Some("20000"), AtLeast(100), ReadOnly,
        "How many entries of metadata log may follow a snapshot before the next one is written; it bounds what a restart applies.";
    "leader.imbalance.per.broker.percentage": Int = Some("10"), AtLeast(0), ReadOnly,
        "The share of a broker's preferred leaderships that may be elsewhere before they are moved back.";
    "admin.listener": String = Some("127.0.0.1:9644"), Any, ReadOnly,
        "Where health and metrics are served over HTTP, as host:port; empty means nowhere.";
    "worker.threads": Int = Some("0"), AtLeast(0), ReadOnly,
        "The threads that serve connections and everything that waits; 0 means one for each core. Nodes that share a machine do better with their share of its cores each.";
    "log.format": String = Some("text"), OneOf(&["text", "json"]), ReadOnly,
        "The form of this broker's own log lines.";
    "log.level": String = Some("info"), NonEmpty, ClusterWide,
        "Which of this broker's own log lines are written: error, warn, info, debug, trace, or a filter by module.";
    "journal.dir": String = None, Any, ReadOnly,
        "The directory of the journal; the first of log.dirs when not set.";
    "journal.file.bytes": Int = Some("67108864"), AtLeast(16777216), ReadOnly,
        "The size of one journal file. Half of it is the most that is written at once: a batch, or an entry of the metadata.";
    "journal.max.bytes": Long = Some("1073741824"), AtLeast(67108864), ReadOnly,
        "The most bytes of journal; it bounds what a restart reads, and writers wait when it is full.";
    "journal.group.max.bytes": Int = Some("4194304"), AtLeast(65536), ReadOnly,
        "The most bytes that one write and sync of the journal carries.";
    "journal.recycle": Bool = Some("true"), Any, ReadOnly,
        "Whether used journal files are written over, which is faster, or removed and made anew.";
    "journal.direct.io": Bool = Some("true"), Any, ReadOnly,
        "Whether the journal is written past the page cache (O_DIRECT), which is faster; where the filesystem refuses that, it is not.";
    "journal.free.bytes.floor": Long = Some("268435456"), AtLeast(0), ReadOnly,
        "The free disk space below which produce requests are refused.";
    "write.caching": Bool = Some("false"), Any, ClusterWide,
        "Answer produce requests before the record is on disk, for topics that do not say otherwise; a crash of the machine then loses records.";
    "record.validation": String = Some("full"), OneOf(&["full", "header"]), ClusterWide,
        "How far a produced batch is checked: every record, or its header only.";
    "memory.request.bytes": Long = None, AtLeast(1048576), ReadOnly,
        "The memory for requests being read and handled; a share of the machine's when not set.";
    "memory.unflushed.bytes": Long = None, AtLeast(1048576), ReadOnly,
        "The memory for records not yet in segment files, beyond which writers wait; a share of the machine's when not set.";
    "memory.cached.bytes": Long = None, AtLeast(0), ReadOnly,
        "The memory for recent records that are in segment files already; a share of the machine's when not set.";
    "memory.decompressed.batch.max.bytes": Int = Some("104857600"), AtLeast(1048576), ReadOnly,
        "The most bytes a compressed batch may unpack to.";
    "log.open.files.max": Int = Some("4096"), AtLeast(16), ReadOnly,
        "The most segment files kept open.";
}
