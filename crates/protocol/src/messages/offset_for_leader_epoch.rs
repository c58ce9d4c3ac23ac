//! OffsetForLeaderEpoch (23): where a leader epoch ends, to find out what was truncated.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api OffsetForLeaderEpoch: OffsetForLeaderEpochRequest<'a> => OffsetForLeaderEpochResponse<'r>;

    /// Leader epochs of partitions.
    struct OffsetForLeaderEpochRequest<'a> {
        replica_id: i32, 3+ ignorable, default -2;
        topics: Vec<OffsetForLeaderTopic<'a>>;
    }

    struct OffsetForLeaderTopic<'a> {
        topic: Cow<'a, str>;
        partitions: Vec<OffsetForLeaderPartition>;
    }

    struct OffsetForLeaderPartition {
        partition: i32;
        current_leader_epoch: i32, default -1;
        leader_epoch: i32;
    }

    /// The largest epoch up to the one asked for, and its end.
    struct OffsetForLeaderEpochResponse<'a> {
        throttle_time_ms: i32;
        topics: Vec<OffsetForLeaderTopicResult<'a>>;
    }

    struct OffsetForLeaderTopicResult<'a> {
        topic: Cow<'a, str>;
        partitions: Vec<OffsetForLeaderEpochEndOffset>;
    }

    struct OffsetForLeaderEpochEndOffset {
        error_code: i16;
        partition: i32;
        leader_epoch: i32, default -1;
        end_offset: i64, default -1;
    }
}
