//! Heartbeat (12): keeps a member of a classic group alive.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api Heartbeat: HeartbeatRequest<'a> => HeartbeatResponse;

    /// A sign of life.
    struct HeartbeatRequest<'a> {
        group_id: Cow<'a, str>;
        generation_id: i32;
        member_id: Cow<'a, str>;
        group_instance_id: Option<Cow<'a, str>>, 3+;
    }

    /// Whether the member still belongs to the generation.
    struct HeartbeatResponse {
        throttle_time_ms: i32, 1+ ignorable;
        error_code: i16;
    }
}
