//! FindCoordinator (10): finds the broker that coordinates a group or transaction.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api FindCoordinator: FindCoordinatorRequest<'a> => FindCoordinatorResponse<'r>;

    /// Names of groups or transactional ids.
    struct FindCoordinatorRequest<'a> {
        key: Cow<'a, str>, 0-3;
        key_type: i8, 1+;
        coordinator_keys: Vec<Cow<'a, str>>, 4+;
    }

    /// The broker that coordinates each.
    struct FindCoordinatorResponse<'a> {
        throttle_time_ms: i32, 1+ ignorable;
        error_code: i16, 0-3;
        error_message: Option<Cow<'a, str>>, 1-3 ignorable, default Some("".into());
        node_id: i32, 0-3;
        host: Cow<'a, str>, 0-3;
        port: i32, 0-3;
        coordinators: Vec<Coordinator<'a>>, 4+;
    }

    struct Coordinator<'a> {
        key: Cow<'a, str>, 4+;
        node_id: i32, 4+;
        host: Cow<'a, str>, 4+;
        port: i32, 4+;
        error_code: i16, 4+;
        error_message: Option<Cow<'a, str>>, 4+ ignorable, default Some("".into());
    }
}
