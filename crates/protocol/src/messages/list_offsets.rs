//! ListOffsets (2): finds offsets by timestamp, or the ends of the log.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api ListOffsets: ListOffsetsRequest<'a> => ListOffsetsResponse<'r>;

    /// Timestamps to look up; negative ones name an end of the log or another special offset.
    struct ListOffsetsRequest<'a> {
        replica_id: i32;
        isolation_level: i8, 2+;
        topics: Vec<ListOffsetsTopic<'a>>;
        timeout_ms: i32, 10+ ignorable;
    }

    struct ListOffsetsTopic<'a> {
        name: Cow<'a, str>;
        partitions: Vec<ListOffsetsPartition>;
    }

    struct ListOffsetsPartition {
        partition_index: i32;
        current_leader_epoch: i32, 4+ ignorable, default -1;
        timestamp: i64;
    }

    /// The offset found for each partition.
    struct ListOffsetsResponse<'a> {
        throttle_time_ms: i32, 2+ ignorable;
        topics: Vec<ListOffsetsTopicResponse<'a>>;
    }

    struct ListOffsetsTopicResponse<'a> {
        name: Cow<'a, str>;
        partitions: Vec<ListOffsetsPartitionResponse>;
    }

    struct ListOffsetsPartitionResponse {
        partition_index: i32;
        error_code: i16;
        timestamp: i64, default -1;
        offset: i64, default -1;
        leader_epoch: i32, 4+, default -1;
    }
}
