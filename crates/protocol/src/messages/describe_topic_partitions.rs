//! DescribeTopicPartitions (75): topics with their partitions, page by page.

use std::borrow::Cow;

use chronik_types::Uuid;

use crate::codec::messages;

messages! {
    api DescribeTopicPartitions: DescribeTopicPartitionsRequest<'a>
        => DescribeTopicPartitionsResponse<'r>;

    /// Topics of interest and the place to go on from.
    struct DescribeTopicPartitionsRequest<'a> {
        topics: Vec<DescribeTopicPartitionsTopicRequest<'a>>;
        response_partition_limit: i32, default 2000;
        cursor: Option<Cursor<'a>>;
    }

    struct DescribeTopicPartitionsTopicRequest<'a> {
        name: Cow<'a, str>;
    }

    struct Cursor<'a> {
        topic_name: Cow<'a, str>;
        partition_index: i32;
    }

    /// One page, and where the next one begins.
    struct DescribeTopicPartitionsResponse<'a> {
        throttle_time_ms: i32;
        topics: Vec<DescribeTopicPartitionsResponseTopic<'a>>;
        next_cursor: Option<Cursor<'a>>;
    }

    struct DescribeTopicPartitionsResponseTopic<'a> {
        error_code: i16;
        name: Option<Cow<'a, str>>, default Some("".into());
        topic_id: Uuid;
        is_internal: bool;
        partitions: Vec<DescribeTopicPartitionsResponsePartition>;
        topic_authorized_operations: i32, default -2147483648;
    }

    struct DescribeTopicPartitionsResponsePartition {
        error_code: i16;
        partition_index: i32;
        leader_id: i32;
        leader_epoch: i32, default -1;
        replica_nodes: Vec<i32>;
        isr_nodes: Vec<i32>;
        eligible_leader_replicas: Option<Vec<i32>>;
        last_known_elr: Option<Vec<i32>>;
        offline_replicas: Vec<i32>;
    }
}
