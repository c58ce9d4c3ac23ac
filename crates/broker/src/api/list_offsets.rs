//! ListOffsets: the ends of a log, or the first record at or after a time.

use std::collections::HashSet;

use chronik_log::TimestampLookup;
use chronik_protocol::messages::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use chronik_types::{ErrorCode, LeaderEpoch, Offset, Timestamp};

use crate::Broker;
use crate::api::context::Context;
use crate::api::error::code_of_read;
use crate::api::fetch::check_epoch;

/// Special timestamps, each with the version from which it is understood.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: (i64, i16) = (-3, 7);
const EARLIEST_LOCAL: (i64, i16) = (-4, 8);
const LATEST_TIERED: (i64, i16) = (-5, 9);

/// The first version whose answer names the leader epoch.
const WITH_LEADER_EPOCH: i16 = 4;

/// Serves one request.
pub(crate) async fn handle<'r>(
    broker: &Broker,
    ctx: &Context,
    request: ListOffsetsRequest<'r>,
) -> ListOffsetsResponse<'r> {
    let mut seen = HashSet::new();
    let mut repeated = HashSet::new();
    for topic in &request.topics {
        for part in &topic.partitions {
            let key = (topic.name.to_string(), part.partition_index);
            if !seen.insert(key.clone()) {
                repeated.insert(key);
            }
        }
    }
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for part in topic.partitions {
            let twice = repeated.contains(&(topic.name.to_string(), part.partition_index));
            let found = match twice {
                true => Err(ErrorCode::InvalidRequest),
                false => find(broker, ctx, &topic.name, &part).await,
            };
            partitions.push(response(ctx.version, part.partition_index, found));
        }
        topics.push(ListOffsetsTopicResponse { name: topic.name, partitions });
    }
    ListOffsetsResponse { topics, ..Default::default() }
}

/// Offset, timestamp and epoch of what was found.
type Found = (Offset, Timestamp, LeaderEpoch);

const NOTHING: Found = (Offset::UNKNOWN, Timestamp::NONE, LeaderEpoch::NONE);

async fn find(
    broker: &Broker,
    ctx: &Context,
    topic: &str,
    part: &ListOffsetsPartition,
) -> Result<Found, ErrorCode> {
    let partition = broker.partitions.by_name(topic, part.partition_index).map_err(|r| r.code)?;
    check_epoch(&partition, LeaderEpoch(part.current_leader_epoch))?;
    let understood =
        |(timestamp, since): (i64, i16)| part.timestamp == timestamp && ctx.version >= since;
    if part.timestamp == LATEST {
        // With no open transactions the last stable offset is the high watermark.
        let end = partition.progress.reached().high_watermark;
        Ok((end, Timestamp::NONE, partition.leader_epoch()))
    } else if part.timestamp == EARLIEST || understood(EARLIEST_LOCAL) {
        let start = partition.log.start();
        Ok((start, Timestamp::NONE, partition.leader_epoch()))
    } else if understood(MAX_TIMESTAMP) {
        let visible = partition.progress.reached().high_watermark;
        lookup(broker, partition.log.offset_of_max_timestamp(visible)).await
    } else if understood(LATEST_TIERED) {
        Ok(NOTHING)
    } else if part.timestamp < 0 {
        Err(ErrorCode::UnsupportedVersion)
    } else {
        let visible = partition.progress.reached().high_watermark;
        let at = Timestamp(part.timestamp);
        lookup(broker, partition.log.offset_for_timestamp(at, visible)).await
    }
}

async fn lookup(broker: &Broker, lookup: TimestampLookup) -> Result<Found, ErrorCode> {
    let found = broker.run_blocking_read(move || lookup.run()).await;
    let found = found.map_err(|e| code_of_read(&e))?;
    Ok(found.map_or(NOTHING, |record| (record.offset, record.timestamp, record.epoch)))
}

fn response(
    version: i16,
    index: i32,
    found: Result<Found, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    let code = found.err().unwrap_or(ErrorCode::None);
    let (offset, timestamp, epoch) = found.unwrap_or(NOTHING);
    ListOffsetsPartitionResponse {
        partition_index: index,
        error_code: code.code(),
        timestamp: timestamp.0,
        offset: offset.0,
        leader_epoch: if version >= WITH_LEADER_EPOCH { epoch.0 } else { LeaderEpoch::NONE.0 },
    }
}
