//! ElectLeaders (43): elects leaders of partitions.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api ElectLeaders: ElectLeadersRequest<'a> => ElectLeadersResponse<'r>;

    /// Which election, for which partitions; null for all.
    struct ElectLeadersRequest<'a> {
        election_type: i8, 1+;
        topic_partitions: Option<Vec<ElectLeadersTopicPartitions<'a>>>, default Some(Vec::new());
        timeout_ms: i32, default 60000;
    }

    struct ElectLeadersTopicPartitions<'a> {
        topic: Cow<'a, str>;
        partitions: Vec<i32>;
    }

    /// Which partitions have another leader.
    struct ElectLeadersResponse<'a> {
        throttle_time_ms: i32;
        error_code: i16, 1+;
        replica_election_results: Vec<ReplicaElectionResult<'a>>;
    }

    struct ReplicaElectionResult<'a> {
        topic: Cow<'a, str>;
        partition_result: Vec<ElectLeadersPartitionResult<'a>>;
    }

    struct ElectLeadersPartitionResult<'a> {
        partition_id: i32;
        error_code: i16;
        error_message: Option<Cow<'a, str>>, default Some("".into());
    }
}
