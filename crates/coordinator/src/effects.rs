//! What goes into a shard and what comes out of it, as plain data.

use bytes::Bytes;
use chronik_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, ListGroupsRequest, ListGroupsResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequestGroup,
    OffsetFetchResponseGroup, SyncGroupRequest, SyncGroupResponse,
};
use chronik_types::{Monotonic, Timestamp, Uuid};

/// Names one request for the driver; never reused while the shard may still answer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// The time of a call, on both clocks: the monotonic one drives timers, the wall's is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Never goes back between calls.
    pub monotonic: Monotonic,
    /// May jump.
    pub wall: Timestamp,
}

/// Who sent a request.
#[derive(Clone, Copy, Debug)]
pub struct ClientInfo<'a> {
    /// `client_id` of the request header; empty if the header had none.
    pub client_id: &'a str,
    /// The peer's address as Kafka writes it, `/127.0.0.1`.
    pub host: &'a str,
    /// The version of the request.
    pub api_version: i16,
}

/// A request that the driver has decoded, authorized, and routed to the shard of its group.
#[derive(Clone, Copy, Debug)]
pub enum Request<'r> {
    /// Versions 0 to 9.
    JoinGroup {
        /// The request as decoded.
        request: &'r JoinGroupRequest<'r>,
        /// Fresh random bytes; they become the end of the member id if one is given out.
        member_uuid: Uuid,
    },
    /// Versions 0 to 5.
    SyncGroup(&'r SyncGroupRequest<'r>),
    /// Versions 0 to 4.
    Heartbeat(&'r HeartbeatRequest<'r>),
    /// Versions 0 to 5.
    LeaveGroup(&'r LeaveGroupRequest<'r>),
    /// Versions 2 to 9, only with partitions that exist and the client may read.
    OffsetCommit(&'r OffsetCommitRequest<'r>),
    /// One group of an OffsetFetch; versions below 8 name one group in the request itself.
    OffsetFetch {
        /// The group and its topics; `topics: None` asks for all.
        group: &'r OffsetFetchRequestGroup<'r>,
        /// Whether an offset with an open transactional commit is an error (version 7 on).
        require_stable: bool,
    },
    /// Version 0.
    OffsetDelete(&'r OffsetDeleteRequest<'r>),
    /// Versions 0 to 2, only with groups of this shard.
    DeleteGroups(&'r DeleteGroupsRequest<'r>),
    /// Versions 0 to 6, only with groups of this shard.
    DescribeGroups(&'r DescribeGroupsRequest<'r>),
    /// Versions 0 to 5; each shard lists its own groups.
    ListGroups(&'r ListGroupsRequest<'r>),
}

/// The answer to a request, of the same kind.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each variant answers the request of its name")]
pub enum Reply {
    JoinGroup(JoinGroupResponse<'static>),
    SyncGroup(SyncGroupResponse<'static>),
    Heartbeat(HeartbeatResponse),
    LeaveGroup(LeaveGroupResponse<'static>),
    OffsetCommit(OffsetCommitResponse<'static>),
    OffsetFetch(OffsetFetchResponseGroup<'static>),
    OffsetDelete(OffsetDeleteResponse<'static>),
    DeleteGroups(DeleteGroupsResponse<'static>),
    DescribeGroups(DescribeGroupsResponse<'static>),
    ListGroups(ListGroupsResponse<'static>),
}

/// When the replies of an [`Effects`] may leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Release {
    /// At once: they say nothing that a crash could take back.
    #[default]
    Now,
    /// When everything this shard has emitted so far, including this, is at or below the high
    /// watermark: they show state that must not be lost once a client has seen it.
    WhenDurable,
}

/// What a call decided. The driver appends `records` at once, in order, before the next call on
/// the same shard; if it cannot, it hands the effects to [`crate::GroupShard::append_failed`].
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct Effects {
    /// Keys and values (`None` is a tombstone) for the shard's partition of `__consumer_offsets`.
    pub records: Vec<(Bytes, Option<Bytes>)>,
    /// Answers, of this call's request and of requests that waited.
    pub replies: Vec<(RequestId, Reply)>,
    /// When the replies may leave.
    pub release: Release,
}

impl Effects {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.replies.is_empty()
    }
}
