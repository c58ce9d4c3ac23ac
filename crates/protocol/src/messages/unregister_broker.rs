//! UnregisterBroker (64): forgets a broker.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api UnregisterBroker: UnregisterBrokerRequest => UnregisterBrokerResponse<'r>;

    /// The broker.
    struct UnregisterBrokerRequest {
        broker_id: i32;
    }

    /// Whether it is forgotten.
    struct UnregisterBrokerResponse<'a> {
        throttle_time_ms: i32;
        error_code: i16;
        error_message: Option<Cow<'a, str>>, default Some("".into());
    }
}
