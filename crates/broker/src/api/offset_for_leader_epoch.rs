//! OffsetForLeaderEpoch: where an epoch ended, so that a consumer notices a truncation.

use chronik_protocol::messages::{
    OffsetForLeaderEpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition, OffsetForLeaderTopicResult,
};
use chronik_types::{ErrorCode, LeaderEpoch, Offset};

use crate::Broker;
use crate::api::fetch::{check_epoch, check_leader};

/// Serves one request.
pub(crate) fn handle<'r>(
    broker: &Broker,
    request: OffsetForLeaderEpochRequest<'r>,
) -> OffsetForLeaderEpochResponse<'r> {
    let topics = request
        .topics
        .into_iter()
        .map(|topic| {
            let answer = |part| answer(broker, &topic.topic, part);
            let partitions = topic.partitions.iter().map(answer).collect();
            OffsetForLeaderTopicResult { topic: topic.topic.clone(), partitions }
        })
        .collect();
    OffsetForLeaderEpochResponse { topics, ..Default::default() }
}

fn answer(
    broker: &Broker,
    topic: &str,
    part: &OffsetForLeaderPartition,
) -> OffsetForLeaderEpochEndOffset {
    let found = end_of(broker, topic, part);
    let code = found.err().unwrap_or(ErrorCode::None);
    let (epoch, end) = found.unwrap_or((LeaderEpoch::NONE, Offset::UNKNOWN));
    OffsetForLeaderEpochEndOffset {
        error_code: code.code(),
        partition: part.partition,
        leader_epoch: epoch.0,
        end_offset: end.0,
    }
}

fn end_of(
    broker: &Broker,
    topic: &str,
    part: &OffsetForLeaderPartition,
) -> Result<(LeaderEpoch, Offset), ErrorCode> {
    let found = broker.partitions.replica_by_name(topic, part.partition);
    let partition = found.map_err(|refusal| refusal.code)?;
    check_epoch(&partition, LeaderEpoch(part.current_leader_epoch))?;
    check_leader(&partition)?;
    Ok(partition.log.end_offset_for_epoch(LeaderEpoch(part.leader_epoch)))
}
