//! JoinGroup (11): enters a classic group and waits for its next generation.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api JoinGroup: JoinGroupRequest<'a> => JoinGroupResponse<'r>;

    /// A member and the protocols that it supports.
    struct JoinGroupRequest<'a> {
        group_id: Cow<'a, str>;
        session_timeout_ms: i32;
        rebalance_timeout_ms: i32, 1+ ignorable, default -1;
        member_id: Cow<'a, str>;
        group_instance_id: Option<Cow<'a, str>>, 5+;
        protocol_type: Cow<'a, str>;
        protocols: Vec<JoinGroupRequestProtocol<'a>>;
        reason: Option<Cow<'a, str>>, 8+ ignorable;
    }

    struct JoinGroupRequestProtocol<'a> {
        name: Cow<'a, str>;
        metadata: Cow<'a, [u8]>;
    }

    /// The new generation; its leader also learns the members.
    struct JoinGroupResponse<'a> {
        throttle_time_ms: i32, 2+ ignorable;
        error_code: i16;
        generation_id: i32, default -1;
        protocol_type: Option<Cow<'a, str>>, 7+ ignorable;
        protocol_name: Option<Cow<'a, str>>, null 7+, default Some("".into());
        leader: Cow<'a, str>;
        skip_assignment: bool, 9+;
        member_id: Cow<'a, str>;
        members: Vec<JoinGroupResponseMember<'a>>;
    }

    struct JoinGroupResponseMember<'a> {
        member_id: Cow<'a, str>;
        group_instance_id: Option<Cow<'a, str>>, 5+ ignorable;
        metadata: Cow<'a, [u8]>;
    }
}
