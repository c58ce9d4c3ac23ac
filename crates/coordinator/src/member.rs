//! One member of a group.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::{InstanceId, MemberId, RequestId};

/// One member of a group.
///
/// **Invariants:** a member has a session timer unless it is parked and not new: a parked member
/// is alive by definition, except that a new one, which nobody can hear of before its first
/// answer, may not stay for ever.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    pub(crate) id: MemberId,
    pub(crate) instance: Option<InstanceId>,
    pub(crate) client_id: Arc<str>,
    pub(crate) client_host: Arc<str>,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) session_timeout: Duration,
    /// Protocol names with the member's metadata for each, the preferred one first.
    pub(crate) protocols: Vec<(Arc<str>, Bytes)>,
    /// What the group leader assigned in this generation; empty until it has.
    pub(crate) assignment: Bytes,
    /// The request of this member that is not answered yet.
    pub(crate) parked: Option<Parked>,
    /// Whether the member has never been told a generation.
    pub(crate) is_new: bool,
}

/// A request that waits in a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parked {
    /// For the end of the join phase.
    Join(RequestId, /* api version */ i16),
    /// For the assignment of the group leader.
    Sync(RequestId),
}

impl Member {
    /// Whether the member waits for the join phase to end.
    pub(crate) fn is_joining(&self) -> bool {
        matches!(self.parked, Some(Parked::Join(..)))
    }

    /// Whether the member counts on its session timer; see the invariant of [`Member`].
    pub(crate) fn needs_session_timer(&self) -> bool {
        self.parked.is_none() || self.is_new
    }

    /// The member's metadata for the protocol, if it supports it.
    pub(crate) fn metadata(&self, protocol: &str) -> Option<&Bytes> {
        self.protocols.iter().find(|(name, _)| &**name == protocol).map(|(_, metadata)| metadata)
    }

    /// The member's vote: the first of its protocols that `is_candidate` accepts.
    pub(crate) fn vote(&self, is_candidate: impl Fn(&str) -> bool) -> Option<&Arc<str>> {
        self.protocols.iter().map(|(name, _)| name).find(|name| is_candidate(name))
    }
}

/// What a JoinGroup says about its member, in the shard's own types.
#[derive(Clone, Debug)]
pub(crate) struct JoinTerms {
    pub(crate) protocol_type: Arc<str>,
    pub(crate) protocols: Vec<(Arc<str>, Bytes)>,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) session_timeout: Duration,
}
