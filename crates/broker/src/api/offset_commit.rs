//! OffsetCommit: partitions that do not exist are refused one by one, the rest go to the group.

use std::sync::Arc;

use chronik_coordinator::{Reply, Request};
use chronik_protocol::messages::{
    OffsetCommitRequest, OffsetCommitRequestTopic, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use chronik_types::ErrorCode;

use crate::Broker;
use crate::api::context::Context;
use crate::api::group_membership::ask;

/// Serves one request.
pub(crate) async fn handle(
    broker: &Arc<Broker>,
    ctx: &Context,
    mut request: OffsetCommitRequest<'_>,
) -> OffsetCommitResponse<'static> {
    let asked = names(&request.topics);
    for topic in &mut request.topics {
        topic.partitions.retain(|part| broker.exists(&topic.name, part.partition_index));
    }
    request.topics.retain(|topic| !topic.partitions.is_empty());
    let outcome = match request.topics.is_empty() && !asked.is_empty() {
        true => Ok(Vec::new()),
        false => commit(broker, ctx, &request).await,
    };
    let topics = asked
        .into_iter()
        .map(|(name, partitions)| {
            let code = |index| code_for(broker, &outcome, &name, index);
            let partitions = partitions
                .into_iter()
                .map(|index| OffsetCommitResponsePartition {
                    partition_index: index,
                    error_code: code(index),
                })
                .collect();
            OffsetCommitResponseTopic { name: name.clone().into(), partitions }
        })
        .collect();
    OffsetCommitResponse { topics, ..Default::default() }
}

type Asked = Vec<(String, Vec<i32>)>;
type Answered = Vec<OffsetCommitResponseTopic<'static>>;

fn names(topics: &[OffsetCommitRequestTopic<'_>]) -> Asked {
    topics
        .iter()
        .map(|t| (t.name.to_string(), t.partitions.iter().map(|p| p.partition_index).collect()))
        .collect()
}

async fn commit(
    broker: &Arc<Broker>,
    ctx: &Context,
    request: &OffsetCommitRequest<'_>,
) -> Result<Answered, ErrorCode> {
    match ask(broker, ctx, &request.group_id, Request::OffsetCommit(request)).await? {
        Reply::OffsetCommit(response) => Ok(response.topics),
        _ => Err(ErrorCode::UnknownServerError),
    }
}

/// The group's code for a partition; one it was not asked about does not exist.
fn code_for(broker: &Broker, outcome: &Result<Answered, ErrorCode>, name: &str, index: i32) -> i16 {
    if !broker.exists(name, index) {
        return ErrorCode::UnknownTopicOrPartition.code();
    }
    match outcome {
        Err(code) => code.code(),
        Ok(topics) => topics
            .iter()
            .filter(|topic| topic.name == name)
            .flat_map(|topic| &topic.partitions)
            .find(|part| part.partition_index == index)
            .map_or(ErrorCode::UnknownTopicOrPartition.code(), |part| part.error_code),
    }
}
