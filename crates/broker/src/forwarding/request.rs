//! Requests to the controller, to their form between nodes and back.

use chronik_controller::{
    AllocateProducerIds, AlterConfigs, AlterPartition, AlterPartitionData,
    AlterPartitionReassignments, Bootstrap, BrokerHeartbeat, ConfigChange, CreatableTopic,
    CreatePartitions, CreatePartitionsTopic, CreateTopics, DeleteTopics, ElectLeaders,
    ElectionType, FeatureUpdate, IncrementalAlterConfigs, ReassignPartition, RegisterBroker,
    ReplicaAssignment, Request, ResourceName, TopicReference, UpdateFeatures,
};
use chronik_metadata::record;
use chronik_metadata::{Feature, InternalEndpoint, Listener, StorageHealth};
use chronik_types::{BrokerEpoch, BrokerId, LeaderEpoch};

use super::{NotUnderstood, wire};

type Decoded<T> = Result<T, NotUnderstood>;

pub(super) fn to_wire(request: &Request) -> wire::Request {
    match request {
        Request::Bootstrap(r) => wire::Request::Bootstrap(wire::Bootstrap {
            cluster_id: r.cluster_id.into(),
            features: r.features.iter().map(|(name, level)| level_of(name, *level, 0)).collect(),
        }),
        Request::CreateTopics(r) => wire::Request::CreateTopics(wire::CreateTopics {
            topics: r.topics.iter().map(creatable).collect(),
            validate_only: r.validate_only,
        }),
        Request::CreatePartitions(r) => wire::Request::CreatePartitions(wire::CreatePartitions {
            topics: r.topics.iter().map(growing).collect(),
            validate_only: r.validate_only,
        }),
        Request::DeleteTopics(r) => wire::Request::DeleteTopics(wire::DeleteTopics {
            topics: r.topics.iter().map(topic_reference).collect(),
        }),
        Request::AlterConfigs(r) => wire::Request::AlterConfigs(wire::AlterConfigs {
            resources: r.resources.iter().map(|(name, set)| resource(name, set)).collect(),
            validate_only: r.validate_only,
        }),
        Request::IncrementalAlterConfigs(r) => {
            wire::Request::IncrementalAlterConfigs(wire::AlterConfigs {
                resources: r.resources.iter().map(|(name, set)| changes(name, set)).collect(),
                validate_only: r.validate_only,
            })
        }
        Request::RegisterBroker(r) => wire::Request::RegisterBroker(registration(r)),
        Request::BrokerHeartbeat(r) => wire::Request::BrokerHeartbeat(wire::BrokerHeartbeat {
            of: incarnation(r.broker_id, r.broker_epoch),
            is_caught_up: r.is_caught_up,
            wants_fence: r.wants_fence,
            wants_shutdown: r.wants_shutdown,
        }),
        Request::UnregisterBroker(id) => wire::Request::UnregisterBroker(id.0),
        Request::AllocateProducerIds(r) => {
            wire::Request::AllocateProducerIds(incarnation(r.broker_id, r.broker_epoch))
        }
        Request::AlterPartition(r) => wire::Request::AlterPartition(wire::AlterPartition {
            of: incarnation(r.broker_id, r.broker_epoch),
            partitions: r.partitions.iter().map(in_sync_set).collect(),
        }),
        Request::ElectLeaders(r) => wire::Request::ElectLeaders(wire::ElectLeaders {
            unclean: r.election == ElectionType::Unclean,
            partitions: r.partitions.as_deref().map(|topics| wire::TopicPartitions {
                topics: topics
                    .iter()
                    .map(|(topic, partitions)| wire::PartitionsOfTopic {
                        topic: topic.clone(),
                        partitions: partitions.clone(),
                    })
                    .collect(),
            }),
        }),
        Request::AlterPartitionReassignments(r) => {
            wire::Request::AlterPartitionReassignments(wire::AlterPartitionReassignments {
                partitions: r.partitions.iter().map(reassignment).collect(),
                allow_replication_factor_change: r.allow_replication_factor_change,
            })
        }
        Request::UpdateFeatures(r) => wire::Request::UpdateFeatures(wire::UpdateFeatures {
            updates: r
                .updates
                .iter()
                .map(|update| level_of(&update.name, update.level, update.upgrade_type))
                .collect(),
            validate_only: r.validate_only,
        }),
    }
}

