//! How large a log is and where, open or not: what DescribeLogDirs tells.

use std::path::PathBuf;

use chronik_types::TopicPartition;

use crate::dirs::dir_name;
use crate::storage::Storage;

/// The size and the place of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSize {
    /// Bytes of batches. Of a log that is not open: those in segments.
    pub bytes: u64,
    /// The data directory it is in; `None` until it has been flushed.
    pub log_dir: Option<PathBuf>,
}

impl Storage {
    /// The size of the log of `partition`. Reads a directory if the log is not open; blocks.
    #[must_use]
    pub fn log_size(&self, partition: TopicPartition, topic: &str) -> LogSize {
        let dir = self.shared.dirs.find(&dir_name(topic, partition.partition));
        let log_dir = dir.as_ref().and_then(|dir| dir.parent().map(PathBuf::from));
        if let Some(log) = self.log(partition) {
            return LogSize { bytes: log.size_bytes(), log_dir };
        }
        let Some(dir) = dir else { return LogSize::default() };
        let files = self.shared.env.disk.read_dir(&dir).unwrap_or_default();
        let segments = files.iter().filter(|file| file.name.ends_with(".log"));
        LogSize { bytes: segments.map(|file| file.len).sum(), log_dir }
    }
}
