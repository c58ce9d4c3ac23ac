//! What a timer does when it fires.

use std::collections::BTreeMap;

use chronik_types::ErrorCode;

use super::turn::Turn;
use super::{expiry, leave, rebalance};
use crate::GroupId;
use crate::group::Group;
use crate::timers::Timer;

pub(super) fn fire(turn: &mut Turn<'_>, groups: &mut BTreeMap<GroupId, Group>, timer: Timer) {
    let id = match &timer {
        Timer::Session(id, _) | Timer::Join(id) | Timer::Sync(id) | Timer::Expiry(id) => id,
    };
    let Some(group) = groups.get_mut(id) else { return };
    match &timer {
        Timer::Session(_, member) if group.pending.contains(member) => {
            leave::forget_pending(turn, group, member);
            rebalance::complete_if_all_joined(turn, group);
        }
        Timer::Session(_, member) => {
            turn.remove_member(group, member, ErrorCode::UnknownMemberId);
            rebalance::prepare_or_complete(turn, group);
        }
        Timer::Join(_) => rebalance::join_timer_fired(turn, group),
        Timer::Sync(_) => rebalance::sync_timer_fired(turn, group),
        Timer::Expiry(id) => expiry::fired(turn, groups, id),
    }
}
