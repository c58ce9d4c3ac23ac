//! DescribeProducers (61): the producers with state in a partition.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api DescribeProducers: DescribeProducersRequest<'a> => DescribeProducersResponse<'r>;

    /// Partitions of interest.
    struct DescribeProducersRequest<'a> {
        topics: Vec<DescribeProducersTopicRequest<'a>>;
    }

    struct DescribeProducersTopicRequest<'a> {
        name: Cow<'a, str>;
        partition_indexes: Vec<i32>;
    }

    /// The producers of each partition.
    struct DescribeProducersResponse<'a> {
        throttle_time_ms: i32;
        topics: Vec<TopicResponse<'a>>;
    }

    struct TopicResponse<'a> {
        name: Cow<'a, str>;
        partitions: Vec<PartitionResponse<'a>>;
    }

    struct PartitionResponse<'a> {
        partition_index: i32;
        error_code: i16;
        error_message: Option<Cow<'a, str>>;
        active_producers: Vec<ProducerState>;
    }

    struct ProducerState {
        producer_id: i64;
        producer_epoch: i32;
        last_sequence: i32, default -1;
        last_timestamp: i64, default -1;
        coordinator_epoch: i32;
        current_txn_start_offset: i64, default -1;
    }
}
