//! Heartbeat.

use std::collections::BTreeMap;

use chronik_protocol::messages::{HeartbeatRequest, HeartbeatResponse};
use chronik_types::ErrorCode;

use super::turn::Turn;
use crate::group::Group;
use crate::{GroupId, Reply, RequestId};

pub(super) fn handle(
    turn: &mut Turn<'_>,
    groups: &BTreeMap<GroupId, Group>,
    id: RequestId,
    request: &HeartbeatRequest<'_>,
) {
    let code = heartbeat(turn, groups, request).err().unwrap_or(ErrorCode::None);
    turn.reply_now(id, Reply::Heartbeat(answer(code)));
}

fn heartbeat(
    turn: &mut Turn<'_>,
    groups: &BTreeMap<GroupId, Group>,
    request: &HeartbeatRequest<'_>,
) -> Result<(), ErrorCode> {
    if request.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    let group = groups.get(&*request.group_id).ok_or(ErrorCode::UnknownMemberId)?;
    group.validate_member(&request.member_id, request.group_instance_id.as_deref())?;
    if request.generation_id != group.generation {
        return Err(ErrorCode::IllegalGeneration);
    }
    turn.heard_of(group, &request.member_id);
    if group.is_preparing() { Err(ErrorCode::RebalanceInProgress) } else { Ok(()) }
}

pub(super) fn answer(code: ErrorCode) -> HeartbeatResponse {
    HeartbeatResponse { error_code: code.code(), ..HeartbeatResponse::default() }
}
