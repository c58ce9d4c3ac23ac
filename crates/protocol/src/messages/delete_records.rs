//! DeleteRecords (21): moves the start of partitions forward.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api DeleteRecords: DeleteRecordsRequest<'a> => DeleteRecordsResponse<'r>;

    /// Offsets below which records go; -1 means the high watermark.
    struct DeleteRecordsRequest<'a> {
        topics: Vec<DeleteRecordsTopic<'a>>;
        timeout_ms: i32;
    }

    struct DeleteRecordsTopic<'a> {
        name: Cow<'a, str>;
        partitions: Vec<DeleteRecordsPartition>;
    }

    struct DeleteRecordsPartition {
        partition_index: i32;
        offset: i64;
    }

    /// The new start of each partition.
    struct DeleteRecordsResponse<'a> {
        throttle_time_ms: i32;
        topics: Vec<DeleteRecordsTopicResult<'a>>;
    }

    struct DeleteRecordsTopicResult<'a> {
        name: Cow<'a, str>;
        partitions: Vec<DeleteRecordsPartitionResult>;
    }

    struct DeleteRecordsPartitionResult {
        partition_index: i32;
        low_watermark: i64;
        error_code: i16;
    }
}
