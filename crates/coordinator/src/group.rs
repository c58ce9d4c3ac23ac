//! One group: its members and where it stands in the rebalance.
//!
//! ```text
//!            first join              delay or all joined
//!   Empty ---------------> Preparing ------------------> Completing
//!     ^                    ^   |  ^                          | leader's SyncGroup
//!     |    nobody is left  |   |  | join, leave, expiry      v
//!     +--------------------|---+  +----------------------- Stable
//!                          +--- (the same from Completing)
//! ```
//!
//! **Invariants** (asserted by `check`)
//! - Empty has no members; Completing and Stable have at least one, a group leader among them, and
//!   a protocol that all members support.
//! - A JoinGroup is parked only in Preparing, a SyncGroup only in Completing.
//! - `joining`, `support` and `statics` are what the members say.
//! - `stored` and `offsets` are what the log says; only replay and its undo write them.
//!
//! **Not here:** timers and replies (`shard`), records (`record.rs`).

mod check;
mod subscriptions;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronik_types::{ErrorCode, Timestamp};

use crate::member::{JoinTerms, Member};
use crate::offsets::Offsets;
use crate::record::{Fact, StoredGroup};
use crate::{GroupId, InstanceId, MemberId};

/// Where a group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupState {
    /// No members; perhaps offsets, perhaps pending member ids.
    Empty,
    /// The join phase: members are (re)joining.
    PreparingRebalance(JoinPhase),
    /// The sync phase: the group leader is computing the assignment.
    CompletingRebalance,
    /// The assignment is known.
    Stable,
}

/// What ends a join phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinPhase {
    /// The group was empty: a delay, which arrivals extend.
    Initial {
        /// How long the delay that is running was when it was set.
        delay: Duration,
        /// How much of the rebalance timeout is left for extensions.
        remaining: Duration,
        /// Whether somebody joined since the delay was set.
        joined_since: bool,
    },
    /// Everybody has joined, or the rebalance timeout passed.
    AllJoined,
}

impl GroupState {
    /// The state as DescribeGroups and ListGroups spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance(_) => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// One group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) id: GroupId,
    /// The group's record in the log; owner: replay.
    pub(crate) stored: Option<StoredGroup>,
    /// The group's offsets in the log; owner: replay.
    pub(crate) offsets: Offsets,

    state: GroupState,
    /// When `state` was entered; `None` if the log does not say.
    state_since: Option<Timestamp>,
    /// `None` for a group that only ever committed offsets (a simple group).
    pub(crate) protocol_type: Option<Arc<str>>,
    /// Counts the finished join phases; never goes back while the group lives.
    pub(crate) generation: i32,
    /// The protocol of this generation; `None` in a group without members.
    pub(crate) protocol: Option<Arc<str>>,
    pub(crate) leader: Option<MemberId>,
    members: BTreeMap<MemberId, Member>,
    statics: HashMap<InstanceId, MemberId>,
    /// How many members support each protocol.
    support: HashMap<Arc<str>, usize>,
    /// How many members have a parked JoinGroup.
    joining: usize,
    /// Member ids given out by KIP-394 that have not come back.
    pub(crate) pending: BTreeSet<MemberId>,
    /// Members of this generation that have not sent SyncGroup.
    pub(crate) unsynced: BTreeSet<MemberId>,
    /// The topics any member subscribes to; `None` if that cannot be known.
    subscribed: Option<BTreeSet<Arc<str>>>,
}

impl Group {
    /// A group that nobody has joined.
    pub(crate) fn new(id: GroupId, now: Option<Timestamp>) -> Self {
        Self {
            id,
            stored: None,
            offsets: Offsets::default(),
            state: GroupState::Empty,
            state_since: now,
            protocol_type: None,
            generation: 0,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            statics: HashMap::new(),
            support: HashMap::new(),
            joining: 0,
            pending: BTreeSet::new(),
            unsynced: BTreeSet::new(),
            subscribed: None,
        }
    }

    pub(crate) fn state(&self) -> GroupState {
        self.state
    }

    pub(crate) fn state_since(&self) -> Option<Timestamp> {
        self.state_since
    }

    pub(crate) fn enter(&mut self, state: GroupState, now: Timestamp) {
        self.state = state;
        self.state_since = Some(now);
    }

