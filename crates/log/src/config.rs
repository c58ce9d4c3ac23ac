//! Limits and settings: of the storage engine, and of one log.

use std::path::PathBuf;

/// How the storage engine of one broker is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data directories (`log.dirs`); at least one. A new log goes to the one with the fewest.
    pub log_dirs: Vec<PathBuf>,
    /// The journal, and the ids that name this node.
    pub journal: chronik_journal::Options,
    /// Bytes of appended batches that may be in memory only because no segment has them yet. At
    /// the bound, client appends wait. Counted by allocation.
    pub unflushed_bytes_max: usize,
    /// Bytes of flushed batches kept in memory for readers near the end.
    pub cached_bytes_max: usize,
    /// A log with fewer unflushed bytes than this in the oldest journal file is copied to the
    /// journal's head instead of being flushed.
    pub flush_small_bytes: usize,
    /// How many segment and index files are kept open at once.
    pub open_files_max: usize,
    /// How many idempotent producers one log remembers; beyond it the one idle longest is
    /// forgotten.
    pub producers_per_log_max: usize,
}

impl Options {
    /// The defaults, on these directories.
    #[must_use]
    pub fn new(log_dirs: Vec<PathBuf>, journal: chronik_journal::Options) -> Self {
        Self {
            log_dirs,
            journal,
            unflushed_bytes_max: 256 << 20,
            cached_bytes_max: 64 << 20,
            flush_small_bytes: 64 << 10,
            open_files_max: 1_024,
            producers_per_log_max: 100_000,
        }
    }
}

/// The settings of one log: a topic's effective configuration. Shared by the logs of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment does not grow beyond it.
    pub segment_bytes: u64,
    /// `segment.ms`: the most time between the first and the last batch of a segment.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: up to this much is taken off `segment_ms`, fixed for each segment.
    pub segment_jitter_ms: i64,
    /// `index.interval.bytes`: about one index entry for this many bytes of batches.
    pub index_interval_bytes: u64,
    /// `segment.index.bytes`: a segment is rolled before an index grows beyond it.
    pub segment_index_bytes: u64,
    /// `retention.ms`; -1 is no limit.
    pub retention_ms: i64,
    /// `retention.bytes` of this partition; -1 is no limit.
    pub retention_bytes: i64,
    /// `cleanup.policy` contains `delete`.
    pub cleanup_delete: bool,
    /// `cleanup.policy` contains `compact`.
    pub cleanup_compact: bool,
    /// `max.message.bytes`. Enforced by validation, before a batch comes here.
    pub max_message_bytes: usize,
    /// `write.caching`: an append counts when it is in memory, not when it is durable.
    pub write_caching: bool,
    /// `producer.id.expiration.ms`: how long an idle producer is remembered.
    pub producer_id_expiration_ms: i64,
    /// `file.delete.delay.ms`. Files are unlinked as soon as nothing needs them: an open reader
    /// keeps what it reads.
    pub file_delete_delay_ms: i64,
}

impl Default for LogConfig {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 604_800_000,
            segment_jitter_ms: 0,
            index_interval_bytes: 4_096,
            segment_index_bytes: 10 << 20,
            retention_ms: 604_800_000,
            retention_bytes: -1,
            cleanup_delete: true,
            cleanup_compact: false,
            max_message_bytes: 1_048_588,
            write_caching: false,
            producer_id_expiration_ms: 86_400_000,
            file_delete_delay_ms: 60_000,
        }
    }
}