pub(super) fn from_wire(request: wire::Request) -> Decoded<Request> {
    Ok(match request {
        wire::Request::Bootstrap(r) => Request::Bootstrap(Bootstrap {
            cluster_id: r.cluster_id.into(),
            features: each(r.features, |level| Ok((level.name, number(level.level)?)))?,
        }),
        wire::Request::CreateTopics(r) => Request::CreateTopics(CreateTopics {
            topics: each(r.topics, read_creatable)?,
            validate_only: r.validate_only,
        }),
        wire::Request::CreatePartitions(r) => Request::CreatePartitions(CreatePartitions {
            topics: r.topics.into_iter().map(read_growing).collect(),
            validate_only: r.validate_only,
        }),
        wire::Request::DeleteTopics(r) => Request::DeleteTopics(DeleteTopics {
            topics: r.topics.into_iter().map(read_topic_reference).collect(),
        }),
        wire::Request::AlterConfigs(r) => Request::AlterConfigs(AlterConfigs {
            resources: each(r.resources, |resource| {
                let name = resource_name(&resource)?;
                let set = resource.values.into_iter().map(|value| (value.name, value.value));
                Ok((name, set.collect()))
            })?,
            validate_only: r.validate_only,
        }),
        wire::Request::IncrementalAlterConfigs(r) => {
            Request::IncrementalAlterConfigs(IncrementalAlterConfigs {
                resources: each(r.resources, |resource| {
                    Ok((resource_name(&resource)?, each(resource.values, read_change)?))
                })?,
                validate_only: r.validate_only,
            })
        }
        wire::Request::RegisterBroker(r) => Request::RegisterBroker(read_registration(r)?),
        wire::Request::BrokerHeartbeat(r) => Request::BrokerHeartbeat(BrokerHeartbeat {
            broker_id: BrokerId(r.of.broker_id),
            broker_epoch: BrokerEpoch(r.of.broker_epoch),
            is_caught_up: r.is_caught_up,
            wants_fence: r.wants_fence,
            wants_shutdown: r.wants_shutdown,
        }),
        wire::Request::UnregisterBroker(id) => Request::UnregisterBroker(BrokerId(id)),
        wire::Request::AllocateProducerIds(of) => {
            Request::AllocateProducerIds(AllocateProducerIds {
                broker_id: BrokerId(of.broker_id),
                broker_epoch: BrokerEpoch(of.broker_epoch),
            })
        }
        wire::Request::AlterPartition(r) => Request::AlterPartition(AlterPartition {
            broker_id: BrokerId(r.of.broker_id),
            broker_epoch: BrokerEpoch(r.of.broker_epoch),
            partitions: r.partitions.into_iter().map(read_in_sync_set).collect(),
        }),
        wire::Request::ElectLeaders(r) => Request::ElectLeaders(ElectLeaders {
            election: if r.unclean { ElectionType::Unclean } else { ElectionType::Preferred },
            partitions: r.partitions.map(|partitions| {
                let topics = partitions.topics.into_iter();
                topics.map(|topic| (topic.topic, topic.partitions)).collect()
            }),
        }),
        wire::Request::AlterPartitionReassignments(r) => {
            Request::AlterPartitionReassignments(AlterPartitionReassignments {
                partitions: r
                    .partitions
                    .into_iter()
                    .map(|asked| ReassignPartition {
                        topic: asked.topic,
                        partition: asked.partition,
                        replicas: asked.replicas.map(|replicas| brokers(replicas.ids)),
                    })
                    .collect(),
                allow_replication_factor_change: r.allow_replication_factor_change,
            })
        }
        wire::Request::UpdateFeatures(r) => Request::UpdateFeatures(UpdateFeatures {
            updates: each(r.updates, |update| {
                Ok(FeatureUpdate {
                    name: update.name,
                    level: number(update.level)?,
                    upgrade_type: number(update.upgrade_type)?,
                })
            })?,
            validate_only: r.validate_only,
        }),
    })
}

