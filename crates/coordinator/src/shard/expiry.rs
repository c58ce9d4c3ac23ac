//! Offsets that nobody will ask for again, and groups that have nothing left.
//!
//! Kafka's rules: an offset with an expiry of its own goes then. Else retention counts
//! - in an empty group, from when it became empty;
//! - in a stable group of consumers, from the commit, for topics no member subscribes to;
//! - in a group that never had members, from the commit;
//! - not at all while a group rebalances, or for an offset with an open transactional commit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chronik_types::{PartitionId, Timestamp};

use super::turn::Turn;
use super::undo::Undo;
use crate::group::{Group, GroupState};
use crate::offsets::CommittedOffset;
use crate::timers::Timer;
use crate::{GroupId, record};

/// The longest a group goes without a look at its expiry: retention counts on the wall's clock,
/// which may jump, and the timer on the monotonic one.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(24 * 3600);

/// The group's expiry timer fired: removes what has expired, and the group if it is left with
/// nothing; else sets the timer anew.
pub(super) fn fired(turn: &mut Turn<'_>, groups: &mut BTreeMap<GroupId, Group>, id: &GroupId) {
    let Some(group) = groups.get_mut(id) else { return };
    let mut next = Timestamp(i64::MAX);
    let mut expired = Vec::new();
    for (topic, partition, offset) in group.offsets.iter() {
        match expiry_of(turn, group, topic, partition, offset) {
            Some(at) if at <= turn.now.wall => {
                if expired.len() == turn.tombstones_max() {
                    next = turn.now.wall;
                    break;
                }
                expired.push((Arc::clone(topic), partition));
            }
            Some(at) => next = next.min(at),
            None => {}
        }
    }
    remove_offsets(turn, group, expired);
    if group.is_empty() && group.pending.is_empty() && group.offsets.is_empty() {
        remove_group(turn, groups, id);
        return;
    }
    let wait = if next <= turn.now.wall { Duration::ZERO } else { turn.until(next) };
    turn.timers.set(Timer::Expiry(GroupId::clone(id)), turn.now.monotonic.after(wait));
}

impl Turn<'_> {
    /// How many tombstones may go out at a time; with none, nothing would ever end.
    fn tombstones_max(&self) -> usize {
        self.config.tombstones_max.max(1)
    }

    /// How long to wait before looking for something that expires at `at`.
    pub(super) fn until(&self, at: Timestamp) -> Duration {
        let wait_ms = u64::try_from(at.millis_since(self.now.wall)).unwrap_or(0);
        let least = self.config.offsets_retention_check_interval.min(LOOK_AGAIN_AFTER);
        Duration::from_millis(wait_ms).clamp(least, LOOK_AGAIN_AFTER)
    }
}

/// When the offset expires as things stand; `None` while it cannot.
fn expiry_of(
    turn: &Turn<'_>,
    group: &Group,
    topic: &str,
    partition: PartitionId,
    offset: &CommittedOffset,
) -> Option<Timestamp> {
    if group.offsets.is_unstable(topic, partition) {
        return None;
    }
    let base = match group.state() {
        _ if group.protocol_type.is_none() => offset.committed_at,
        GroupState::Empty => group.state_since().unwrap_or(offset.committed_at),
        GroupState::Stable if group.knows_subscriptions() => offset.committed_at,
        _ => return None,
    };
    if group.is_subscribed_to(topic) {
        return None;
    }
    Some(offset.expiry(base, turn.config.offsets_retention))
}

/// Removes the offsets of the topics, up to a limit; whether it was reached.
pub(super) fn topics_deleted(
    turn: &mut Turn<'_>,
    groups: &mut BTreeMap<GroupId, Group>,
    topics: &[&str],
) -> bool {
    for group in groups.values_mut() {
        for topic in topics {
            let left = turn.tombstones_max().saturating_sub(turn.effects.records.len());
            let partitions = group.offsets.partitions_of(topic);
            let is_all = partitions.len() <= left;
            let name: Arc<str> = (*topic).into();
            let some: Vec<_> = partitions.take(left).map(|p| (Arc::clone(&name), p)).collect();
            if some.is_empty() && is_all {
                continue;
            }
            remove_offsets(turn, group, some);
            turn.expiry_soon(group);
            if !is_all {
                return true;
            }
        }
    }
    false
}

/// Emits tombstones for the offsets.
pub(super) fn remove_offsets(
    turn: &mut Turn<'_>,
    group: &mut Group,
    offsets: Vec<(Arc<str>, PartitionId)>,
) {
    for (topic, partition) in offsets {
        let tombstone = record::encode_offset(&group.id, &topic, partition, None);
        turn.emit(group, tombstone);
    }
}

/// Removes a group that has no members and, once its tombstone is written, nothing in the log. It
/// stays in memory only if an open transaction would still commit offsets for it.
pub(super) fn remove_group(turn: &mut Turn<'_>, groups: &mut BTreeMap<GroupId, Group>, id: &str) {
    let Some(group) = groups.get_mut(id) else { return };
    assert!(group.is_empty(), "a group with members is not removed");
    for member in std::mem::take(&mut group.pending) {
        turn.end_session(group, &member);
    }
    if group.stored.is_some() {
        let key = record::encode_group_key(&group.id);
        turn.emit(group, (key, None));
    }
    if !group.offsets.is_empty() {
        return;
    }
    if let Some(group) = groups.remove(id) {
        turn.timers.cancel(Timer::Expiry(GroupId::clone(&group.id)));
        turn.undo.push(Undo::Removed(Box::new(group)));
    }
}
