use super::*;
use crate::request::*;
use crate::testing::{Cluster, directory, refusal, topic};

#[test]
fn a_broker_is_fenced_until_it_has_caught_up() {
    let mut cluster = Cluster::empty(&[]);
    let registration = cluster.registration(1);
    assert_eq!(cluster.register(registration), Ok(BrokerEpoch(0)));
    assert!(!cluster.committed.is_active(BrokerId(1)));
    let behind = BrokerHeartbeat { is_caught_up: false, ..cluster.heartbeat(1) };
    let reply = cluster.send(behind).unwrap();
    assert!(reply.is_fenced && !reply.is_caught_up);
    cluster.beat(1);
    assert!(cluster.committed.is_active(BrokerId(1)));
}

#[test]
fn a_stale_incarnation_is_told_so() {
    let mut cluster = Cluster::of(1);
    let stale = BrokerHeartbeat { broker_epoch: BrokerEpoch(77), ..cluster.heartbeat(1) };
    let stale_reply = refusal(cluster.send(stale));
    assert_eq!(
        stale_reply,
        (ErrorCode::StaleBrokerEpoch, "Expected broker epoch 0, but got broker epoch 77".into())
    );
    assert_eq!(refusal(cluster.send(cluster.heartbeat(9))).0, ErrorCode::StaleBrokerEpoch);
}

#[test]
fn registrations_that_cannot_be_are_refused() {
    let mut cluster = Cluster::of(2);
    let mut refused = |edit: fn(&mut RegisterBroker)| {
        let mut registration = cluster.registration(3);
        edit(&mut registration);
        refusal(cluster.register(registration))
    };
    let (code, message) = refused(|r| r.cluster_id = "other".to_owned());
    assert_eq!(code, ErrorCode::InconsistentClusterId);
    assert!(message.ends_with("but got cluster ID other"));
    let invalid = ErrorCode::InvalidRegistration;
    let no_directory = refused(|r| r.directories.clear());
    assert_eq!(no_directory, (invalid, "No directories specified in request".into()));
    let double = refused(|r| r.directories.push(directory(3)));
    assert_eq!(double, (invalid, "Duplicate directory ID in request".into()));
    let reserved = refused(|r| r.directories.push(DirectoryId(Uuid::ZERO)));
    assert_eq!(reserved, (invalid, "Reserved directory ID in request".into()));
    let (code, message) = refused(|r| r.directories.push(directory(2)));
    assert_eq!(code, invalid);
    assert!(message.starts_with("Broker 2 is already registered with directory"));
}

#[test]
fn a_broker_must_understand_the_clusters_features() {
    let features = vec![("metadata.version".to_owned(), 26)];
    let mut cluster = Cluster::with_features(&[], features);
    let mut registration = cluster.registration(2);
    registration.features.clear();
    assert_eq!(refusal(cluster.register(registration)).0, ErrorCode::UnsupportedVersion);
    let mut registration = cluster.registration(2);
    registration.features =
        vec![chronik_metadata::Feature { name: "metadata.version".to_owned(), min: 7, max: 26 }];
    assert!(cluster.register(registration).is_ok());
}

#[test]
fn another_process_with_the_same_number_waits_for_the_session_to_end() {
    let mut cluster = Cluster::of(1);
    let other = |cluster: &mut Cluster| RegisterBroker {
        directories: vec![directory(7)],
        ..cluster.registration(1)
    };
    let registration = other(&mut cluster);
    let (code, _) = refusal(cluster.register(registration));
    assert_eq!(code, ErrorCode::DuplicateBrokerRegistration);
    cluster.pass(10, &[]);
    let registration = other(&mut cluster);
    assert_eq!(cluster.register(registration), Ok(BrokerEpoch(1)));
}

#[test]
fn the_same_incarnation_may_register_again_and_keeps_its_epoch() {
    let mut cluster = Cluster::of(1);
    let incarnation = cluster.committed.broker(BrokerId(1)).unwrap().incarnation;
    let again = RegisterBroker { incarnation, ..cluster.registration(1) };
    assert_eq!(cluster.register(again), Ok(BrokerEpoch(0)));
    assert!(cluster.committed.is_active(BrokerId(1)));
}

#[test]
fn an_intact_restart_of_the_only_broker_changes_no_partition() {
    let mut cluster = Cluster::of(1);
    cluster.create(topic(1, "t", 100, 1)).unwrap();
    let before = cluster.committed.topic_named("t").unwrap().clone();
    cluster.start(1, None);
    assert_eq!(cluster.committed.topic_named("t").unwrap(), &before);
}

#[test]
fn a_lossy_restart_gives_single_replicas_a_new_epoch_before_they_serve() {
    let mut cluster = Cluster::of(1);
    let partition = cluster.create_on(1, &[1]);
    let lossy = RegisterBroker { storage: StorageHealth::Lossy, ..cluster.registration(1) };
    cluster.register(lossy).unwrap();
    assert_eq!(cluster.led(partition), (-1, 1, vec![1]));
    cluster.beat(1);
    assert_eq!(cluster.led(partition), (1, 2, vec![1]));
}

