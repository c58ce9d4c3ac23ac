use std::time::Duration;

use chronik_metadata::record::Change;
use chronik_metadata::{BatchOutcome, snapshot};
use chronik_types::{BrokerEpoch, BrokerId};
use proptest::prelude::*;

use super::*;
use crate::request::*;
use crate::testing::{Cluster, brokers, check, topic};

fn create(n: u8) -> Request {
    let topics = vec![topic(n, &format!("t{n}"), 2, 1)];
    Request::CreateTopics(CreateTopics { topics, validate_only: false })
}

fn configure(n: u8) -> Request {
    let change =
        ConfigChange { name: "retention.ms".to_owned(), operation: 0, value: Some(n.to_string()) };
    let resource = ResourceName { resource_type: 2, name: format!("t{n}") };
    let resources = vec![(resource, vec![change])];
    Request::IncrementalAlterConfigs(IncrementalAlterConfigs { resources, validate_only: false })
}

fn fast() -> Cluster {
    Cluster::with(1, &[("metadata.acks", "leader")])
}

fn after(outcome: &Outcome) -> (u64, Durability) {
    match outcome.release {
        Release::After { sequence, durability } => (sequence, durability),
        Release::Now => panic!("released at once"),
    }
}

#[test]
fn an_inactive_controller_takes_nothing() {
    let mut controller = Controller::new(fast().controller.options().clone(), Image::default());
    let context = Context { now: Monotonic::default(), seed: 0 };
    assert_eq!(controller.handle(&context, create(1)), Err(NotActive));
    assert_eq!((controller.next_batch(), controller.next_deadline()), (None, None));
}

#[test]
fn several_requests_share_a_batch_and_batches_build_on_each_other() {
    let mut cluster = Cluster::of(1);
    let first = cluster.handle(create(1));
    let second = cluster.handle(create(2));
    assert_eq!(after(&first), after(&second));
    let one = cluster.controller.next_batch().unwrap();
    let third = cluster.handle(create(3));
    let two = cluster.controller.next_batch().unwrap();
    assert_eq!((one.sequence, two.follows), (after(&first).0, one.sequence));
    assert_eq!(after(&third), (two.sequence, Durability::Committed));
    assert!(cluster.controller.next_batch().is_none());
}

#[test]
fn an_answer_without_records_waits_for_what_it_rests_on() {
    let mut cluster = Cluster::of(1);
    let created = cluster.handle(create(1));
    let exists = cluster.handle(Request::CreateTopics(CreateTopics {
        topics: vec![topic(9, "t1", 1, 1)],
        validate_only: false,
    }));
    assert_eq!(exists.release, created.release);
    let batch = cluster.controller.next_batch().unwrap();
    assert_eq!(cluster.handle(create(1)).release, created.release);
    cluster.apply(&batch);
    assert_eq!(cluster.controller.applied(&cluster.committed), Standing::Active);
    assert_eq!(cluster.handle(create(1)).release, Release::Now);
}

#[test]
fn the_acknowledgement_of_topics_can_be_changed_while_the_cluster_runs() {
    for (mut cluster, value, wanted) in [
        (Cluster::of(1), "leader", Durability::LeaderSynced),
        (fast(), "quorum", Durability::Committed),
    ] {
        let before = after(&cluster.handle(create(1))).1;
        assert_ne!(before, wanted);
        let change = ConfigChange {
            name: "metadata.acks".to_owned(),
            operation: 0,
            value: Some(value.to_owned()),
        };
        let every_broker = ResourceName { resource_type: 4, name: String::new() };
        let resources = vec![(every_broker, vec![change])];
        let request = IncrementalAlterConfigs { resources, validate_only: false };
        cluster.handle(Request::IncrementalAlterConfigs(request));
        assert_eq!(after(&cluster.handle(create(2))).1, before, "before the change is committed");
        let batch = cluster.controller.next_batch().unwrap();
        cluster.apply(&batch);
        assert_eq!(cluster.controller.applied(&cluster.committed), Standing::Active);
        assert_eq!(after(&cluster.handle(create(3))).1, wanted);
    }
}

