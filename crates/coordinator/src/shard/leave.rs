//! LeaveGroup.

use std::collections::BTreeMap;

use chronik_protocol::messages::{
    LeaveGroupRequest, LeaveGroupResponse, MemberIdentity, MemberResponse,
};
use chronik_types::ErrorCode;

use super::rebalance::{self, owned};
use super::turn::Turn;
use crate::group::{Group, GroupState};
use crate::{ClientInfo, GroupId, MemberId, Reply, RequestId};

/// From this version on, a request names several members.
const BATCH_FROM: i16 = 3;

pub(super) fn handle(
    turn: &mut Turn<'_>,
    groups: &mut BTreeMap<GroupId, Group>,
    id: RequestId,
    request: &LeaveGroupRequest<'_>,
    client: &ClientInfo<'_>,
) {
    if request.group_id.is_empty() {
        turn.reply(id, Reply::LeaveGroup(refusal(ErrorCode::InvalidGroupId)));
        return;
    }
    let one = [MemberIdentity { member_id: request.member_id.clone(), ..Default::default() }];
    let is_batch = client.api_version >= BATCH_FROM;
    let leavers = if is_batch { &request.members[..] } else { &one };
    let mut codes = vec![ErrorCode::UnknownMemberId; leavers.len()];
    if let Some(group) = groups.get_mut(&*request.group_id) {
        let members_before = group.members().len();
        for (code, leaver) in codes.iter_mut().zip(leavers) {
            *code = leave(turn, group, leaver).err().unwrap_or(ErrorCode::None);
        }
        match group.state() {
            GroupState::CompletingRebalance | GroupState::Stable
                if group.members().len() < members_before =>
            {
                rebalance::prepare(turn, group);
            }
            _ => rebalance::complete_if_all_joined(turn, group),
        }
    }
    let mut response = LeaveGroupResponse::default();
    if is_batch {
        let answers = codes.iter().zip(leavers).map(|(code, leaver)| MemberResponse {
            member_id: owned(&leaver.member_id),
            group_instance_id: leaver.group_instance_id.as_deref().map(owned),
            error_code: code.code(),
        });
        response.members = answers.collect();
    } else if let Some(code) = codes.first() {
        response.error_code = code.code();
    }
    turn.reply(id, Reply::LeaveGroup(response));
}

fn leave(
    turn: &mut Turn<'_>,
    group: &mut Group,
    leaver: &MemberIdentity<'_>,
) -> Result<(), ErrorCode> {
    let instance = leaver.group_instance_id.as_deref();
    let member = if leaver.member_id.is_empty() {
        // An operator removes a static member by its instance, without knowing its member id.
        let member = instance.and_then(|instance| group.static_member(instance));
        MemberId::clone(member.ok_or(ErrorCode::UnknownMemberId)?)
    } else if group.pending.contains(&*leaver.member_id) {
        forget_pending(turn, group, &leaver.member_id);
        return Ok(());
    } else {
        MemberId::clone(&group.validate_member(&leaver.member_id, instance)?.id)
    };
    turn.remove_member(group, &member, ErrorCode::UnknownMemberId);
    Ok(())
}

/// Takes back a member id that was given out and never used.
pub(super) fn forget_pending(turn: &mut Turn<'_>, group: &mut Group, member: &str) {
    if let Some(member) = group.pending.take(member) {
        turn.end_session(group, &member);
    }
}

/// A LeaveGroup response that only says what went wrong.
pub(super) fn refusal(code: ErrorCode) -> LeaveGroupResponse<'static> {
    LeaveGroupResponse { error_code: code.code(), ..LeaveGroupResponse::default() }
}
