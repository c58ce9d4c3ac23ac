//! JoinGroup.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use chronik_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use chronik_types::{ErrorCode, Uuid};

use super::rebalance::{self, generation, owned};
use super::turn::Turn;
use super::undo::Undo;
use crate::group::{Group, GroupState};
use crate::member::{JoinTerms, Member, Parked};
use crate::record::millis;
use crate::timers::Timer;
use crate::{ClientInfo, GroupId, MemberId, Reply, RequestId};

/// From this version on, a dynamic member without an id is given one first (KIP-394).
const MEMBER_ID_REQUIRED_FROM: i16 = 4;
/// From this version on, a group leader can be told to skip the assignment (KIP-814).
const SKIP_ASSIGNMENT_FROM: i16 = 9;
/// The longest text that the records can hold.
const TEXT_BYTES_MAX: usize = i16::MAX as usize;

/// A JoinGroup on its way through the rules.
struct Join<'r> {
    id: RequestId,
    version: i16,
    member_id: &'r str,
    instance: Option<&'r str>,
    client: &'r ClientInfo<'r>,
    member_uuid: Uuid,
    terms: JoinTerms,
}

/// A refusal: the error, and whether the response repeats the member id.
struct Refused(ErrorCode, /* member id */ String);

pub(super) fn handle(
    turn: &mut Turn<'_>,
    groups: &mut BTreeMap<GroupId, Group>,
    id: RequestId,
    request: &JoinGroupRequest<'_>,
    member_uuid: Uuid,
    client: &ClientInfo<'_>,
) {
    let join = Join {
        id,
        version: client.api_version,
        member_id: &request.member_id,
        instance: request.group_instance_id.as_deref(),
        client,
        member_uuid,
        terms: terms(request, client.api_version),
    };
    if let Err(Refused(code, member_id)) = admit(turn, groups, request, &join) {
        turn.reply(id, Reply::JoinGroup(refusal(code, &member_id)));
    }
}

/// The checks that need no group, then the group's own.
fn admit(
    turn: &mut Turn<'_>,
    groups: &mut BTreeMap<GroupId, Group>,
    request: &JoinGroupRequest<'_>,
    join: &Join<'_>,
) -> Result<(), Refused> {
    let refused = |code| Err(Refused(code, join.member_id.to_owned()));
    if request.group_id.is_empty() {
        return refused(ErrorCode::InvalidGroupId);
    }
    let session = join.terms.session_timeout;
    let (min, max) = (turn.config.session_timeout_min, turn.config.session_timeout_max);
    if request.session_timeout_ms < 0 || session < min || session > max {
        return refused(ErrorCode::InvalidSessionTimeout);
    }
    let name_bytes = join.instance.unwrap_or(join.client.client_id).len();
    if name_bytes + 1 + UUID_TEXT_BYTES > TEXT_BYTES_MAX {
        return refused(ErrorCode::InvalidRequest);
    }
    let Some(group) = groups.get_mut(&*request.group_id) else {
        if !join.member_id.is_empty() {
            return refused(ErrorCode::UnknownMemberId);
        }
        // A group begins with a member that it can have; anything else would leave an empty group.
        let mut group = turn.new_group(&request.group_id);
        if !group.supports(&join.terms) {
            turn.timers.cancel(Timer::Expiry(GroupId::clone(&group.id)));
            return refused(ErrorCode::InconsistentGroupProtocol);
        }
        let result = join_group(turn, &mut group, join);
        groups.insert(GroupId::clone(&group.id), group);
        return result;
    };
    join_group(turn, group, join)
}

fn join_group(turn: &mut Turn<'_>, group: &mut Group, join: &Join<'_>) -> Result<(), Refused> {
    if !has_room(turn, group, join.member_id) {
        // Somebody has to go when the limit was lowered: those who come last.
        if let Some(member) = group.member(join.member_id).map(|member| member.id.clone()) {
            turn.remove_member(group, &member, ErrorCode::GroupMaxSizeReached);
        } else if group.pending.remove(join.member_id) {
            turn.end_session(group, &join.member_id.into());
        }
        rebalance::complete_if_all_joined(turn, group);
        return Err(Refused(ErrorCode::GroupMaxSizeReached, String::new()));
    }
    if !group.supports(&join.terms) {
        let code = ErrorCode::InconsistentGroupProtocol;
        return Err(Refused(code, join.member_id.to_owned()));
    }
    if join.member_id.is_empty() {
        join_as_new(turn, group, join)
    } else {
        join_again(turn, group, join)
    }
}

