//! All groups of one partition of `__consumer_offsets`.
//!
//! ```text
//!   Loading --loaded()--> Active --resign()--> Resigned
//! ```
//! A shard that becomes leader again is a new `GroupShard`.
//!
//! **Invariants** (asserted by [`GroupShard::check`])
//! - Only an active shard has timers and parked requests.
//! - A group in Preparing has its join timer, a group with unsynced members its sync timer, a
//!   member its session timer (see `member.rs`), a pending member id too, and a group with offsets
//!   or without members its expiry timer; there is no other timer.
//!
//! **Not here:** when to call what, on which thread: the broker's coordinator driver.

mod admin;
mod deadline;
mod expiry;
mod heartbeat;
mod join;
mod leave;
mod offset_commit;
mod offset_fetch;
mod rebalance;
mod sync;
mod turn;
mod unavailable;
mod undo;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bytes::Bytes;
use chronik_types::{ErrorCode, Monotonic, ProducerId};

use crate::group::{Group, GroupState};
use crate::record::{self, Fact};
use crate::timers::{Timer, Timers};
use crate::transactions::Transactions;
use crate::{
    ClientInfo, CoordinatorConfig, Effects, GroupId, Now, ReplayError, Request, RequestId,
};
use turn::Turn;
pub use undo::AppendFailure;
use undo::Undo;

/// Where a shard stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The log is being replayed; requests are told to come again.
    Loading,
    /// Serving.
    Active,
    /// Another broker leads the partition now.
    Resigned,
}

/// All groups of one partition of `__consumer_offsets`.
#[derive(Debug)]
pub struct GroupShard {
    config: CoordinatorConfig,
    phase: Phase,
    groups: BTreeMap<GroupId, Group>,
    transactions: Transactions,
    timers: Timers,
    /// What the last call changed in replayed state, to take back if its append fails.
    undo: Vec<Undo>,
}

impl GroupShard {
    /// A shard whose log has not been replayed yet.
    #[must_use]
    pub fn new(config: CoordinatorConfig) -> Self {
        Self {
            config,
            phase: Phase::Loading,
            groups: BTreeMap::new(),
            transactions: Transactions::default(),
            timers: Timers::default(),
            undo: Vec::new(),
        }
    }

    /// Where the shard stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// How many groups there are.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Takes new settings; they count from the next decision on.
    pub fn set_config(&mut self, config: CoordinatorConfig) {
        self.config = config;
    }

    /// Applies a record of the log that is not part of a transaction.
    ///
    /// # Errors
    /// When the record is of no known kind, or malformed; the state is as before.
    pub fn replay(&mut self, key: &[u8], value: Option<&Bytes>) -> Result<(), ReplayError> {
        assert_eq!(self.phase, Phase::Loading, "an active shard replays its own records itself");
        let fact = record::decode(key, value)?;
        let group = match &fact {
            Fact::Offset { group, .. } | Fact::Group { group, .. } => GroupId::clone(group),
        };
        self.groups
            .entry(GroupId::clone(&group))
            .or_insert_with_key(|id| Group::new(GroupId::clone(id), None))
            .replay(fact);
        self.drop_if_gone(&group);
        Ok(())
    }

    /// Applies a record that `producer` wrote in a transaction: it counts when that commits.
    ///
    /// # Errors
    /// As [`GroupShard::replay`]; also for a group record, which is never transactional.
    pub fn replay_transactional(
        &mut self,
        producer: ProducerId,
        key: &[u8],
        value: Option<&Bytes>,
    ) -> Result<(), ReplayError> {
        match record::decode(key, value)? {
            Fact::Offset { group, topic, partition, value } => {
                let of = self
                    .groups
                    .entry(GroupId::clone(&group))
                    .or_insert_with_key(|id| Group::new(GroupId::clone(id), None));
                of.offsets.begin_unstable(&topic, partition, producer);
                self.transactions.stage(producer, (group, topic, partition), value);
                Ok(())
            }
            Fact::Group { group, .. } => Err(ReplayError::InconsistentGroup {
                group: group.to_string(),
                what: "members written in a transaction",
            }),
        }
    }

    /// Applies the marker that ends the transaction of `producer`: what it staged takes effect now
    /// or never.
    pub fn end_transaction(&mut self, producer: ProducerId, committed: bool) {
        for ((id, topic, partition), value) in self.transactions.end(producer) {
            if let Some(group) = self.groups.get_mut(&id) {
                group.offsets.end_unstable(&topic, partition, producer);
                if committed {
                    group.offsets.put(&topic, partition, value);
                }
            }
            if self.phase == Phase::Loading {
                self.drop_if_gone(&id);
            }
        }
    }

    /// The whole log has been replayed: serves from now on.
    pub fn loaded(&mut self, now: Now) -> Effects {
        assert_eq!(self.phase, Phase::Loading, "a shard is loaded once");
        self.phase = Phase::Active;
        self.turn(now, |turn, groups| {
            for group in groups.values_mut() {
                turn.start(group);
            }
        })
    }

    /// Another broker leads the partition: answers all parked requests and forgets everything.
    pub fn resign(&mut self) -> Effects {
        let mut effects = Effects::default();
        for group in self.groups.values() {
            for member in group.members() {
                effects.replies.extend(unavailable::parked(member, ErrorCode::NotCoordinator));
            }
        }
        self.phase = Phase::Resigned;
        self.groups.clear();
        self.transactions.clear();
        self.timers.clear();
        self.undo.clear();
        effects
    }

