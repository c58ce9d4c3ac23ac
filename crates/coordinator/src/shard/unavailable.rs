//! Answers that are only an error, for every kind of request.

use std::borrow::Cow;

use chronik_protocol::messages::{
    DeletableGroupResult, DeleteGroupsResponse, DescribeGroupsResponse, DescribedGroup,
    ListGroupsResponse, OffsetDeleteResponse,
};
use chronik_types::ErrorCode;

use super::rebalance::owned;
use super::{heartbeat, join, leave, offset_commit, offset_fetch, sync};
use crate::member::{Member, Parked};
use crate::{Reply, Request, RequestId};

/// The answer of a shard that does not serve.
pub(super) fn reply(request: &Request<'_>, code: ErrorCode, version: i16) -> Reply {
    match request {
        Request::JoinGroup { request, .. } => {
            Reply::JoinGroup(join::refusal(code, &request.member_id))
        }
        Request::SyncGroup(_) => Reply::SyncGroup(sync::refusal(code)),
        // Whoever the member is, it should go on: a load must not cost a group a rebalance.
        Request::Heartbeat(_) if code == ErrorCode::CoordinatorLoadInProgress => {
            Reply::Heartbeat(heartbeat::answer(ErrorCode::None))
        }
        Request::Heartbeat(_) => Reply::Heartbeat(heartbeat::answer(code)),
        Request::LeaveGroup(_) => Reply::LeaveGroup(leave::refusal(code)),
        Request::OffsetCommit(request) => {
            Reply::OffsetCommit(offset_commit::refusal(request, code))
        }
        Request::OffsetFetch { group, .. } => {
            Reply::OffsetFetch(offset_fetch::refusal(&group.group_id, code))
        }
        Request::OffsetDelete(_) => Reply::OffsetDelete(offset_delete(code)),
        Request::DeleteGroups(request) => Reply::DeleteGroups(DeleteGroupsResponse {
            results: request
                .groups_names
                .iter()
                .map(|name| DeletableGroupResult { group_id: owned(name), error_code: code.code() })
                .collect(),
            ..DeleteGroupsResponse::default()
        }),
        Request::DescribeGroups(request) => Reply::DescribeGroups(DescribeGroupsResponse {
            groups: request.groups.iter().map(|name| undescribed(name, code, version)).collect(),
            ..DescribeGroupsResponse::default()
        }),
        Request::ListGroups(_) => Reply::ListGroups(ListGroupsResponse {
            error_code: code.code(),
            ..ListGroupsResponse::default()
        }),
    }
}

/// The answer to what is parked in the member, if anything is.
pub(super) fn parked(member: &Member, code: ErrorCode) -> Option<(RequestId, Reply)> {
    match member.parked? {
        Parked::Join(id, _) => Some((id, Reply::JoinGroup(join::refusal(code, &member.id)))),
        Parked::Sync(id) => Some((id, Reply::SyncGroup(sync::refusal(code)))),
    }
}

/// What becomes of a reply whose records could not be appended.
pub(super) fn failed(reply: Reply, code: ErrorCode) -> Reply {
    match reply {
        Reply::JoinGroup(response) => Reply::JoinGroup(join::refusal(code, &response.member_id)),
        Reply::SyncGroup(_) => Reply::SyncGroup(sync::refusal(code)),
        Reply::Heartbeat(_) => Reply::Heartbeat(heartbeat::answer(code)),
        Reply::LeaveGroup(_) => Reply::LeaveGroup(leave::refusal(code)),
        Reply::OffsetCommit(mut response) => {
            let partitions = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
            for partition in partitions.filter(|partition| partition.error_code == 0) {
                partition.error_code = code.code();
            }
            Reply::OffsetCommit(response)
        }
        Reply::OffsetFetch(response) => {
            Reply::OffsetFetch(offset_fetch::refusal(&response.group_id, code))
        }
        Reply::OffsetDelete(_) => Reply::OffsetDelete(offset_delete(code)),
        Reply::DeleteGroups(mut response) => {
            for result in response.results.iter_mut().filter(|result| result.error_code == 0) {
                result.error_code = code.code();
            }
            Reply::DeleteGroups(response)
        }
        reply @ (Reply::DescribeGroups(_) | Reply::ListGroups(_)) => reply,
    }
}

fn offset_delete(code: ErrorCode) -> OffsetDeleteResponse<'static> {
    OffsetDeleteResponse { error_code: code.code(), ..OffsetDeleteResponse::default() }
}

fn undescribed(group_id: &str, code: ErrorCode, version: i16) -> DescribedGroup<'static> {
    DescribedGroup {
        error_code: code.code(),
        error_message: (version >= 6).then(|| Cow::Borrowed(code.name())),
        group_id: owned(group_id),
        ..DescribedGroup::default()
    }
}
