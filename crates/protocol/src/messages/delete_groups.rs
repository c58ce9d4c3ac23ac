//! DeleteGroups (42): deletes groups without members.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api DeleteGroups: DeleteGroupsRequest<'a> => DeleteGroupsResponse<'r>;

    /// Groups to delete.
    struct DeleteGroupsRequest<'a> {
        groups_names: Vec<Cow<'a, str>>;
    }

    /// Which groups were deleted.
    struct DeleteGroupsResponse<'a> {
        throttle_time_ms: i32;
        results: Vec<DeletableGroupResult<'a>>;
    }

    struct DeletableGroupResult<'a> {
        group_id: Cow<'a, str>;
        error_code: i16;
    }
}