#[test]
fn topics_show_on_the_leaders_sync_if_asked_for_and_configurations_never() {
    for (mut cluster, shows) in [(fast(), true), (Cluster::of(1), false)] {
        let created = cluster.handle(create(1));
        let batch = cluster.controller.next_batch().unwrap();
        let configured = cluster.handle(configure(1));
        assert_eq!(after(&configured).1, Durability::Committed);
        let config = cluster.controller.next_batch().unwrap();
        assert!(cluster.controller.acknowledged().topic_named("t1").is_none());
        assert!(cluster.controller.acknowledged_ahead().is_none());
        cluster.controller.leader_synced(batch.sequence);
        cluster.controller.leader_synced(config.sequence);
        assert_eq!(cluster.controller.acknowledged_ahead().is_some(), shows);
        let seen = cluster.controller.acknowledged().topic_named("t1").cloned();
        assert_eq!(seen.is_some(), shows);
        assert!(seen.is_none_or(|topic| topic.configs.is_empty()));
        assert_eq!(after(&created).1 == Durability::LeaderSynced, shows);
        assert!(cluster.controller.committed().topic_named("t1").is_none());
        for batch in [batch, config] {
            cluster.apply(&batch);
            assert_eq!(cluster.controller.applied(&cluster.committed), Standing::Active);
        }
        assert_eq!(cluster.controller.acknowledged(), &cluster.committed);
        assert!(cluster.controller.acknowledged_ahead().is_none());
        assert!(!cluster.committed.topic_named("t1").unwrap().configs.is_empty());
    }
}

#[test]
fn what_waits_for_the_quorum_does_not_show_with_topics_behind_it() {
    for together in [false, true] {
        let mut cluster = fast();
        cluster.ask(create(1));
        let mut batches = Vec::new();
        cluster.handle(configure(1));
        if !together {
            batches.extend(cluster.controller.next_batch());
        }
        cluster.handle(create(2));
        batches.extend(cluster.controller.next_batch());
        cluster.handle(create(3));
        let unsynced = cluster.controller.next_batch().unwrap();
        cluster.controller.leader_synced(unsynced.sequence - 1);
        let configs = |cluster: &Cluster| {
            let acknowledged = cluster.controller.acknowledged();
            assert!(acknowledged.topic_named("t2").is_some());
            acknowledged.topic_named("t1").unwrap().configs.len()
        };
        assert_eq!(configs(&cluster), 0);
        for batch in batches {
            assert!(cluster.controller.acknowledged().topic_named("t3").is_none());
            cluster.apply(&batch);
            assert_eq!(cluster.controller.applied(&cluster.committed), Standing::Active);
            assert_eq!(configs(&cluster), 1);
        }
        assert_eq!(cluster.controller.acknowledged(), &cluster.committed);
        cluster.controller.leader_synced(unsynced.sequence);
        assert_eq!(configs(&cluster), 1);
        assert!(cluster.controller.acknowledged().topic_named("t3").is_some());
    }
}

#[test]
fn a_refused_proposal_takes_everything_behind_it_along() {
    let mut cluster = Cluster::of(1);
    cluster.handle(create(1));
    let one = cluster.controller.next_batch().unwrap();
    cluster.handle(create(2));
    let refused = cluster.controller.next_batch().unwrap();
    cluster.handle(create(3));
    let behind = cluster.controller.next_batch().unwrap();
    // Raft refused the second and took the third; then the first is committed.
    assert_eq!(cluster.apply(&one), BatchOutcome::Applied);
    assert_eq!(cluster.controller.applied(&cluster.committed), Standing::Active);
    cluster.controller.refused();
    cluster.controller.activate(cluster.now, one.term, cluster.committed.clone());
    cluster.handle(create(4));
    let again = cluster.controller.next_batch().unwrap();
    assert!(again.sequence > behind.sequence && again.follows == one.sequence);
    assert_eq!(cluster.apply(&behind), BatchOutcome::Ignored);
    assert_eq!(cluster.apply(&again), BatchOutcome::Applied);
    assert_eq!(cluster.apply(&refused), BatchOutcome::Ignored);
    assert_eq!(cluster.controller.applied(&cluster.committed), Standing::Active);
    let names: Vec<_> = cluster.committed.topics_by_name().map(|t| t.name.to_string()).collect();
    assert_eq!(names, ["t1", "t4"]);
}

#[test]
fn a_batch_left_over_from_an_earlier_activation_ends_this_one() {
    let mut cluster = Cluster::of(1);
    cluster.handle(create(1));
    let left_over = cluster.controller.next_batch().unwrap();
    cluster.controller.refused();
    cluster.controller.activate(cluster.now, left_over.term, cluster.committed.clone());
    cluster.handle(create(2));
    let late = cluster.controller.next_batch().unwrap();
    assert_eq!(cluster.apply(&left_over), BatchOutcome::Applied);
    assert_eq!(cluster.controller.applied(&cluster.committed), Standing::Inactive);
    assert_eq!(cluster.apply(&late), BatchOutcome::Ignored);
    assert_eq!(cluster.controller.term(), None);
}

