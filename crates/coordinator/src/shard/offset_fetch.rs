//! OffsetFetch, one group at a time.

use std::collections::BTreeMap;

use chronik_protocol::messages::{
    OffsetFetchRequestGroup, OffsetFetchResponseGroup, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopics,
};
use chronik_types::{ErrorCode, PartitionId};

use super::rebalance::owned;
use super::turn::Turn;
use crate::group::Group;
use crate::offsets::CommittedOffset;
use crate::{GroupId, Reply, RequestId};

pub(super) fn handle(
    turn: &mut Turn<'_>,
    groups: &BTreeMap<GroupId, Group>,
    id: RequestId,
    request: &OffsetFetchRequestGroup<'_>,
    require_stable: bool,
) {
    // An unknown group has no offsets, which is not an error.
    let group = groups.get(&*request.group_id);
    let topics = match &request.topics {
        None => group.map(|group| all(group, require_stable)).unwrap_or_default(),
        Some(topics) => topics
            .iter()
            .map(|topic| OffsetFetchResponseTopics {
                name: owned(&topic.name),
                partitions: topic
                    .partition_indexes
                    .iter()
                    .map(|index| one(group, &topic.name, *index, require_stable))
                    .collect(),
            })
            .collect(),
    };
    let response = OffsetFetchResponseGroup {
        group_id: owned(&request.group_id),
        topics,
        ..OffsetFetchResponseGroup::default()
    };
    turn.reply(id, Reply::OffsetFetch(response));
}

fn all(group: &Group, require_stable: bool) -> Vec<OffsetFetchResponseTopics<'static>> {
    let topics = group.offsets.topics().map(|(topic, partitions)| OffsetFetchResponseTopics {
        name: owned(topic),
        partitions: partitions
            .keys()
            .map(|index| one(Some(group), topic, *index, require_stable))
            .collect(),
    });
    topics.collect()
}

fn one(
    group: Option<&Group>,
    topic: &str,
    index: PartitionId,
    require_stable: bool,
) -> OffsetFetchResponsePartitions<'static> {
    let offsets = group.map(|group| &group.offsets);
    if require_stable && offsets.is_some_and(|offsets| offsets.is_unstable(topic, index)) {
        return answer(index, None, ErrorCode::UnstableOffsetCommit);
    }
    let committed = offsets.and_then(|offsets| offsets.get(topic, index));
    answer(index, committed, ErrorCode::None)
}

fn answer(
    index: PartitionId,
    committed: Option<&CommittedOffset>,
    code: ErrorCode,
) -> OffsetFetchResponsePartitions<'static> {
    OffsetFetchResponsePartitions {
        partition_index: index,
        committed_offset: committed.map_or(-1, |committed| committed.offset),
        committed_leader_epoch: committed.map_or(-1, |committed| committed.leader_epoch),
        metadata: Some(owned(committed.map_or("", |committed| &committed.metadata))),
        error_code: code.code(),
    }
}

/// A response that only says what went wrong.
pub(super) fn refusal(group_id: &str, code: ErrorCode) -> OffsetFetchResponseGroup<'static> {
    OffsetFetchResponseGroup {
        group_id: owned(group_id),
        error_code: code.code(),
        ..OffsetFetchResponseGroup::default()
    }
}
