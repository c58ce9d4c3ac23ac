//! OffsetCommit (8): stores the offsets of a group.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api OffsetCommit: OffsetCommitRequest<'a> => OffsetCommitResponse<'r>;

    /// Offsets to store for a group.
    struct OffsetCommitRequest<'a> {
        group_id: Cow<'a, str>;
        generation_id_or_member_epoch: i32, default -1;
        member_id: Cow<'a, str>;
        group_instance_id: Option<Cow<'a, str>>, 7+;
        retention_time_ms: i64, 2-4 ignorable, default -1;
        topics: Vec<OffsetCommitRequestTopic<'a>>;
    }

    struct OffsetCommitRequestTopic<'a> {
        name: Cow<'a, str>;
        partitions: Vec<OffsetCommitRequestPartition<'a>>;
    }

    struct OffsetCommitRequestPartition<'a> {
        partition_index: i32;
        committed_offset: i64;
        committed_leader_epoch: i32, 6+ ignorable, default -1;
        committed_metadata: Option<Cow<'a, str>>, default Some("".into());
    }

    /// Which offsets were stored.
    struct OffsetCommitResponse<'a> {
        throttle_time_ms: i32, 3+ ignorable;
        topics: Vec<OffsetCommitResponseTopic<'a>>;
    }

    struct OffsetCommitResponseTopic<'a> {
        name: Cow<'a, str>;
        partitions: Vec<OffsetCommitResponsePartition>;
    }

    struct OffsetCommitResponsePartition {
        partition_index: i32;
        error_code: i16;
    }
}
