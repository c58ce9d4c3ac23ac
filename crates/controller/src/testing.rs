//! A cluster to try the controller on: it commits what it is given, through the encoding and a
//! second image, and checks what must always hold.

use std::sync::Arc;
use std::time::Duration;

use chronik_config::keys::ConfigMap;
use chronik_metadata::{
    BatchOutcome, Image, MetadataBatch, Partition, StorageHealth, decode_batch, encode_batch,
};
use chronik_types::{
    BrokerEpoch, BrokerId, DirectoryId, ErrorCode, Monotonic, TopicId, TopicPartition, Uuid,
};

use crate::*;

pub(crate) struct Cluster {
    pub(crate) controller: Controller,
    pub(crate) committed: Image,
    pub(crate) now: Monotonic,
    pub(crate) incarnations: u8,
    seed: u64,
}

pub(crate) fn map(values: &[(&str, &str)]) -> ConfigMap {
    values.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

pub(crate) fn id(n: u8) -> TopicId {
    TopicId(uuid(1, n))
}

pub(crate) fn directory(broker: i32) -> DirectoryId {
    DirectoryId(uuid(2, broker as u8))
}

fn uuid(kind: u8, n: u8) -> Uuid {
    let mut bytes = [kind; 16];
    bytes[15] = n;
    Uuid(bytes)
}

pub(crate) fn brokers(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().copied().map(BrokerId).collect()
}

pub(crate) fn topic(n: u8, name: &str, partitions: i32, factor: i16) -> CreatableTopic {
    CreatableTopic {
        name: name.to_owned(),
        topic_id: id(n),
        num_partitions: partitions,
        replication_factor: factor,
        ..CreatableTopic::default()
    }
}

/// The code and the words of a refusal.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, ApiError>) -> (ErrorCode, String) {
    let error = result.unwrap_err();
    (error.code, error.message.unwrap_or_default())
}

impl Cluster {
    /// An active controller without brokers, in a cluster without features.
    pub(crate) fn empty(static_config: &[(&str, &str)]) -> Self {
        Self::with_features(static_config, vec![])
    }

    /// One broker, with the features of a new cluster.
    pub(crate) fn new_cluster(static_config: &[(&str, &str)]) -> Self {
        let mut cluster = Self::with_features(static_config, initial_features());
        cluster.start(1, None);
        cluster
    }

    /// An active controller without brokers.
    pub(crate) fn with_features(
        static_config: &[(&str, &str)],
        features: Vec<(String, i16)>,
    ) -> Self {
        let options = Options::new(BrokerId(1), Arc::new(map(static_config)));
        let mut controller = Controller::new(options, Image::default());
        controller.activate(Monotonic::default(), 1, Image::default());
        let mut cluster = Self {
            controller,
            committed: Image::default(),
            now: Monotonic::default(),
            incarnations: 0,
            seed: 0,
        };
        let bootstrap = Bootstrap { cluster_id: uuid(3, 3), features };
        cluster.ask(Request::Bootstrap(bootstrap));
        cluster
    }

    /// Active brokers 1 to `count`.
    pub(crate) fn of(count: i32) -> Self {
        Self::with(count, &[])
    }

    pub(crate) fn with(count: i32, static_config: &[(&str, &str)]) -> Self {
        let mut cluster = Self::empty(static_config);
        for broker in 1..=count {
            cluster.start(broker, None);
        }
        cluster
    }

    pub(crate) fn registration(&mut self, broker: i32) -> RegisterBroker {
        self.incarnations += 1;
        let registered = self.committed.broker(BrokerId(broker));
        RegisterBroker {
            broker_id: BrokerId(broker),
            cluster_id: self.committed.cluster_id().unwrap_or_default().to_owned(),
            incarnation: uuid(4, self.incarnations),
            listeners: vec![],
            internal: None,
            rack: None,
            directories: vec![directory(broker)],
            features: supported_features(),
            earlier_incarnations: registered.iter().map(|broker| broker.incarnation).collect(),
            storage: StorageHealth::Intact,
        }
    }

    /// Registers and unfences a broker.
    pub(crate) fn start(&mut self, broker: i32, rack: Option<&str>) {
        let rack = rack.map(str::to_owned);
        let registration = RegisterBroker { rack, ..self.registration(broker) };
        self.register(registration).unwrap();
        self.beat(broker);
    }

