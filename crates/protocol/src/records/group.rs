//! Records of classic groups and of stored offsets.

use std::borrow::Cow;

use chronik_types::Uuid;

use crate::codec::messages;

messages! {
    record OffsetCommitKey<'a>, 0-1, None;

    /// Names a stored offset.
    struct OffsetCommitKey<'a> {
        group: Cow<'a, str>;
        topic: Cow<'a, str>;
        partition: i32;
    }
}

messages! {
    record OffsetCommitValue<'a>, 0-4, Some(4);

    /// A stored offset.
    struct OffsetCommitValue<'a> {
        offset: i64;
        leader_epoch: i32, 3+ ignorable, default -1;
        metadata: Cow<'a, str>;
        commit_timestamp: i64;
        expire_timestamp: i64, 1-1 ignorable, default -1;
        topic_id: Uuid, 4+ ignorable, tag 0;
    }
}

messages! {
    record GroupMetadataKey<'a>, 2-2, None;

    /// Names a classic group.
    struct GroupMetadataKey<'a> {
        group: Cow<'a, str>;
    }
}

messages! {
    record GroupMetadataValue<'a>, 0-4, Some(4);

    /// A classic group as its last finished generation left it.
    struct GroupMetadataValue<'a> {
        protocol_type: Cow<'a, str>;
        generation: i32;
        protocol: Option<Cow<'a, str>>, default Some("".into());
        leader: Option<Cow<'a, str>>, default Some("".into());
        current_state_timestamp: i64, 2+ ignorable, default -1;
        members: Vec<MemberMetadata<'a>>;
    }

    struct MemberMetadata<'a> {
        member_id: Cow<'a, str>;
        group_instance_id: Option<Cow<'a, str>>, 3+ ignorable;
        client_id: Cow<'a, str>;
        client_host: Cow<'a, str>;
        rebalance_timeout: i32, 1+ ignorable, default -1;
        session_timeout: i32;
        subscription: Cow<'a, [u8]>;
        assignment: Cow<'a, [u8]>;
    }
}
