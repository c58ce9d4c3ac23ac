//! DeleteRecords: moves the log start offset up.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_protocol::messages::{
    DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};
use chronik_types::{ErrorCode, Offset};

use crate::Broker;

/// Serves one request.
pub(crate) async fn handle<'r>(
    broker: &Arc<Broker>,
    request: DeleteRecordsRequest<'r>,
) -> DeleteRecordsResponse<'r> {
    // Each partition once; the last that is said of it counts, as in Kafka.
    let mut wanted: BTreeMap<Cow<'r, str>, BTreeMap<i32, i64>> = BTreeMap::new();
    for topic in request.topics {
        let offsets = topic.partitions.into_iter().map(|part| (part.partition_index, part.offset));
        wanted.entry(topic.name).or_default().extend(offsets);
    }
    let mut topics = Vec::with_capacity(wanted.len());
    for (name, offsets) in wanted {
        let mut partitions = Vec::with_capacity(offsets.len());
        for (partition_index, offset) in offsets {
            let deleted = delete(broker, &name, partition_index, offset).await;
            partitions.push(DeleteRecordsPartitionResult {
                partition_index,
                low_watermark: deleted.unwrap_or(Offset::UNKNOWN).0,
                error_code: deleted.err().unwrap_or(ErrorCode::None).code(),
            });
        }
        topics.push(DeleteRecordsTopicResult { name, partitions });
    }
    DeleteRecordsResponse { topics, ..Default::default() }
}

/// Deletes the records below `before` (-1: all that are visible) and gives the new start.
async fn delete(
    broker: &Arc<Broker>,
    topic: &str,
    index: i32,
    before: i64,
) -> Result<Offset, ErrorCode> {
    let partition = broker.partitions.by_name(topic, index).map_err(|refusal| refusal.code)?;
    let settings = partition.settings();
    if settings.internal {
        return Err(ErrorCode::InvalidTopicException);
    }
    if !settings.config.cleanup_policy.delete {
        return Err(ErrorCode::PolicyViolation);
    }
    let visible = partition.progress.reached().high_watermark;
    let start = if before == -1 { visible } else { Offset(before) };
    if start < Offset::ZERO || start > visible {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let (log, visible) = (Arc::clone(&partition.log), start);
    // Blocks until the new start is durable.
    let moved = chronik_env::blocking(move || log.set_start(visible)).await;
    moved.map_err(|error| {
        tracing::warn!(tp = %partition.tp, %error, "the log start offset could not be moved");
        ErrorCode::KafkaStorageError
    })?;
    let start = partition.log.start();
    partition.progress.start_moved(start);
    Ok(start)
}