/// Whether the group can take this member. In Preparing those who are there count, because with a
/// lowered limit the rest of the members may not come back.
fn has_room(turn: &Turn<'_>, group: &Group, member_id: &str) -> bool {
    let member = group.member(member_id);
    let max = turn.config.group_members_max;
    match group.state() {
        GroupState::Empty => true,
        GroupState::PreparingRebalance(_) => {
            member.is_some_and(Member::is_joining) || group.joining() < max
        }
        GroupState::CompletingRebalance | GroupState::Stable => {
            member.is_some() || group.members().len() < max
        }
    }
}

fn join_as_new(turn: &mut Turn<'_>, group: &mut Group, join: &Join<'_>) -> Result<(), Refused> {
    let name = join.instance.unwrap_or(join.client.client_id);
    let member_id = MemberId::from(format!("{name}-{}", uuid_text(join.member_uuid)));
    if let Some(instance) = join.instance {
        return match group.static_member(instance).cloned() {
            Some(old) => replace_static(turn, group, join, &old, &member_id),
            None => add(turn, group, join, member_id),
        };
    }
    if join.version >= MEMBER_ID_REQUIRED_FROM {
        turn.session(group, &member_id, join.terms.session_timeout);
        group.pending.insert(MemberId::clone(&member_id));
        return Err(Refused(ErrorCode::MemberIdRequired, member_id.to_string()));
    }
    add(turn, group, join, member_id)
}

fn join_again(turn: &mut Turn<'_>, group: &mut Group, join: &Join<'_>) -> Result<(), Refused> {
    if join.instance.is_none() && group.pending.contains(join.member_id) {
        return add(turn, group, join, join.member_id.into());
    }
    let member = group
        .validate_member(join.member_id, join.instance)
        .map_err(|code| Refused(code, join.member_id.to_owned()))?;
    let member_id = MemberId::clone(&member.id);
    let is_unchanged = member.protocols == join.terms.protocols;
    let is_leader = group.is_leader(&member_id);
    match group.state() {
        GroupState::CompletingRebalance if is_unchanged => {
            // The answer to its JoinGroup was lost on the way: here it is again.
            answer_current(turn, group, join, &member_id, is_leader);
        }
        GroupState::Stable if is_unchanged && !is_leader => {
            // A follower with nothing new needs no rebalance. A leader may know of new partitions.
            answer_current(turn, group, join, &member_id, false);
        }
        _ => {
            take_terms(turn, group, join, &member_id);
            rebalance::prepare_or_complete(turn, group);
        }
    }
    Ok(())
}

fn answer_current(
    turn: &mut Turn<'_>,
    group: &Group,
    join: &Join<'_>,
    member_id: &MemberId,
    with_members: bool,
) {
    if let Some(member) = group.member(member_id) {
        turn.reply(join.id, Reply::JoinGroup(generation(group, member, with_members)));
    }
}

fn add(
    turn: &mut Turn<'_>,
    group: &mut Group,
    join: &Join<'_>,
    member_id: MemberId,
) -> Result<(), Refused> {
    let member = Member {
        id: MemberId::clone(&member_id),
        instance: join.instance.map(Into::into),
        client_id: join.client.client_id.into(),
        client_host: join.client.host.into(),
        rebalance_timeout: join.terms.rebalance_timeout,
        session_timeout: join.terms.session_timeout,
        protocols: join.terms.protocols.clone(),
        assignment: Bytes::new(),
        parked: None,
        is_new: true,
    };
    rebalance::note_arrival(group);
    group.add(member, &join.terms.protocol_type);
    turn.session(group, &member_id, turn.config.new_member_join_timeout);
    turn.park(group, &member_id, Parked::Join(join.id, join.version));
    // The first member's rebalance timeout bounds the initial delay, so the join phase starts only
    // when the member is in the group.
    rebalance::prepare_or_complete(turn, group);
    Ok(())
}