#[test]
pub(crate) fn storage_is_intact_only_on_the_same_disk_that_knows_the_registered_incarnation() {
    let storage = |edit: fn(&mut RegisterBroker)| {
        let mut cluster = Cluster::of(1);
        let mut registration = cluster.registration(1);
        edit(&mut registration);
        cluster.register(registration).unwrap();
        cluster.committed.broker(BrokerId(1)).unwrap().storage
    };
    assert_eq!(storage(|_| ()), StorageHealth::Intact);
    assert_eq!(storage(|r| r.earlier_incarnations = vec![Uuid([9; 16])]), StorageHealth::Lossy);
    assert_eq!(storage(|r| r.storage = StorageHealth::Lossy), StorageHealth::Lossy);
}

#[test]
pub(crate) fn a_new_incarnation_leads_nothing_in_an_old_epoch() {
    let mut cluster = Cluster::of(3);
    let partition = cluster.create_on(1, &[1, 2, 3]);
    let registration = cluster.registration(1);
    cluster.register(registration).unwrap();
    assert_eq!(cluster.led(partition), (2, 1, vec![2, 3]));
}

#[test]
fn a_rack_that_loses_power_comes_back_with_everything() {
    let mut cluster = Cluster::of(3);
    let partition = cluster.create_on(1, &[1, 2, 3]);
    for broker in [1, 2, 3] {
        let registration = cluster.registration(broker);
        cluster.register(registration).unwrap();
    }
    assert_eq!(cluster.led(partition), (-1, 3, vec![3]));
    for broker in [1, 2, 3] {
        cluster.beat(broker);
    }
    assert_eq!(cluster.led(partition), (3, 4, vec![3]));
}

#[test]
fn a_silent_broker_is_fenced_and_what_it_led_moves() {
    let mut cluster = Cluster::of(2);
    let shared = cluster.create_on(1, &[1, 2]);
    let alone = cluster.create_on(2, &[1]);
    cluster.pass(20, &[1, 2]);
    assert!(cluster.committed.is_active(BrokerId(1)));
    cluster.pass(10, &[2]);
    assert!(!cluster.committed.is_active(BrokerId(1)));
    assert_eq!(cluster.led(shared), (2, 1, vec![2]));
    assert_eq!(cluster.led(alone), (1, 0, vec![1]));
    cluster.beat(1);
    assert_eq!(cluster.led(alone), (1, 0, vec![1]));
}

#[test]
fn a_stopping_broker_hands_over_first() {
    let mut cluster = Cluster::of(2);
    let shared = cluster.create_on(1, &[1, 2]);
    let stop = BrokerHeartbeat { wants_shutdown: true, ..cluster.heartbeat(1) };
    let reply = cluster.send(stop).unwrap();
    assert!(!reply.should_shut_down && !reply.is_fenced);
    assert_eq!(cluster.led(shared), (2, 1, vec![2]));
    let reply = cluster.send(stop).unwrap();
    assert!(reply.should_shut_down && reply.is_fenced);
    assert!(cluster.send(cluster.heartbeat(1)).unwrap().should_shut_down);
}

#[test]
fn a_stopping_broker_with_nobody_to_hand_over_to_stops_at_once() {
    let mut cluster = Cluster::of(1);
    let partition = cluster.create_on(1, &[1]);
    let stop = BrokerHeartbeat { wants_shutdown: true, ..cluster.heartbeat(1) };
    assert!(cluster.send(stop).unwrap().should_shut_down);
    assert_eq!(cluster.led(partition), (1, 0, vec![1]));
}

#[test]
fn a_forgotten_broker_is_gone_and_leads_nothing() {
    let mut cluster = Cluster::of(2);
    let partition = cluster.create_on(1, &[1, 2]);
    let Response::UnregisterBroker(result) = cluster.ask(Request::UnregisterBroker(BrokerId(1)))
    else {
        panic!()
    };
    assert_eq!(result, Ok(()));
    assert!(cluster.committed.broker(BrokerId(1)).is_none());
    assert_eq!(cluster.led(partition), (2, 1, vec![2]));
    let Response::UnregisterBroker(result) = cluster.ask(Request::UnregisterBroker(BrokerId(1)))
    else {
        panic!()
    };
    assert_eq!(refusal(result).0, ErrorCode::BrokerIdNotRegistered);
}

#[test]
fn producer_ids_are_given_out_in_blocks_and_once() {
    let mut cluster = Cluster::of(1);
    let request = AllocateProducerIds { broker_id: BrokerId(1), broker_epoch: BrokerEpoch(0) };
    let mut allocate = |request| match cluster.ask(Request::AllocateProducerIds(request)) {
        Response::AllocateProducerIds(result) => result,
        other => panic!("{other:?}"),
    };
    let blocks = [allocate(request).unwrap(), allocate(request).unwrap()];
    assert_eq!(blocks.map(|block| (block.first.0, block.len)), [(0, 1000), (1000, 1000)]);
    let stale = AllocateProducerIds { broker_epoch: BrokerEpoch(9), ..request };
    assert_eq!(refusal(allocate(stale)).0, ErrorCode::StaleBrokerEpoch);
}
