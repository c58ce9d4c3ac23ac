//! Decoders that are nobody's business but their crate's, for `fuzz` to throw bytes at.

use bytes::Bytes;

use crate::{entry_codec, vote_codec};

/// Entries of the metadata log as another node sends them, and a vote as a disk returns it.
pub fn entries(bytes: &Bytes) {
    let _ = entry_codec::decode(bytes).map(|entries| entries.len());
    let _ = vote_codec::decode(bytes);
}
