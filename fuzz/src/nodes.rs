//! What nodes of a cluster tell each other: hellos and frames of the internal protocol, requests
//! to the controller that were passed on, replication, entries of the metadata log.

use bytes::Bytes;
use chronik_peer::Message;
use chronik_replication::{ToFollower, ToLeader};

use crate::take;

/// One message, of a kind that the bytes choose, and the bytes as the stream of a connection.
pub fn peers(mut data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    chronik_peer::fuzzing::hello(&bytes);
    chronik_peer::fuzzing::frames(&bytes);
    chronik_raft::fuzzing::entries(&bytes);
    let kind = u16::from_be_bytes([take(&mut data), take(&mut data)]);
    let head = usize::from(take(&mut data)) << 1;
    let (head, payload) = data.split_at(head.min(data.len()));
    let payload = Bytes::copy_from_slice(payload);
    let _ = ToLeader::decode(kind, head);
    if let Ok(ToFollower::Data(data)) = ToFollower::decode(kind, head) {
        let _ = data.split(payload.clone());
    }
    let message = Message::new(kind, Bytes::copy_from_slice(head)).with_payload(vec![payload]);
    chronik_broker::fuzzing::forwarded(&message);
}
