//! SyncGroup (14): hands out the assignment of a generation of a classic group.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api SyncGroup: SyncGroupRequest<'a> => SyncGroupResponse<'r>;

    /// A member that asks for its assignment; the leader brings those of all.
    struct SyncGroupRequest<'a> {
        group_id: Cow<'a, str>;
        generation_id: i32;
        member_id: Cow<'a, str>;
        group_instance_id: Option<Cow<'a, str>>, 3+;
        protocol_type: Option<Cow<'a, str>>, 5+ ignorable;
        protocol_name: Option<Cow<'a, str>>, 5+ ignorable;
        assignments: Vec<SyncGroupRequestAssignment<'a>>;
    }

    struct SyncGroupRequestAssignment<'a> {
        member_id: Cow<'a, str>;
        assignment: Cow<'a, [u8]>;
    }

    /// The member's assignment.
    struct SyncGroupResponse<'a> {
        throttle_time_ms: i32, 1+ ignorable;
        error_code: i16;
        protocol_type: Option<Cow<'a, str>>, 5+ ignorable;
        protocol_name: Option<Cow<'a, str>>, 5+ ignorable;
        assignment: Cow<'a, [u8]>;
    }
}
