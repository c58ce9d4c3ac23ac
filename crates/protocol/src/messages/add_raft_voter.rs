//! AddRaftVoter (80): a node becomes a voter of the metadata quorum.

use std::borrow::Cow;

use chronik_types::Uuid;

use crate::codec::messages;

messages! {
    api AddRaftVoter: AddRaftVoterRequest<'a> => AddRaftVoterResponse<'r>;

    /// The node.
    struct AddRaftVoterRequest<'a> {
        cluster_id: Option<Cow<'a, str>>, default Some("".into());
        timeout_ms: i32;
        voter_id: i32;
        voter_directory_id: Uuid;
        listeners: Vec<AddRaftVoterListener<'a>>;
    }

    struct AddRaftVoterListener<'a> {
        name: Cow<'a, str>;
        host: Cow<'a, str>;
        port: u16;
    }

    /// Whether it is one.
    struct AddRaftVoterResponse<'a> {
        throttle_time_ms: i32;
        error_code: i16;
        error_message: Option<Cow<'a, str>>, default Some("".into());
    }
}
