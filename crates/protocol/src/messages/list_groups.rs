//! ListGroups (16): the groups that a broker coordinates.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api ListGroups: ListGroupsRequest<'a> => ListGroupsResponse<'r>;

    /// Filters by state and by type; empty means any.
    struct ListGroupsRequest<'a> {
        states_filter: Vec<Cow<'a, str>>, 4+;
        types_filter: Vec<Cow<'a, str>>, 5+;
    }

    /// The groups that match.
    struct ListGroupsResponse<'a> {
        throttle_time_ms: i32, 1+ ignorable;
        error_code: i16;
        groups: Vec<ListedGroup<'a>>;
    }

    struct ListedGroup<'a> {
        group_id: Cow<'a, str>;
        protocol_type: Cow<'a, str>;
        group_state: Cow<'a, str>, 4+ ignorable;
        group_type: Cow<'a, str>, 5+ ignorable;
    }
}
