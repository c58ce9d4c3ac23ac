//! OffsetCommit.

use std::collections::BTreeMap;

use chronik_protocol::messages::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use chronik_types::{ErrorCode, Timestamp};

use super::rebalance::owned;
use super::turn::Turn;
use crate::group::{Group, GroupState};
use crate::offsets::CommittedOffset;
use crate::timers::Timer;
use crate::{ClientInfo, GroupId, Reply, RequestId, record};

/// From this version on, a member of an unknown group is told so.
const GROUP_ID_NOT_FOUND_FROM: i16 = 9;

pub(super) fn handle(
    turn: &mut Turn<'_>,
    groups: &mut BTreeMap<GroupId, Group>,
    id: RequestId,
    request: &OffsetCommitRequest<'_>,
    client: &ClientInfo<'_>,
) {
    let response = match group_for(turn, groups, request, client) {
        Err(code) => refusal(request, code),
        Ok(group) => commit(turn, group, request),
    };
    turn.reply(id, Reply::OffsetCommit(response));
}

/// The group, if this client may commit for it.
fn group_for<'g>(
    turn: &mut Turn<'_>,
    groups: &'g mut BTreeMap<GroupId, Group>,
    request: &OffsetCommitRequest<'_>,
    client: &ClientInfo<'_>,
) -> Result<&'g mut Group, ErrorCode> {
    let generation = request.generation_id_or_member_epoch;
    if !groups.contains_key(&*request.group_id) {
        if generation >= 0 {
            return Err(if client.api_version >= GROUP_ID_NOT_FOUND_FROM {
                ErrorCode::GroupIdNotFound
            } else {
                ErrorCode::IllegalGeneration
            });
        }
        // A client that keeps its offsets here and assigns itself: a simple group.
        groups.insert(request.group_id.as_ref().into(), turn.new_group(&request.group_id));
    }
    let group = groups.get_mut(&*request.group_id).ok_or(ErrorCode::GroupIdNotFound)?;
    may_commit(group, request)?;
    turn.heard_of(group, &request.member_id);
    Ok(group)
}

fn may_commit(group: &Group, request: &OffsetCommitRequest<'_>) -> Result<(), ErrorCode> {
    let generation = request.generation_id_or_member_epoch;
    if generation < 0 && group.is_empty() {
        return Ok(());
    }
    let instance = request.group_instance_id.as_deref();
    if generation < 0 && request.member_id.is_empty() && instance.is_none() {
        // Members own the offsets of a group that has any.
        return Err(ErrorCode::UnknownMemberId);
    }
    group.validate_member(&request.member_id, instance)?;
    if generation != group.generation {
        return Err(ErrorCode::IllegalGeneration);
    }
    if group.state() == GroupState::CompletingRebalance {
        // The member cannot know yet whether the partitions are still its own.
        return Err(ErrorCode::RebalanceInProgress);
    }
    Ok(())
}

fn commit(
    turn: &mut Turn<'_>,
    group: &mut Group,
    request: &OffsetCommitRequest<'_>,
) -> OffsetCommitResponse<'static> {
    let expires_at = (request.retention_time_ms != -1)
        .then(|| Timestamp(turn.now.wall.0.saturating_add(request.retention_time_ms)));
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let metadata = partition.committed_metadata.as_deref().unwrap_or_default();
            let is_short = is_at_most_utf16(metadata, turn.config.offset_metadata_max);
            if is_short {
                let offset = committed(turn, partition, metadata, expires_at);
                let index = partition.partition_index;
                let record = record::encode_offset(&group.id, &topic.name, index, Some(&offset));
                turn.emit(group, record);
            }
            let code = if is_short { ErrorCode::None } else { ErrorCode::OffsetMetadataTooLarge };
            partitions.push(answer(partition, code));
        }
        topics.push(OffsetCommitResponseTopic { name: owned(&topic.name), partitions });
    }
    if let Some(expires_at) = expires_at {
        let wait = turn.until(expires_at);
        let timer = Timer::Expiry(GroupId::clone(&group.id));
        turn.timers.set_earlier(timer, turn.now.monotonic.after(wait));
    }
    OffsetCommitResponse { topics, ..OffsetCommitResponse::default() }
}

fn committed(
    turn: &Turn<'_>,
    partition: &OffsetCommitRequestPartition<'_>,
    metadata: &str,
    expires_at: Option<Timestamp>,
) -> CommittedOffset {
    CommittedOffset {
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: metadata.into(),
        committed_at: turn.now.wall,
        expires_at,
    }
}

/// Whether the text has at most `max` UTF-16 units, which is how Kafka measures it.
fn is_at_most_utf16(text: &str, max: usize) -> bool {
    // No text has more UTF-16 units than UTF-8 bytes.
    text.len() <= max || text.encode_utf16().count() <= max
}

/// A response that gives every partition the same error.
pub(super) fn refusal(
    request: &OffsetCommitRequest<'_>,
    code: ErrorCode,
) -> OffsetCommitResponse<'static> {
    let topics = request.topics.iter().map(|topic| OffsetCommitResponseTopic {
        name: owned(&topic.name),
        partitions: topic.partitions.iter().map(|partition| answer(partition, code)).collect(),
    });
    OffsetCommitResponse { topics: topics.collect(), ..OffsetCommitResponse::default() }
}

fn answer(
    partition: &OffsetCommitRequestPartition<'_>,
    code: ErrorCode,
) -> OffsetCommitResponsePartition {
    OffsetCommitResponsePartition {
        partition_index: partition.partition_index,
        error_code: code.code(),
    }
}
