//! What is read back from the metadata log, its snapshots and `__consumer_offsets`.

use bytes::Bytes;
use chronik_coordinator::{CoordinatorConfig, GroupShard};
use chronik_metadata::{Image, decode_batch, encode_batch, snapshot};
use chronik_protocol::records::{
    ConsumerProtocolSubscription, RecordKey, decode_consumer_protocol,
};

use crate::take;

/// Batches of the metadata log, applied one after the other, then the same bytes as a snapshot.
pub fn metadata(mut data: &[u8]) {
    let whole = data;
    let mut image = Image::default();
    while !data.is_empty() {
        let length = usize::from(take(&mut data)) << 2 | 3;
        let (batch, rest) = data.split_at(length.min(data.len()));
        data = rest;
        let Ok(batch) = decode_batch(batch) else { continue };
        decode_batch(&encode_batch(&batch)).expect("what was read can be written and read again");
        let _ = image.apply_batch(&batch);
    }
    let pieces: Vec<Bytes> = snapshot::write(&image).collect();
    let again = snapshot::read(pieces).expect("what was written can be read");
    assert_eq!(again.hash(), image.hash());
    let pieces = whole.chunks(100).map(Bytes::copy_from_slice);
    let _ = snapshot::read(pieces);
}

/// Records of groups: keys and values, replayed as a coordinator does when it starts, and what the
/// members of a group write for each other.
pub fn group_records(mut data: &[u8]) {
    let _ = RecordKey::decode(data);
    let _ = decode_consumer_protocol::<ConsumerProtocolSubscription<'_>>(data);
    let mut shard = GroupShard::new(CoordinatorConfig::default());
    while !data.is_empty() {
        let (key, value) = (usize::from(take(&mut data)), usize::from(take(&mut data)));
        let (key, rest) = data.split_at(key.min(data.len()));
        let (value, rest) = rest.split_at(value.min(rest.len()));
        data = rest;
        let value = (!value.is_empty()).then(|| Bytes::copy_from_slice(value));
        let _ = shard.replay(key, value.as_ref());
    }
}
