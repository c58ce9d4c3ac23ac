//! The two phases of a rebalance: everybody joins, then everybody gets an assignment.

use std::borrow::Cow;
use std::time::Duration;

use chronik_protocol::messages::{JoinGroupResponse, JoinGroupResponseMember};
use chronik_types::ErrorCode;

use super::turn::Turn;
use crate::GroupId;
use crate::MemberId;
use crate::group::{Group, GroupState, JoinPhase};
use crate::member::{Member, Parked};
use crate::timers::Timer;

/// Starts a join phase if none is running, else ends it if everybody is there.
pub(super) fn prepare_or_complete(turn: &mut Turn<'_>, group: &mut Group) {
    if group.is_preparing() {
        complete_if_all_joined(turn, group);
    } else {
        prepare(turn, group);
    }
}

/// Starts a join phase. Members that wait for an assignment are told to join again.
pub(super) fn prepare(turn: &mut Turn<'_>, group: &mut Group) {
    assert!(!group.is_preparing(), "one join phase at a time");
    if group.state() == GroupState::CompletingRebalance {
        group.clear_assignments();
        refuse_syncs(turn, group, ErrorCode::RebalanceInProgress);
    }
    group.unsynced.clear();
    turn.timers.cancel(Timer::Sync(GroupId::clone(&group.id)));
    let (phase, wait) = if group.is_empty() {
        let delay = turn.config.initial_rebalance_delay;
        let remaining = group.rebalance_timeout().saturating_sub(delay);
        (JoinPhase::Initial { delay, remaining, joined_since: false }, delay)
    } else {
        (JoinPhase::AllJoined, group.rebalance_timeout())
    };
    group.enter(GroupState::PreparingRebalance(phase), turn.now.wall);
    set_join_timer(turn, group, wait);
    complete_if_all_joined(turn, group);
}

/// Ends the join phase if there is nobody left to wait for; the initial delay always runs out.
pub(super) fn complete_if_all_joined(turn: &mut Turn<'_>, group: &mut Group) {
    let waits_for_all = group.state() == GroupState::PreparingRebalance(JoinPhase::AllJoined);
    if waits_for_all && group.has_all_joined() {
        complete(turn, group);
    }
}

/// Notes that somebody joined, which may extend the initial delay.
pub(super) fn note_arrival(group: &mut Group) {
    if let GroupState::PreparingRebalance(JoinPhase::Initial { delay, remaining, .. }) =
        group.state()
    {
        group.set_join_phase(JoinPhase::Initial { delay, remaining, joined_since: true });
    }
}

/// The join timer fired: extends the initial delay if members are still arriving, else goes on
/// without those who did not come.
pub(super) fn join_timer_fired(turn: &mut Turn<'_>, group: &mut Group) {
    match group.state() {
        GroupState::PreparingRebalance(JoinPhase::Initial {
            delay,
            remaining,
            joined_since: true,
        }) if !remaining.is_zero() => {
            let next = turn.config.initial_rebalance_delay.min(remaining);
            let remaining = remaining.saturating_sub(delay);
            let phase = JoinPhase::Initial { delay: next, remaining, joined_since: false };
            group.set_join_phase(phase);
            set_join_timer(turn, group, next);
        }
        _ => complete(turn, group),
    }
}

/// Ends the join phase: dynamic members that did not join are out, static ones stay until their
/// session ends, and the rest is a new generation.
fn complete(turn: &mut Turn<'_>, group: &mut Group) {
    let absent = group.members().filter(|member| !member.is_joining());
    let gone: Vec<_> =
        absent.filter(|member| member.instance.is_none()).map(|m| m.id.clone()).collect();
    for member in &gone {
        turn.remove_member(group, member, ErrorCode::UnknownMemberId);
    }
    if !group.elect_joined_leader() && group.members().len() > 0 {
        // Only static members are left and none of them joined: wait for their sessions to end.
        group.set_join_phase(JoinPhase::AllJoined);
        set_join_timer(turn, group, group.rebalance_timeout());
        return;
    }
    turn.timers.cancel(Timer::Join(GroupId::clone(&group.id)));
    group.begin_generation(turn.now.wall);
    if group.is_empty() {
        turn.emit_group(group);
        turn.expiry_soon(group);
        return;
    }
    let sync_by = turn.now.monotonic.after(group.rebalance_timeout());
    turn.timers.set(Timer::Sync(GroupId::clone(&group.id)), sync_by);
    let members: Vec<_> = group.members().map(|member| MemberId::clone(&member.id)).collect();
    for member in &members {
        turn.answer_join(group, member, |group, member, _| {
            generation(group, member, group.is_leader(&member.id))
        });
    }
}

/// Removes the members that never asked for their assignment.
pub(super) fn sync_timer_fired(turn: &mut Turn<'_>, group: &mut Group) {
    for member in std::mem::take(&mut group.unsynced) {
        turn.remove_member(group, &member, ErrorCode::UnknownMemberId);
    }
    prepare(turn, group);
}

/// Answers all waiting SyncGroups with an error.
pub(super) fn refuse_syncs(turn: &mut Turn<'_>, group: &mut Group, code: ErrorCode) {
    let waiting = group.members().filter(|member| matches!(member.parked, Some(Parked::Sync(_))));
    let waiting: Vec<_> = waiting.map(|member| MemberId::clone(&member.id)).collect();
    for member in &waiting {
        turn.answer_sync(group, member, |_, _| super::sync::refusal(code));
    }
}

/// The generation as the member learns it; only the group leader learns who else is in it.
pub(super) fn generation(
    group: &Group,
    member: &Member,
    with_members: bool,
) -> JoinGroupResponse<'static> {
    let metadata = |member: &Member| {
        let protocol = group.protocol.as_deref().unwrap_or_default();
        member.metadata(protocol).map(|metadata| metadata.to_vec()).unwrap_or_default()
    };
    let members = with_members.then(|| {
        group.members().map(|member| JoinGroupResponseMember {
            member_id: owned(&member.id),
            group_instance_id: member.instance.as_deref().map(owned),
            metadata: Cow::Owned(metadata(member)),
        })
    });
    JoinGroupResponse {
        generation_id: group.generation,
        protocol_type: group.protocol_type.as_deref().map(owned),
        protocol_name: Some(owned(group.protocol.as_deref().unwrap_or_default())),
        leader: owned(group.leader.as_deref().unwrap_or_default()),
        member_id: owned(&member.id),
        members: members.into_iter().flatten().collect(),
        ..JoinGroupResponse::default()
    }
}

/// Text of ours in a response.
pub(super) fn owned(text: &str) -> Cow<'static, str> {
    Cow::Owned(text.to_owned())
}

fn set_join_timer(turn: &mut Turn<'_>, group: &Group, wait: Duration) {
    let timer = Timer::Join(GroupId::clone(&group.id));
    turn.timers.set(timer, turn.now.monotonic.after(wait));
}
