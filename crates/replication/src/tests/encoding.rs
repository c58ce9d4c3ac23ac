//! The encodings are for ever: bytes of each message, and what decoders make of other bytes.

use bytes::Bytes;
use chronik_types::{
    BrokerEpoch, ErrorCode, LeaderEpoch, Offset, PartitionId, TopicId, TopicPartition, Uuid,
};
use proptest::prelude::*;

use crate::*;

const ID: SubscriptionId = SubscriptionId(0x0102_0304_0506_0708);

fn tp(topic: u8, partition: PartitionId) -> TopicPartition {
    TopicPartition { topic_id: TopicId(Uuid([topic; 16])), partition }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn to_leader(message: ToLeader, kind: u16, head: &str) {
    let (found, bytes) = message.encode();
    assert_eq!((found as u16, hex(&bytes)), (kind, head.to_owned()), "{message:?}");
    assert_eq!(ToLeader::decode(kind, &bytes), Ok(message));
}

fn to_follower(message: ToFollower, kind: u16, head: &str) {
    let (found, bytes) = message.encode();
    assert_eq!((found as u16, hex(&bytes)), (kind, head.to_owned()), "{message:?}");
    assert_eq!(ToFollower::decode(kind, &bytes), Ok(message));
}

#[test]
fn what_followers_say_is_these_bytes() {
    let open = Open {
        path: Path::CatchUp,
        broker_epoch: BrokerEpoch(3),
        session: 0x1122_3344_5566_7788,
        window: 1 << 20,
    };
    to_leader(ToLeader::Open(open), 0x0300, "0802100619887766554433221120808040");
    let log = LogPosition {
        start: Offset(1),
        end: Offset(9),
        durable: Offset::UNKNOWN,
        last_epoch: LeaderEpoch(2),
    };
    let subscribe =
        |tp| PartitionSubscribe { tp, leader_epoch: LeaderEpoch(4), subscription: ID, log };
    let all = vec![subscribe(tp(1, 0)), subscribe(tp(1, 5)), subscribe(tp(2, 0))];
    to_leader(
        ToLeader::Subscribe(all),
        0x0302,
        "0a500901010101010101011101010101010101011a1c11080706050403020118082001280930ffffffffffffffffff0138041a1e080511080706050403020118082001280930ffffffffffffffffff0138040a300902020202020202021102020202020202021a1c11080706050403020118082001280930ffffffffffffffffff013804",
    );
    let ack = PartitionAck {
        tp: tp(1, 5),
        leader_epoch: LeaderEpoch(4),
        subscription: ID,
        durable: Offset(300),
    };
    to_leader(
        ToLeader::Acks(vec![ack]),
        0x0305,
        "0a240901010101010101011101010101010101011a100805110807060504030201180830ac02",
    );
    let ended = PartitionEnded { tp: tp(1, 5), subscription: ID };
    to_leader(
        ToLeader::Unsubscribe(vec![ended]),
        0x0307,
        "0a1f0901010101010101011101010101010101011a0b0805110807060504030201",
    );
    to_leader(ToLeader::Credit(300), 0x0309, "08ac02");
}

#[test]
fn what_leaders_say_is_these_bytes() {
    let opened = Opened { broker_epoch: BrokerEpoch::NONE };
    to_follower(ToFollower::Opened(opened), 0x0301, "0801");
    let answers = [
        Answer::Accepted(Accepted { high_watermark: Offset(8), log_start: Offset(1) }),
        Answer::Diverges { epoch: LeaderEpoch(3), end: Offset(7) },
        Answer::Reset { start: Offset(20) },
        Answer::Refused(ErrorCode::FencedLeaderEpoch),
    ];
    let answers = answers.map(|answer| PartitionAnswer { tp: tp(1, 5), subscription: ID, answer });
    to_follower(
        ToFollower::Subscribed(answers.into()),
        0x0303,
        "0a5b0901010101010101011101010101010101011a1108051108070605040302012001400858011a1108051108070605040302012807380658021a0f0805110807060504030201201458031a1008051108070605040302015094015804",
    );
    let part = PartitionData {
        tp: tp(1, 5),
        leader_epoch: LeaderEpoch(4),
        subscription: ID,
        base_offset: Offset(9),
        bytes: 61,
        high_watermark: Offset(8),
        log_start: Offset(1),
    };
    to_follower(
        ToFollower::Data(Data { parts: vec![part] }),
        0x0304,
        "0a290901010101010101011101010101010101011a1508051108070605040302011808200128094008483d",
    );
    let watermark = PartitionWatermark {
        tp: tp(1, 5),
        subscription: ID,
        high_watermark: Offset(8),
        log_start: Offset(1),
    };
    to_follower(
        ToFollower::Watermarks(vec![watermark]),
        0x0306,
        "0a230901010101010101011101010101010101011a0f080511080706050403020120014008",
    );
    let ended = Ended { tp: tp(1, 5), subscription: ID, code: ErrorCode::NotLeaderOrFollower };
    to_follower(
        ToFollower::Ended(vec![ended]),
        0x0308,
        "0a210901010101010101011101010101010101011a0d0805110807060504030201500c",
    );
}

#[test]
fn fields_of_a_later_version_are_skipped_and_kinds_refused() {
    let (kind, mut head) = ToLeader::Credit(300).encode();
    head.extend([0x7a, 0x02, 0xAA, 0xBB]);
    assert_eq!(ToLeader::decode(kind as u16, &head), Ok(ToLeader::Credit(300)));
    assert_eq!(ToLeader::decode(0x03ff, &head), Err(DecodeError::Kind(0x03ff)));
    assert_eq!(ToLeader::decode(Kind::Data as u16, &[]), Err(DecodeError::Kind(Kind::Data as u16)));
    assert_eq!(ToLeader::decode(Kind::Open as u16, &[]), Err(DecodeError::Unknown("path")));
}

#[test]
fn a_payload_is_split_as_its_parts_say() {
    let part = |bytes| PartitionData {
        tp: tp(1, 5),
        leader_epoch: LeaderEpoch(4),
        subscription: ID,
        base_offset: Offset(9),
        bytes,
        high_watermark: Offset(8),
        log_start: Offset(1),
    };
    let data = Data { parts: vec![part(2), part(0), part(3)] };
    let split = data.clone().split(Bytes::from_static(b"abcde")).unwrap();
    let texts: Vec<_> = split.iter().map(|(_, bytes)| &bytes[..]).collect();
    assert_eq!(texts, [&b"ab"[..], b"", b"cde"]);
    for payload in [&b"abcd"[..], b"abcdef", b""] {
        let split = data.clone().split(Bytes::from_static(payload));
        assert_eq!(split, Err(DecodeError::Payload));
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_decode_to_something_or_an_error(
        kind in 0x02f0u16..0x0310,
        head in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        // What can be decoded is encoded to what decodes to the same.
        if let Ok(message) = ToLeader::decode(kind, &head) {
            let (kind, head) = message.encode();
            prop_assert_eq!(ToLeader::decode(kind as u16, &head), Ok(message));
        }
        if let Ok(message) = ToFollower::decode(kind, &head) {
            let (kind, head) = message.encode();
            prop_assert_eq!(ToFollower::decode(kind as u16, &head), Ok(message));
        }
    }

    #[test]
    fn damaged_messages_decode_to_something_or_an_error(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let log = LogPosition {
            start: Offset(1),
            end: Offset(9),
            durable: Offset(8),
            last_epoch: LeaderEpoch(2),
        };
        let subscribe = PartitionSubscribe {
            tp: tp(9, 1000),
            leader_epoch: LeaderEpoch(4),
            subscription: ID,
            log,
        };
        let (kind, mut head) = ToLeader::Subscribe(vec![subscribe; 3]).encode();
        let index = at.index(head.len());
        head[index] = byte;
        head.truncate(cut.index(head.len() + 1));
        for kind in [kind, Kind::Acks, Kind::Unsubscribe, Kind::Open] {
            drop(ToLeader::decode(kind as u16, &head));
        }
        for kind in [Kind::Data, Kind::Subscribed, Kind::Watermarks, Kind::Ended] {
            drop(ToFollower::decode(kind as u16, &head));
        }
    }
}
