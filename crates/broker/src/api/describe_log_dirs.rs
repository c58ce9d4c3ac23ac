//! DescribeLogDirs: the size of every partition in every data directory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use chronik_metadata::{Partition, Topic};
use chronik_protocol::messages::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};
use chronik_types::{ErrorCode, TopicPartition};

use crate::Broker;

/// Serves one request.
pub(crate) async fn handle(
    broker: &Arc<Broker>,
    request: DescribeLogDirsRequest<'_>,
) -> DescribeLogDirsResponse<'static> {
    let mut by_dir = sizes(broker, &request);
    let mut results = Vec::with_capacity(broker.options.log_dirs.len());
    for dir in &broker.options.log_dirs {
        let topics = by_dir.remove(dir).unwrap_or_default();
        let (total_bytes, usable_bytes) = space(broker, dir).await;
        results.push(DescribeLogDirsResult {
            error_code: ErrorCode::None.code(),
            log_dir: dir.display().to_string().into(),
            topics: topics
                .into_iter()
                .map(|(name, partitions)| DescribeLogDirsTopic { name: name.into(), partitions })
                .collect(),
            total_bytes,
            usable_bytes,
        });
    }
    DescribeLogDirsResponse { results, ..Default::default() }
}

type ByTopic = BTreeMap<String, Vec<DescribeLogDirsPartition>>;

/// The wanted partitions of this broker by directory. One that was never written has no directory
/// yet and counts, empty, with the first.
fn sizes(broker: &Broker, request: &DescribeLogDirsRequest<'_>) -> HashMap<PathBuf, ByTopic> {
    let image = broker.committed.borrow().image.clone();
    let mut by_dir: HashMap<PathBuf, ByTopic> = HashMap::new();
    let mut add = |topic: &Topic, index: i32| {
        let tp = TopicPartition { topic_id: topic.id, partition: index };
        let size = broker.storage.log_size(tp, &topic.name);
        let dir = size.log_dir.or_else(|| broker.options.log_dirs.first().cloned());
        let topics = by_dir.entry(dir.unwrap_or_default()).or_default();
        topics.entry(topic.name.to_string()).or_default().push(DescribeLogDirsPartition {
            partition_index: index,
            partition_size: i64::try_from(size.bytes).unwrap_or(i64::MAX),
            offset_lag: 0,
            is_future_key: false,
        });
    };
    let here = |partition: &Partition| partition.replicas.contains(&broker.options.node_id);
    match &request.topics {
        None => {
            for (topic, index, _) in image.partitions().filter(|(_, _, part)| here(part)) {
                add(topic, index);
            }
        }
        Some(topics) => {
            let mut named: BTreeSet<(&str, i32)> = BTreeSet::new();
            for wanted in topics {
                named.extend(wanted.partitions.iter().map(|index| (&*wanted.topic, *index)));
            }
            for (name, index) in named {
                let Some(topic) = image.topic_named(name) else { continue };
                if topic.partitions.get(index).is_some_and(here) {
                    add(topic, index);
                }
            }
        }
    }
    by_dir
}

/// Total and usable bytes of the volume of `dir`; -1 where they cannot be told.
async fn space(broker: &Arc<Broker>, dir: &std::path::Path) -> (i64, i64) {
    let (disk, dir) = (Arc::clone(&broker.env.disk), dir.to_owned());
    let (total, free) =
        chronik_env::blocking(move || (disk.total_bytes(&dir), disk.free_bytes(&dir))).await;
    let told = |bytes: std::io::Result<u64>| {
        bytes.ok().and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or(-1)
    };
    (told(total), told(free))
}
