//! Metadata (3): brokers, topics, and who leads which partition.

use std::borrow::Cow;

use chronik_types::Uuid;

use crate::codec::messages;

messages! {
    api Metadata: MetadataRequest<'a> => MetadataResponse<'r>;

    /// Topics of interest; null (version 0: an empty list) means all.
    struct MetadataRequest<'a> {
        topics: Option<Vec<MetadataRequestTopic<'a>>>, null 1+, default Some(Vec::new());
        allow_auto_topic_creation: bool, 4+, default true;
        include_cluster_authorized_operations: bool, 8-10;
        include_topic_authorized_operations: bool, 8+;
    }

    struct MetadataRequestTopic<'a> {
        topic_id: Uuid, 10+ ignorable;
        name: Option<Cow<'a, str>>, null 10+, default Some("".into());
    }

    /// The brokers and the wanted topics as this broker knows them.
    struct MetadataResponse<'a> {
        throttle_time_ms: i32, 3+ ignorable;
        brokers: Vec<MetadataResponseBroker<'a>>;
        cluster_id: Option<Cow<'a, str>>, 2+ ignorable;
        controller_id: i32, 1+ ignorable, default -1;
        topics: Vec<MetadataResponseTopic<'a>>;
        cluster_authorized_operations: i32, 8-10, default -2147483648;
        error_code: i16, 13+ ignorable;
    }

    struct MetadataResponseBroker<'a> {
        node_id: i32;
        host: Cow<'a, str>;
        port: i32;
        rack: Option<Cow<'a, str>>, 1+ ignorable;
    }

    struct MetadataResponseTopic<'a> {
        error_code: i16;
        name: Option<Cow<'a, str>>, null 12+, default Some("".into());
        topic_id: Uuid, 10+ ignorable;
        is_internal: bool, 1+ ignorable;
        partitions: Vec<MetadataResponsePartition>;
        topic_authorized_operations: i32, 8+, default -2147483648;
    }

    struct MetadataResponsePartition {
        error_code: i16;
        partition_index: i32;
        leader_id: i32;
        leader_epoch: i32, 7+ ignorable, default -1;
        replica_nodes: Vec<i32>;
        isr_nodes: Vec<i32>;
        offline_replicas: Vec<i32>, 5+ ignorable;
    }
}
