//! CreatePartitions (37): adds partitions to topics.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api CreatePartitions: CreatePartitionsRequest<'a> => CreatePartitionsResponse<'r>;

    /// Topics and their new numbers of partitions.
    struct CreatePartitionsRequest<'a> {
        topics: Vec<CreatePartitionsTopic<'a>>;
        timeout_ms: i32;
        validate_only: bool;
    }

    struct CreatePartitionsTopic<'a> {
        name: Cow<'a, str>;
        count: i32;
        assignments: Option<Vec<CreatePartitionsAssignment>>, default Some(Vec::new());
    }

    struct CreatePartitionsAssignment {
        broker_ids: Vec<i32>;
    }

    /// Which topics have grown.
    struct CreatePartitionsResponse<'a> {
        throttle_time_ms: i32;
        results: Vec<CreatePartitionsTopicResult<'a>>;
    }

    struct CreatePartitionsTopicResult<'a> {
        name: Cow<'a, str>;
        error_code: i16;
        error_message: Option<Cow<'a, str>>;
    }
}
