//! Decoders that are nobody's business but their crate's, for `fuzz` to throw bytes at.

use chronik_peer::Message;

use crate::forwarding;

/// A request to the controller, or the answer to one, that another node has passed on.
pub fn forwarded(message: &Message) {
    let _ = forwarding::decode_request(message).is_ok();
    let _ = forwarding::decode_fate(message);
}