#[test]
fn another_controllers_batch_ends_the_activation() {
    let mut cluster = Cluster::of(1);
    let term = cluster.controller.term().unwrap();
    let record = Change::NoOp(Default::default()).into();
    let foreign = MetadataBatch { term: term + 1, sequence: 1, follows: 0, records: vec![record] };
    cluster.apply(&foreign);
    assert_eq!(cluster.controller.applied(&cluster.committed), Standing::Inactive);
}

#[test]
fn a_new_term_starts_its_numbers_anew() {
    let mut cluster = Cluster::of(1);
    cluster.controller.refused();
    cluster.controller.activate(cluster.now, 7, cluster.committed.clone());
    cluster.handle(create(1));
    let batch = cluster.controller.next_batch().unwrap();
    assert_eq!((batch.term, batch.sequence, batch.follows), (7, 1, 0));
    assert_eq!(cluster.apply(&batch), BatchOutcome::Applied);
}

#[test]
fn the_broker_of_a_leader_that_died_is_fenced_a_session_after_it_was_last_heard_of() {
    for (lives, heard_before, fenced_after) in
        [(false, 2, Some(7)), (false, 60, Some(5)), (true, 2, None)]
    {
        let mut cluster = Cluster::of(3);
        let partition = cluster.create_on(1, &[2, 1, 3]);
        cluster.pass(100, &[1, 2, 3]);
        let term = cluster.controller.used.0 + 1;
        let heard = Monotonic(cluster.now.0 - Duration::from_secs(heard_before));
        cluster.controller.refused();
        cluster.controller.activate(cluster.now, term, cluster.committed.clone());
        cluster.controller.succeeds(BrokerId(2), heard);
        let alive: &[i32] = if lives { &[1, 2, 3] } else { &[1, 3] };
        for second in 1..=20 {
            cluster.pass(1, alive);
            let fenced = fenced_after.is_some_and(|after| second >= after);
            assert_eq!(cluster.committed.is_active(BrokerId(2)), !fenced, "second {second}");
            assert_eq!(cluster.led(partition).0, if fenced { 1 } else { 2 });
        }
    }
}

#[test]
fn a_leader_before_that_is_no_broker_changes_nothing() {
    let mut cluster = Cluster::of(2);
    let term = cluster.controller.used.0 + 1;
    cluster.controller.refused();
    cluster.controller.activate(cluster.now, term, cluster.committed.clone());
    cluster.controller.succeeds(BrokerId(100), cluster.now);
    cluster.pass(20, &[1, 2]);
    assert!(cluster.committed.is_active(BrokerId(1)) && cluster.committed.is_active(BrokerId(2)));
}

#[test]
fn an_activation_starts_all_sessions_anew() {
    let mut cluster = Cluster::of(2);
    cluster.pass(8, &[1]);
    cluster.controller.refused();
    let term = cluster.controller.used.0;
    cluster.controller.activate(cluster.now, term, cluster.committed.clone());
    cluster.pass(8, &[1]);
    assert!(cluster.committed.is_active(BrokerId(2)));
    cluster.pass(1, &[1]);
    assert!(!cluster.committed.is_active(BrokerId(2)));
}

#[test]
fn a_hundred_thousand_partitions_are_one_small_batch() {
    let mut cluster = Cluster::of(1);
    let topics = (0..1000u128).map(|n| CreatableTopic {
        topic_id: chronik_types::TopicId(chronik_types::Uuid((n + 1).to_be_bytes())),
        ..topic(0, &format!("topic-{n}"), 100, 1)
    });
    let request = CreateTopics { topics: topics.collect(), validate_only: false };
    let outcome = cluster.handle(Request::CreateTopics(request));
    let Response::CreateTopics(Ok(results)) = outcome.response else { panic!() };
    assert!(results.iter().all(|result| result.result.is_ok()));
    let batch = cluster.controller.next_batch().unwrap();
    assert!(chronik_metadata::encode_batch(&batch).len() < 400_000);
    cluster.apply(&batch);
    assert_eq!(cluster.committed.partition_count(), 100_000);
}

/// A step of a cluster's life.
#[derive(Clone, Debug)]
enum Step {
    Ask(Request),
    Start {
        broker: i32,
        lossy: bool,
    },
    Beat {
        broker: i32,
        wants_fence: bool,
        wants_shutdown: bool,
    },
    Shrink {
        broker: i32,
        keep: usize,
    },
    Pass(u64),
    /// Takes the batch that has gathered.
    Propose,
    /// Commits the oldest proposed batch.
    Commit,
    /// Raft refuses the batch proposed at this place and takes the rest.
    Refuse(usize),
    /// Another term begins: so many of the proposed batches had reached the quorum, and they are
    /// applied before the controller is active again.
    NewTerm(usize),
}

