//! Fetch (1): reads record batches, for consumers and followers.

use std::borrow::Cow;

use chronik_types::Uuid;

use crate::codec::{Records, messages};

messages! {
    api Fetch: FetchRequest<'a> => FetchResponse<'r>;

    /// Partitions and the offsets to read them from; may be a change to a fetch session (KIP-227).
    struct FetchRequest<'a> {
        cluster_id: Option<Cow<'a, str>>, 12+ ignorable, tag 0;
        replica_id: i32, 4-14, default -1;
        replica_state: FetchReplicaState, 15+, tag 1;
        max_wait_ms: i32;
        min_bytes: i32;
        max_bytes: i32, default i32::MAX;
        isolation_level: i8;
        session_id: i32, 7+ ignorable;
        session_epoch: i32, 7+ ignorable, default -1;
        topics: Vec<FetchTopic<'a>>;
        forgotten_topics_data: Vec<ForgottenTopic<'a>>, 7+;
        rack_id: Cow<'a, str>, 11+ ignorable;
    }

    struct FetchReplicaState {
        replica_id: i32, 15+, default -1;
        replica_epoch: i64, 15+, default -1;
    }

    struct FetchTopic<'a> {
        topic: Cow<'a, str>, 4-12 ignorable;
        topic_id: Uuid, 13+ ignorable;
        partitions: Vec<FetchPartition>;
    }

    struct FetchPartition {
        partition: i32;
        current_leader_epoch: i32, 9+ ignorable, default -1;
        fetch_offset: i64;
        last_fetched_epoch: i32, 12+, default -1;
        log_start_offset: i64, 5+ ignorable, default -1;
        partition_max_bytes: i32;
        replica_directory_id: Uuid, 17+ ignorable, tag 0;
        high_watermark: i64, 18+ ignorable, tag 1, default i64::MAX;
    }

    struct ForgottenTopic<'a> {
        topic: Cow<'a, str>, 7-12 ignorable;
        topic_id: Uuid, 13+ ignorable;
        partitions: Vec<i32>, 7+;
    }

    /// Batches of each partition, with the offsets that bound what the reader may see.
    struct FetchResponse<'a> {
        throttle_time_ms: i32;
        error_code: i16, 7+ ignorable;
        session_id: i32, 7+;
        responses: Vec<FetchableTopicResponse<'a>>;
        node_endpoints: Vec<FetchNodeEndpoint<'a>>, 16+, tag 0;
    }

    struct FetchableTopicResponse<'a> {
        topic: Cow<'a, str>, 4-12 ignorable;
        topic_id: Uuid, 13+ ignorable;
        partitions: Vec<FetchPartitionData<'a>>;
    }

    struct FetchPartitionData<'a> {
        partition_index: i32;
        error_code: i16;
        high_watermark: i64;
        last_stable_offset: i64, default -1;
        log_start_offset: i64, 5+ ignorable, default -1;
        diverging_epoch: FetchEpochEndOffset, 12+, tag 0;
        current_leader: FetchLeaderIdAndEpoch, 12+, tag 1;
        snapshot_id: SnapshotId, 12+, tag 2;
        aborted_transactions: Option<Vec<AbortedTransaction>>, default Some(Vec::new());
        preferred_read_replica: i32, 11+, default -1;
        records: Records<'a>, default Records::EMPTY;
    }

    struct FetchEpochEndOffset {
        epoch: i32, 12+, default -1;
        end_offset: i64, 12+, default -1;
    }

    struct FetchLeaderIdAndEpoch {
        leader_id: i32, 12+, default -1;
        leader_epoch: i32, 12+, default -1;
    }

    struct SnapshotId {
        end_offset: i64, default -1;
        epoch: i32, default -1;
    }

    struct AbortedTransaction {
        producer_id: i64;
        first_offset: i64;
    }

    struct FetchNodeEndpoint<'a> {
        node_id: i32, 16+;
        host: Cow<'a, str>, 16+;
        port: i32, 16+;
        rack: Option<Cow<'a, str>>, 16+;
    }
}
