//! AlterPartitionReassignments (45): moves replicas to other brokers.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api AlterPartitionReassignments: AlterPartitionReassignmentsRequest<'a> => AlterPartitionReassignmentsResponse<'r>;

    /// Where partitions shall be; null stops a move.
    struct AlterPartitionReassignmentsRequest<'a> {
        timeout_ms: i32, default 60000;
        allow_replication_factor_change: bool, 1+, default true;
        topics: Vec<ReassignableTopic<'a>>;
    }

    struct ReassignableTopic<'a> {
        name: Cow<'a, str>;
        partitions: Vec<ReassignablePartition>;
    }

    struct ReassignablePartition {
        partition_index: i32;
        replicas: Option<Vec<i32>>, default None;
    }

    /// Which moves have begun or were stopped.
    struct AlterPartitionReassignmentsResponse<'a> {
        throttle_time_ms: i32;
        allow_replication_factor_change: bool, 1+ ignorable, default true;
        error_code: i16;
        error_message: Option<Cow<'a, str>>, default Some("".into());
        responses: Vec<ReassignableTopicResponse<'a>>;
    }

    struct ReassignableTopicResponse<'a> {
        name: Cow<'a, str>;
        partitions: Vec<ReassignablePartitionResponse<'a>>;
    }

    struct ReassignablePartitionResponse<'a> {
        partition_index: i32;
        error_code: i16;
        error_message: Option<Cow<'a, str>>, default Some("".into());
    }
}
