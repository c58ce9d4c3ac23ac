//! DeleteTopics (20): deletes topics by name or id.

use std::borrow::Cow;

use chronik_types::Uuid;

use crate::codec::messages;

messages! {
    api DeleteTopics: DeleteTopicsRequest<'a> => DeleteTopicsResponse<'r>;

    /// Topics to delete.
    struct DeleteTopicsRequest<'a> {
        topics: Vec<DeleteTopicState<'a>>, 6+;
        topic_names: Vec<Cow<'a, str>>, 1-5 ignorable;
        timeout_ms: i32;
    }

    struct DeleteTopicState<'a> {
        name: Option<Cow<'a, str>>, 6+;
        topic_id: Uuid, 6+;
    }

    /// Which topics were deleted.
    struct DeleteTopicsResponse<'a> {
        throttle_time_ms: i32;
        responses: Vec<DeletableTopicResult<'a>>;
    }

    struct DeletableTopicResult<'a> {
        name: Option<Cow<'a, str>>, null 6+, default Some("".into());
        topic_id: Uuid, 6+ ignorable;
        error_code: i16;
        error_message: Option<Cow<'a, str>>, 5+ ignorable;
    }
}
