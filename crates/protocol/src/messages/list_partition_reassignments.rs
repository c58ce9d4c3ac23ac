//! ListPartitionReassignments (46): which replicas are being moved.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api ListPartitionReassignments: ListPartitionReassignmentsRequest<'a> => ListPartitionReassignmentsResponse<'r>;

    /// The partitions asked about; null for all.
    struct ListPartitionReassignmentsRequest<'a> {
        timeout_ms: i32, default 60000;
        topics: Option<Vec<ListPartitionReassignmentsTopics<'a>>>, default None;
    }

    struct ListPartitionReassignmentsTopics<'a> {
        name: Cow<'a, str>;
        partition_indexes: Vec<i32>;
    }

    /// The moves under way.
    struct ListPartitionReassignmentsResponse<'a> {
        throttle_time_ms: i32;
        error_code: i16;
        error_message: Option<Cow<'a, str>>, default Some("".into());
        topics: Vec<OngoingTopicReassignment<'a>>;
    }

    struct OngoingTopicReassignment<'a> {
        name: Cow<'a, str>;
        partitions: Vec<OngoingPartitionReassignment>;
    }

    struct OngoingPartitionReassignment {
        partition_index: i32;
        replicas: Vec<i32>;
        adding_replicas: Vec<i32>;
        removing_replicas: Vec<i32>;
    }
}
