//! Produce (0): appends record batches.

use std::borrow::Cow;

use chronik_types::Uuid;

use crate::codec::{Records, messages};

messages! {
    api Produce: ProduceRequest<'a> => ProduceResponse<'r>;

    /// Batches to be appended, one for each partition.
    struct ProduceRequest<'a> {
        transactional_id: Option<Cow<'a, str>>;
        acks: i16;
        timeout_ms: i32;
        topic_data: Vec<TopicProduceData<'a>>;
    }

    struct TopicProduceData<'a> {
        name: Cow<'a, str>, 3-12 ignorable;
        topic_id: Uuid, 13+ ignorable;
        partition_data: Vec<PartitionProduceData<'a>>;
    }

    struct PartitionProduceData<'a> {
        index: i32;
        records: Records<'a>;
    }

    /// Where each batch was appended, or why not.
    struct ProduceResponse<'a> {
        responses: Vec<TopicProduceResponse<'a>>;
        throttle_time_ms: i32;
        node_endpoints: Vec<ProduceNodeEndpoint<'a>>, 10+, tag 0;
    }

    struct TopicProduceResponse<'a> {
        name: Cow<'a, str>, 3-12 ignorable;
        topic_id: Uuid, 13+ ignorable;
        partition_responses: Vec<PartitionProduceResponse<'a>>;
    }

    struct PartitionProduceResponse<'a> {
        index: i32;
        error_code: i16;
        base_offset: i64;
        log_append_time_ms: i64, default -1;
        log_start_offset: i64, 5+ ignorable, default -1;
        record_errors: Vec<BatchIndexAndErrorMessage<'a>>, 8+ ignorable;
        error_message: Option<Cow<'a, str>>, 8+ ignorable;
        current_leader: ProduceLeaderIdAndEpoch, 10+, tag 0;
    }

    struct BatchIndexAndErrorMessage<'a> {
        batch_index: i32, 8+;
        batch_index_error_message: Option<Cow<'a, str>>, 8+;
    }

    struct ProduceLeaderIdAndEpoch {
        leader_id: i32, 10+, default -1;
        leader_epoch: i32, 10+, default -1;
    }

    struct ProduceNodeEndpoint<'a> {
        node_id: i32, 10+;
        host: Cow<'a, str>, 10+;
        port: i32, 10+;
        rack: Option<Cow<'a, str>>, 10+;
    }
}
