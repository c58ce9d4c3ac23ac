//! OffsetFetch (9): reads the stored offsets of groups.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api OffsetFetch: OffsetFetchRequest<'a> => OffsetFetchResponse<'r>;

    /// Groups, and the partitions whose offsets are wanted; null means all.
    struct OffsetFetchRequest<'a> {
        group_id: Cow<'a, str>, 1-7;
        topics: Option<Vec<OffsetFetchRequestTopic<'a>>>, 1-7, null 2-7, default Some(Vec::new());
        groups: Vec<OffsetFetchRequestGroup<'a>>, 8+;
        require_stable: bool, 7+;
    }

    struct OffsetFetchRequestTopic<'a> {
        name: Cow<'a, str>, 1-7;
        partition_indexes: Vec<i32>, 1-7;
    }

    struct OffsetFetchRequestGroup<'a> {
        group_id: Cow<'a, str>, 8+;
        member_id: Option<Cow<'a, str>>, 9+ ignorable;
        member_epoch: i32, 9+ ignorable, default -1;
        topics: Option<Vec<OffsetFetchRequestTopics<'a>>>, 8+, default Some(Vec::new());
    }

    struct OffsetFetchRequestTopics<'a> {
        name: Cow<'a, str>, 8+ ignorable;
        partition_indexes: Vec<i32>, 8+;
    }

    /// The stored offsets; -1 where there is none.
    struct OffsetFetchResponse<'a> {
        throttle_time_ms: i32, 3+ ignorable;
        topics: Vec<OffsetFetchResponseTopic<'a>>, 1-7;
        error_code: i16, 2-7 ignorable;
        groups: Vec<OffsetFetchResponseGroup<'a>>, 8+;
    }

    struct OffsetFetchResponseTopic<'a> {
        name: Cow<'a, str>, 1-7;
        partitions: Vec<OffsetFetchResponsePartition<'a>>, 1-7;
    }

    struct OffsetFetchResponsePartition<'a> {
        partition_index: i32, 1-7;
        committed_offset: i64, 1-7;
        committed_leader_epoch: i32, 5-7 ignorable, default -1;
        metadata: Option<Cow<'a, str>>, 1-7, default Some("".into());
        error_code: i16, 1-7;
    }

    struct OffsetFetchResponseGroup<'a> {
        group_id: Cow<'a, str>, 8+;
        topics: Vec<OffsetFetchResponseTopics<'a>>, 8+;
        error_code: i16, 8+;
    }

    struct OffsetFetchResponseTopics<'a> {
        name: Cow<'a, str>, 8+ ignorable;
        partitions: Vec<OffsetFetchResponsePartitions<'a>>, 8+;
    }

    struct OffsetFetchResponsePartitions<'a> {
        partition_index: i32, 8+;
        committed_offset: i64, 8+;
        committed_leader_epoch: i32, 8+ ignorable, default -1;
        metadata: Option<Cow<'a, str>>, 8+, default Some("".into());
        error_code: i16, 8+;
    }
}
