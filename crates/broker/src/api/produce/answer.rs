//! The answer to a produce request: what became of each part of it.

use std::borrow::Cow;
use std::sync::Arc;

use chronik_protocol::messages::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, ProduceLeaderIdAndEpoch,
    ProduceNodeEndpoint, ProduceResponse, TopicProduceResponse,
};
use chronik_types::{ErrorCode, Offset, TopicId, Uuid};

use crate::api::context::Context;
use crate::api::error::Refusal;
use crate::api::leader_hint::{LeaderHints, TopicRef};
use crate::partition::Partition;
use crate::progress::ReleaseWhen;
use crate::{Broker, NodeEndpoint};

/// The first version that tells who leads instead (KIP-951).
const WITH_LEADERS: i16 = 10;

/// A topic of the request, as its answer names it.
pub(super) struct Topic {
    pub name: String,
    pub id: TopicId,
}

/// How one partition fared.
pub(super) struct Outcome {
    pub topic: usize,
    pub index: i32,
    pub result: Result<Appended, Refused>,
}

/// Why nothing was appended.
pub(super) struct Refused {
    pub why: Refusal,
    /// Where the log begins, if it was the log that refused; else unknown.
    pub log_start: Offset,
}

impl From<Refusal> for Refused {
    fn from(why: Refusal) -> Self {
        Self { why, log_start: Offset::UNKNOWN }
    }
}

impl Refused {
    /// A refusal by the log of `partition`. Of what the client can put right nowhere else than in
    /// its records, Kafka tells where the log begins.
    pub fn by_log(why: Refusal, partition: &Partition) -> Self {
        let log_start = match why.code {
            ErrorCode::CorruptMessage
            | ErrorCode::NotLeaderOrFollower
            | ErrorCode::MessageTooLarge
            | ErrorCode::RecordListTooLarge
            | ErrorCode::KafkaStorageError => Offset::UNKNOWN,
            _ => partition.log.start(),
        };
        Self { why, log_start }
    }
}

pub(super) struct Appended {
    pub partition: Arc<Partition>,
    pub base_offset: Offset,
    pub log_append_time: i64,
    pub log_start: Offset,
    /// The offset after the last record.
    pub end: Offset,
    pub release: ReleaseWhen,
}

/// The answer to a request whose parts fared so, once they may be answered.
pub(super) fn answer(
    broker: &Broker,
    ctx: &Context,
    topics: Vec<Topic>,
    outcomes: Vec<Outcome>,
) -> ProduceResponse<'static> {
    let mut leaders = LeaderHints::new(broker, ctx);
    let mut responses: Vec<TopicProduceResponse<'_>> = topics
        .into_iter()
        .map(|topic| TopicProduceResponse {
            name: Cow::Owned(topic.name),
            topic_id: topic.id.0,
            partition_responses: Vec::new(),
        })
        .collect();
    for outcome in outcomes {
        let Some(topic) = responses.get_mut(outcome.topic) else { continue };
        let mut answer = answer_part(outcome.index, outcome.result);
        let code = ErrorCode::from_code(answer.error_code).unwrap_or(ErrorCode::None);
        let named = match topic.topic_id {
            Uuid::ZERO => TopicRef::Name(&topic.name),
            id => TopicRef::Id(TopicId(id)),
        };
        let leader = (ctx.version >= WITH_LEADERS)
            .then(|| leaders.leader(code, named, outcome.index))
            .flatten();
        if let Some((leader, epoch)) = leader {
            let leader = ProduceLeaderIdAndEpoch { leader_id: leader.0, leader_epoch: epoch.0 };
            answer.current_leader = leader;
        }
        topic.partition_responses.push(answer);
    }
    let node = |node: NodeEndpoint| ProduceNodeEndpoint {
        node_id: node.id.0,
        host: node.host.into(),
        port: i32::from(node.port),
        rack: node.rack.map(Cow::Owned),
    };
    let node_endpoints = leaders.into_nodes().map(node).collect();
    ProduceResponse { responses, node_endpoints, ..Default::default() }
}

fn answer_part(index: i32, result: Result<Appended, Refused>) -> PartitionProduceResponse<'static> {
    let appended = match result {
        Ok(appended) => appended,
        Err(refused) => return answer_refused(index, refused),
    };
    // The records stay appended either way; not in time only means that it is not known whether
    // every replica will have them.
    let replicated = matches!(appended.release, ReleaseWhen::Replicated(_));
    let code = if appended.partition.progress.reached().satisfies(appended.release) {
        match replicated && appended.partition.lacks_replicas() {
            true => ErrorCode::NotEnoughReplicasAfterAppend,
            false => ErrorCode::None,
        }
    } else if appended.partition.progress.is_closed() {
        let gone = Refusal::from(ErrorCode::NotLeaderOrFollower);
        return answer_refused(index, gone.into());
    } else {
        ErrorCode::RequestTimedOut
    };
    PartitionProduceResponse {
        index,
        error_code: code.code(),
        base_offset: appended.base_offset.0,
        log_append_time_ms: appended.log_append_time,
        log_start_offset: appended.log_start.0,
        ..Default::default()
    }
}

fn answer_refused(index: i32, refused: Refused) -> PartitionProduceResponse<'static> {
    let Refused { why, log_start } = refused;
    let records = why.records.into_iter();
    PartitionProduceResponse {
        index,
        error_code: why.code.code(),
        base_offset: -1,
        log_append_time_ms: -1,
        log_start_offset: log_start.0,
        record_errors: records
            .map(|(batch_index, message)| BatchIndexAndErrorMessage {
                batch_index,
                batch_index_error_message: Some(message),
            })
            .collect(),
        error_message: why.message,
        ..Default::default()
    }
}