fn each<T, U>(items: Vec<T>, read: impl FnMut(T) -> Decoded<U>) -> Decoded<Vec<U>> {
    items.into_iter().map(read).collect()
}

fn number<T: TryFrom<i32>>(number: i32) -> Decoded<T> {
    number.try_into().map_err(|_| NotUnderstood)
}

fn brokers(ids: Vec<i32>) -> Vec<BrokerId> {
    ids.into_iter().map(BrokerId).collect()
}

fn wire_ids(brokers: &[BrokerId]) -> Vec<i32> {
    brokers.iter().map(|broker| broker.0).collect()
}

fn incarnation(broker: BrokerId, epoch: BrokerEpoch) -> wire::Incarnation {
    wire::Incarnation { broker_id: broker.0, broker_epoch: epoch.0 }
}

fn level_of(name: &str, level: i16, upgrade_type: i8) -> wire::Level {
    wire::Level { name: name.to_owned(), level: level.into(), upgrade_type: upgrade_type.into() }
}

fn creatable(topic: &CreatableTopic) -> wire::CreatableTopic {
    let assignment = |assignment: &ReplicaAssignment| wire::Assignment {
        partition: assignment.partition,
        brokers: wire_ids(&assignment.brokers),
    };
    wire::CreatableTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id.into(),
        num_partitions: topic.num_partitions,
        replication_factor: topic.replication_factor.into(),
        assignments: topic.assignments.iter().map(assignment).collect(),
        configs: topic.configs.iter().map(|(name, value)| wire_value(name, value)).collect(),
    }
}

fn read_creatable(topic: wire::CreatableTopic) -> Decoded<CreatableTopic> {
    let assignment = |assignment: wire::Assignment| ReplicaAssignment {
        partition: assignment.partition,
        brokers: brokers(assignment.brokers),
    };
    Ok(CreatableTopic {
        name: topic.name,
        topic_id: topic.topic_id.into(),
        num_partitions: topic.num_partitions,
        replication_factor: number(topic.replication_factor)?,
        assignments: topic.assignments.into_iter().map(assignment).collect(),
        configs: topic.configs.into_iter().map(|value| (value.name, value.value)).collect(),
    })
}

fn growing(topic: &CreatePartitionsTopic) -> wire::CreatePartitionsTopic {
    let assignments = topic.assignments.as_ref().map(|partitions| wire::Assignments {
        assignments: partitions
            .iter()
            .map(|brokers| wire::Assignment { partition: 0, brokers: wire_ids(brokers) })
            .collect(),
    });
    wire::CreatePartitionsTopic { name: topic.name.clone(), count: topic.count, assignments }
}

fn read_growing(topic: wire::CreatePartitionsTopic) -> CreatePartitionsTopic {
    let assignments = topic.assignments.map(|assignments| {
        let partitions = assignments.assignments.into_iter();
        partitions.map(|assignment| brokers(assignment.brokers)).collect()
    });
    CreatePartitionsTopic { name: topic.name, count: topic.count, assignments }
}

pub(super) fn topic_reference(topic: &TopicReference) -> wire::TopicReference {
    wire::TopicReference { name: topic.name.clone(), topic_id: topic.topic_id.into() }
}

pub(super) fn read_topic_reference(topic: wire::TopicReference) -> TopicReference {
    TopicReference { name: topic.name, topic_id: topic.topic_id.into() }
}

fn wire_value(name: &str, value: &Option<String>) -> wire::Value {
    wire::Value { name: name.to_owned(), value: value.clone(), operation: 0 }
}

fn resource(name: &ResourceName, set: &[(String, Option<String>)]) -> wire::Resource {
    wire::Resource {
        resource_type: name.resource_type.into(),
        name: name.name.clone(),
        values: set.iter().map(|(name, value)| wire_value(name, value)).collect(),
    }
}

fn changes(name: &ResourceName, changes: &[ConfigChange]) -> wire::Resource {
    let value = |change: &ConfigChange| wire::Value {
        operation: change.operation.into(),
        ..wire_value(&change.name, &change.value)
    };
    wire::Resource {
        resource_type: name.resource_type.into(),
        name: name.name.clone(),
        values: changes.iter().map(value).collect(),
    }
}

