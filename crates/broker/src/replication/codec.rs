//! Messages of replication as messages between nodes.

use bytes::Bytes;
use chronik_peer::Message;
use chronik_replication::{DecodeError, ToFollower, ToLeader};

/// What a follower says.
pub(crate) fn to_leader(message: &ToLeader) -> Message {
    let (kind, head) = message.encode();
    Message::new(kind as u16, head)
}

/// What a leader says; `payload` are the records of a data message.
pub(crate) fn to_follower(message: &ToFollower, payload: Vec<Bytes>) -> Message {
    let (kind, head) = message.encode();
    Message::new(kind as u16, head).with_payload(payload)
}

/// What a follower has said.
///
/// # Errors
/// When it is not understood; then the stream is of no use.
pub(crate) fn from_follower(message: &Message) -> Result<ToLeader, DecodeError> {
    ToLeader::decode(message.kind, &message.head)
}

/// What a leader has said.
///
/// # Errors
/// As [`from_follower`].
pub(crate) fn from_leader(message: &Message) -> Result<ToFollower, DecodeError> {
    ToFollower::decode(message.kind, &message.head)
}
