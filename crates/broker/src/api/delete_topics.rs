//! DeleteTopics: by name, or by id from version 6 on.

use std::sync::Arc;
use std::time::Duration;

use chronik_controller::{DeleteTopics, Request, Response, TopicReference};
use chronik_protocol::messages::{DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse};
use chronik_types::{ErrorCode, TopicId};

use crate::Broker;
use crate::api::context::Context;
use crate::controller_runtime::code_of;

/// The first version that may name topics by id.
const BY_ID: i16 = 6;
/// The first version that knows the code for a broker that deletes no topics.
const WITH_DELETION_DISABLED: i16 = 3;

/// Serves one request.
pub(crate) async fn handle(
    broker: &Arc<Broker>,
    ctx: &Context,
    request: DeleteTopicsRequest<'_>,
) -> DeleteTopicsResponse<'static> {
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let deadline = broker.env.clock.monotonic().after(timeout);
    let topics: Vec<TopicReference> = if ctx.version >= BY_ID {
        let of = |name: Option<std::borrow::Cow<'_, str>>, id| TopicReference {
            name: name.map(|name| name.into_owned()),
            topic_id: TopicId(id),
        };
        request.topics.into_iter().map(|topic| of(topic.name, topic.topic_id)).collect()
    } else {
        let of = |name: std::borrow::Cow<'_, str>| TopicReference {
            name: Some(name.into_owned()),
            topic_id: TopicId::ZERO,
        };
        request.topic_names.into_iter().map(of).collect()
    };
    let asked = topics.clone();
    let ask = Request::DeleteTopics(DeleteTopics { topics });
    let responses = match broker.controller.ask(ask, deadline).await {
        Ok(Response::DeleteTopics(Ok(results))) => results
            .into_iter()
            .map(|result| {
                let (code, message) = match result.result {
                    Ok(()) => (ErrorCode::None, None),
                    Err(error) => (error.code, error.message),
                };
                answer(result.name, result.topic_id, code, message)
            })
            .collect(),
        Ok(Response::DeleteTopics(Err(error))) => {
            let disabled = error.code == ErrorCode::TopicDeletionDisabled;
            let code = if disabled && ctx.version < WITH_DELETION_DISABLED {
                ErrorCode::InvalidRequest
            } else {
                error.code
            };
            all(asked, code, error.message)
        }
        other => all(asked, code_of(&other), None),
    };
    DeleteTopicsResponse { responses, ..Default::default() }
}

fn all(
    asked: Vec<TopicReference>,
    code: ErrorCode,
    message: Option<String>,
) -> Vec<DeletableTopicResult<'static>> {
    asked.into_iter().map(|t| answer(t.name, t.topic_id, code, message.clone())).collect()
}

fn answer(
    name: Option<String>,
    topic_id: TopicId,
    code: ErrorCode,
    message: Option<String>,
) -> DeletableTopicResult<'static> {
    DeletableTopicResult {
        name: name.map(Into::into),
        topic_id: topic_id.0,
        error_code: code.code(),
        error_message: message.map(Into::into),
    }
}
