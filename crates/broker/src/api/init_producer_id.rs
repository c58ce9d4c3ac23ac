//! InitProducerId: ids for idempotent producers, from blocks that the controller gives out.
//!
//! **Invariants**
//! - An id is given out once: a block is committed before any id of it is used, and what is left
//!   of it at a crash is never used.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use chronik_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};
use chronik_types::ErrorCode;
use tokio::sync::Mutex;

use crate::Broker;

/// How long a producer waits for the controller to give out a block.
const BLOCK_PATIENCE: Duration = Duration::from_secs(10);

/// The ids this broker may still give out.
#[derive(Default)]
pub(crate) struct ProducerIds {
    block: Mutex<Range<i64>>,
}

impl ProducerIds {
    async fn next(&self, broker: &Broker) -> Result<i64, ErrorCode> {
        let mut block = self.block.lock().await;
        if block.is_empty() {
            let deadline = broker.env.clock.monotonic().after(BLOCK_PATIENCE);
            *block = broker.controller.allocate_producer_ids(&broker.options, deadline).await?;
        }
        block.next().ok_or(ErrorCode::CoordinatorNotAvailable)
    }
}

/// Serves one request.
pub(crate) async fn handle(
    broker: &Arc<Broker>,
    request: InitProducerIdRequest<'_>,
) -> InitProducerIdResponse {
    let refused = |code: ErrorCode| InitProducerIdResponse {
        error_code: code.code(),
        producer_id: -1,
        producer_epoch: -1,
        ..Default::default()
    };
    // An id without an epoch, or an epoch without an id, names no producer.
    if (request.producer_id == -1) != (request.producer_epoch == -1) {
        return refused(ErrorCode::InvalidRequest);
    }
    match request.transactional_id.as_deref() {
        None => {}
        Some("") => return refused(ErrorCode::InvalidRequest),
        // Kafka's clients report this code as it is and do not retry it.
        Some(_) => return refused(ErrorCode::UnsupportedVersion),
    }
    match broker.producer_ids.next(broker).await {
        Ok(producer_id) => InitProducerIdResponse {
            error_code: ErrorCode::None.code(),
            producer_id,
            producer_epoch: 0,
            ..Default::default()
        },
        Err(code) => refused(code),
    }
}
