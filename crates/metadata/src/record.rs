//! The records of the metadata log, as they are encoded.
//!
//! Protocol Buffers' wire format, by derive. **A field's tag is for ever**: it is neither reused
//! nor given another type. A new record or field is gated by the cluster's `metadata.version`,
//! because a node that does not know it stops (see [`crate::decode_batch`]).
//!
//! Numbers that stand for "none" are encoded with zigzag (`sint32`), so that -1 is one byte.

use chronik_types::{DirectoryId, TopicId, Uuid};

/// One entry of the metadata log: what one or several requests changed, all or nothing.
///
/// Proposals of one term are numbered; `follows` is the number of the batch that this one was
/// made on top of. A batch whose predecessor was lost does not apply
/// ([`crate::Image::apply_batch`]).
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct MetadataBatch {
    /// The Raft term of the controller that made it.
    #[prost(uint64, tag = "1")]
    pub term: u64,
    /// Its number in the term, from 1; numbers of lost proposals are not used again.
    #[prost(uint64, tag = "2")]
    pub sequence: u64,
    /// The number, in the same term, of the batch before it; 0 for the first.
    #[prost(uint64, tag = "3")]
    pub follows: u64,
    /// The changes, in order.
    #[prost(message, repeated, tag = "4")]
    pub records: Vec<MetadataRecord>,
}

/// One change of the metadata.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct MetadataRecord {
    /// Which change; `None` when this version does not know it.
    #[prost(oneof = "Change", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16")]
    pub change: Option<Change>,
}

impl From<Change> for MetadataRecord {
    fn from(change: Change) -> Self {
        Self { change: Some(change) }
    }
}

/// The kinds of change.
#[derive(Clone, PartialEq, ::prost::Oneof)]
pub enum Change {
    /// Changes nothing.
    #[prost(message, tag = "1")]
    NoOp(NoOp),
    /// Names the cluster; once.
    #[prost(message, tag = "2")]
    ClusterId(ClusterId),
    /// Sets the level of a feature.
    #[prost(message, tag = "3")]
    FeatureLevel(FeatureLevel),
    /// A broker, or a new incarnation of one.
    #[prost(message, tag = "4")]
    RegisterBroker(RegisterBroker),
    /// Forgets a broker.
    #[prost(message, tag = "5")]
    UnregisterBroker(BrokerEvent),
    /// A broker is out of touch.
    #[prost(message, tag = "6")]
    FenceBroker(BrokerEvent),
    /// A broker serves.
    #[prost(message, tag = "7")]
    UnfenceBroker(BrokerEvent),
    /// A broker is about to stop.
    #[prost(message, tag = "8")]
    BrokerInControlledShutdown(BrokerEvent),
    /// A new topic, without partitions yet.
    #[prost(message, tag = "9")]
    Topic(Topic),
    /// A partition, whole.
    #[prost(message, tag = "10")]
    Partition(Partition),
    /// Many new partitions of one topic.
    #[prost(message, tag = "11")]
    FreshPartitions(FreshPartitions),
    /// A change of one partition.
    #[prost(message, tag = "12")]
    PartitionChange(PartitionChange),
    /// Forgets a topic, its partitions and its configuration.
    #[prost(message, tag = "13")]
    RemoveTopic(RemoveTopic),
    /// Sets or deletes one configuration value.
    #[prost(message, tag = "14")]
    Config(Config),
    /// Gives out producer ids.
    #[prost(message, tag = "15")]
    ProducerIds(ProducerIds),
    /// Counters, as a snapshot saves them.
    #[prost(message, tag = "16")]
    Counters(Counters),
}

/// Sixteen bytes that name something.
#[derive(Clone, Copy, PartialEq, Eq, ::prost::Message)]
pub struct WireUuid {
    /// The first eight, big-endian.
    #[prost(fixed64, tag = "1")]
    pub high: u64,
    /// The last eight, big-endian.
    #[prost(fixed64, tag = "2")]
    pub low: u64,
}

impl From<Uuid> for WireUuid {
    fn from(uuid: Uuid) -> Self {
        let bits = u128::from_be_bytes(uuid.0);
        Self { high: (bits >> 64) as u64, low: bits as u64 }
    }
}

impl From<WireUuid> for Uuid {
    fn from(wire: WireUuid) -> Self {
        Self((u128::from(wire.high) << 64 | u128::from(wire.low)).to_be_bytes())
    }
}

impl From<TopicId> for WireUuid {
    fn from(id: TopicId) -> Self {
        id.0.into()
    }
}

impl From<WireUuid> for TopicId {
    fn from(wire: WireUuid) -> Self {
        Self(wire.into())
    }
}

impl From<DirectoryId> for WireUuid {
    fn from(id: DirectoryId) -> Self {
        id.0.into()
    }
}

impl From<WireUuid> for DirectoryId {
    fn from(wire: WireUuid) -> Self {
        Self(wire.into())
    }
}

/// Changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, ::prost::Message)]
pub struct NoOp {}

/// The name of the cluster, drawn by its first controller.
#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub struct ClusterId {
    /// 22 characters of base64.
    #[prost(string, tag = "1")]
    pub cluster_id: String,
}

/// The level of a feature.
#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub struct FeatureLevel {
    /// Such as `metadata.version`.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Within i16; 0 switches the feature off.
    #[prost(sint32, tag = "2")]
    pub level: i32,
}

/// A broker that registers. Its epoch is new with each incarnation.
#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub struct RegisterBroker {
    /// `node.id`.
    #[prost(int32, tag = "1")]
    pub broker_id: i32,
    /// Of this incarnation.
    #[prost(int64, tag = "2")]
    pub broker_epoch: i64,
    /// Drawn at each start of the process.
    #[prost(message, required, tag = "3")]
    pub incarnation: WireUuid,
    /// Where it can be reached.
    #[prost(message, repeated, tag = "4")]
    pub listeners: Vec<Listener>,
    /// Where it stands.
    #[prost(string, optional, tag = "5")]
    pub rack: Option<String>,
    /// Its data directories.
    #[prost(message, repeated, tag = "6")]
    pub directories: Vec<WireUuid>,
    /// The feature levels it understands.
    #[prost(message, repeated, tag = "7")]
    pub features: Vec<SupportedFeature>,
    /// [`StorageHealth`].
    #[prost(enumeration = "StorageHealth", tag = "8")]
    pub storage: i32,
    /// Whether it is out of touch; every new incarnation is at first.
    #[prost(bool, tag = "9")]
    pub fenced: bool,
    /// Whether it is about to stop.
    #[prost(bool, tag = "10")]
    pub in_controlled_shutdown: bool,
    /// Where the other nodes reach it.
    #[prost(message, optional, tag = "11")]
    pub internal: Option<InternalEndpoint>,
}

/// Where nodes reach a node.
#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub struct InternalEndpoint {
    /// A name or an address.
    #[prost(string, tag = "1")]
    pub host: String,
    /// Within u16.
    #[prost(uint32, tag = "2")]
    pub port: u32,
}

/// What a restart did to what a broker had acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
#[repr(i32)]
pub enum StorageHealth {
    /// Something acknowledged may be missing: a new, restored or damaged disk.
    Lossy = 0,
    /// Everything acknowledged is there.
    Intact = 1,
}

/// Where a broker can be reached.
#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub struct Listener {
    /// The listener's name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// As advertised.
    #[prost(string, tag = "2")]
    pub host: String,
    /// As advertised; within u16.
    #[prost(uint32, tag = "3")]
    pub port: u32,
    /// Kafka's number: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    #[prost(int32, tag = "4")]
    pub security_protocol: i32,
}

/// The levels of a feature that a node understands, inclusive.
#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub struct SupportedFeature {
    /// Such as `metadata.version`.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Within i16.
    #[prost(sint32, tag = "2")]
    pub min: i32,
    /// Within i16.
    #[prost(sint32, tag = "3")]
    pub max: i32,
}

/// Something that happened to one incarnation of a broker.
#[derive(Clone, Copy, PartialEq, Eq, ::prost::Message)]
pub struct BrokerEvent {
    /// Which broker.
    #[prost(int32, tag = "1")]
    pub broker_id: i32,
    /// Which incarnation.
    #[prost(int64, tag = "2")]
    pub broker_epoch: i64,
}

/// A new topic.
#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub struct Topic {
    /// Of this incarnation of the name.
    #[prost(message, required, tag = "1")]
    pub topic_id: WireUuid,
    /// Unique among topics.
    #[prost(string, tag = "2")]
    pub name: String,
}

/// A partition, whole; as a snapshot saves it, or new with anything out of the ordinary.
#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub struct Partition {
    /// Of an existing topic.
    #[prost(message, required, tag = "1")]
    pub topic_id: WireUuid,
    /// An existing partition or the next one.
    #[prost(int32, tag = "2")]
    pub partition: i32,
    /// In order of preference.
    #[prost(int32, repeated, tag = "3")]
    pub replicas: Vec<i32>,
    /// The in-sync ones.
    #[prost(int32, repeated, tag = "4")]
    pub isr: Vec<i32>,
    /// -1 for none.
    #[prost(sint32, tag = "5")]
    pub leader: i32,
    /// See `chronik_types::LeaderEpoch`.
    #[prost(int32, tag = "6")]
    pub leader_epoch: i32,
    /// Counts the changes of this partition.
    #[prost(int32, tag = "7")]
    pub partition_epoch: i32,
    /// Whether the leader still has to recover from an unclean election.
    #[prost(bool, tag = "8")]
    pub recovering: bool,
    /// Replicas outside the in-sync set that have everything that was acknowledged (KIP-966).
    #[prost(int32, repeated, tag = "9")]
    pub elr: Vec<i32>,
    /// Of those, the ones that were lost since.
    #[prost(int32, repeated, tag = "10")]
    pub last_known_elr: Vec<i32>,
    /// Replicas that a reassignment brings.
    #[prost(int32, repeated, tag = "11")]
    pub adding: Vec<i32>,
    /// Replicas that a reassignment takes away.
    #[prost(int32, repeated, tag = "12")]
    pub removing: Vec<i32>,
    /// The data directory of each replica, where it is not the broker's only one; else empty.
    #[prost(message, repeated, tag = "13")]
    pub directories: Vec<WireUuid>,
}

