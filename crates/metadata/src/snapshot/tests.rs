use bytes::Bytes;

use super::*;
use crate::record::{FreshPartitions, Topic, WireUuid};

fn image(topics: u64, partitions: usize) -> Image {
    let mut image = Image::default();
    for low in 0..topics {
        let topic_id = WireUuid { high: 3, low };
        let topic = Topic { topic_id, name: format!("topic-{low}") };
        let fresh = FreshPartitions {
            topic_id,
            first_partition: 0,
            replication_factor: 3,
            replicas: (1..=3).cycle().take(3 * partitions).collect(),
            out_of_sync: vec![],
        };
        image.replay(&Change::Topic(topic).into()).unwrap();
        image.replay(&Change::FreshPartitions(fresh).into()).unwrap();
    }
    image.applied = Applied { term: 4, sequence: 44 };
    image
}

fn bytes(image: &Image) -> Vec<u8> {
    write(image).flat_map(|piece| piece.to_vec()).collect()
}

#[test]
fn an_empty_image_comes_back() {
    let image = Image::default();
    assert_eq!(read(write(&image)), Ok(image));
}

#[test]
fn a_large_image_comes_back_from_many_frames() {
    let image = image(200, 100);
    assert!(write(&image).count() > 2);
    assert_eq!(read(write(&image)), Ok(image));
}

#[test]
fn the_bytes_of_a_snapshot_are_what_they_were() {
    let hex: String = bytes(&image(1, 1)).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "434852494d41474501000000470000000a038201000a164a140a090903000000000000001207746f7069632d30\
         0a1952170a090903000000000000001a0301020322030102032802120d0804102c191ac8a6ed78c593f7"
    );
}

#[test]
fn a_snapshot_cut_anywhere_is_not_taken_for_whole() {
    let bytes = bytes(&image(2, 2));
    for end in 0..bytes.len() {
        let cut = Bytes::copy_from_slice(&bytes[..end]);
        assert_eq!(read([cut]), Err(SnapshotError::CutOff), "cut at {end}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(read([longer.into()]), Err(SnapshotError::AfterEnd));
}

#[test]
fn a_changed_byte_is_never_taken_for_the_same_image() {
    let image = image(2, 2);
    let bytes = bytes(&image);
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        if let Ok(read) = read([damaged.into()]) {
            // Where the image stands is outside the hash; Raft knows it too.
            assert_ne!(read.applied, image.applied, "byte {at}");
        }
    }
}

#[test]
fn a_frame_of_absurd_length_is_refused_before_it_is_waited_for() {
    let mut bytes = bytes(&Image::default());
    bytes[HEADER_BYTES..HEADER_BYTES + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(read([bytes.into()]), Err(SnapshotError::FrameTooLong(u32::MAX as usize)));
}

/// An allocator cannot be watched here, so the parts are counted.
#[test]
fn a_hundred_thousand_partitions_take_less_than_20_mb() {
    let image = image(1_000, 100);
    let partition = size_of::<crate::Partition>();
    let chunks = image.partition_count() / 32 + image.topic_count();
    let topic = size_of::<crate::Topic>() + 200;
    let total = image.partition_count() * partition + chunks * 32 + image.topic_count() * topic;
    assert!(total < 20_000_000, "{total}");
}
