//! Producer ids are given out in blocks; what a broker does not use of one is lost.

use chronik_metadata::ProducerIdBlock;
use chronik_metadata::record::{Change, ProducerIds};
use chronik_types::ErrorCode;

use crate::broker_lifecycle::check_epoch;
use crate::draft::Draft;
use crate::error::ApiError;
use crate::request::AllocateProducerIds;

/// How many a broker gets at a time; Kafka's number.
const BLOCK_LEN: i32 = 1000;

pub(crate) fn allocate(
    draft: &mut Draft,
    request: AllocateProducerIds,
) -> Result<ProducerIdBlock, ApiError> {
    check_epoch(draft.image(), request.broker_id, request.broker_epoch)?;
    let first = draft.image().next_producer_id();
    let next_producer_id = first.0.checked_add(BLOCK_LEN.into()).ok_or_else(|| {
        let message = "Exhausted all producerIds as the next block's end producerId has exceeded \
                       the int64 type limit";
        ApiError::new(ErrorCode::UnknownServerError, message)
    })?;
    draft.push(Change::ProducerIds(ProducerIds {
        broker_id: request.broker_id.0,
        broker_epoch: request.broker_epoch.0,
        next_producer_id,
    }));
    Ok(ProducerIdBlock { first, len: BLOCK_LEN })
}
