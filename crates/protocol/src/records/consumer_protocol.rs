//! What consumers put into the opaque bytes of JoinGroup and SyncGroup.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    record ConsumerProtocolSubscription<'a>, 0-3, None;

    /// What a member wants to read, and what it reads now.
    struct ConsumerProtocolSubscription<'a> {
        topics: Vec<Cow<'a, str>>;
        user_data: Option<Cow<'a, [u8]>>;
        owned_partitions: Vec<ConsumerProtocolTopicPartition<'a>>, 1+ ignorable;
        generation_id: i32, 2+ ignorable, default -1;
        rack_id: Option<Cow<'a, str>>, 3+ ignorable;
    }

    struct ConsumerProtocolTopicPartition<'a> {
        topic: Cow<'a, str>;
        partitions: Vec<i32>;
    }
}

messages! {
    record ConsumerProtocolAssignment<'a>, 0-3, None;

    /// What a member shall read.
    struct ConsumerProtocolAssignment<'a> {
        assigned_partitions: Vec<ConsumerProtocolTopicPartition<'a>>;
        user_data: Option<Cow<'a, [u8]>>;
    }
}
