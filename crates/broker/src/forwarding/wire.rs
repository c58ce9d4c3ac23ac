//! Requests to the controller and its answers as they travel between nodes.
//!
//! Protocol Buffers' wire format, by derive. **A field's tag is for ever**: it is neither reused
//! nor given another type. A node that meets a request or an answer it does not know says so, and
//! nothing is done.
//!
//! Numbers that stand for "none" are encoded with zigzag (`sint32`), so that -1 is one byte.

mod requests;
mod responses;

pub(super) use requests::*;
pub(super) use responses::*;

/// A request that a node passes on to the active controller.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(super) struct Forward {
    /// How long the answer may take.
    #[prost(uint64, tag = "1")]
    pub timeout_ms: u64,
    #[prost(oneof = "Request", tags = "2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15")]
    pub request: Option<Request>,
}

#[derive(Clone, PartialEq, ::prost::Oneof)]
pub(super) enum Request {
    #[prost(message, tag = "2")]
    Bootstrap(Bootstrap),
    #[prost(message, tag = "3")]
    CreateTopics(CreateTopics),
    #[prost(message, tag = "4")]
    CreatePartitions(CreatePartitions),
    #[prost(message, tag = "5")]
    DeleteTopics(DeleteTopics),
    #[prost(message, tag = "6")]
    AlterConfigs(AlterConfigs),
    #[prost(message, tag = "7")]
    IncrementalAlterConfigs(AlterConfigs),
    #[prost(message, tag = "8")]
    RegisterBroker(RegisterBroker),
    #[prost(message, tag = "9")]
    BrokerHeartbeat(BrokerHeartbeat),
    #[prost(sint32, tag = "10")]
    UnregisterBroker(i32),
    #[prost(message, tag = "11")]
    AllocateProducerIds(Incarnation),
    #[prost(message, tag = "12")]
    AlterPartition(AlterPartition),
    #[prost(message, tag = "13")]
    ElectLeaders(ElectLeaders),
    #[prost(message, tag = "14")]
    AlterPartitionReassignments(AlterPartitionReassignments),
    #[prost(message, tag = "15")]
    UpdateFeatures(UpdateFeatures),
}

/// What became of a request that was passed on.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(super) struct Forwarded {
    #[prost(oneof = "Fate", tags = "1, 2, 3, 4")]
    pub fate: Option<Fate>,
}

#[derive(Clone, PartialEq, ::prost::Oneof)]
pub(super) enum Fate {
    /// Answered.
    #[prost(message, tag = "1")]
    Answered(Answered),
    /// Certainly not carried out: that node is not the controller.
    #[prost(message, tag = "2")]
    NotController(Nothing),
    /// Carried out perhaps.
    #[prost(message, tag = "3")]
    Unknown(Nothing),
    /// Not understood, and so not carried out.
    #[prost(message, tag = "4")]
    NotUnderstood(Nothing),
}

#[derive(Clone, Copy, PartialEq, Eq, ::prost::Message)]
pub(super) struct Nothing {}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(super) struct Answered {
    /// The end of the committed image that shows what the answer says.
    #[prost(int64, tag = "1")]
    pub visible_at: i64,
    #[prost(oneof = "Response", tags = "2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15")]
    pub response: Option<Response>,
}

#[derive(Clone, PartialEq, ::prost::Oneof)]
pub(super) enum Response {
    #[prost(message, tag = "2")]
    Bootstrap(Nothing),
    #[prost(message, tag = "3")]
    CreateTopics(CreateTopicResults),
    #[prost(message, tag = "4")]
    CreatePartitions(NamedResults),
    #[prost(message, tag = "5")]
    DeleteTopics(DeleteTopicResults),
    #[prost(message, tag = "6")]
    AlterConfigs(AlterConfigsResults),
    #[prost(message, tag = "7")]
    IncrementalAlterConfigs(AlterConfigsResults),
    #[prost(message, tag = "8")]
    RegisterBroker(BrokerEpochResult),
    #[prost(message, tag = "9")]
    BrokerHeartbeat(HeartbeatResult),
    #[prost(message, tag = "10")]
    UnregisterBroker(Done),
    #[prost(message, tag = "11")]
    AllocateProducerIds(ProducerIdsResult),
    #[prost(message, tag = "12")]
    AlterPartition(AlterPartitionResults),
    #[prost(message, tag = "13")]
    ElectLeaders(PartitionResults),
    #[prost(message, tag = "14")]
    AlterPartitionReassignments(PartitionResults),
    #[prost(message, tag = "15")]
    UpdateFeatures(Done),
}

/// A refusal, where it is one.
#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub(super) struct Error {
    /// Kafka's number; never 0.
    #[prost(sint32, tag = "1")]
    pub code: i32,
    #[prost(string, optional, tag = "2")]
    pub message: Option<String>,
}

/// The answer to a request that says only whether it was refused.
#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub(super) struct Done {
    #[prost(message, optional, tag = "1")]
    pub error: Option<Error>,
}
