//! One call on a shard, while it decides.

use bytes::Bytes;
use chronik_protocol::messages::{JoinGroupResponse, SyncGroupResponse};
use chronik_types::ErrorCode;

use super::undo::Undo;
use super::{rebalance, unavailable};
use crate::group::Group;
use crate::member::{Member, Parked};
use crate::record::{self, Fact};
use crate::timers::{Timer, Timers};
use crate::{CoordinatorConfig, Effects, GroupId, MemberId, Now, Release, Reply, RequestId};

/// One call on a shard: what it may read, what it may change besides groups, and what it decides.
pub(super) struct Turn<'s> {
    pub(super) now: Now,
    pub(super) config: &'s CoordinatorConfig,
    pub(super) timers: &'s mut Timers,
    pub(super) undo: &'s mut Vec<Undo>,
    pub(super) effects: Effects,
}

impl Turn<'_> {
    /// Answers a request once all that was emitted so far is durable.
    pub(super) fn reply(&mut self, id: RequestId, reply: Reply) {
        self.effects.replies.push((id, reply));
        self.effects.release = Release::WhenDurable;
    }

    /// Answers a request that shows nothing a crash could take back.
    pub(super) fn reply_now(&mut self, id: RequestId, reply: Reply) {
        self.effects.replies.push((id, reply));
    }

    /// Emits a record and applies it to the group as a load would.
    pub(super) fn emit(&mut self, group: &mut Group, (key, value): (Bytes, Option<Bytes>)) {
        match record::decode(&key, value.as_ref()) {
            Ok(fact) => self.undo.push(Undo::Replay(group.replay(fact))),
            Err(error) => assert_eq!(Some(error), None, "a record of ours can be read"),
        }
        self.effects.records.push((key, value));
        self.effects.release = Release::WhenDurable;
    }

    /// Emits what the group is now.
    pub(super) fn emit_group(&mut self, group: &mut Group) {
        let record = record::encode_group(group);
        self.emit(group, record);
    }

    /// Sets the timers of a group that a load has left, as if its members had just been heard of.
    pub(super) fn start(&mut self, group: &mut Group) {
        group.restore();
        for member in group.members() {
            self.session(group, &member.id, member.session_timeout);
        }
        self.expiry_soon(group);
        if group.members().len() > self.config.group_members_max {
            rebalance::prepare(self, group);
        }
    }

    /// A fresh group, which stays for a while even if nobody ever joins it.
    pub(super) fn new_group(&mut self, id: &str) -> Group {
        let group = Group::new(id.into(), Some(self.now.wall));
        self.expiry_soon(&group);
        group
    }

    /// Looks at the group's expiry within the check interval.
    pub(super) fn expiry_soon(&mut self, group: &Group) {
        let at = self.now.monotonic.after(self.config.offsets_retention_check_interval);
        self.timers.set_earlier(Timer::Expiry(GroupId::clone(&group.id)), at);
    }

    /// Starts the member's session, or whatever else it has to come back within, anew.
    pub(super) fn session(
        &mut self,
        group: &Group,
        member: &MemberId,
        timeout: std::time::Duration,
    ) {
        let timer = Timer::Session(GroupId::clone(&group.id), MemberId::clone(member));
        self.timers.set(timer, self.now.monotonic.after(timeout));
    }

    /// Starts the member's session anew if it counts on it.
    pub(super) fn heard_of(&mut self, group: &Group, member: &str) {
        if let Some(member) = group.member(member)
            && member.parked.is_none()
        {
            self.session(group, &member.id, member.session_timeout);
        }
    }

    pub(super) fn end_session(&mut self, group: &Group, member: &MemberId) {
        let timer = Timer::Session(GroupId::clone(&group.id), MemberId::clone(member));
        self.timers.cancel(timer);
    }

    /// Parks a request in its member, which is alive while it waits. A request of the same member
    /// that waited already is answered: its client has given it up, or has lost its connection.
    pub(super) fn park(&mut self, group: &mut Group, member: &MemberId, parked: Parked) {
        let mut superseded = None;
        let mut is_new = false;
        group.update(member, |member| {
            superseded = Some(member.clone());
            is_new = member.is_new;
            member.parked = Some(parked);
        });
        if let Some(before) = superseded {
            self.answer_parked(&before, ErrorCode::RebalanceInProgress);
        }
        if !is_new {
            self.end_session(group, member);
        }
    }

    /// Answers the request that was parked in `before` with an error, if there was one.
    pub(super) fn answer_parked(&mut self, before: &Member, code: ErrorCode) {
        if let Some((id, reply)) = unavailable::parked(before, code) {
            self.reply(id, reply);
        }
    }

    /// Answers the member's parked JoinGroup; its session starts.
    pub(super) fn answer_join(
        &mut self,
        group: &mut Group,
        member: &MemberId,
        response: impl FnOnce(&Group, &Member, i16) -> JoinGroupResponse<'static>,
    ) {
        let Some(before) = group.member(member) else { return };
        let Some(Parked::Join(id, version)) = before.parked else { return };
        let response = response(group, before, version);
        self.unpark(group, member);
        self.reply(id, Reply::JoinGroup(response));
    }

    /// Answers the member's parked SyncGroup; its session starts.
    pub(super) fn answer_sync(
        &mut self,
        group: &mut Group,
        member: &MemberId,
        response: impl FnOnce(&Group, &Member) -> SyncGroupResponse<'static>,
    ) {
        let Some(before) = group.member(member) else { return };
        let Some(Parked::Sync(id)) = before.parked else { return };
        let response = response(group, before);
        self.unpark(group, member);
        self.reply(id, Reply::SyncGroup(response));
    }

    fn unpark(&mut self, group: &mut Group, member: &MemberId) {
        group.update(member, |member| {
            member.parked = None;
            member.is_new = false;
        });
        self.heard_of(group, member);
    }

    /// Removes a member with its session; whatever it waited for is answered with `code`.
    pub(super) fn remove_member(&mut self, group: &mut Group, member: &MemberId, code: ErrorCode) {
        self.end_session(group, member);
        if let Some(before) = group.remove(member) {
            self.answer_parked(&before, code);
        }
        if group.unsynced.is_empty() {
            self.timers.cancel(Timer::Sync(GroupId::clone(&group.id)));
        }
    }
}

/// Replays and undoes need the group a fact is about.
pub(super) fn group_of(fact: &Fact) -> &GroupId {
    match fact {
        Fact::Offset { group, .. } | Fact::Group { group, .. } => group,
    }
}