    /// Notes an arrival during the initial delay, or the delay's extension.
    pub(crate) fn set_join_phase(&mut self, phase: JoinPhase) {
        assert!(matches!(self.state, GroupState::PreparingRebalance(_)), "a join phase is running");
        self.state = GroupState::PreparingRebalance(phase);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state == GroupState::Empty
    }

    pub(crate) fn is_preparing(&self) -> bool {
        matches!(self.state, GroupState::PreparingRebalance(_))
    }

    pub(crate) fn members(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.members.values()
    }

    pub(crate) fn member(&self, id: &str) -> Option<&Member> {
        self.members.get(id)
    }

    pub(crate) fn is_leader(&self, id: &str) -> bool {
        self.leader.as_deref() == Some(id)
    }

    pub(crate) fn static_member(&self, instance: &str) -> Option<&MemberId> {
        self.statics.get(instance)
    }

    pub(crate) fn joining(&self) -> usize {
        self.joining
    }

    pub(crate) fn has_all_joined(&self) -> bool {
        self.joining == self.members.len() && self.pending.is_empty()
    }

    /// The longest rebalance timeout of the members; zero without members.
    pub(crate) fn rebalance_timeout(&self) -> Duration {
        self.members.values().map(|member| member.rebalance_timeout).max().unwrap_or_default()
    }

