//! RemoveRaftVoter (81): a node is a voter of the metadata quorum no more.

use std::borrow::Cow;

use chronik_types::Uuid;

use crate::codec::messages;

messages! {
    api RemoveRaftVoter: RemoveRaftVoterRequest<'a> => RemoveRaftVoterResponse<'r>;

    /// The node.
    struct RemoveRaftVoterRequest<'a> {
        cluster_id: Option<Cow<'a, str>>, default Some("".into());
        voter_id: i32;
        voter_directory_id: Uuid;
    }

    /// Whether it is one no more.
    struct RemoveRaftVoterResponse<'a> {
        throttle_time_ms: i32;
        error_code: i16;
        error_message: Option<Cow<'a, str>>, default Some("".into());
    }
}