/// The member joins with what the request says, and waits for the end of the join phase.
fn take_terms(turn: &mut Turn<'_>, group: &mut Group, join: &Join<'_>, member_id: &MemberId) {
    turn.park(group, member_id, Parked::Join(join.id, join.version));
    group.update(member_id, |member| {
        member.protocols.clone_from(&join.terms.protocols);
        member.rebalance_timeout = join.terms.rebalance_timeout;
        member.session_timeout = join.terms.session_timeout;
    });
}

/// A static member came back without its member id: a new id takes the old one's place, and the
/// old id is fenced from now on (KIP-345).
fn replace_static(
    turn: &mut Turn<'_>,
    group: &mut Group,
    join: &Join<'_>,
    old: &MemberId,
    new: &MemberId,
) -> Result<(), Refused> {
    let old_leader = group.leader.clone();
    turn.end_session(group, old);
    let Some(before) = group.rename_member(old, new) else { return Ok(()) };
    turn.answer_parked(&before, ErrorCode::FencedInstanceId);
    if before.is_new {
        group.update(new, |member| member.is_new = false);
    }
    take_terms(turn, group, join, new);
    match group.state() {
        GroupState::Stable if group.elect_protocol() == group.protocol => {
            let undo = Undo::Replaced { group: group.id.clone(), by: new.clone(), before };
            turn.undo.push(undo);
            group.note_subscriptions();
            turn.emit_group(group);
            turn.answer_join(group, new, |group, member, version| {
                let can_skip = version >= SKIP_ASSIGNMENT_FROM;
                let is_leader = group.is_leader(&member.id);
                let mut response = generation(group, member, is_leader && can_skip);
                response.skip_assignment = is_leader && can_skip;
                if !can_skip {
                    // Naming the old leader keeps an old client from assigning anew.
                    response.leader = owned(old_leader.as_deref().unwrap_or_default());
                }
                response
            });
        }
        GroupState::PreparingRebalance(_) => rebalance::complete_if_all_joined(turn, group),
        // In the sync phase the leader may be assigning to the old id already.
        _ => rebalance::prepare(turn, group),
    }
    Ok(())
}

fn terms(request: &JoinGroupRequest<'_>, version: i16) -> JoinTerms {
    let mut protocols: Vec<(Arc<str>, Bytes)> = Vec::with_capacity(request.protocols.len());
    let mut names = BTreeSet::new();
    for protocol in &request.protocols {
        // A name given twice is one vote, for its first metadata.
        if names.insert(&*protocol.name) {
            let metadata = Bytes::copy_from_slice(&protocol.metadata);
            protocols.push((protocol.name.as_ref().into(), metadata));
        }
    }
    let session_timeout = millis(request.session_timeout_ms);
    let rebalance_timeout = match version {
        0 => session_timeout,
        _ => millis(request.rebalance_timeout_ms),
    };
    let protocol_type = request.protocol_type.as_ref().into();
    JoinTerms { protocol_type, protocols, rebalance_timeout, session_timeout }
}

/// A JoinGroup response that only says what went wrong.
pub(super) fn refusal(code: ErrorCode, member_id: &str) -> JoinGroupResponse<'static> {
    JoinGroupResponse {
        error_code: code.code(),
        member_id: owned(member_id),
        ..JoinGroupResponse::default()
    }
}

const UUID_TEXT_BYTES: usize = 36;

/// The uuid as Java prints it, which is the form member ids have.
fn uuid_text(uuid: Uuid) -> String {
    let n = u128::from_be_bytes(uuid.0);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        n >> 96,
        (n >> 80) & 0xFFFF,
        (n >> 64) & 0xFFFF,
        (n >> 48) & 0xFFFF,
        n & 0xFFFF_FFFF_FFFF
    )
}
