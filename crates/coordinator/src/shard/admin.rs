//! What operators ask: DescribeGroups, ListGroups, DeleteGroups, OffsetDelete.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_protocol::messages::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest,
    DescribeGroupsResponse, DescribedGroup, DescribedGroupMember, ListGroupsRequest,
    ListGroupsResponse, ListedGroup, OffsetDeleteRequest, OffsetDeleteResponse,
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use chronik_types::ErrorCode;

use super::expiry;
use super::rebalance::owned;
use super::turn::Turn;
use crate::group::{Group, GroupState};
use crate::member::Member;
use crate::{ClientInfo, GroupId, Reply, RequestId};

/// From this version on, describing an unknown group is an error.
const GROUP_ID_NOT_FOUND_FROM: i16 = 6;
/// The only type of group here (KIP-848 has others).
const GROUP_TYPE: &str = "classic";

pub(super) fn describe_groups(
    turn: &mut Turn<'_>,
    groups: &BTreeMap<GroupId, Group>,
    id: RequestId,
    request: &DescribeGroupsRequest<'_>,
    client: &ClientInfo<'_>,
) {
    let described = request.groups.iter().map(|name| match groups.get(&**name) {
        Some(group) => describe(group),
        None => unknown(name, client.api_version),
    });
    let groups = described.collect();
    let response = DescribeGroupsResponse { groups, ..DescribeGroupsResponse::default() };
    turn.reply(id, Reply::DescribeGroups(response));
}

fn describe(group: &Group) -> DescribedGroup<'static> {
    // Between generations there is no protocol whose metadata could be shown.
    let protocol = match group.state() {
        GroupState::Stable => group.protocol.as_deref().unwrap_or_default(),
        _ => "",
    };
    DescribedGroup {
        group_id: owned(&group.id),
        group_state: owned(group.state().name()),
        protocol_type: owned(group.protocol_type.as_deref().unwrap_or_default()),
        protocol_data: owned(protocol),
        members: group.members().map(|member| describe_member(group, member, protocol)).collect(),
        ..DescribedGroup::default()
    }
}

fn describe_member(
    group: &Group,
    member: &Member,
    protocol: &str,
) -> DescribedGroupMember<'static> {
    let is_stable = group.state() == GroupState::Stable;
    let metadata = member.metadata(protocol).filter(|_| is_stable);
    DescribedGroupMember {
        member_id: owned(&member.id),
        group_instance_id: member.instance.as_deref().map(owned),
        client_id: owned(&member.client_id),
        client_host: owned(&member.client_host),
        member_metadata: Cow::Owned(metadata.map(|m| m.to_vec()).unwrap_or_default()),
        member_assignment: Cow::Owned(member.assignment.to_vec()),
    }
}

fn unknown(group_id: &str, version: i16) -> DescribedGroup<'static> {
    let mut described = DescribedGroup {
        group_id: owned(group_id),
        group_state: Cow::Borrowed("Dead"),
        ..DescribedGroup::default()
    };
    if version >= GROUP_ID_NOT_FOUND_FROM {
        described.error_code = ErrorCode::GroupIdNotFound.code();
        described.error_message = Some(Cow::Owned(format!("Group {group_id} not found.")));
    }
    described
}

pub(super) fn list_groups(
    turn: &mut Turn<'_>,
    groups: &BTreeMap<GroupId, Group>,
    id: RequestId,
    request: &ListGroupsRequest<'_>,
    client: &ClientInfo<'_>,
) {
    let allows = |filter: &[Cow<'_, str>], value: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    let wanted = groups.values().filter(|group| {
        allows(&request.states_filter, group.state().name())
            && allows(&request.types_filter, GROUP_TYPE)
    });
    let listed = wanted.map(|group| ListedGroup {
        group_id: owned(&group.id),
        protocol_type: owned(group.protocol_type.as_deref().unwrap_or_default()),
        group_state: owned(if client.api_version >= 4 { group.state().name() } else { "" }),
        group_type: owned(if client.api_version >= 5 { GROUP_TYPE } else { "" }),
    });
    let groups = listed.collect();
    let response = ListGroupsResponse { groups, ..ListGroupsResponse::default() };
    turn.reply(id, Reply::ListGroups(response));
}

pub(super) fn delete_groups(
    turn: &mut Turn<'_>,
    groups: &mut BTreeMap<GroupId, Group>,
    id: RequestId,
    request: &DeleteGroupsRequest<'_>,
) {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for name in &request.groups_names {
        let code = delete_group(turn, groups, name).err().unwrap_or(ErrorCode::None);
        results.push(DeletableGroupResult { group_id: owned(name), error_code: code.code() });
    }
    let response = DeleteGroupsResponse { results, ..DeleteGroupsResponse::default() };
    turn.reply(id, Reply::DeleteGroups(response));
}

fn delete_group(
    turn: &mut Turn<'_>,
    groups: &mut BTreeMap<GroupId, Group>,
    name: &str,
) -> Result<(), ErrorCode> {
    let group = groups.get_mut(name).ok_or(ErrorCode::GroupIdNotFound)?;
    if !group.is_empty() {
        return Err(ErrorCode::NonEmptyGroup);
    }
    let offsets = group.offsets.iter().map(|(topic, partition, _)| (Arc::clone(topic), partition));
    let offsets = offsets.collect();
    expiry::remove_offsets(turn, group, offsets);
    expiry::remove_group(turn, groups, name);
    Ok(())
}

pub(super) fn offset_delete(
    turn: &mut Turn<'_>,
    groups: &mut BTreeMap<GroupId, Group>,
    id: RequestId,
    request: &OffsetDeleteRequest<'_>,
) {
    let response = match deletable(groups, &request.group_id) {
        Err(code) => {
            OffsetDeleteResponse { error_code: code.code(), ..OffsetDeleteResponse::default() }
        }
        Ok(group) => delete_offsets(turn, group, request),
    };
    turn.reply(id, Reply::OffsetDelete(response));
}

/// The group, if offsets of it may be deleted at all: it is empty, or its members say what they
/// subscribe to.
fn deletable<'g>(
    groups: &'g mut BTreeMap<GroupId, Group>,
    name: &str,
) -> Result<&'g mut Group, ErrorCode> {
    if name.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    let group = groups.get_mut(name).ok_or(ErrorCode::GroupIdNotFound)?;
    if group.is_empty() || group.uses_consumer_protocol() {
        Ok(group)
    } else {
        Err(ErrorCode::NonEmptyGroup)
    }
}

fn delete_offsets(
    turn: &mut Turn<'_>,
    group: &mut Group,
    request: &OffsetDeleteRequest<'_>,
) -> OffsetDeleteResponse<'static> {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let code = if group.is_subscribed_to(&topic.name) {
            ErrorCode::GroupSubscribedToTopic
        } else {
            let has_offset = |partition: &i32| group.offsets.get(&topic.name, *partition).is_some();
            let partitions = topic.partitions.iter().map(|partition| partition.partition_index);
            let name: Arc<str> = topic.name.as_ref().into();
            let offsets = partitions.filter(has_offset).map(|p| (Arc::clone(&name), p)).collect();
            expiry::remove_offsets(turn, group, offsets);
            ErrorCode::None
        };
        let answers = topic.partitions.iter().map(|partition| OffsetDeleteResponsePartition {
            partition_index: partition.partition_index,
            error_code: code.code(),
        });
        let partitions = answers.collect();
        topics.push(OffsetDeleteResponseTopic { name: owned(&topic.name), partitions });
    }
    OffsetDeleteResponse { topics, ..OffsetDeleteResponse::default() }
}
