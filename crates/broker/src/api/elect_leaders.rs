//! ElectLeaders: preferred leaders, or any at the price of lost records.

use std::sync::Arc;

use chronik_controller::{ElectLeaderResult, ElectLeaders, ElectionType, Request, Response};
use chronik_protocol::messages::{
    ElectLeadersPartitionResult, ElectLeadersRequest, ElectLeadersResponse,
    ElectLeadersTopicPartitions, ReplicaElectionResult,
};
use chronik_types::ErrorCode;

use crate::Broker;
use crate::api::context::Context;
use crate::controller_runtime::code_of;

/// The first version with a code for the whole request.
const WITH_TOP_LEVEL_CODE: i16 = 1;

/// Serves one request.
pub(crate) async fn handle(
    broker: &Arc<Broker>,
    ctx: &Context,
    request: ElectLeadersRequest<'_>,
) -> ElectLeadersResponse<'static> {
    let named =
        |topic: ElectLeadersTopicPartitions<'_>| (topic.topic.into_owned(), topic.partitions);
    let partitions: Option<Vec<(String, Vec<i32>)>> =
        request.topic_partitions.map(|topics| topics.into_iter().map(named).collect());
    if partitions.as_ref().is_some_and(Vec::is_empty) {
        return ElectLeadersResponse::default();
    }
    let election = match request.election_type {
        0 => ElectionType::Preferred,
        1 => ElectionType::Unclean,
        other => {
            let why = format!("Unknown election type {other}");
            return refused(ctx, partitions.as_deref(), ErrorCode::InvalidRequest, Some(why));
        }
    };
    let ask = Request::ElectLeaders(ElectLeaders { election, partitions: partitions.clone() });
    let deadline = broker.deadline(request.timeout_ms);
    match broker.controller.ask(ask, deadline).await {
        Ok(Response::ElectLeaders(results)) => ElectLeadersResponse {
            replica_election_results: match partitions {
                Some(named) => as_named(named, results),
                None => by_topic(results),
            },
            ..Default::default()
        },
        other => refused(ctx, partitions.as_deref(), code_of(&other), None),
    }
}

/// The results, which come in the order of the request, under the topics as it names them.
fn as_named(
    topics: Vec<(String, Vec<i32>)>,
    results: Vec<ElectLeaderResult>,
) -> Vec<ReplicaElectionResult<'static>> {
    let mut results = results.into_iter().map(result);
    let topic = |(topic, partitions): (String, Vec<i32>)| ReplicaElectionResult {
        topic: topic.into(),
        partition_result: results.by_ref().take(partitions.len()).collect(),
    };
    topics.into_iter().map(topic).collect()
}

fn result(result: ElectLeaderResult) -> ElectLeadersPartitionResult<'static> {
    match result.result {
        Ok(()) => answer(result.partition, ErrorCode::None, None),
        Err(error) => answer(result.partition, error.code, error.message),
    }
}

fn by_topic(results: Vec<ElectLeaderResult>) -> Vec<ReplicaElectionResult<'static>> {
    let mut topics: Vec<ReplicaElectionResult<'static>> = Vec::new();
    for elected in results {
        let topic = elected.topic.clone();
        let partition = result(elected);
        match topics.last_mut().filter(|last| last.topic == topic) {
            Some(last) => last.partition_result.push(partition),
            None => topics.push(ReplicaElectionResult {
                topic: topic.into(),
                partition_result: vec![partition],
            }),
        }
    }
    topics
}

fn answer(
    partition_id: i32,
    code: ErrorCode,
    message: Option<String>,
) -> ElectLeadersPartitionResult<'static> {
    ElectLeadersPartitionResult {
        partition_id,
        error_code: code.code(),
        error_message: message.map(Into::into),
    }
}

/// Every partition that was named, with the same code.
fn refused(
    ctx: &Context,
    partitions: Option<&[(String, Vec<i32>)]>,
    code: ErrorCode,
    message: Option<String>,
) -> ElectLeadersResponse<'static> {
    let topics = partitions.unwrap_or_default().iter().map(|(topic, partitions)| {
        let each = partitions.iter().map(|partition| answer(*partition, code, message.clone()));
        ReplicaElectionResult { topic: topic.clone().into(), partition_result: each.collect() }
    });
    ElectLeadersResponse {
        error_code: if ctx.version >= WITH_TOP_LEVEL_CODE { code.code() } else { 0 },
        replica_election_results: topics.collect(),
        ..Default::default()
    }
}
