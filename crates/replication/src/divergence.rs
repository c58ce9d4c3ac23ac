//! Where two logs of one partition part (KIP-101, KIP-279, KIP-595).
//!
//! A leader appends only at its end, in its own epoch; so two logs that have a record of the same
//! epoch in the same place agree on everything before it. The follower says where its log ends and
//! in which epoch; the leader answers with the end of the largest epoch it knows up to that one;
//! the follower cuts there, or at its own end of that epoch, and asks again, until they agree.
//!
//! **Invariants**: with every round either the follower's log is accepted, or its last epoch
//! becomes smaller, or its end does.

use chronik_types::{LeaderEpoch, Offset};

use crate::bugs;

/// Which epochs a log has, and where each ends.
pub trait EpochIndex {
    /// The largest epoch not above `epoch`, and its end offset; (-1, -1) if the log cannot say.
    fn end_offset_for(&self, epoch: LeaderEpoch) -> (LeaderEpoch, Offset);
}

impl<F: Fn(LeaderEpoch) -> (LeaderEpoch, Offset)> EpochIndex for F {
    fn end_offset_for(&self, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        self(epoch)
    }
}

/// Where a log begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPosition {
    /// The log start offset.
    pub start: Offset,
    /// The log end offset.
    pub end: Offset,
    /// Everything below is fsynced; [`Offset::UNKNOWN`] while the log begins at `start` in memory
    /// only, because the reset or the first start there is not durable yet.
    pub durable: Offset,
    /// The latest leader epoch; [`LeaderEpoch::NONE`] if there was none.
    pub last_epoch: LeaderEpoch,
}

/// What a leader finds when it compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// The follower's log is a prefix.
    Prefix,
    /// It parts from the leader's: not after `end` of `epoch`, the largest the leader has up to
    /// the one asked for.
    Diverges { epoch: LeaderEpoch, end: Offset },
    /// Nothing of it is worth keeping: it ends before the leader's begins, or cannot be compared.
    OutOfRange,
}

/// The leader's side.
pub(crate) fn compare(
    leader_start: Offset,
    leader_end: Offset,
    epochs: &dyn EpochIndex,
    follower: &LogPosition,
) -> Comparison {
    if follower.end < leader_start || follower.start > follower.end {
        return Comparison::OutOfRange;
    }
    if bugs::skip_divergence_check() {
        return Comparison::Prefix;
    }
    if follower.last_epoch < LeaderEpoch::ZERO {
        // A log without a record has nothing that could differ.
        let fits = follower.start == follower.end && follower.end <= leader_end;
        return if fits { Comparison::Prefix } else { Comparison::OutOfRange };
    }
    let (epoch, end) = epochs.end_offset_for(follower.last_epoch);
    if epoch < LeaderEpoch::ZERO {
        return Comparison::OutOfRange;
    }
    if end <= leader_start && follower.start < leader_start {
        // The leader knows nothing of what the follower has below its start, and cannot say that it
        // is the same: a cut at the start would keep what may differ, for a crash to bring back.
        return Comparison::OutOfRange;
    }
    if epoch == follower.last_epoch && follower.end <= end {
        return Comparison::Prefix;
    }
    Comparison::Diverges { epoch, end }
}

/// The follower's side: where to cut.
pub(crate) fn cut_at(
    epochs: &dyn EpochIndex,
    log: &LogPosition,
    epoch: LeaderEpoch,
    end: Offset,
) -> Offset {
    if bugs::cut_at_leaders_word() {
        return end.min(log.end);
    }
    let (own_epoch, own_end) = epochs.end_offset_for(epoch);
    let cut = if own_epoch < LeaderEpoch::ZERO {
        // All of it is of later epochs.
        end
    } else if own_epoch == epoch {
        end.min(own_end)
    } else {
        own_end
    };
    cut.min(log.end)
}