fn resource_name(resource: &wire::Resource) -> Decoded<ResourceName> {
    Ok(ResourceName { resource_type: number(resource.resource_type)?, name: resource.name.clone() })
}

fn read_change(value: wire::Value) -> Decoded<ConfigChange> {
    Ok(ConfigChange { name: value.name, operation: number(value.operation)?, value: value.value })
}

fn registration(r: &RegisterBroker) -> wire::RegisterBroker {
    let listener = |listener: &Listener| record::Listener {
        name: listener.name.clone(),
        host: listener.host.clone(),
        port: listener.port.into(),
        security_protocol: listener.security_protocol.into(),
    };
    let feature = |feature: &Feature| record::SupportedFeature {
        name: feature.name.clone(),
        min: feature.min.into(),
        max: feature.max.into(),
    };
    wire::RegisterBroker {
        broker_id: r.broker_id.0,
        cluster_id: r.cluster_id.clone(),
        incarnation: r.incarnation.into(),
        listeners: r.listeners.iter().map(listener).collect(),
        internal: r.internal.as_ref().map(|internal| record::InternalEndpoint {
            host: internal.host.clone(),
            port: internal.port.into(),
        }),
        rack: r.rack.clone(),
        directories: r.directories.iter().copied().map(Into::into).collect(),
        features: r.features.iter().map(feature).collect(),
        earlier_incarnations: r.earlier_incarnations.iter().copied().map(Into::into).collect(),
        intact: r.storage == StorageHealth::Intact,
    }
}

fn read_registration(r: wire::RegisterBroker) -> Decoded<RegisterBroker> {
    let port = |port: u32| port.try_into().map_err(|_| NotUnderstood);
    let listener = |listener: record::Listener| {
        Ok(Listener {
            name: listener.name,
            host: listener.host,
            port: port(listener.port)?,
            security_protocol: number(listener.security_protocol)?,
        })
    };
    let feature = |feature: record::SupportedFeature| {
        Ok(Feature { name: feature.name, min: number(feature.min)?, max: number(feature.max)? })
    };
    let internal = |internal: record::InternalEndpoint| {
        Ok(InternalEndpoint { host: internal.host, port: port(internal.port)? })
    };
    Ok(RegisterBroker {
        broker_id: BrokerId(r.broker_id),
        cluster_id: r.cluster_id,
        incarnation: r.incarnation.into(),
        listeners: each(r.listeners, listener)?,
        internal: r.internal.map(internal).transpose()?,
        rack: r.rack,
        directories: r.directories.into_iter().map(Into::into).collect(),
        features: each(r.features, feature)?,
        earlier_incarnations: r.earlier_incarnations.into_iter().map(Into::into).collect(),
        storage: if r.intact { StorageHealth::Intact } else { StorageHealth::Lossy },
    })
}

fn in_sync_set(data: &AlterPartitionData) -> wire::AlterPartitionData {
    wire::AlterPartitionData {
        topic_id: data.topic_id.into(),
        partition: data.partition,
        leader_epoch: data.leader_epoch.0,
        partition_epoch: data.partition_epoch,
        new_isr: data.new_isr.iter().map(|(id, epoch)| incarnation(*id, *epoch)).collect(),
        recovering: data.recovering,
    }
}

fn read_in_sync_set(data: wire::AlterPartitionData) -> AlterPartitionData {
    let member = |of: wire::Incarnation| (BrokerId(of.broker_id), BrokerEpoch(of.broker_epoch));
    AlterPartitionData {
        topic_id: data.topic_id.into(),
        partition: data.partition,
        leader_epoch: LeaderEpoch(data.leader_epoch),
        partition_epoch: data.partition_epoch,
        new_isr: data.new_isr.into_iter().map(member).collect(),
        recovering: data.recovering,
    }
}

fn reassignment(asked: &ReassignPartition) -> wire::Reassignment {
    wire::Reassignment {
        topic: asked.topic.clone(),
        partition: asked.partition,
        replicas: asked
            .replicas
            .as_ref()
            .map(|replicas| record::BrokerIds { ids: wire_ids(replicas) }),
    }
}
