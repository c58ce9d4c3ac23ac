//! ListOffsets: the ends of a log, or the first record at or after a time.

use std::borrow::Cow;
use std::collections::HashMap;

use chronik_log::TimestampLookup;
use chronik_protocol::messages::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use chronik_types::{ErrorCode, LeaderEpoch, Offset, Timestamp};

use crate::Broker;
use crate::api::context::Context;
use crate::api::error::code_of_read;
use crate::api::fetch::{check_epoch, check_leader};

/// Special timestamps, each with the version from which it is understood.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: (i64, i16) = (-3, 7);
const EARLIEST_LOCAL: (i64, i16) = (-4, 8);
const LATEST_TIERED: (i64, i16) = (-5, 9);

/// The first version whose answer names the leader epoch.
const WITH_LEADER_EPOCH: i16 = 4;

/// The first version with a code for an end that is not known yet.
const WITH_NOT_AVAILABLE: i16 = 5;

/// Serves one request.
pub(crate) async fn handle<'r>(
    broker: &Broker,
    ctx: &Context,
    request: ListOffsetsRequest<'r>,
) -> ListOffsetsResponse<'r> {
    let isolation_known = (0..=1).contains(&request.isolation_level);
    // Each partition once, at the place where it is named first.
    let mut times_named: HashMap<(Cow<'_, str>, i32), usize> = HashMap::new();
    for topic in &request.topics {
        for part in &topic.partitions {
            *times_named.entry((topic.name.clone(), part.partition_index)).or_default() += 1;
        }
    }
    let mut topics: Vec<ListOffsetsTopicResponse<'r>> = Vec::new();
    let mut places = HashMap::new();
    for topic in request.topics {
        for part in topic.partitions {
            let times = times_named.get_mut(&(topic.name.clone(), part.partition_index));
            let found = match times.map(std::mem::take) {
                Some(0) | None => continue,
                _ if !isolation_known => Err(ErrorCode::UnknownServerError),
                Some(1) => find(broker, ctx, &topic.name, &part).await,
                Some(_) => Err(ErrorCode::InvalidRequest),
            };
            let place = *places.entry(topic.name.clone()).or_insert_with(|| {
                let partitions = Vec::new();
                topics.push(ListOffsetsTopicResponse { name: topic.name.clone(), partitions });
                topics.len() - 1
            });
            if let Some(topic) = topics.get_mut(place) {
                topic.partitions.push(response(ctx.version, part.partition_index, found));
            }
        }
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
    let found = broker.partitions.replica_by_name(topic, part.partition_index);
    let partition = found.map_err(|refusal| refusal.code)?;
    check_epoch(&partition, LeaderEpoch(part.current_leader_epoch))?;
    check_leader(&partition)?;
    // What earlier leaders have shown must not seem to be gone (KIP-207).
    let current = match partition.progress.is_high_watermark_current() {
        true => Ok(()),
        false if ctx.version >= WITH_NOT_AVAILABLE => Err(ErrorCode::OffsetNotAvailable),
        false => Err(ErrorCode::LeaderNotAvailable),
    };
    let understood =
        |(timestamp, since): (i64, i16)| part.timestamp == timestamp && ctx.version >= since;
    if part.timestamp == LATEST {
        current?;
        // With no open transactions the last stable offset is the high watermark.
        let end = partition.progress.reached().high_watermark;
        Ok((end, Timestamp::NONE, partition.leader_epoch()))
    } else if part.timestamp == EARLIEST || understood(EARLIEST_LOCAL) {
        let start = partition.log.start();
        Ok((start, Timestamp::NONE, partition.leader_epoch()))
    } else if understood(MAX_TIMESTAMP) {
        let visible = partition.progress.reached().high_watermark;
        lookup(broker, partition.log.offset_of_max_timestamp(visible), current).await
    } else if understood(LATEST_TIERED) {
        Ok(NOTHING)
    } else if part.timestamp < 0 {
        Err(ErrorCode::UnsupportedVersion)
    } else {
        let visible = partition.progress.reached().high_watermark;
        let at = Timestamp(part.timestamp);
        lookup(broker, partition.log.offset_for_timestamp(at, visible), current).await
    }
}

/// A record that is visible; if there is none, what `current` says of that.
async fn lookup(
    broker: &Broker,
    lookup: TimestampLookup,
    current: Result<(), ErrorCode>,
) -> Result<Found, ErrorCode> {
    let found = broker.run_blocking_read(move || lookup.run()).await;
    match found.map_err(|e| code_of_read(&e))? {
        Some(record) => Ok((record.offset, record.timestamp, record.epoch)),
        None => current.map(|()| NOTHING),
    }
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
