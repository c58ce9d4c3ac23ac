use std::borrow::Cow;

use bytes::Bytes;
use chronik_types::Uuid;
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable};
use proptest::prelude::*;

use super::*;
use crate::codec::arbitrary::{Arbitrary, Generator};
use crate::codec::{Version, Versioned};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn keys_are_those_that_kafka_writes() {
    let offset = OffsetCommitKey { group: "readers".into(), topic: "orders".into(), partition: 7 };
    let bytes = encode_versioned(&offset, RecordKey::OFFSET_COMMIT).unwrap();
    assert_eq!(hex(&bytes), "000100077265616465727300066f726465727300000007");
    assert_eq!(RecordKey::decode(&bytes), Ok(RecordKey::OffsetCommit(offset.clone())));
    let old = encode_versioned(&offset, 0).unwrap();
    assert_eq!(RecordKey::decode(&old), Ok(RecordKey::OffsetCommit(offset)));

    let group = GroupMetadataKey { group: "readers".into() };
    let bytes = encode_versioned(&group, RecordKey::GROUP_METADATA).unwrap();
    assert_eq!(hex(&bytes), "0002000772656164657273");
    assert_eq!(RecordKey::decode(&bytes), Ok(RecordKey::GroupMetadata(group)));

    assert_eq!(RecordKey::decode(&[0, 3, 1, 2]), Ok(RecordKey::Other(3)));
    assert!(RecordKey::decode(&[0]).is_err());
    assert_eq!(RecordKey::decode(&[0, 2, 0, 0, 9]), Err(DecodeError::TrailingBytes(1)));
}

#[test]
fn stored_offsets_are_those_that_kafka_writes() {
    let golden = [
        "00000000011f71fb04cb00056e6f7465640000018bcfe56800",
        "00010000011f71fb04cb00056e6f7465640000018bcfe568000000018bcfe56be8",
        "00020000011f71fb04cb00056e6f7465640000018bcfe56800",
        "00030000011f71fb04cb0000000500056e6f7465640000018bcfe56800",
        "00040000011f71fb04cb00000005066e6f7465640000018bcfe56800\
         01001000000000000000010000000000000002",
    ];
    let topic_id = Uuid((1u128 << 64 | 2).to_be_bytes());
    for (version, golden) in (0..).zip(golden) {
        let value = OffsetCommitValue {
            offset: 1_234_567_890_123,
            leader_epoch: if version >= 3 { 5 } else { -1 },
            metadata: "noted".into(),
            commit_timestamp: 1_700_000_000_000,
            expire_timestamp: if version == 1 { 1_700_000_001_000 } else { -1 },
            topic_id: if version >= 4 { topic_id } else { Uuid::ZERO },
        };
        let bytes = encode_versioned(&value, version).unwrap();
        assert_eq!(hex(&bytes), golden, "version {version}");
        assert_eq!(decode_versioned(&bytes), Ok(value));
    }
}

#[test]
fn groups_are_those_that_kafka_writes() {
    let golden = [
        "00000008636f6e73756d657200000009000572616e6765ffff0000000100036d2d31000163000a\
         2f3132372e302e302e310000afc80000000301020300000000",
        "00010008636f6e73756d657200000009000572616e6765ffff0000000100036d2d31000163000a\
         2f3132372e302e302e31000493e00000afc80000000301020300000000",
        "00020008636f6e73756d657200000009000572616e6765ffff0000018bcfe56800000000010003\
         6d2d31000163000a2f3132372e302e302e31000493e00000afc80000000301020300000000",
        "00030008636f6e73756d657200000009000572616e6765ffff0000018bcfe56800000000010003\
         6d2d3100087374617469632d31000163000a2f3132372e302e302e31000493e00000afc8000000\
         0301020300000000",
        "000409636f6e73756d6572000000090672616e6765000000018bcfe5680002046d2d3109737461\
         7469632d3102630b2f3132372e302e302e31000493e00000afc804010203010000",
    ];
    for (version, golden) in (0..).zip(golden) {
        let value = GroupMetadataValue {
            protocol_type: "consumer".into(),
            generation: 9,
            protocol: Some("range".into()),
            leader: None,
            current_state_timestamp: if version >= 2 { 1_700_000_000_000 } else { -1 },
            members: vec![MemberMetadata {
                member_id: "m-1".into(),
                group_instance_id: (version >= 3).then(|| "static-1".into()),
                client_id: "c".into(),
                client_host: "/127.0.0.1".into(),
                rebalance_timeout: if version >= 1 { 300_000 } else { -1 },
                session_timeout: 45_000,
                subscription: Cow::Borrowed(&[1, 2, 3]),
                assignment: Cow::Borrowed(&[]),
            }],
        };
        let bytes = encode_versioned(&value, version).unwrap();
        assert_eq!(hex(&bytes), golden, "version {version}");
        assert_eq!(decode_versioned(&bytes), Ok(value));
    }
}

