//! What the controller is asked, and what it answers. Whoever serves the wire converts.

use std::borrow::Cow;
use std::sync::Arc;

use chronik_metadata::{
    BrokerList, Feature, InternalEndpoint, Listener, ProducerIdBlock, StorageHealth,
};
use chronik_types::{
    BrokerEpoch, BrokerId, DirectoryId, LeaderEpoch, Monotonic, PartitionId, TopicId, Uuid,
};

use crate::error::ApiError;

/// What comes with every request.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// The time.
    pub now: Monotonic,
    /// Something random: placement starts at a broker drawn from it.
    pub seed: u64,
}

/// What the controller is asked.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "named as the types in them")]
pub enum Request {
    Bootstrap(Bootstrap),
    CreateTopics(CreateTopics),
    CreatePartitions(CreatePartitions),
    DeleteTopics(DeleteTopics),
    AlterConfigs(AlterConfigs),
    IncrementalAlterConfigs(IncrementalAlterConfigs),
    RegisterBroker(RegisterBroker),
    BrokerHeartbeat(BrokerHeartbeat),
    UnregisterBroker(BrokerId),
    AllocateProducerIds(AllocateProducerIds),
    AlterPartition(AlterPartition),
    ElectLeaders(ElectLeaders),
    AlterPartitionReassignments(AlterPartitionReassignments),
    UpdateFeatures(UpdateFeatures),
}

/// What the controller answers; the variant is that of the request. An `Err` refuses the whole
/// request.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "named as the requests")]
pub enum Response {
    Bootstrap,
    CreateTopics(Result<Vec<CreateTopicResult>, ApiError>),
    CreatePartitions(Vec<(String, Result<(), ApiError>)>),
    DeleteTopics(Result<Vec<DeleteTopicResult>, ApiError>),
    AlterConfigs(Vec<AlterConfigsResult>),
    IncrementalAlterConfigs(Vec<AlterConfigsResult>),
    RegisterBroker(Result<BrokerEpoch, ApiError>),
    BrokerHeartbeat(Result<BrokerHeartbeatReply, ApiError>),
    UnregisterBroker(Result<(), ApiError>),
    AllocateProducerIds(Result<ProducerIdBlock, ApiError>),
    AlterPartition(Result<Vec<AlterPartitionResult>, ApiError>),
    ElectLeaders(Vec<ElectLeaderResult>),
    AlterPartitionReassignments(Vec<ReassignResult>),
    UpdateFeatures(Result<(), ApiError>),
}

/// Names the cluster and sets feature levels, at the first start. What is set already stays.
#[derive(Clone, Debug, Default)]
pub struct Bootstrap {
    /// Drawn by the driver.
    pub cluster_id: Uuid,
    /// The level of each feature.
    pub features: Vec<(String, i16)>,
}

/// Creates topics.
#[derive(Clone, Debug, Default)]
pub struct CreateTopics {
    /// Each stands or falls by itself.
    pub topics: Vec<CreatableTopic>,
    /// Check everything, create nothing.
    pub validate_only: bool,
}

/// A topic to create.
#[derive(Clone, Debug, Default)]
pub struct CreatableTopic {
    /// Its name.
    pub name: String,
    /// Drawn by the node that took the request from the client; a retry that finds a topic with
    /// its own id there succeeds.
    pub topic_id: TopicId,
    /// -1 for the default, and with `assignments`.
    pub num_partitions: i32,
    /// -1 for the default, and with `assignments`.
    pub replication_factor: i16,
    /// Where each partition goes; empty to leave it to the controller.
    pub assignments: Vec<ReplicaAssignment>,
    /// What the topic sets; the last of equal names counts.
    pub configs: NamedValues,
}

/// Where a partition goes.
#[derive(Clone, Debug, Default)]
pub struct ReplicaAssignment {
    /// Its number.
    pub partition: PartitionId,
    /// In order of preference.
    pub brokers: Vec<BrokerId>,
}

/// What became of a topic to create.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTopicResult {
    /// Its name.
    pub name: String,
    /// What was created (or would be).
    pub result: Result<CreatedTopic, ApiError>,
}

/// A topic that was created, described for clients that may see it.
#[derive(Clone, Debug, PartialEq)]
pub struct CreatedTopic {
    /// Its id.
    pub topic_id: TopicId,
    /// How many partitions it has.
    pub num_partitions: i32,
    /// How many replicas each has.
    pub replication_factor: i16,
    /// Every topic key, by name.
    pub configs: Arc<[EffectiveConfig]>,
}

