//! The answer to a fetch.

use std::borrow::Cow;

use chronik_protocol::codec::Records;
use chronik_protocol::messages::{
    FetchEpochEndOffset, FetchLeaderIdAndEpoch, FetchNodeEndpoint, FetchPartition,
    FetchPartitionData, FetchRequest, FetchResponse, FetchTopic, FetchableTopicResponse,
};
use chronik_types::{BrokerId, ErrorCode, Offset};

use super::{Answered, BY_TOPIC_ID, Limits};
use crate::api::context::Context;
use crate::api::leader_hint::{LeaderHints, TopicRef};
use crate::fetch_sessions::{Kind, Said, TopicKey};
use crate::{Broker, NodeEndpoint};

/// The first version that tells who leads instead (KIP-951).
const WITH_LEADERS: i16 = 16;

/// What Kafka answers to an isolation level that it does not know.
pub(super) fn unknown_isolation(
    by_topic_id: bool,
    request: &FetchRequest<'_>,
) -> FetchResponse<'static> {
    let error_code = ErrorCode::UnknownServerError.code();
    let partition = |partition: &FetchPartition| FetchPartitionData {
        partition_index: partition.partition,
        error_code,
        high_watermark: Offset::UNKNOWN.0,
        ..Default::default()
    };
    let topic = |topic: &FetchTopic<'_>| FetchableTopicResponse {
        topic: topic.topic.to_string().into(),
        topic_id: topic.topic_id,
        partitions: topic.partitions.iter().map(partition).collect(),
    };
    let topics = if by_topic_id { &[][..] } else { &request.topics };
    FetchResponse {
        error_code,
        session_id: request.session_id,
        responses: topics.iter().map(topic).collect(),
        ..Default::default()
    }
}

/// The answer that tells of every part that its session does not keep to itself.
pub(super) fn respond(
    broker: &Broker,
    ctx: &Context,
    kind: Kind,
    limits: &Limits,
    answered: Vec<Answered>,
) -> FetchResponse<'static> {
    let by_topic_id = ctx.version >= BY_TOPIC_ID;
    let said: Vec<_> = answered
        .iter()
        .map(|a| {
            let said = Said {
                error: a.error.is_error(),
                bytes: a.bytes,
                high_watermark: a.high_watermark.0,
                log_start: a.log_start.0,
                diverging: a.diverging.is_some(),
                elsewhere: a.elsewhere.is_some(),
            };
            (a.wanted.clone(), said)
        })
        .collect();
    let now = broker.env.clock.monotonic();
    let draw = || i32::from_be_bytes(broker.env.rng.bytes::<4>());
    let (session_id, named) =
        broker.fetch_sessions.lock().finish(now, kind, by_topic_id, &said, draw);
    let mut responses: Vec<FetchableTopicResponse<'_>> = Vec::new();
    let mut last: Option<TopicKey> = None;
    let mut leaders = LeaderHints::new(broker, ctx);
    for (part, _) in answered.into_iter().zip(named).filter(|(_, named)| *named) {
        if last.as_ref() != Some(&part.wanted.topic) {
            last = Some(part.wanted.topic.clone());
            responses.push(topic_response(&part.wanted.topic));
        }
        if let Some(topic) = responses.last_mut() {
            let leader = leader_of(&mut leaders, ctx.version, &part);
            topic.partitions.push(partition_data(part, limits, leader));
        }
    }
    let node = |node: NodeEndpoint| FetchNodeEndpoint {
        node_id: node.id.0,
        host: node.host.into(),
        port: i32::from(node.port),
        rack: node.rack.map(Cow::Owned),
    };
    // Kafka gives replicas, which know it, no address.
    let nodes: Vec<_> =
        if limits.as_replica { Vec::new() } else { leaders.into_nodes().map(node).collect() };
    FetchResponse { session_id, responses, node_endpoints: nodes, ..Default::default() }
}

fn leader_of(
    leaders: &mut LeaderHints<'_>,
    version: i16,
    part: &Answered,
) -> Option<FetchLeaderIdAndEpoch> {
    let topic = match &part.wanted.topic {
        TopicKey::Name(name) => TopicRef::Name(name),
        TopicKey::Id(id) => TopicRef::Id(*id),
    };
    let (leader, epoch) = (version >= WITH_LEADERS)
        .then(|| leaders.leader(part.error, topic, part.wanted.partition))
        .flatten()?;
    Some(FetchLeaderIdAndEpoch { leader_id: leader.0, leader_epoch: epoch.0 })
}

fn topic_response(key: &TopicKey) -> FetchableTopicResponse<'static> {
    match key {
        TopicKey::Name(name) => {
            FetchableTopicResponse { topic: name.to_string().into(), ..Default::default() }
        }
        TopicKey::Id(id) => FetchableTopicResponse { topic_id: id.0, ..Default::default() },
    }
}

fn partition_data(
    part: Answered,
    limits: &Limits,
    leader: Option<FetchLeaderIdAndEpoch>,
) -> FetchPartitionData<'static> {
    let diverging = part
        .diverging
        .map(|(epoch, end)| FetchEpochEndOffset { epoch: epoch.0, end_offset: end.0 });
    FetchPartitionData {
        partition_index: part.wanted.partition,
        error_code: part.error.code(),
        high_watermark: part.high_watermark.0,
        last_stable_offset: part.high_watermark.0,
        log_start_offset: part.log_start.0,
        diverging_epoch: diverging.unwrap_or_default(),
        current_leader: leader.unwrap_or_default(),
        aborted_transactions: match part.error {
            ErrorCode::None => limits.read_committed.then(Vec::new),
            // No log was asked, and Kafka's empty answer for that has an empty list.
            ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId => Some(Vec::new()),
            _ => None,
        },
        preferred_read_replica: part.elsewhere.unwrap_or(BrokerId::NONE).0,
        // Never null: librdkafka breaks on it (KAFKA-18646).
        records: Records::Chunks(part.chunks),
        ..Default::default()
    }
}