    /// Whether `member_id` (with `instance`, if static) is a member now.
    ///
    /// # Errors
    /// `FENCED_INSTANCE_ID` if another member took the instance over, else `UNKNOWN_MEMBER_ID`.
    pub(crate) fn validate_member(
        &self,
        member_id: &str,
        instance: Option<&str>,
    ) -> Result<&Member, ErrorCode> {
        if let Some(instance) = instance {
            match self.statics.get(instance) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(owner) if &**owner != member_id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        self.members.get(member_id).ok_or(ErrorCode::UnknownMemberId)
    }

    /// Whether a member with these terms can be in the group together with all others.
    pub(crate) fn supports(&self, terms: &JoinTerms) -> bool {
        if self.members.is_empty() {
            return !terms.protocol_type.is_empty() && !terms.protocols.is_empty();
        }
        self.protocol_type.as_ref() == Some(&terms.protocol_type)
            && terms.protocols.iter().any(|(name, _)| self.is_candidate(name))
    }

    fn is_candidate(&self, protocol: &str) -> bool {
        self.support.get(protocol) == Some(&self.members.len())
    }

    /// The protocol most members vote for among those all support. Votes are equal often enough
    /// (two members, two orders) that the tie must not depend on chance: the smaller name wins.
    pub(crate) fn elect_protocol(&self) -> Option<Arc<str>> {
        let mut votes: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some(protocol) = member.vote(|name| self.is_candidate(name)) {
                *votes.entry(protocol).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| Arc::clone(name))
    }

    /// Adds a member that is not there yet; the first one is the group leader.
    pub(crate) fn add(&mut self, member: Member, protocol_type: &Arc<str>) {
        assert!(!self.members.contains_key(&member.id), "a member is added once");
        if self.members.is_empty() {
            self.protocol_type = Some(Arc::clone(protocol_type));
        }
        self.pending.remove(&member.id);
        if self.leader.is_none() {
            self.leader = Some(Arc::clone(&member.id));
        }
        self.count_in(&member);
        self.members.insert(Arc::clone(&member.id), member);
    }

    /// Removes a member; its parked request, if any, is the caller's to answer.
    pub(crate) fn remove(&mut self, id: &str) -> Option<Member> {
        let member = self.members.remove(id)?;
        self.count_out(&member);
        self.unsynced.remove(id);
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }

    /// Changes a member in place, keeping what is derived from members right.
    pub(crate) fn update(&mut self, id: &str, change: impl FnOnce(&mut Member)) {
        let Some(mut member) = self.members.remove(id) else { return };
        self.count_out(&member);
        change(&mut member);
        self.count_in(&member);
        self.members.insert(Arc::clone(&member.id), member);
    }

    /// Gives the static member `old` a new member id, with all that the old one had. Returns the
    /// member as it was; its parked request is the caller's to answer.
    pub(crate) fn rename_member(&mut self, old: &str, new: &MemberId) -> Option<Member> {
        let was_leader = self.is_leader(old);
        let was_unsynced = self.unsynced.contains(old);
        let before = self.remove(old)?;
        let after = Member { id: Arc::clone(new), parked: None, ..before.clone() };
        self.count_in(&after);
        self.members.insert(Arc::clone(new), after);
        if was_leader || self.leader.is_none() {
            self.leader = Some(Arc::clone(new));
        }
        if was_unsynced {
            self.unsynced.insert(Arc::clone(new));
        }
        Some(before)
    }

    /// Puts a member back in place of the one that replaced it.
    pub(crate) fn restore_member(&mut self, replacement: &str, before: Member) {
        let id = Arc::clone(&before.id);
        self.rename_member(replacement, &id);
        self.update(&id, |member| *member = Member { parked: None, is_new: false, ..before });
    }

    fn count_in(&mut self, member: &Member) {
        self.joining += usize::from(member.is_joining());
        if let Some(instance) = &member.instance {
            self.statics.insert(Arc::clone(instance), Arc::clone(&member.id));
        }
        for (protocol, _) in &member.protocols {
            *self.support.entry(Arc::clone(protocol)).or_default() += 1;
        }
    }

    fn count_out(&mut self, member: &Member) {
        self.joining -= usize::from(member.is_joining());
        if let Some(instance) = &member.instance {
            self.statics.remove(instance);
        }
        for (protocol, _) in &member.protocols {
            if let Some(count) = self.support.get_mut(protocol) {
                *count -= 1;
                if *count == 0 {
                    self.support.remove(protocol);
                }
            }
        }
    }

    /// Makes sure that the group leader is one who has joined. False if nobody has.
    pub(crate) fn elect_joined_leader(&mut self) -> bool {
        let has_joined = |id: &MemberId| self.members.get(id).is_some_and(Member::is_joining);
        if self.leader.as_ref().is_some_and(has_joined) {
            return true;
        }
        let joined = self.members.values().find(|member| member.is_joining());
        match joined.map(|member| Arc::clone(&member.id)) {
            Some(id) => {
                self.leader = Some(id);
                true
            }
            None => false,
        }
    }

    /// Ends the join phase: a new generation of those who are there, or an empty group.
    pub(crate) fn begin_generation(&mut self, now: Timestamp) {
        // A generation counts from 1 again after the last; no group gets there.
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.unsynced.clear();
        if self.members.is_empty() {
            self.protocol = None;
            self.enter(GroupState::Empty, now);
        } else {
            self.protocol = self.elect_protocol();
            assert!(self.protocol.is_some(), "members of one group share a protocol");
            self.unsynced = self.members.keys().cloned().collect();
            self.enter(GroupState::CompletingRebalance, now);
        }
        // What was assigned before stays until the leader assigns anew: it can be described.
        self.note_subscriptions();
    }

    /// Notes what the group leader assigned to a member.
    pub(crate) fn set_assignment(&mut self, member: &str, assignment: Bytes) {
        if let Some(member) = self.members.get_mut(member) {
            member.assignment = assignment;
        }
    }

    /// Forgets what was assigned.
    pub(crate) fn clear_assignments(&mut self) {
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
        }
    }

    /// Applies a record of the log; gives back what held before, as the record that restores it.
    pub(crate) fn replay(&mut self, fact: Fact) -> Fact {
        match fact {
            Fact::Offset { group, topic, partition, value } => {
                let value = self.offsets.put(&topic, partition, value);
                Fact::Offset { group, topic, partition, value }
            }
            Fact::Group { group, value } => {
                Fact::Group { group, value: std::mem::replace(&mut self.stored, value) }
            }
        }
    }

    /// Takes over what the log says of members and generation, after a load.
    pub(crate) fn restore(&mut self) {
        let Some(stored) = self.stored.clone() else { return };
        self.generation = stored.generation;
        self.protocol_type = stored.protocol_type;
        self.protocol = stored.protocol;
        self.state_since = stored.state_since;
        for member in stored.members {
            self.count_in(&member);
            self.members.insert(Arc::clone(&member.id), member);
        }
        let known = |leader: &MemberId| self.members.contains_key(leader);
        self.leader = stored.leader.filter(known).or_else(|| self.members.keys().next().cloned());
        self.state = if self.members.is_empty() { GroupState::Empty } else { GroupState::Stable };
        self.note_subscriptions();
    }
}
