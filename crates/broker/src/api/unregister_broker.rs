//! UnregisterBroker: a broker that does not come back is forgotten.

use std::sync::Arc;
use std::time::Duration;

use chronik_controller::{Request, Response};
use chronik_protocol::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};
use chronik_types::{BrokerId, ErrorCode};

use crate::Broker;
use crate::controller_runtime::code_of;

/// The request carries no timeout; Kafka's clients give up after this time (`request.timeout.ms`).
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves one request.
pub(crate) async fn handle(
    broker: &Arc<Broker>,
    request: UnregisterBrokerRequest,
) -> UnregisterBrokerResponse<'static> {
    let deadline = broker.env.clock.monotonic().after(PATIENCE);
    let ask = Request::UnregisterBroker(BrokerId(request.broker_id));
    let (code, message) = match broker.controller.ask(ask, deadline).await {
        Ok(Response::UnregisterBroker(Ok(()))) => (ErrorCode::None, None),
        Ok(Response::UnregisterBroker(Err(error))) => (error.code, error.message),
        other => (code_of(&other), None),
    };
    UnregisterBrokerResponse {
        error_code: code.code(),
        error_message: Some(message.unwrap_or_default().into()),
        ..Default::default()
    }
}