/// New partitions of one topic: each is led by its first in-sync replica, in leader epoch 0.
#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub struct FreshPartitions {
    /// Of an existing topic.
    #[prost(message, required, tag = "1")]
    pub topic_id: WireUuid,
    /// The number of the first one, which is how many the topic has.
    #[prost(int32, tag = "2")]
    pub first_partition: i32,
    /// How many replicas each has; at least 1.
    #[prost(uint32, tag = "3")]
    pub replication_factor: u32,
    /// The replicas of the first partition in order of preference, then of the second, and so on.
    #[prost(int32, repeated, tag = "4")]
    pub replicas: Vec<i32>,
    /// Brokers that are out of touch, and so in no in-sync set.
    #[prost(int32, repeated, tag = "5")]
    pub out_of_sync: Vec<i32>,
}

/// A change of one partition; what is not given stays. Every change raises the partition epoch.
#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub struct PartitionChange {
    /// Of an existing topic.
    #[prost(message, required, tag = "1")]
    pub topic_id: WireUuid,
    /// An existing partition.
    #[prost(int32, tag = "2")]
    pub partition: i32,
    /// The leader, -1 for none. Given, it raises the leader epoch, even if it is the same broker.
    #[prost(sint32, optional, tag = "3")]
    pub leader: Option<i32>,
    /// The in-sync set.
    #[prost(message, optional, tag = "4")]
    pub isr: Option<BrokerIds>,
    /// The replicas.
    #[prost(message, optional, tag = "5")]
    pub replicas: Option<BrokerIds>,
    /// See [`Partition::recovering`].
    #[prost(bool, optional, tag = "6")]
    pub recovering: Option<bool>,
    /// See [`Partition::elr`].
    #[prost(message, optional, tag = "7")]
    pub elr: Option<BrokerIds>,
    /// See [`Partition::last_known_elr`].
    #[prost(message, optional, tag = "8")]
    pub last_known_elr: Option<BrokerIds>,
    /// See [`Partition::adding`].
    #[prost(message, optional, tag = "9")]
    pub adding: Option<BrokerIds>,
    /// See [`Partition::removing`].
    #[prost(message, optional, tag = "10")]
    pub removing: Option<BrokerIds>,
    /// See [`Partition::directories`].
    #[prost(message, optional, tag = "11")]
    pub directories: Option<DirectoryIds>,
}

/// A list of brokers, which may be empty.
#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub struct BrokerIds {
    /// In order.
    #[prost(int32, repeated, tag = "1")]
    pub ids: Vec<i32>,
}

/// A list of data directories, which may be empty.
#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub struct DirectoryIds {
    /// In the order of the replicas.
    #[prost(message, repeated, tag = "1")]
    pub ids: Vec<WireUuid>,
}

/// Forgets a topic.
#[derive(Clone, Copy, PartialEq, Eq, ::prost::Message)]
pub struct RemoveTopic {
    /// Which.
    #[prost(message, required, tag = "1")]
    pub topic_id: WireUuid,
}

/// Sets or deletes one configuration value.
#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub struct Config {
    /// Kafka's number: 2 topic, 4 broker, 16 client metrics, 32 group.
    #[prost(int32, tag = "1")]
    pub resource_type: i32,
    /// The topic, the broker's number (empty for every broker), or the group.
    #[prost(string, tag = "2")]
    pub resource_name: String,
    /// The key.
    #[prost(string, tag = "3")]
    pub name: String,
    /// The value; `None` deletes it.
    #[prost(string, optional, tag = "4")]
    pub value: Option<String>,
}

/// Gives a broker the producer ids up to the next one.
#[derive(Clone, Copy, PartialEq, Eq, ::prost::Message)]
pub struct ProducerIds {
    /// To which broker.
    #[prost(int32, tag = "1")]
    pub broker_id: i32,
    /// To which incarnation.
    #[prost(int64, tag = "2")]
    pub broker_epoch: i64,
    /// The first producer id not given out yet.
    #[prost(int64, tag = "3")]
    pub next_producer_id: i64,
}

/// The counters of an image.
#[derive(Clone, Copy, PartialEq, Eq, ::prost::Message)]
pub struct Counters {
    /// The epoch of the next broker that registers.
    #[prost(int64, tag = "1")]
    pub next_broker_epoch: i64,
    /// The first producer id not given out yet.
    #[prost(int64, tag = "2")]
    pub next_producer_id: i64,
}
