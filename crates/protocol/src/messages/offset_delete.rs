//! OffsetDelete (47): deletes stored offsets of a group.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api OffsetDelete: OffsetDeleteRequest<'a> => OffsetDeleteResponse<'r>;

    /// A group and the partitions whose offsets are to go.
    struct OffsetDeleteRequest<'a> {
        group_id: Cow<'a, str>;
        topics: Vec<OffsetDeleteRequestTopic<'a>>;
    }

    struct OffsetDeleteRequestTopic<'a> {
        name: Cow<'a, str>;
        partitions: Vec<OffsetDeleteRequestPartition>;
    }

    struct OffsetDeleteRequestPartition {
        partition_index: i32;
    }

    /// Which offsets were deleted.
    struct OffsetDeleteResponse<'a> {
        error_code: i16;
        throttle_time_ms: i32;
        topics: Vec<OffsetDeleteResponseTopic<'a>>;
    }

    struct OffsetDeleteResponseTopic<'a> {
        name: Cow<'a, str>;
        partitions: Vec<OffsetDeleteResponsePartition>;
    }

    struct OffsetDeleteResponsePartition {
        partition_index: i32;
        error_code: i16;
    }
}