#[test]
fn a_newer_subscription_is_read_as_the_newest_known() {
    let subscription = ConsumerProtocolSubscription {
        topics: vec!["orders".into()],
        rack_id: Some("east".into()),
        generation_id: 4,
        ..Default::default()
    };
    let mut newer = encode_versioned(&subscription, 3).unwrap().to_vec();
    newer[1] = 9;
    newer.extend([1, 2, 3]);
    assert_eq!(decode_consumer_protocol(&newer), Ok(subscription));
    newer[0] = 0xFF;
    assert!(decode_consumer_protocol::<ConsumerProtocolSubscription>(&newer).is_err());
}

/// The other codec reads what ours writes and writes the same.
fn agrees<M, K>(seed: u64)
where
    M: Encode + Versioned + Arbitrary,
    K: Decodable + Encodable,
{
    for version in M::MIN..=M::MAX {
        let v = Version::of::<M>(version).unwrap();
        let bytes = encode_versioned(&M::arbitrary(&mut Generator::new(seed), v), version).unwrap();
        let mut left = bytes.slice(2..);
        let read = K::decode(&mut left, version).unwrap();
        assert!(left.is_empty());
        let mut written = bytes::BytesMut::new();
        read.encode(&mut written, version).unwrap();
        assert_eq!(written, bytes.slice(2..));
    }
}

macro_rules! survives {
    ($name:ident, $seed:ident, $noise:ident) => {
        for version in $name::MIN..=$name::MAX {
            let v = Version::of::<$name>(version).unwrap();
            let value = $name::arbitrary(&mut Generator::new($seed), v);
            let whole = encode_versioned(&value, version).unwrap();
            for end in 0..whole.len() {
                prop_assert!(decode_versioned::<$name>(&whole[..end]).is_err());
            }
            let mut damaged = whole.to_vec();
            for (i, byte) in $noise.iter().enumerate() {
                let at = (i * 7) % damaged.len();
                damaged[at] ^= byte;
                let _ = decode_versioned::<$name>(&damaged);
            }
        }
    };
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_codecs_agree_on_the_consumer_protocol(seed: u64) {
        agrees::<ConsumerProtocolSubscription<'_>, theirs::ConsumerProtocolSubscription>(seed);
        agrees::<ConsumerProtocolAssignment<'_>, theirs::ConsumerProtocolAssignment>(seed);
    }

    #[test]
    fn whole_records_round_trip(seed: u64) {
        for version in 0..=4 {
            let v = Version::of::<GroupMetadataValue<'_>>(version).unwrap();
            let value = GroupMetadataValue::arbitrary(&mut Generator::new(seed), v);
            let bytes: Bytes = encode_versioned(&value, version).unwrap();
            prop_assert_eq!(decode_versioned(&bytes), Ok(value));
        }
    }

    #[test]
    fn damaged_records_are_survived(seed: u64, noise: [u8; 16]) {
        survives!(OffsetCommitKey, seed, noise);
        survives!(OffsetCommitValue, seed, noise);
        survives!(GroupMetadataKey, seed, noise);
        survives!(GroupMetadataValue, seed, noise);
        survives!(ConsumerProtocolSubscription, seed, noise);
        survives!(ConsumerProtocolAssignment, seed, noise);
    }
}
