//! The bodies of answers.

use chronik_metadata::record::WireUuid;

use super::{Error, TopicReference};

#[derive(Clone, PartialEq, ::prost::Message)]
pub(in crate::forwarding) struct CreateTopicResults {
    #[prost(message, optional, tag = "1")]
    pub error: Option<Error>,
    #[prost(message, repeated, tag = "2")]
    pub topics: Vec<CreateTopicResult>,
}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(in crate::forwarding) struct CreateTopicResult {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub error: Option<Error>,
    #[prost(message, optional, tag = "3")]
    pub created: Option<CreatedTopic>,
}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(in crate::forwarding) struct CreatedTopic {
    #[prost(message, required, tag = "1")]
    pub topic_id: WireUuid,
    #[prost(sint32, tag = "2")]
    pub num_partitions: i32,
    #[prost(sint32, tag = "3")]
    pub replication_factor: i32,
    #[prost(message, repeated, tag = "4")]
    pub configs: Vec<EffectiveConfig>,
}

#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub(in crate::forwarding) struct EffectiveConfig {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, optional, tag = "2")]
    pub value: Option<String>,
    #[prost(sint32, tag = "3")]
    pub source: i32,
    #[prost(bool, tag = "4")]
    pub is_sensitive: bool,
}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(in crate::forwarding) struct NamedResults {
    #[prost(message, repeated, tag = "1")]
    pub results: Vec<NamedResult>,
}

#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub(in crate::forwarding) struct NamedResult {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub error: Option<Error>,
}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(in crate::forwarding) struct DeleteTopicResults {
    #[prost(message, optional, tag = "1")]
    pub error: Option<Error>,
    #[prost(message, repeated, tag = "2")]
    pub topics: Vec<DeleteTopicResult>,
}

#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub(in crate::forwarding) struct DeleteTopicResult {
    #[prost(message, required, tag = "1")]
    pub topic: TopicReference,
    #[prost(message, optional, tag = "2")]
    pub error: Option<Error>,
}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(in crate::forwarding) struct AlterConfigsResults {
    #[prost(message, repeated, tag = "1")]
    pub results: Vec<AlterConfigsResult>,
}

#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub(in crate::forwarding) struct AlterConfigsResult {
    #[prost(sint32, tag = "1")]
    pub resource_type: i32,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(message, optional, tag = "3")]
    pub error: Option<Error>,
}

#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub(in crate::forwarding) struct BrokerEpochResult {
    #[prost(message, optional, tag = "1")]
    pub error: Option<Error>,
    #[prost(sint64, tag = "2")]
    pub broker_epoch: i64,
}

#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub(in crate::forwarding) struct HeartbeatResult {
    #[prost(message, optional, tag = "1")]
    pub error: Option<Error>,
    #[prost(bool, tag = "2")]
    pub is_caught_up: bool,
    #[prost(bool, tag = "3")]
    pub is_fenced: bool,
    #[prost(bool, tag = "4")]
    pub should_shut_down: bool,
}

#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub(in crate::forwarding) struct ProducerIdsResult {
    #[prost(message, optional, tag = "1")]
    pub error: Option<Error>,
    #[prost(int64, tag = "2")]
    pub first: i64,
    #[prost(int32, tag = "3")]
    pub len: i32,
}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(in crate::forwarding) struct AlterPartitionResults {
    #[prost(message, optional, tag = "1")]
    pub error: Option<Error>,
    #[prost(message, repeated, tag = "2")]
    pub partitions: Vec<AlterPartitionResult>,
}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(in crate::forwarding) struct AlterPartitionResult {
    #[prost(message, required, tag = "1")]
    pub topic_id: WireUuid,
    #[prost(sint32, tag = "2")]
    pub partition: i32,
    #[prost(message, optional, tag = "3")]
    pub error: Option<Error>,
    #[prost(message, optional, tag = "4")]
    pub state: Option<PartitionState>,
}

#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub(in crate::forwarding) struct PartitionState {
    #[prost(sint32, tag = "1")]
    pub leader: i32,
    #[prost(sint32, tag = "2")]
    pub leader_epoch: i32,
    #[prost(sint32, repeated, tag = "3")]
    pub isr: Vec<i32>,
    #[prost(bool, tag = "4")]
    pub recovering: bool,
    #[prost(sint32, tag = "5")]
    pub partition_epoch: i32,
}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(in crate::forwarding) struct PartitionResults {
    #[prost(message, repeated, tag = "1")]
    pub results: Vec<PartitionResult>,
}

#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub(in crate::forwarding) struct PartitionResult {
    #[prost(string, tag = "1")]
    pub topic: String,
    #[prost(sint32, tag = "2")]
    pub partition: i32,
    #[prost(message, optional, tag = "3")]
    pub error: Option<Error>,
}
