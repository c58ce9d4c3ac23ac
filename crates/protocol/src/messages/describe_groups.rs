//! DescribeGroups (15): the state of classic groups.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api DescribeGroups: DescribeGroupsRequest<'a> => DescribeGroupsResponse<'r>;

    /// Groups to describe.
    struct DescribeGroupsRequest<'a> {
        groups: Vec<Cow<'a, str>>;
        include_authorized_operations: bool, 3+;
    }

    /// State and members of each group.
    struct DescribeGroupsResponse<'a> {
        throttle_time_ms: i32, 1+ ignorable;
        groups: Vec<DescribedGroup<'a>>;
    }

    struct DescribedGroup<'a> {
        error_code: i16;
        error_message: Option<Cow<'a, str>>, 6+;
        group_id: Cow<'a, str>;
        group_state: Cow<'a, str>;
        protocol_type: Cow<'a, str>;
        protocol_data: Cow<'a, str>;
        members: Vec<DescribedGroupMember<'a>>;
        authorized_operations: i32, 3+, default -2147483648;
    }

    struct DescribedGroupMember<'a> {
        member_id: Cow<'a, str>;
        group_instance_id: Option<Cow<'a, str>>, 4+ ignorable;
        client_id: Cow<'a, str>;
        client_host: Cow<'a, str>;
        member_metadata: Cow<'a, [u8]>;
        member_assignment: Cow<'a, [u8]>;
    }
}