    /// Decides on a request. It is answered in the effects of this call or of a later one.
    pub fn handle(
        &mut self,
        now: Now,
        id: RequestId,
        request: Request<'_>,
        client: &ClientInfo<'_>,
    ) -> Effects {
        let refusal = match self.phase {
            Phase::Loading => Some(ErrorCode::CoordinatorLoadInProgress),
            Phase::Resigned => Some(ErrorCode::NotCoordinator),
            Phase::Active => None,
        };
        if let Some(code) = refusal {
            let reply = unavailable::reply(&request, code, client.api_version);
            return Effects { replies: vec![(id, reply)], ..Effects::default() };
        }
        self.turn(now, |turn, groups| match request {
            Request::JoinGroup { request, member_uuid } => {
                join::handle(turn, groups, id, request, member_uuid, client);
            }
            Request::SyncGroup(request) => sync::handle(turn, groups, id, request),
            Request::Heartbeat(request) => heartbeat::handle(turn, groups, id, request),
            Request::LeaveGroup(request) => leave::handle(turn, groups, id, request, client),
            Request::OffsetCommit(request) => {
                offset_commit::handle(turn, groups, id, request, client);
            }
            Request::OffsetFetch { group, require_stable } => {
                offset_fetch::handle(turn, groups, id, group, require_stable);
            }
            Request::OffsetDelete(request) => admin::offset_delete(turn, groups, id, request),
            Request::DeleteGroups(request) => admin::delete_groups(turn, groups, id, request),
            Request::DescribeGroups(request) => {
                admin::describe_groups(turn, groups, id, request, client);
            }
            Request::ListGroups(request) => admin::list_groups(turn, groups, id, request, client),
        })
    }

    /// When [`GroupShard::on_deadline`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.timers.next_deadline()
    }

    /// Lets the earliest due timer fire, one at a time so that one call's effects stay small;
    /// without a due timer, nothing happens.
    pub fn on_deadline(&mut self, now: Now) -> Effects {
        let Some(timer) = self.timers.pop_due(now.monotonic) else { return Effects::default() };
        self.turn(now, |turn, groups| deadline::fire(turn, groups, timer))
    }

    /// Removes the offsets of topics that exist no more, at most
    /// [`CoordinatorConfig::tombstones_max`] at a time: while the result is true, there is more.
    pub fn topics_deleted(&mut self, now: Now, topics: &[&str]) -> (Effects, bool) {
        let mut more = false;
        let effects =
            self.turn(now, |turn, groups| more = expiry::topics_deleted(turn, groups, topics));
        (effects, more)
    }

    /// Takes back what the call that returned `effects` changed, because none of its records could
    /// be appended. Must be the next call on the shard. The replies become errors.
    pub fn append_failed(&mut self, now: Now, effects: Effects, why: AppendFailure) -> Effects {
        let undo = std::mem::take(&mut self.undo);
        self.turn(now, |turn, groups| undo::append_failed(turn, groups, undo, effects, why))
    }

    fn turn(
        &mut self,
        now: Now,
        decide: impl FnOnce(&mut Turn<'_>, &mut BTreeMap<GroupId, Group>),
    ) -> Effects {
        self.undo.clear();
        let mut turn = Turn {
            now,
            config: &self.config,
            timers: &mut self.timers,
            undo: &mut self.undo,
            effects: Effects::default(),
        };
        decide(&mut turn, &mut self.groups);
        turn.effects
    }

    fn drop_if_gone(&mut self, id: &str) {
        let is_gone = |group: &Group| group.stored.is_none() && group.offsets.is_empty();
        if self.groups.get(id).is_some_and(is_gone) {
            self.groups.remove(id);
        }
    }

    /// Asserts the invariants of the shard, its groups and its timers.
    pub fn check(&self) {
        self.timers.check();
        if self.phase != Phase::Active {
            assert_eq!(self.timers.next_deadline(), None, "only an active shard has timers");
            return;
        }
        let mut expected = Vec::new();
        for (id, group) in &self.groups {
            assert_eq!(*id, group.id);
            group.check();
            expected.extend(wanted_timers(group));
        }
        for timer in &expected {
            assert!(self.timers.get(timer).is_some(), "no timer is forgotten: {timer:?}");
        }
        assert_eq!(self.timers.all().count(), expected.len(), "no timer is left over");
        for (producer, (id, topic, partition)) in self.transactions.iter() {
            let group = self.groups.get(id).map(|group| &group.offsets);
            let unstable = group.is_some_and(|offsets| offsets.is_unstable(topic, *partition));
            assert!(unstable, "staged by {producer}, so unstable");
        }
    }
}

fn wanted_timers(group: &Group) -> Vec<Timer> {
    let session = |member: &crate::MemberId| Timer::Session(group.id.clone(), member.clone());
    let members = group.members().filter(|member| member.needs_session_timer());
    let mut timers: Vec<_> = members.map(|member| session(&member.id)).collect();
    timers.extend(group.pending.iter().map(session));
    if matches!(group.state(), GroupState::PreparingRebalance(_)) {
        timers.push(Timer::Join(group.id.clone()));
    }
    if !group.unsynced.is_empty() {
        timers.push(Timer::Sync(group.id.clone()));
    }
    timers.push(Timer::Expiry(group.id.clone()));
    timers
}
