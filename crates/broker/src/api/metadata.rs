//! Metadata: brokers and topics as clients of this node see them; creates topics where asked to.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use chronik_controller::{is_internal, validate_topic_name};
use chronik_metadata::{Image, Partition, Topic};
use chronik_protocol::messages::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};
use chronik_types::{BrokerId, ErrorCode, TopicId, Uuid};

use crate::Broker;
use crate::api::context::Context;
use crate::api::create_topics;
use crate::view::View;

/// The first version whose answer says how replicas really are, rather than leaving out those that
/// are not there.
const WITH_OFFLINE_REPLICAS: i16 = 1;
/// The first version with a code for a leader that this listener cannot name.
const WITH_LISTENER_NOT_FOUND: i16 = 6;
/// The first version that may name topics by id.
const BY_TOPIC_ID: i16 = 12;
/// The operations on a topic or cluster nobody asked for.
const NOT_ASKED: i32 = i32::MIN;
/// Every operation a topic has, as bits of Kafka's numbers: read, write, create, delete, alter,
/// describe, describe configs, alter configs. Without an authorizer nobody is refused anything.
pub(crate) const TOPIC_OPERATIONS: i32 = 0b110111111000;
/// Every operation a cluster has: create, alter, describe, cluster action, describe configs, alter
/// configs, idempotent write.
pub(crate) const CLUSTER_OPERATIONS: i32 = 0b1111110100000;

/// Serves one request.
pub(crate) async fn handle<'r>(
    broker: &Arc<Broker>,
    ctx: &Context,
    request: MetadataRequest<'r>,
) -> MetadataResponse<'r> {
    if ctx.version < BY_TOPIC_ID
        && let Some(topics) = &request.topics
        && topics.iter().any(|topic| topic.name.is_none() || topic.topic_id != Uuid::ZERO)
    {
        return names_only(topics);
    }
    let view = View::of(broker);
    let all = match &request.topics {
        None => true,
        // Version 0 has no null; there an empty list means all.
        Some(topics) => topics.is_empty() && ctx.version == 0,
    };
    let topics = if all {
        view.topics().topics_by_name().map(|topic| present(broker, ctx, &view, topic)).collect()
    } else {
        let wanted = request.topics.unwrap_or_default();
        let create = request.allow_auto_topic_creation && broker.options.auto_create_topics;
        named(broker, ctx, &view, wanted, create).await
    };
    let topics = topics
        .into_iter()
        .map(|mut topic: MetadataResponseTopic<'r>| {
            let asked = request.include_topic_authorized_operations;
            let known = topic.error_code == ErrorCode::None.code();
            topic.topic_authorized_operations =
                if asked && known { TOPIC_OPERATIONS } else { NOT_ASKED };
            topic
        })
        .collect();
    let with_operations =
        request.include_cluster_authorized_operations && (8..=10).contains(&ctx.version);
    MetadataResponse {
        brokers: brokers(broker, ctx, &view.committed),
        cluster_id: Some(broker.cluster_id.to_string().into()),
        controller_id: broker.controller_id().0,
        topics,
        cluster_authorized_operations: if with_operations { CLUSTER_OPERATIONS } else { NOT_ASKED },
        ..Default::default()
    }
}

/// The answer to topics asked for by id, in a version that has ids but does not take them.
fn names_only(topics: &[MetadataRequestTopic<'_>]) -> MetadataResponse<'static> {
    let refused = |topic: &MetadataRequestTopic<'_>| {
        let name = topic.name.as_deref().unwrap_or_default().to_owned();
        absent(Some(name.into()), topic.topic_id, ErrorCode::InvalidRequest)
    };
    MetadataResponse { topics: topics.iter().map(refused).collect(), ..Default::default() }
}

/// The brokers that clients may talk to, by the listener the request came in on.
fn brokers(broker: &Broker, ctx: &Context, image: &Image) -> Vec<MetadataResponseBroker<'static>> {
    let active = image.brokers().filter(|registration| !registration.fenced);
    active
        .filter_map(|registration| broker.endpoint_of(registration.id, ctx))
        .map(|node| MetadataResponseBroker {
            node_id: node.id.0,
            host: node.host.into(),
            port: i32::from(node.port),
            rack: node.rack.map(Cow::Owned),
        })
        .collect()
}

