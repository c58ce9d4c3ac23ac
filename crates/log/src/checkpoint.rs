//! Kafka's text files in a log's directory: `partition.metadata` and `leader-epoch-checkpoint`.
//!
//! The truth about epochs is in the journal; the checkpoint is written from it for tools.
//! `partition.metadata` says whose a directory is.

use std::fmt::Write as _;
use std::path::Path;

use chronik_env::Env;
use chronik_types::{LeaderEpoch, Offset, TopicId};

pub(crate) const PARTITION_METADATA: &str = "partition.metadata";
pub(crate) const LEADER_EPOCHS: &str = "leader-epoch-checkpoint";

/// Far more than either file can sensibly take.
const BYTES_MAX: u64 = 1 << 20;

pub(crate) fn partition_metadata(topic: TopicId) -> String {
    format!("version: 0\ntopic_id: {topic}\n")
}

pub(crate) fn parse_partition_metadata(text: &str) -> Option<TopicId> {
    let mut lines = text.lines();
    if lines.next()?.trim() != "version: 0" {
        return None;
    }
    let id = lines.next()?.strip_prefix("topic_id:")?.trim();
    id.parse().ok().map(TopicId)
}

/// Whose directory it is; `None` if it does not say.
pub(crate) fn read_partition_metadata(env: &Env, dir: &Path) -> Option<TopicId> {
    let bytes = env.disk.read(&dir.join(PARTITION_METADATA), BYTES_MAX).ok()?;
    parse_partition_metadata(std::str::from_utf8(&bytes).ok()?)
}

pub(crate) fn leader_epochs(epochs: &[(LeaderEpoch, Offset)]) -> String {
    let mut text = format!("0\n{}\n", epochs.len());
    for (epoch, start) in epochs {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{epoch} {start}");
    }
    text
}

#[cfg(test)]
mod tests {
    use chronik_types::Uuid;

    use super::*;

    #[test]
    fn the_files_are_kafkas() {
        let topic = TopicId(Uuid::from_entropy([7; 16]));
        let text = partition_metadata(topic);
        assert_eq!(text, format!("version: 0\ntopic_id: {topic}\n"));
        assert_eq!(parse_partition_metadata(&text), Some(topic));
        assert_eq!(parse_partition_metadata("version: 1\ntopic_id: x\n"), None);
        let epochs = [(LeaderEpoch(0), Offset(0)), (LeaderEpoch(3), Offset(17))];
        assert_eq!(leader_epochs(&epochs), "0\n2\n0 0\n3 17\n");
    }
}
