//! SyncGroup.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use chronik_protocol::messages::{SyncGroupRequest, SyncGroupResponse};
use chronik_types::ErrorCode;

use super::rebalance::owned;
use super::turn::Turn;
use super::undo::Undo;
use crate::group::{Group, GroupState};
use crate::member::{Member, Parked};
use crate::timers::Timer;
use crate::{GroupId, MemberId, Reply, RequestId};

pub(super) fn handle(
    turn: &mut Turn<'_>,
    groups: &mut BTreeMap<GroupId, Group>,
    id: RequestId,
    request: &SyncGroupRequest<'_>,
) {
    if let Err(code) = admit(turn, groups, id, request) {
        turn.reply(id, Reply::SyncGroup(refusal(code)));
    }
}

fn admit(
    turn: &mut Turn<'_>,
    groups: &mut BTreeMap<GroupId, Group>,
    id: RequestId,
    request: &SyncGroupRequest<'_>,
) -> Result<(), ErrorCode> {
    if request.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    let group = groups.get_mut(&*request.group_id).ok_or(ErrorCode::UnknownMemberId)?;
    let member = group.validate_member(&request.member_id, request.group_instance_id.as_deref())?;
    let member = MemberId::clone(&member.id);
    if request.generation_id != group.generation {
        return Err(ErrorCode::IllegalGeneration);
    }
    let differs = |said: &Option<Cow<'_, str>>, is: Option<&str>| {
        said.as_deref().is_some_and(|said| Some(said) != is)
    };
    if differs(&request.protocol_type, group.protocol_type.as_deref())
        || differs(&request.protocol_name, group.protocol.as_deref())
    {
        return Err(ErrorCode::InconsistentGroupProtocol);
    }
    match group.state() {
        GroupState::Empty => Err(ErrorCode::UnknownMemberId),
        GroupState::PreparingRebalance(_) => Err(ErrorCode::RebalanceInProgress),
        GroupState::CompletingRebalance => {
            note_synced(turn, group, &member);
            turn.park(group, &member, Parked::Sync(id));
            if group.is_leader(&member) {
                assign(turn, group, request);
            }
            Ok(())
        }
        GroupState::Stable => {
            note_synced(turn, group, &member);
            if let Some(member) = group.member(&member) {
                turn.reply(id, Reply::SyncGroup(assignment(group, member)));
            }
            Ok(())
        }
    }
}

fn note_synced(turn: &mut Turn<'_>, group: &mut Group, member: &MemberId) {
    group.unsynced.remove(member);
    if group.unsynced.is_empty() {
        turn.timers.cancel(Timer::Sync(GroupId::clone(&group.id)));
    }
}

/// The group leader has decided: the assignment is written, then everybody who waits learns it.
fn assign(turn: &mut Turn<'_>, group: &mut Group, request: &SyncGroupRequest<'_>) {
    let mut assigned: HashMap<&str, &[u8]> =
        request.assignments.iter().map(|to| (&*to.member_id, &*to.assignment)).collect();
    let members: Vec<_> = group.members().map(|member| MemberId::clone(&member.id)).collect();
    for member in &members {
        // A member that the leader left out has nothing.
        let assignment = assigned.remove(&**member).map(Bytes::copy_from_slice);
        group.set_assignment(member, assignment.unwrap_or_default());
    }
    group.enter(GroupState::Stable, turn.now.wall);
    turn.undo.push(Undo::Assigned(GroupId::clone(&group.id)));
    turn.emit_group(group);
    turn.expiry_soon(group);
    for member in &members {
        turn.answer_sync(group, member, assignment);
    }
}

fn assignment(group: &Group, member: &Member) -> SyncGroupResponse<'static> {
    SyncGroupResponse {
        protocol_type: group.protocol_type.as_deref().map(owned),
        protocol_name: group.protocol.as_deref().map(owned),
        assignment: Cow::Owned(member.assignment.to_vec()),
        ..SyncGroupResponse::default()
    }
}

/// A SyncGroup response that only says what went wrong.
pub(super) fn refusal(code: ErrorCode) -> SyncGroupResponse<'static> {
    SyncGroupResponse { error_code: code.code(), ..SyncGroupResponse::default() }
}
