//! DescribeQuorum (55): the state of the metadata quorum.

use std::borrow::Cow;

use chronik_types::Uuid;

use crate::codec::messages;

messages! {
    api DescribeQuorum: DescribeQuorumRequest<'a> => DescribeQuorumResponse<'r>;

    /// The partition of the metadata log.
    struct DescribeQuorumRequest<'a> {
        topics: Vec<DescribeQuorumRequestTopicData<'a>>;
    }

    struct DescribeQuorumRequestTopicData<'a> {
        topic_name: Cow<'a, str>;
        partitions: Vec<DescribeQuorumRequestPartitionData>;
    }

    struct DescribeQuorumRequestPartitionData {
        partition_index: i32;
    }

    /// Leader, voters and observers, and how far each has come.
    struct DescribeQuorumResponse<'a> {
        error_code: i16;
        error_message: Option<Cow<'a, str>>, 2+ ignorable, default Some("".into());
        topics: Vec<DescribeQuorumResponseTopicData<'a>>;
        nodes: Vec<Node<'a>>, 2+;
    }

    struct DescribeQuorumResponseTopicData<'a> {
        topic_name: Cow<'a, str>;
        partitions: Vec<DescribeQuorumResponsePartitionData<'a>>;
    }

    struct DescribeQuorumResponsePartitionData<'a> {
        partition_index: i32;
        error_code: i16;
        error_message: Option<Cow<'a, str>>, 2+ ignorable, default Some("".into());
        leader_id: i32;
        leader_epoch: i32;
        high_watermark: i64;
        current_voters: Vec<DescribeQuorumReplicaState>;
        observers: Vec<DescribeQuorumReplicaState>;
    }

    struct DescribeQuorumReplicaState {
        replica_id: i32;
        replica_directory_id: Uuid, 2+;
        log_end_offset: i64;
        last_fetch_timestamp: i64, 1+ ignorable, default -1;
        last_caught_up_timestamp: i64, 1+ ignorable, default -1;
    }

    struct Node<'a> {
        node_id: i32, 2+;
        listeners: Vec<Listener<'a>>, 2+;
    }

    struct Listener<'a> {
        name: Cow<'a, str>, 2+;
        host: Cow<'a, str>, 2+;
        port: u16, 2+;
    }
}