/// The effective value of a topic key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveConfig {
    /// The key.
    pub name: &'static str,
    /// Its value; `None` for a secret.
    pub value: Option<Cow<'static, str>>,
    /// Kafka's number for where it comes from.
    pub source: i8,
    /// Whether it is a secret.
    pub is_sensitive: bool,
}

/// Adds partitions to topics.
#[derive(Clone, Debug, Default)]
pub struct CreatePartitions {
    /// Each stands or falls by itself.
    pub topics: Vec<CreatePartitionsTopic>,
    /// Check everything, create nothing.
    pub validate_only: bool,
}

/// A topic that gets more partitions.
#[derive(Clone, Debug, Default)]
pub struct CreatePartitionsTopic {
    /// Its name.
    pub name: String,
    /// How many it shall have.
    pub count: i32,
    /// Where each new one goes; `None` to leave it to the controller.
    pub assignments: Option<Vec<Vec<BrokerId>>>,
}

/// Deletes topics.
#[derive(Clone, Debug, Default)]
pub struct DeleteTopics {
    /// Each stands or falls by itself.
    pub topics: Vec<TopicReference>,
}

/// A topic named by its name or by its id, not both.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicReference {
    /// Its name.
    pub name: Option<String>,
    /// Its id; zero for none.
    pub topic_id: TopicId,
}

/// What became of a topic to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteTopicResult {
    /// Its name, where it is known.
    pub name: Option<String>,
    /// Its id, where it is known; else zero.
    pub topic_id: TopicId,
    /// Whether it is deleted.
    pub result: Result<(), ApiError>,
}

/// A resource with configuration, as the wire names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResourceName {
    /// 2 topic, 4 broker, 16 client metrics, 32 group.
    pub resource_type: i8,
    /// The topic, the broker's number (empty for every broker), the group.
    pub name: String,
}

/// Keys and their values; `None` for the wire's null.
pub type NamedValues = Vec<(String, Option<String>)>;

/// Replaces everything that is set for resources.
#[derive(Clone, Debug, Default)]
pub struct AlterConfigs {
    /// What each shall set; it stands or falls by itself.
    pub resources: Vec<(ResourceName, NamedValues)>,
    /// Check everything, change nothing.
    pub validate_only: bool,
}

/// Changes single values that are set for resources.
#[derive(Clone, Debug, Default)]
pub struct IncrementalAlterConfigs {
    /// What to change in each; it stands or falls by itself.
    pub resources: Vec<(ResourceName, Vec<ConfigChange>)>,
    /// Check everything, change nothing.
    pub validate_only: bool,
}

/// A change of one value.
#[derive(Clone, Debug, Default)]
pub struct ConfigChange {
    /// The key.
    pub name: String,
    /// Kafka's number: 0 set, 1 delete, 2 append, 3 subtract.
    pub operation: i8,
    /// What to set, append or subtract.
    pub value: Option<String>,
}

/// What became of a resource whose configuration was to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterConfigsResult {
    /// Which.
    pub resource: ResourceName,
    /// Whether it was changed.
    pub result: Result<(), ApiError>,
}

/// A broker that starts.
#[derive(Clone, Debug)]
pub struct RegisterBroker {
    /// `node.id`.
    pub broker_id: BrokerId,
    /// The cluster it believes to be part of.
    pub cluster_id: String,
    /// Drawn at this start.
    pub incarnation: Uuid,
    /// Where clients reach it.
    pub listeners: Vec<Listener>,
    /// Where the other nodes reach it; `None` for a node that is alone.
    pub internal: Option<InternalEndpoint>,
    /// Where it stands.
    pub rack: Option<String>,
    /// Its data directories.
    pub directories: Vec<DirectoryId>,
    /// The feature levels it understands.
    pub features: Vec<Feature>,
    /// The incarnations that its disk has carried since the last one that is known to have been
    /// registered, that one included. A disk that was rolled back, or exchanged, does not know the
    /// registered one.
    pub earlier_incarnations: Vec<Uuid>,
    /// What its recovery found.
    pub storage: StorageHealth,
}