fn names() -> impl Strategy<Value = (u8, String)> {
    (0u8..6).prop_map(|n| (n, format!("t{}.{}", n % 4, if n % 2 == 0 { "a" } else { "_" })))
}

fn requests() -> impl Strategy<Value = Request> {
    let topics = (names(), -1i32..5, -1i16..5, any::<bool>());
    prop_oneof![
        4 => topics.prop_map(|((n, name), partitions, factor, validate_only)| {
            let topics = vec![topic(n, &name, partitions, factor)];
            Request::CreateTopics(CreateTopics { topics, validate_only })
        }),
        1 => (names(), proptest::collection::vec(1i32..5, 1..4)).prop_map(|((n, name), replicas)| {
            let assignments = vec![ReplicaAssignment { partition: 0, brokers: brokers(&replicas) }];
            let topics = vec![CreatableTopic { assignments, ..topic(n, &name, -1, -1) }];
            Request::CreateTopics(CreateTopics { topics, validate_only: false })
        }),
        1 => (names(), 1i32..40).prop_map(|((_, name), count)| {
            let topics = vec![CreatePartitionsTopic { name, count, assignments: None }];
            Request::CreatePartitions(CreatePartitions { topics, validate_only: false })
        }),
        1 => names().prop_map(|(_, name)| {
            let topics = vec![TopicReference { name: Some(name), ..Default::default() }];
            Request::DeleteTopics(DeleteTopics { topics })
        }),
        1 => (names(), 1i32..4, any::<bool>()).prop_map(|((_, name), min_isr, whole)| {
            let resource = ResourceName {
                resource_type: if whole { 4 } else { 2 },
                name: if whole { String::new() } else { name },
            };
            let change = ConfigChange {
                name: "min.insync.replicas".to_owned(),
                operation: (min_isr == 3).into(),
                value: Some(min_isr.to_string()),
            };
            let resources = vec![(resource, vec![change])];
            let validate_only = false;
            Request::IncrementalAlterConfigs(IncrementalAlterConfigs { resources, validate_only })
        }),
        1 => any::<bool>().prop_map(|unclean| Request::ElectLeaders(ElectLeaders {
            election: if unclean { ElectionType::Unclean } else { ElectionType::Preferred },
            partitions: None,
        })),
        1 => (1i32..5, 0i64..4).prop_map(|(broker, epoch)| {
            let (broker_id, broker_epoch) = (BrokerId(broker), BrokerEpoch(epoch));
            Request::AllocateProducerIds(AllocateProducerIds { broker_id, broker_epoch })
        }),
        1 => (1i32..5).prop_map(|broker| Request::UnregisterBroker(BrokerId(broker))),
        1 => Just(Request::Bootstrap(Bootstrap {
            features: vec![(crate::partition_change::ELR_FEATURE.to_owned(), 1)],
            ..Bootstrap::default()
        })),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let broker = 1i32..5;
    prop_oneof![
        6 => requests().prop_map(Step::Ask),
        3 => (broker.clone(), any::<bool>()).prop_map(|(broker, lossy)| Step::Start { broker, lossy }),
        3 => (broker.clone(), 0u8..6).prop_map(|(broker, wish)| Step::Beat {
            broker,
            wants_fence: wish == 1,
            wants_shutdown: wish == 2,
        }),
        2 => (broker, 1usize..4).prop_map(|(broker, keep)| Step::Shrink { broker, keep }),
        1 => (1u64..12).prop_map(Step::Pass),
        4 => Just(Step::Propose),
        4 => Just(Step::Commit),
        1 => (0usize..3).prop_map(Step::Refuse),
        1 => (0usize..4).prop_map(Step::NewTerm),
    ]
}

/// A cluster whose log commits late, and another node that reads the same log.
struct Run {
    cluster: Cluster,
    proposed: std::collections::VecDeque<MetadataBatch>,
    follower: Image,
    term: u64,
    deletions: u8,
}

impl Run {
    fn step(&mut self, step: Step) {
        match step {
            Step::Ask(request) => {
                let request = self.with_own_ids(request);
                self.cluster.handle(request);
            }
            Step::Start { broker, lossy } => {
                let mut registration = self.cluster.registration(broker);
                if lossy {
                    registration.storage = chronik_metadata::StorageHealth::Lossy;
                }
                self.cluster.handle(Request::RegisterBroker(registration));
                self.beat(broker, false, false);
            }
            Step::Beat { broker, wants_fence, wants_shutdown } => {
                self.beat(broker, wants_fence, wants_shutdown);
            }
            Step::Shrink { broker, keep } => self.shrink(broker, keep),
            Step::Pass(seconds) => {
                for _ in 0..seconds {
                    self.cluster.now = self.cluster.now.after(Duration::from_secs(1));
                    self.cluster.controller.on_deadline(self.cluster.now);
                }
            }
            Step::Propose => self.proposed.extend(self.cluster.controller.next_batch()),
            Step::Commit => {
                if let Some(batch) = self.proposed.pop_front() {
                    self.commit(&batch);
                }
            }
            Step::Refuse(at) => {
                if self.proposed.remove(at).is_some() {
                    self.activate();
                }
            }
            Step::NewTerm(survive) => {
                self.proposed.truncate(survive);
                while let Some(batch) = self.proposed.pop_front() {
                    self.commit(&batch);
                }
                self.term += 1;
                self.activate();
            }
        }
        // What is proposed is as sound as what is committed.
        check(&self.cluster.committed, self.cluster.controller.speculative());
    }

    /// A topic id is drawn anew for each attempt, but for a retry, and never comes back.
    fn with_own_ids(&mut self, mut request: Request) -> Request {
        match &mut request {
            Request::DeleteTopics(_) => self.deletions += 1,
            Request::CreateTopics(create) => {
                for topic in &mut create.topics {
                    topic.topic_id.0.0[0] = self.deletions;
                }
            }
            _ => {}
        }
        request
    }

    fn activate(&mut self) {
        self.cluster.controller.refused();
        let committed = self.cluster.committed.clone();
        self.cluster.controller.activate(self.cluster.now, self.term, committed);
    }

    fn commit(&mut self, batch: &MetadataBatch) {
        let outcome = self.cluster.apply(batch);
        assert_eq!(self.follower.apply_batch(batch), Ok(outcome));
        if self.cluster.controller.applied(&self.cluster.committed) == Standing::Inactive {
            self.activate();
        }
    }

    fn beat(&mut self, broker: i32, wants_fence: bool, wants_shutdown: bool) {
        let id = BrokerId(broker);
        let Some(registered) = self.cluster.controller.speculative().broker(id) else { return };
        let broker_epoch = registered.epoch;
        self.cluster.handle(Request::BrokerHeartbeat(BrokerHeartbeat {
            broker_id: id,
            broker_epoch,
            is_caught_up: true,
            wants_fence,
            wants_shutdown,
        }));
    }

    /// The broker proposes in-sync sets of some size for everything it leads.
    fn shrink(&mut self, broker: i32, keep: usize) {
        let image = self.cluster.controller.speculative().clone();
        let Some(registered) = image.broker(BrokerId(broker)) else { return };
        let led = image.partitions().filter(|(_, _, p)| p.leader == registered.id);
        let partitions = led.map(|(topic, partition, state)| {
            let mut new_isr = vec![(state.leader, BrokerEpoch::NONE)];
            let others = state.replicas.iter().filter(|replica| **replica != state.leader);
            new_isr.extend(others.map(|id| (*id, BrokerEpoch::NONE)));
            new_isr.truncate(keep);
            AlterPartitionData {
                topic_id: topic.id,
                partition,
                leader_epoch: state.leader_epoch,
                partition_epoch: state.partition_epoch,
                new_isr,
                recovering: false,
            }
        });
        let partitions = partitions.collect();
        let (broker_id, broker_epoch) = (registered.id, registered.epoch);
        let request = AlterPartition { broker_id, broker_epoch, partitions };
        self.cluster.handle(Request::AlterPartition(request));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_life_of_a_cluster_keeps_every_node_in_one_sound_image(
        steps in proptest::collection::vec(steps(), 1..120),
    ) {
        let cluster = Cluster::with(3, &[("metadata.acks", "leader")]);
        let term = cluster.controller.term().unwrap();
        let follower = snapshot::read(snapshot::write(&cluster.committed)).unwrap();
        let mut run = Run { cluster, proposed: Default::default(), follower, term, deletions: 0 };
        for step in steps {
            run.step(step);
        }
        while let Some(batch) = run.proposed.pop_front() {
            run.commit(&batch);
        }
        prop_assert_eq!(run.follower.hash(), run.cluster.committed.hash());
        let restored = snapshot::read(snapshot::write(&run.follower)).unwrap();
        prop_assert_eq!(restored, run.cluster.committed);
    }
}
