//! InitProducerId (22): gives a producer its id and epoch.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api InitProducerId: InitProducerIdRequest<'a> => InitProducerIdResponse;

    /// A producer that begins, or one that wants its next epoch.
    struct InitProducerIdRequest<'a> {
        transactional_id: Option<Cow<'a, str>>, default Some("".into());
        transaction_timeout_ms: i32;
        producer_id: i64, 3+, default -1;
        producer_epoch: i16, 3+, default -1;
    }

    /// The producer id and epoch.
    struct InitProducerIdResponse {
        throttle_time_ms: i32;
        error_code: i16;
        producer_id: i64, default -1;
        producer_epoch: i16;
    }
}
