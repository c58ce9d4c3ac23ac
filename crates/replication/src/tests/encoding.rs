//! Tests of the crate.

use bytes::Bytes;
use chronik_types::{BrokerEpoch, LeaderEpoch, Offset, TopicId, TopicPartition, Uuid};

use crate::bugs;
use crate::*;

fn tp() -> TopicPartition {
    TopicPartition { topic_id: TopicId(Uuid([7; 16])), partition: 3 }
}

#[test]
fn subscribe_round_trips() {
    bugs::plant(None);
    assert!(!bugs::ALL.is_empty());
    let log = LogPosition {
        start: Offset(1),
        end: Offset(9),
        durable: Offset(8),
        last_epoch: LeaderEpoch(2),
    };
    let message = ToLeader::Subscribe(vec![PartitionSubscribe {
        tp: tp(),
        leader_epoch: LeaderEpoch(4),
        subscription: SubscriptionId(77),
        log,
    }]);
    let (kind, head) = message.encode();
    assert_eq!(ToLeader::decode(kind as u16, &head), Ok(message));
    let opened = ToFollower::Opened(Opened { broker_epoch: BrokerEpoch(5) });
    let (kind, head) = opened.encode();
    assert_eq!(ToFollower::decode(kind as u16, &head), Ok(opened));
    assert_eq!(Data::default().split(Bytes::new()), Ok(vec![]));
}
