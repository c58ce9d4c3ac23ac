use proptest::prelude::*;

use super::{Applied, BatchOutcome, Image, MetadataRecord, ReplayError, TopicId};
use crate::record::*;
use crate::{Changes, ConfigResource, delta, snapshot};

fn id(n: u8) -> WireUuid {
    WireUuid { high: 1, low: n.into() }
}

fn batch(term: u64, sequence: u64, follows: u64) -> MetadataBatch {
    let name = format!("f{term}.{sequence}");
    let change = Change::FeatureLevel(FeatureLevel { name, level: 1 });
    MetadataBatch { term, sequence, follows, records: vec![change.into()] }
}

#[test]
pub(crate) fn a_batch_applies_only_on_top_of_the_one_it_was_made_on() {
    let mut image = Image::default();
    let mut apply = |term, sequence, follows| {
        image.apply_batch(&batch(term, sequence, follows)).unwrap() == BatchOutcome::Applied
    };
    assert!(!apply(2, 2, 1), "the first of a term was refused");
    assert!(apply(2, 1, 0));
    assert!(apply(2, 2, 1));
    assert!(!apply(2, 2, 1), "twice");
    assert!(!apply(2, 4, 3), "3 was refused");
    assert!(apply(2, 5, 2), "the controller activated anew on top of 2");
    assert!(!apply(2, 6, 4), "left over from before");
    assert!(!apply(1, 9, 0), "an older term");
    assert!(apply(3, 1, 0));
    assert_eq!(image.applied(), Applied { term: 3, sequence: 1 });
    assert_eq!(image.features().count(), 4);
}

#[test]
fn a_batch_that_does_not_fit_leaves_the_image_alone() {
    let mut image = Image::default();
    let mut bad = batch(1, 1, 0);
    bad.records.push(Change::RemoveTopic(RemoveTopic { topic_id: id(1) }).into());
    let before = image.clone();
    assert!(matches!(image.apply_batch(&bad), Err(ReplayError::NoSuchTopic(_))));
    assert_eq!(image, before);
}

#[test]
fn an_unknown_record_is_an_error() {
    let mut image = Image::default();
    let unknown = MetadataRecord { change: None };
    assert_eq!(image.replay(&unknown), Err(ReplayError::UnknownRecord));
}

#[test]
fn a_stale_brokers_event_does_not_touch_its_successor() {
    let mut image = Image::default();
    let register = RegisterBroker { broker_id: 1, broker_epoch: 8, ..Default::default() };
    image.replay(&Change::RegisterBroker(register).into()).unwrap();
    let stale = BrokerEvent { broker_id: 1, broker_epoch: 7 };
    assert!(image.replay(&Change::FenceBroker(stale).into()).is_err());
    assert_eq!(image.next_broker_epoch(), 9);
}

#[test]
fn a_fresh_partitions_isr_leaves_out_who_is_out_of_touch() {
    let mut image = Image::default();
    let topic_id = id(1);
    image.replay(&Change::Topic(Topic { topic_id, name: "t".to_owned() }).into()).unwrap();
    let fresh = FreshPartitions {
        topic_id,
        first_partition: 0,
        replication_factor: 2,
        replicas: vec![1, 2, 2, 3],
        out_of_sync: vec![1],
    };
    image.replay(&Change::FreshPartitions(fresh).into()).unwrap();
    let found: Vec<_> = image
        .partitions()
        .map(|(_, number, p)| (number, p.leader.0, p.replicas.to_wire(), p.isr.to_wire()))
        .collect();
    assert_eq!(found, [(0, 2, vec![1, 2], vec![2]), (1, 2, vec![2, 3], vec![2, 3])]);
}

#[test]
fn names_that_differ_in_dots_and_underscores_collide_until_one_is_gone() {
    let mut image = Image::default();
    let topic = Topic { topic_id: id(1), name: "a.b_c".to_owned() };
    image.replay(&Change::Topic(topic).into()).unwrap();
    assert_eq!(&*image.topic_colliding_with("a_b.c").unwrap().name, "a.b_c");
    assert!(image.topic_colliding_with("abc").is_none());
    image.replay(&Change::RemoveTopic(RemoveTopic { topic_id: id(1) }).into()).unwrap();
    assert!(image.topic_colliding_with("a_b.c").is_none());
}

