//! CreatePartitions: more partitions for topics that exist.

use std::sync::Arc;
use std::time::Duration;

use chronik_controller::{CreatePartitions, CreatePartitionsTopic, Request, Response};
use chronik_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use chronik_types::{BrokerId, ErrorCode};

use crate::Broker;
use crate::controller_runtime::code_of;

/// Serves one request.
pub(crate) async fn handle(
    broker: &Arc<Broker>,
    request: CreatePartitionsRequest<'_>,
) -> CreatePartitionsResponse<'static> {
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let deadline = broker.env.clock.monotonic().after(timeout);
    let topics: Vec<_> = request
        .topics
        .into_iter()
        .map(|topic| CreatePartitionsTopic {
            name: topic.name.into_owned(),
            count: topic.count,
            assignments: topic.assignments.map(|assignments| {
                let brokers = |ids: Vec<i32>| ids.into_iter().map(BrokerId).collect();
                assignments.into_iter().map(|a| brokers(a.broker_ids)).collect()
            }),
        })
        .collect();
    let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
    let ask = CreatePartitions { topics, validate_only: request.validate_only };
    let results = match broker.controller.ask(Request::CreatePartitions(ask), deadline).await {
        Ok(Response::CreatePartitions(results)) => results
            .into_iter()
            .map(|(name, result)| match result {
                Ok(()) => answer(name, ErrorCode::None, None),
                Err(error) => answer(name, error.code, error.message),
            })
            .collect(),
        other => {
            let code = code_of(&other);
            names.into_iter().map(|name| answer(name, code, None)).collect()
        }
    };
    CreatePartitionsResponse { results, ..Default::default() }
}

fn answer(
    name: String,
    code: ErrorCode,
    message: Option<String>,
) -> CreatePartitionsTopicResult<'static> {
    CreatePartitionsTopicResult {
        name: name.into(),
        error_code: code.code(),
        error_message: message.map(Into::into),
    }
}