async fn named<'r>(
    broker: &Arc<Broker>,
    ctx: &Context,
    view: &View,
    wanted: Vec<MetadataRequestTopic<'r>>,
    create: bool,
) -> Vec<MetadataResponseTopic<'r>> {
    let mut answers = Vec::with_capacity(wanted.len());
    let mut missing = Vec::new();
    let mut told = HashSet::new();
    for asked in wanted {
        let id = TopicId(asked.topic_id);
        // Java's client leaves the name empty, not null, when it asks by id.
        let by_id = ctx.version >= BY_TOPIC_ID && (asked.name.is_none() || !id.is_zero());
        let found = match &asked.name {
            Some(name) if !by_id => view.topics().topic_named(name),
            _ => view.topics().topic(id),
        };
        let known = found.map_or(id, |topic| topic.id);
        let unknown_name = asked.name.clone().filter(|_| !by_id && found.is_none());
        if !told.insert((known, unknown_name)) {
            continue;
        }
        let answer = match (found, asked.name) {
            (Some(topic), _) => present(broker, ctx, view, topic),
            (None, Some(name)) if !by_id => {
                let code = if validate_topic_name(&name).is_ok() {
                    missing.push(name.to_string());
                    ErrorCode::UnknownTopicOrPartition
                } else {
                    ErrorCode::InvalidTopicException
                };
                absent(Some(name), Uuid::ZERO, code)
            }
            (None, _) => absent(None, id.0, ErrorCode::UnknownTopicId),
        };
        answers.push(answer);
    }
    if create && !missing.is_empty() {
        // The answer says that the topic is unknown; the client asks again and finds it, as with
        // Kafka.
        create_topics::auto_create(broker, missing).await;
    }
    answers
}

fn absent(
    name: Option<Cow<'_, str>>,
    topic_id: Uuid,
    code: ErrorCode,
) -> MetadataResponseTopic<'_> {
    MetadataResponseTopic { error_code: code.code(), name, topic_id, ..Default::default() }
}

fn present<'r>(
    broker: &Broker,
    ctx: &Context,
    view: &View,
    topic: &Topic,
) -> MetadataResponseTopic<'r> {
    let of = |(index, partition): (i32, &Partition)| {
        let state = view.state(topic, index, partition);
        describe(broker, ctx, &view.committed, index, &state)
    };
    MetadataResponseTopic {
        error_code: ErrorCode::None.code(),
        name: Some(topic.name.to_string().into()),
        topic_id: topic.id.0,
        is_internal: is_internal(&topic.name),
        partitions: topic.partitions.iter().map(of).collect(),
        ..Default::default()
    }
}

fn describe(
    broker: &Broker,
    ctx: &Context,
    image: &Image,
    index: i32,
    partition: &Partition,
) -> MetadataResponsePartition {
    let alive = |id: &BrokerId| image.is_active(*id);
    let ids = |list: &[BrokerId]| list.iter().map(|id| id.0).collect::<Vec<_>>();
    let reachable = broker.endpoint_of(partition.leader, ctx).is_some();
    let code = if !partition.has_leader() || !image.is_active(partition.leader) {
        ErrorCode::LeaderNotAvailable
    } else if !reachable && ctx.version >= WITH_LISTENER_NOT_FOUND {
        ErrorCode::ListenerNotFound
    } else if !reachable {
        ErrorCode::LeaderNotAvailable
    } else {
        ErrorCode::None
    };
    let offline: Vec<i32> =
        partition.replicas.iter().filter(|id| !alive(id)).map(|id| id.0).collect();
    let (replica_nodes, isr_nodes, code) = if ctx.version < WITH_OFFLINE_REPLICAS {
        let present =
            |list: &[BrokerId]| list.iter().filter(|id| alive(id)).map(|id| id.0).collect();
        let code = if offline.is_empty() { code } else { ErrorCode::ReplicaNotAvailable };
        (present(&partition.replicas), present(&partition.isr), code)
    } else {
        (ids(&partition.replicas), ids(&partition.isr), code)
    };
    let leader =
        if code == ErrorCode::LeaderNotAvailable { BrokerId::NONE } else { partition.leader };
    MetadataResponsePartition {
        error_code: code.code(),
        partition_index: index,
        leader_id: leader.0,
        leader_epoch: partition.leader_epoch.0,
        replica_nodes,
        isr_nodes,
        offline_replicas: offline,
    }
}
