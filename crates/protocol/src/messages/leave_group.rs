//! LeaveGroup (13): leaves a classic group, or removes members from it.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api LeaveGroup: LeaveGroupRequest<'a> => LeaveGroupResponse<'r>;

    /// The members that leave.
    struct LeaveGroupRequest<'a> {
        group_id: Cow<'a, str>;
        member_id: Cow<'a, str>, 0-2;
        members: Vec<MemberIdentity<'a>>, 3+;
    }

    struct MemberIdentity<'a> {
        member_id: Cow<'a, str>, 3+;
        group_instance_id: Option<Cow<'a, str>>, 3+;
        reason: Option<Cow<'a, str>>, 5+ ignorable;
    }

    /// Which members have left.
    struct LeaveGroupResponse<'a> {
        throttle_time_ms: i32, 1+ ignorable;
        error_code: i16;
        members: Vec<MemberResponse<'a>>, 3+;
    }

    struct MemberResponse<'a> {
        member_id: Cow<'a, str>, 3+;
        group_instance_id: Option<Cow<'a, str>>, 3+, default Some("".into());
        error_code: i16, 3+;
    }
}