    pub(crate) fn register(&mut self, request: RegisterBroker) -> Result<BrokerEpoch, ApiError> {
        match self.ask(Request::RegisterBroker(request)) {
            Response::RegisterBroker(result) => result,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn heartbeat(&self, broker: i32) -> BrokerHeartbeat {
        let id = BrokerId(broker);
        BrokerHeartbeat {
            broker_id: id,
            broker_epoch: self.committed.broker(id).map_or(BrokerEpoch(-7), |b| b.epoch),
            is_caught_up: true,
            wants_fence: false,
            wants_shutdown: false,
        }
    }

    pub(crate) fn send(
        &mut self,
        heartbeat: BrokerHeartbeat,
    ) -> Result<BrokerHeartbeatReply, ApiError> {
        match self.ask(Request::BrokerHeartbeat(heartbeat)) {
            Response::BrokerHeartbeat(result) => result,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn beat(&mut self, broker: i32) {
        let reply = self.send(self.heartbeat(broker)).unwrap();
        assert!(!reply.is_fenced);
    }

    pub(crate) fn fence(&mut self, broker: i32) {
        let heartbeat = BrokerHeartbeat { wants_fence: true, ..self.heartbeat(broker) };
        assert!(self.send(heartbeat).unwrap().is_fenced);
    }

    pub(crate) fn create_all(
        &mut self,
        topics: Vec<CreatableTopic>,
    ) -> Result<Vec<CreateTopicResult>, ApiError> {
        let request = CreateTopics { topics, validate_only: false };
        match self.ask(Request::CreateTopics(request)) {
            Response::CreateTopics(result) => result,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn create(&mut self, topic: CreatableTopic) -> Result<CreatedTopic, ApiError> {
        self.create_all(vec![topic])?.remove(0).result
    }

    /// A topic with one partition on these brokers.
    pub(crate) fn create_on(&mut self, n: u8, replicas: &[i32]) -> TopicPartition {
        let assignments = vec![ReplicaAssignment { partition: 0, brokers: brokers(replicas) }];
        let topic = CreatableTopic { assignments, ..topic(n, &format!("t{n}"), -1, -1) };
        self.create(topic).unwrap();
        TopicPartition { topic_id: id(n), partition: 0 }
    }

    pub(crate) fn partition(&self, partition: TopicPartition) -> &Partition {
        self.committed.partition(partition).unwrap()
    }

    /// Leader, leader epoch, in-sync set.
    pub(crate) fn led(&self, partition: TopicPartition) -> (i32, i32, Vec<i32>) {
        let partition = self.partition(partition);
        (partition.leader.0, partition.leader_epoch.0, partition.isr.to_wire())
    }

    /// What is set for a topic.
    pub(crate) fn configure(&mut self, topic: &str, name: &str, value: &str) {
        self.set(ResourceName { resource_type: 2, name: topic.to_owned() }, name, value);
    }

    /// What is set for a broker, or for all if it has no name.
    pub(crate) fn configure_broker(&mut self, broker: &str, name: &str, value: &str) {
        self.set(ResourceName { resource_type: 4, name: broker.to_owned() }, name, value);
    }

    fn set(&mut self, resource: ResourceName, name: &str, value: &str) {
        let change =
            ConfigChange { name: name.to_owned(), operation: 0, value: Some(value.to_owned()) };
        let resources = vec![(resource, vec![change])];
        let request = IncrementalAlterConfigs { resources, validate_only: false };
        match self.ask(Request::IncrementalAlterConfigs(request)) {
            Response::IncrementalAlterConfigs(results) => assert_eq!(results[0].result, Ok(())),
            other => panic!("{other:?}"),
        }
    }

    /// The leader takes a replica into the in-sync set.
    pub(crate) fn join(&mut self, partition: TopicPartition, replica: i32) {
        let mut isr = self.partition(partition).isr.to_wire();
        isr.push(replica);
        self.propose_isr(partition, &isr).unwrap();
    }

    pub(crate) fn propose_isr(
        &mut self,
        partition: TopicPartition,
        isr: &[i32],
    ) -> Result<PartitionState, ErrorCode> {
        let state = self.partition(partition).clone();
        let data = AlterPartitionData {
            topic_id: partition.topic_id,
            partition: partition.partition,
            leader_epoch: state.leader_epoch,
            partition_epoch: state.partition_epoch,
            new_isr: brokers(isr).into_iter().map(|id| (id, BrokerEpoch::NONE)).collect(),
            recovering: false,
        };
        let request = AlterPartition {
            broker_id: state.leader,
            broker_epoch: self.committed.broker(state.leader).unwrap().epoch,
            partitions: vec![data],
        };
        match self.ask(Request::AlterPartition(request)) {
            Response::AlterPartition(Ok(mut results)) => {
                results.remove(0).result.map_err(|error| error.code)
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn handle(&mut self, request: Request) -> Outcome {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let context = Context { now: self.now, seed: self.seed >> 32 };
        self.controller.handle(&context, request).unwrap()
    }

    /// Handles a request and commits what it yields.
    pub(crate) fn ask(&mut self, request: Request) -> Response {
        let outcome = self.handle(request);
        self.commit();
        outcome.response
    }

    pub(crate) fn commit(&mut self) {
        while let Some(batch) = self.controller.next_batch() {
            assert_eq!(self.apply(&batch), BatchOutcome::Applied);
            assert_eq!(self.controller.applied(&self.committed), Standing::Active);
        }
        assert_eq!(self.controller.speculative(), &self.committed);
        assert_eq!(self.controller.acknowledged(), &self.committed);
    }

    /// What every node does with a committed entry.
    pub(crate) fn apply(&mut self, batch: &MetadataBatch) -> BatchOutcome {
        let before = self.committed.clone();
        let batch = decode_batch(&encode_batch(batch)).unwrap();
        let outcome = self.committed.apply_batch(&batch).unwrap();
        check(&before, &self.committed);
        outcome
    }

    /// Lets time pass, a second at a time, with these brokers alive.
    pub(crate) fn pass(&mut self, seconds: u64, alive: &[i32]) {
        for _ in 0..seconds {
            self.now = self.now.after(Duration::from_secs(1));
            for broker in alive {
                let _ = self.send(self.heartbeat(*broker));
            }
            self.controller.on_deadline(self.now);
            self.commit();
        }
    }
}

/// What must hold in every committed image, and from one to the next.
pub(crate) fn check(before: &Image, image: &Image) {
    for (topic, number, partition) in image.partitions() {
        let name = format!("{}-{number}: {partition:?}", topic.name);
        let Partition { replicas, isr, leader, .. } = partition;
        assert!(!replicas.is_empty(), "{name}");
        for (at, replica) in replicas.iter().enumerate() {
            assert!(!replicas[at + 1..].contains(replica), "{name}");
        }
        assert!(isr.iter().all(|member| replicas.contains(member)), "{name}");
        assert!(!partition.has_leader() || isr.contains(leader), "{name}");
        assert!(!partition.elr().iter().any(|member| isr.contains(member)), "{name}");
        assert!(partition.elr().iter().all(|member| replicas.contains(member)), "{name}");
        assert!(partition.adding().iter().all(|member| replicas.contains(member)), "{name}");
        assert!(partition.removing().iter().all(|member| replicas.contains(member)), "{name}");
        if partition.has_leader() && replicas.len() > 1 {
            assert!(image.is_active(*leader), "{name}");
        }
        if isr.len() > 1 {
            assert!(isr.iter().all(|member| image.is_active(*member)), "{name}");
        }
        let old = before.partition(TopicPartition { topic_id: topic.id, partition: number });
        if let Some(old) = old.filter(|old| *old != partition) {
            assert!(partition.partition_epoch > old.partition_epoch, "{name}");
            assert!(partition.leader_epoch >= old.leader_epoch, "{name}");
            if partition.leader != old.leader {
                assert!(partition.leader_epoch > old.leader_epoch, "{name}");
            }
        }
    }
    for broker in image.brokers() {
        if let Some(old) = before.broker(broker.id) {
            assert!(broker.epoch >= old.epoch);
            assert_eq!(broker.epoch == old.epoch, broker.incarnation == old.incarnation);
        }
    }
    assert_eq!(image.topics_by_name().count(), image.topic_count());
    assert!(image.next_producer_id() >= before.next_producer_id());
    assert!(image.next_broker_epoch() >= before.next_broker_epoch());
}
