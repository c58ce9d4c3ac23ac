//! The bodies of requests.

use chronik_metadata::record::{BrokerIds, InternalEndpoint, Listener, SupportedFeature, WireUuid};

#[derive(Clone, PartialEq, ::prost::Message)]
pub(in crate::forwarding) struct Bootstrap {
    #[prost(message, required, tag = "1")]
    pub cluster_id: WireUuid,
    #[prost(message, repeated, tag = "2")]
    pub features: Vec<Level>,
}

/// A feature and its level; with the kind of update it is, where it is one.
#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub(in crate::forwarding) struct Level {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(sint32, tag = "2")]
    pub level: i32,
    #[prost(sint32, tag = "3")]
    pub upgrade_type: i32,
}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(in crate::forwarding) struct CreateTopics {
    #[prost(message, repeated, tag = "1")]
    pub topics: Vec<CreatableTopic>,
    #[prost(bool, tag = "2")]
    pub validate_only: bool,
}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(in crate::forwarding) struct CreatableTopic {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, required, tag = "2")]
    pub topic_id: WireUuid,
    #[prost(sint32, tag = "3")]
    pub num_partitions: i32,
    #[prost(sint32, tag = "4")]
    pub replication_factor: i32,
    #[prost(message, repeated, tag = "5")]
    pub assignments: Vec<Assignment>,
    #[prost(message, repeated, tag = "6")]
    pub configs: Vec<Value>,
}

#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub(in crate::forwarding) struct Assignment {
    #[prost(sint32, tag = "1")]
    pub partition: i32,
    #[prost(sint32, repeated, tag = "2")]
    pub brokers: Vec<i32>,
}

/// A key and its value, or the lack of one; with the operation on it, where it is one.
#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub(in crate::forwarding) struct Value {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, optional, tag = "2")]
    pub value: Option<String>,
    #[prost(sint32, tag = "3")]
    pub operation: i32,
}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(in crate::forwarding) struct CreatePartitions {
    #[prost(message, repeated, tag = "1")]
    pub topics: Vec<CreatePartitionsTopic>,
    #[prost(bool, tag = "2")]
    pub validate_only: bool,
}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(in crate::forwarding) struct CreatePartitionsTopic {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(sint32, tag = "2")]
    pub count: i32,
    #[prost(message, optional, tag = "3")]
    pub assignments: Option<Assignments>,
}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(in crate::forwarding) struct Assignments {
    #[prost(message, repeated, tag = "1")]
    pub assignments: Vec<Assignment>,
}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(in crate::forwarding) struct DeleteTopics {
    #[prost(message, repeated, tag = "1")]
    pub topics: Vec<TopicReference>,
}

#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub(in crate::forwarding) struct TopicReference {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    #[prost(message, required, tag = "2")]
    pub topic_id: WireUuid,
}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(in crate::forwarding) struct AlterConfigs {
    #[prost(message, repeated, tag = "1")]
    pub resources: Vec<Resource>,
    #[prost(bool, tag = "2")]
    pub validate_only: bool,
}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(in crate::forwarding) struct Resource {
    #[prost(sint32, tag = "1")]
    pub resource_type: i32,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(message, repeated, tag = "3")]
    pub values: Vec<Value>,
}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(in crate::forwarding) struct RegisterBroker {
    #[prost(sint32, tag = "1")]
    pub broker_id: i32,
    #[prost(string, tag = "2")]
    pub cluster_id: String,
    #[prost(message, required, tag = "3")]
    pub incarnation: WireUuid,
    #[prost(message, repeated, tag = "4")]
    pub listeners: Vec<Listener>,
    #[prost(message, optional, tag = "5")]
    pub internal: Option<InternalEndpoint>,
    #[prost(string, optional, tag = "6")]
    pub rack: Option<String>,
    #[prost(message, repeated, tag = "7")]
    pub directories: Vec<WireUuid>,
    #[prost(message, repeated, tag = "8")]
    pub features: Vec<SupportedFeature>,
    #[prost(message, repeated, tag = "9")]
    pub earlier_incarnations: Vec<WireUuid>,
    /// Whether everything acknowledged is there.
    #[prost(bool, tag = "10")]
    pub intact: bool,
}

/// One incarnation of a broker.
#[derive(Clone, Copy, PartialEq, Eq, ::prost::Message)]
pub(in crate::forwarding) struct Incarnation {
    #[prost(sint32, tag = "1")]
    pub broker_id: i32,
    #[prost(sint64, tag = "2")]
    pub broker_epoch: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, ::prost::Message)]
pub(in crate::forwarding) struct BrokerHeartbeat {
    #[prost(message, required, tag = "1")]
    pub of: Incarnation,
    #[prost(bool, tag = "2")]
    pub is_caught_up: bool,
    #[prost(bool, tag = "3")]
    pub wants_fence: bool,
    #[prost(bool, tag = "4")]
    pub wants_shutdown: bool,
}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(in crate::forwarding) struct AlterPartition {
    #[prost(message, required, tag = "1")]
    pub of: Incarnation,
    #[prost(message, repeated, tag = "2")]
    pub partitions: Vec<AlterPartitionData>,
}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(in crate::forwarding) struct AlterPartitionData {
    #[prost(message, required, tag = "1")]
    pub topic_id: WireUuid,
    #[prost(sint32, tag = "2")]
    pub partition: i32,
    #[prost(sint32, tag = "3")]
    pub leader_epoch: i32,
    #[prost(sint32, tag = "4")]
    pub partition_epoch: i32,
    #[prost(message, repeated, tag = "5")]
    pub new_isr: Vec<Incarnation>,
    #[prost(bool, tag = "6")]
    pub recovering: bool,
}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(in crate::forwarding) struct ElectLeaders {
    /// Whether any replica that is alive will do.
    #[prost(bool, tag = "1")]
    pub unclean: bool,
    /// `None` for all.
    #[prost(message, optional, tag = "2")]
    pub partitions: Option<TopicPartitions>,
}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(in crate::forwarding) struct TopicPartitions {
    #[prost(message, repeated, tag = "1")]
    pub topics: Vec<PartitionsOfTopic>,
}

#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub(in crate::forwarding) struct PartitionsOfTopic {
    #[prost(string, tag = "1")]
    pub topic: String,
    #[prost(sint32, repeated, tag = "2")]
    pub partitions: Vec<i32>,
}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(in crate::forwarding) struct AlterPartitionReassignments {
    #[prost(message, repeated, tag = "1")]
    pub partitions: Vec<Reassignment>,
    #[prost(bool, tag = "2")]
    pub allow_replication_factor_change: bool,
}

#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub(in crate::forwarding) struct Reassignment {
    #[prost(string, tag = "1")]
    pub topic: String,
    #[prost(sint32, tag = "2")]
    pub partition: i32,
    /// Given: begin; not given: stop.
    #[prost(message, optional, tag = "3")]
    pub replicas: Option<BrokerIds>,
}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(in crate::forwarding) struct UpdateFeatures {
    #[prost(message, repeated, tag = "1")]
    pub updates: Vec<Level>,
    #[prost(bool, tag = "2")]
    pub validate_only: bool,
}
