//! Taking back what could not be written.
//!
//! A call applies its records at once and its effects are appended before the next call, so only
//! the last call can ever need this. What fails later, after the append, is not undone: then the
//! partition has another leader, and the shard resigns.

use std::collections::BTreeMap;

use chronik_types::ErrorCode;

use super::turn::{Turn, group_of};
use super::{rebalance, unavailable};
use crate::group::{Group, GroupState};
use crate::member::Member;
use crate::record::Fact;
use crate::{Effects, GroupId, MemberId, Reply};

/// Why records could not be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendFailure {
    /// No room, or too few replicas: it may work soon.
    Unavailable,
    /// Another broker leads the partition.
    NotLeader,
    /// The log takes no batch of this size.
    TooLarge,
}

/// How to take one change back.
#[derive(Debug)]
pub(super) enum Undo {
    /// Replaying this restores what the log says.
    Replay(Fact),
    /// The group was removed.
    Removed(Box<Group>),
    /// A static member got a new id, which nobody will remember.
    Replaced { group: GroupId, by: MemberId, before: Member },
    /// The group leader assigned, which nobody will remember.
    Assigned(GroupId),
}

pub(super) fn append_failed(
    turn: &mut Turn<'_>,
    groups: &mut BTreeMap<GroupId, Group>,
    undo: Vec<Undo>,
    effects: Effects,
    why: AppendFailure,
) {
    for change in undo.into_iter().rev() {
        take_back(turn, groups, change);
    }
    for (id, reply) in effects.replies {
        let code = why.code_for(&reply);
        turn.reply(id, unavailable::failed(reply, code));
    }
}

fn take_back(turn: &mut Turn<'_>, groups: &mut BTreeMap<GroupId, Group>, change: Undo) {
    match change {
        Undo::Removed(group) => {
            turn.expiry_soon(&group);
            groups.insert(GroupId::clone(&group.id), *group);
        }
        Undo::Replay(fact) => {
            if let Some(group) = groups.get_mut(group_of(&fact)) {
                group.replay(fact);
                turn.expiry_soon(group);
            }
        }
        Undo::Replaced { group, by, before } => {
            let Some(group) = groups.get_mut(&group) else { return };
            turn.end_session(group, &by);
            let id = MemberId::clone(&before.id);
            group.restore_member(&by, before);
            group.note_subscriptions();
            turn.heard_of(group, &id);
        }
        Undo::Assigned(group) => {
            let Some(group) = groups.get_mut(&group) else { return };
            if group.state() == GroupState::Stable {
                group.clear_assignments();
                rebalance::prepare(turn, group);
            }
        }
    }
}

impl AppendFailure {
    fn code_for(self, reply: &Reply) -> ErrorCode {
        match (self, reply) {
            (Self::Unavailable, _) => ErrorCode::CoordinatorNotAvailable,
            (Self::NotLeader, _) => ErrorCode::NotCoordinator,
            (Self::TooLarge, Reply::OffsetCommit(_)) => ErrorCode::InvalidCommitOffsetSize,
            (Self::TooLarge, _) => ErrorCode::UnknownServerError,
        }
    }
}