/// A broker that is alive.
#[derive(Clone, Copy, Debug)]
pub struct BrokerHeartbeat {
    /// Which broker.
    pub broker_id: BrokerId,
    /// Which incarnation.
    pub broker_epoch: BrokerEpoch,
    /// Whether its image has its own registration: it may be unfenced.
    pub is_caught_up: bool,
    /// Whether it wants to be, or stay, fenced.
    pub wants_fence: bool,
    /// Whether it wants to stop.
    pub wants_shutdown: bool,
}

/// What a broker is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokerHeartbeatReply {
    /// As it said.
    pub is_caught_up: bool,
    /// Whether it is fenced now.
    pub is_fenced: bool,
    /// Whether it may stop now.
    pub should_shut_down: bool,
}

/// A broker that needs producer ids.
#[derive(Clone, Copy, Debug)]
pub struct AllocateProducerIds {
    /// Which broker.
    pub broker_id: BrokerId,
    /// Which incarnation.
    pub broker_epoch: BrokerEpoch,
}

/// A leader that changes in-sync sets.
#[derive(Clone, Debug)]
pub struct AlterPartition {
    /// The leader.
    pub broker_id: BrokerId,
    /// Which incarnation.
    pub broker_epoch: BrokerEpoch,
    /// Each stands or falls by itself.
    pub partitions: Vec<AlterPartitionData>,
}

/// An in-sync set to change.
#[derive(Clone, Debug)]
pub struct AlterPartitionData {
    /// The topic.
    pub topic_id: TopicId,
    /// The partition.
    pub partition: PartitionId,
    /// The epoch in which the leader leads.
    pub leader_epoch: LeaderEpoch,
    /// The partition epoch that the leader knows.
    pub partition_epoch: i32,
    /// The new in-sync set, each with the epoch that the leader knows; -1 for no check.
    pub new_isr: Vec<(BrokerId, BrokerEpoch)>,
    /// Whether the leader still has to recover from an unclean election.
    pub recovering: bool,
}

/// What became of an in-sync set to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterPartitionResult {
    /// The topic.
    pub topic_id: TopicId,
    /// The partition.
    pub partition: PartitionId,
    /// The partition as it is now.
    pub result: Result<PartitionState, ApiError>,
}

/// A partition's state, as a leader has to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionState {
    /// -1 for none.
    pub leader: BrokerId,
    /// Of that leader.
    pub leader_epoch: LeaderEpoch,
    /// The in-sync set.
    pub isr: BrokerList,
    /// Whether the leader still has to recover from an unclean election.
    pub recovering: bool,
    /// The partition epoch.
    pub partition_epoch: i32,
}

/// Which replicas an election may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectionType {
    /// The first of the replicas, if it is in sync.
    Preferred,
    /// Any that is alive, at the price of lost records.
    Unclean,
}

/// Elects leaders.
#[derive(Clone, Debug)]
pub struct ElectLeaders {
    /// Which election.
    pub election: ElectionType,
    /// For which partitions; `None` for all.
    pub partitions: Option<Vec<(String, Vec<PartitionId>)>>,
}

/// What became of an election. With all partitions asked for, those without need of one are left
/// out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectLeaderResult {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: PartitionId,
    /// Whether it has another leader.
    pub result: Result<(), ApiError>,
}

/// Moves replicas to other brokers, or stops doing so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlterPartitionReassignments {
    /// Each stands or falls by itself.
    pub partitions: Vec<ReassignPartition>,
    /// Whether a partition may get another number of replicas.
    pub allow_replication_factor_change: bool,
}

/// A partition to move.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReassignPartition {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: PartitionId,
    /// Where it shall be, in order of preference; `None` to stop moving it.
    pub replicas: Option<Vec<BrokerId>>,
}

/// What became of a partition to move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReassignResult {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: PartitionId,
    /// Whether the move has begun or was stopped.
    pub result: Result<(), ApiError>,
}

/// Changes the levels of features, all or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdateFeatures {
    /// The features.
    pub updates: Vec<FeatureUpdate>,
    /// Check everything, change nothing.
    pub validate_only: bool,
}

/// A feature to change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeatureUpdate {
    /// Such as `metadata.version`.
    pub name: String,
    /// Its new level; 0 switches it off.
    pub level: i16,
    /// Kafka's number: 1 upgrade, 2 safe downgrade, 3 unsafe downgrade.
    pub upgrade_type: i8,
}