fn change() -> impl Strategy<Value = Change> {
    let broker = 0i32..4;
    let brokers = || proptest::collection::vec(0i32..6, 0..6);
    prop_oneof![
        (0u8..6).prop_map(|n| Change::Topic(Topic {
            topic_id: id(n),
            name: format!("t{}.x_{n}", n % 4)
        })),
        (0u8..6).prop_map(|n| Change::RemoveTopic(RemoveTopic { topic_id: id(n) })),
        (0u8..6, 0i32..70, 1u32..3, brokers(), brokers()).prop_map(
            |(n, first_partition, replication_factor, replicas, out_of_sync)| {
                Change::FreshPartitions(FreshPartitions {
                    topic_id: id(n),
                    first_partition,
                    replication_factor,
                    replicas: replicas.repeat(20),
                    out_of_sync,
                })
            }
        ),
        (0u8..6, 0i32..70, proptest::option::of(-1i32..4), brokers(), brokers()).prop_map(
            |(n, partition, leader, isr, elr)| Change::PartitionChange(PartitionChange {
                topic_id: id(n),
                partition,
                leader,
                isr: Some(BrokerIds { ids: isr }),
                elr: Some(BrokerIds { ids: elr }),
                ..Default::default()
            })
        ),
        (0u8..6, 0i32..70, brokers()).prop_map(|(n, number, replicas)| {
            Change::Partition(Partition {
                topic_id: id(n),
                partition: number,
                isr: replicas.clone(),
                directories: vec![id(9); replicas.len()],
                replicas,
                recovering: true,
                ..Default::default()
            })
        }),
        (broker.clone(), 0i64..3).prop_map(|(broker_id, broker_epoch)| {
            Change::RegisterBroker(RegisterBroker {
                broker_id,
                broker_epoch,
                fenced: true,
                rack: Some(String::new()),
                internal: (broker_epoch > 0).then(Default::default),
                ..Default::default()
            })
        }),
        (broker.clone(), 0i64..3).prop_map(|(broker_id, broker_epoch)| {
            Change::UnfenceBroker(BrokerEvent { broker_id, broker_epoch })
        }),
        (broker, 0i64..3).prop_map(|(broker_id, broker_epoch)| {
            Change::UnregisterBroker(BrokerEvent { broker_id, broker_epoch })
        }),
        (
            prop_oneof![Just(2), Just(4), Just(32), Just(7)],
            prop_oneof![Just(""), Just("1"), Just("t1.x_1")],
            proptest::option::of("[a-z]{0,3}")
        )
            .prop_map(|(resource_type, name, value)| Change::Config(Config {
                resource_type,
                resource_name: name.to_owned(),
                name: "k".to_owned(),
                value
            })),
        (0i64..5000).prop_map(|next_producer_id| Change::ProducerIds(ProducerIds {
            next_producer_id,
            ..Default::default()
        })),
    ]
}

/// What must hold in every image.
fn check(image: &Image) {
    let partitions: usize = image.topics().map(|topic| topic.partitions.len()).sum();
    assert_eq!(image.partition_count(), partitions);
    assert_eq!(image.topics_by_name().count(), image.topic_count());
    for topic in image.topics() {
        assert_eq!(image.topic_named(&topic.name), Some(topic));
        assert!(image.topic_colliding_with(&topic.name).is_some());
        assert_eq!(image.configs(&ConfigResource::Topic(topic.name.clone())), topic.configs);
        assert!(topic.partitions.iter().all(|(_, partition)| !partition.replicas.is_empty()));
    }
}

/// The same changes, found by looking at everything.
fn naive_delta(old: &Image, new: &Image) -> (usize, usize, Vec<(TopicId, Vec<i32>)>) {
    let deleted = old.topics().filter(|t| new.topic(t.id).is_none()).count();
    let created = new.topics().filter(|t| old.topic(t.id).is_none()).count();
    let changed = new
        .topics()
        .filter_map(|new| old.topic(new.id).map(|old| (old, new)))
        .filter(|(old, new)| old.as_ref() != new.as_ref())
        .map(|(old, new)| {
            let len = old.partitions.len().max(new.partitions.len()) as i32;
            let differs = |n: &i32| old.partitions.get(*n) != new.partitions.get(*n);
            (new.id, (0..len).filter(differs).collect())
        })
        .collect();
    (deleted, created, changed)
}

fn summary(changes: &Changes) -> (usize, usize, Vec<(TopicId, Vec<i32>)>) {
    let changed = changes.changed.iter().map(|c| (c.new.id, c.partitions.clone())).collect();
    (changes.deleted.len(), changes.created.len(), changed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_history_keeps_the_invariants_and_survives_a_snapshot(
        changes in proptest::collection::vec(change(), 1..80),
        middle in 0usize..80,
        cut in 1usize..5000,
    ) {
        let mut image = Image::default();
        let mut old = image.clone();
        let mut replica = Image::default();
        for (at, change) in changes.into_iter().enumerate() {
            let record = MetadataRecord::from(change);
            let before = image.clone();
            if image.replay(&record).is_err() {
                prop_assert_eq!(&image, &before);
            } else {
                prop_assert!(replica.replay(&record).is_ok());
            }
            if at == middle {
                old = image.clone();
            }
        }
        check(&image);
        prop_assert_eq!(image.hash(), replica.hash());
        prop_assert_eq!(summary(&delta(&old, &image)), naive_delta(&old, &image));

        let whole: Vec<u8> = snapshot::write(&image).flat_map(|piece| piece.to_vec()).collect();
        let mut reader = snapshot::SnapshotReader::default();
        for piece in whole.chunks(cut) {
            reader.push(piece).unwrap();
        }
        prop_assert_eq!(reader.finish().unwrap(), image);
    }
}
