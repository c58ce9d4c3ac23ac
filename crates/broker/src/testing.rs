//! Brokers in one process, for tests: real storage on simulated disks, real streams over loopback,
//! and one controller for all of them that commits at once.
//!
//! **Not here:** a metadata quorum. What brokers see as committed is what the controller of the
//! test has decided.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is not as expected"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronik_config::{Cluster as ClusterOptions, Quorum, Roles};
use chronik_controller::{
    Bootstrap, BrokerHeartbeat, Context, Controller, CreatableTopic, CreateTopics, DeleteTopics,
    RegisterBroker, ReplicaAssignment, Request, Response, Standing, TopicReference,
};
use chronik_coordinator::CoordinatorConfig;
use chronik_env::{Clock, CrashKind, Env, RealClock, Rng, SimDisk};
use chronik_log::{Log, Origin, Read, ReadLimit, Storage};
use chronik_metadata::{Image, Listener, Partition as PartitionState, StorageHealth};
use chronik_peer::{
    Address, BoxFuture, Channel, Hello, Identity, IdentityCell, Message, PeerService, PeerStream,
    Peers, Refusal,
};
use chronik_protocol::batch::{BatchBuilder, BatchHeader};
use chronik_protocol::validate::ValidBatch;
use chronik_raft::bootstrap::{Decision, Role as QuorumRole};
use chronik_raft::{Committed, LogKept, Member, MetadataNode};
use chronik_types::{
    BrokerId, DirectoryId, ErrorCode, Monotonic, Offset, TopicId, TopicPartition, Uuid,
};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::controller_runtime::answered_by;
use crate::coordinator_runtime::Groups;
use crate::fetch_sessions::FetchSessions;
use crate::latch::Latch;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::partition::Partition;
use crate::partitions::Partitions;
use crate::progress::ReleaseWhen;
use crate::replication::{self, Replication};
use crate::topic_settings::SettingsSource;
use crate::{Broker, READS_MAX, api, background};

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);
const CLUSTER_ID: Uuid = Uuid([7; 16]);

/// The controller of a test's cluster. Clones share it.
#[derive(Clone)]
pub(crate) struct TestController {
    state: Arc<Mutex<ControllerState>>,
    committed: watch::Sender<Committed>,
}

struct ControllerState {
    controller: Controller,
    image: Image,
    /// Brokers that get no answer.
    cut_off: BTreeSet<BrokerId>,
    seed: u64,
}

impl TestController {
    fn new() -> Self {
        let options = chronik_controller::Options::new(BrokerId(1), Arc::default());
        let mut controller = Controller::new(options, Image::default());
        controller.activate(Monotonic::default(), 1, Image::default());
        let state = ControllerState {
            controller,
            image: Image::default(),
            cut_off: BTreeSet::new(),
            seed: 0,
        };
        let this = Self {
            state: Arc::new(Mutex::new(state)),
            committed: watch::Sender::new(Committed::default()),
        };
        this.ask(Request::Bootstrap(Bootstrap { cluster_id: CLUSTER_ID, features: vec![] }));
        this
    }

    /// Decides, commits, and shows the brokers.
    pub fn ask(&self, request: Request) -> Response {
        let mut state = self.state.lock();
        state.seed += 1;
        let context = Context { now: Monotonic::default(), seed: state.seed };
        let outcome = state.controller.handle(&context, request).expect("active");
        let mut image = state.image.clone();
        while let Some(batch) = state.controller.next_batch() {
            image.apply_batch(&batch).expect("what was proposed applies");
            let standing = state.controller.applied(&image);
            assert_eq!(standing, Standing::Active, "nobody else proposes");
        }
        state.image = image.clone();
        self.committed.send_modify(|committed| committed.image = image);
        outcome.response
    }

    /// What a broker's questions come to.
    fn answer(&self, from: BrokerId, request: Request) -> Option<Response> {
        if self.state.lock().cut_off.contains(&from) {
            return None;
        }
        Some(self.ask(request))
    }

    pub fn image(&self) -> Image {
        self.committed.borrow().image.clone()
    }
}

/// A cluster of brokers in this process.
pub(crate) struct Cluster {
    pub controller: TestController,
    nodes: BTreeMap<i32, TestNode>,
    lag_max: Duration,
    cached_bytes: usize,
    journal_bytes: u64,
    /// How often retention is applied by nodes that start from now on.
    pub retention_check: Duration,
    addresses: Arc<Mutex<BTreeMap<BrokerId, Address>>>,
}

/// One of them.
struct TestNode {
    disk: SimDisk,
    running: Option<Running>,
    starts: u64,
}

struct Running {
    broker: Arc<Broker>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    peers: Peers,
    listening: JoinHandle<()>,
}

impl Cluster {
    /// Brokers 1 to `count`, started, with this `replica.lag.time.max.ms`.
    pub async fn start(count: i32, lag_max: Duration) -> Self {
        Self::with_cache(count, lag_max, 8 << 20).await
    }

    /// As [`Cluster::start`], with so many bytes of flushed batches kept in memory.
    pub async fn with_cache(count: i32, lag_max: Duration, cached_bytes: usize) -> Self {
        Self::with_sizes(count, lag_max, cached_bytes, 256 << 20).await
    }

    /// As [`Cluster::start`], with journals of so many bytes.
    pub async fn with_journal(count: i32, lag_max: Duration, journal_bytes: u64) -> Self {
        Self::with_sizes(count, lag_max, 8 << 20, journal_bytes).await
    }

    async fn with_sizes(
        count: i32,
        lag_max: Duration,
        cached_bytes: usize,
        journal_bytes: u64,
    ) -> Self {
        // Shown with RUST_LOG and --nocapture.
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        let mut cluster = Self {
            controller: TestController::new(),
            nodes: BTreeMap::new(),
            lag_max,
            cached_bytes,
            journal_bytes,
            retention_check: Duration::from_secs(3_600),
            addresses: Arc::default(),
        };
        for id in 1..=count {
            let disk = SimDisk::new(u64::try_from(id).unwrap());
            cluster.nodes.insert(id, TestNode { disk, running: None, starts: 0 });
            cluster.start_node(id).await;
        }
        cluster
    }

    /// Starts a node on what its disk has.
    pub async fn start_node(&mut self, id: i32) {
        let node = self.nodes.get_mut(&id).unwrap();
        assert!(node.running.is_none(), "it runs already");
        node.starts += 1;
        let rng = Rng::from_seed(u64::try_from(id).unwrap() * 1_000 + node.starts);
        let env = Env { disk: Arc::new(node.disk.clone()), clock: Arc::new(RealClock::new()), rng };
        let mut options = options(id, self.lag_max, self.cached_bytes);
        options.retention_check = self.retention_check;
        options.journal_max_bytes = self.journal_bytes;
        options.journal_file_bytes = u32::try_from(self.journal_bytes / 16).unwrap();
        let running = run(env, options, &self.controller, &self.addresses).await;
        self.nodes.get_mut(&id).unwrap().running = Some(running);
    }

    /// Ends a node as a power cut would.
    pub async fn power_cut(&mut self, id: i32) {
        let node = self.nodes.get_mut(&id).unwrap();
        let running = node.running.take().expect("it runs");
        running.stop.send_replace(true);
        node.disk.crash(CrashKind::PowerCut);
        for task in running.tasks.into_iter().chain([running.listening]) {
            task.abort();
            let _ = task.await;
        }
        let storage = running.broker.storage.clone();
        chronik_env::blocking(move || storage.shutdown()).await;
        running.broker.metadata.shutdown().await;
        // Its registration stands until it is fenced.
    }

    /// Nobody reaches this node any more, and what was connected to it is not.
    pub fn deafen(&self, id: i32) {
        self.nodes.get(&id).unwrap().running.as_ref().expect("it runs").listening.abort();
    }

    /// The end of [`Cluster::deafen`].
    pub async fn listen_again(&mut self, id: i32) {
        let running = self.nodes.get_mut(&id).unwrap().running.as_mut().expect("it runs");
        let (address, listening) = listen(&running.broker, &running.peers).await;
        running.listening = listening;
        self.addresses.lock().insert(BrokerId(id), address);
    }

    /// The ids of all nodes, and whether they run.
    pub fn nodes(&self) -> Vec<(i32, bool)> {
        self.nodes.iter().map(|(id, node)| (*id, node.running.is_some())).collect()
    }

    /// Lets the controller take a broker for dead.
    pub fn fence(&self, id: i32) {
        let id = BrokerId(id);
        let epoch = self.controller.image().broker(id).unwrap().epoch;
        let beat = BrokerHeartbeat {
            broker_id: id,
            broker_epoch: epoch,
            is_caught_up: true,
            wants_fence: true,
            wants_shutdown: false,
        };
        let answer = self.controller.ask(Request::BrokerHeartbeat(beat));
        assert!(matches!(answer, Response::BrokerHeartbeat(Ok(_))), "{answer:?}");
    }

    /// Lets the controller take a broker for alive.
    pub fn unfence(&self, id: i32) {
        unfence(&self.controller, BrokerId(id));
    }

    /// The disk of a node.
    pub fn disk(&self, id: i32) -> &SimDisk {
        &self.nodes.get(&id).unwrap().disk
    }

    pub fn broker(&self, id: i32) -> &Arc<Broker> {
        &self.nodes.get(&id).unwrap().running.as_ref().expect("it runs").broker
    }

    /// Creates a topic whose every partition is on these brokers, the first of them leading.
    pub fn create_topic(&self, name: &str, partitions: i32, replicas: &[i32]) -> TopicId {
        self.create_topic_with(name, partitions, replicas, &[])
    }

    pub fn create_topic_with(
        &self,
        name: &str,
        partitions: i32,
        replicas: &[i32],
        configs: &[(&str, &str)],
    ) -> TopicId {
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(name.bytes()) {
            *to = from;
        }
        let topic_id = TopicId(Uuid(bytes));
        let brokers: Vec<_> = replicas.iter().copied().map(BrokerId).collect();
        let topic = CreatableTopic {
            name: name.to_owned(),
            topic_id,
            num_partitions: -1,
            replication_factor: -1,
            assignments: (0..partitions)
                .map(|partition| ReplicaAssignment { partition, brokers: brokers.clone() })
                .collect(),
            configs: configs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned())))
                .collect(),
        };
        let request = CreateTopics { topics: vec![topic], validate_only: false };
        let answer = self.controller.ask(Request::CreateTopics(request));
        let Response::CreateTopics(Ok(results)) = answer else { panic!("{answer:?}") };
        for result in results {
            result.result.expect("created");
        }
        topic_id
    }

    pub fn delete_topic(&self, name: &str) {
        let topic = TopicReference { name: Some(name.to_owned()), ..TopicReference::default() };
        let request = Request::DeleteTopics(DeleteTopics { topics: vec![topic] });
        let answer = self.controller.ask(request);
        assert!(matches!(answer, Response::DeleteTopics(Ok(_))), "{answer:?}");
    }

    /// The committed state of a partition.
    pub fn state(&self, tp: TopicPartition) -> PartitionState {
        self.controller.image().partition(tp).cloned().expect("it exists")
    }

    /// Stops everything.
    pub async fn stop(mut self) {
        let ids: Vec<_> = self.nodes.keys().copied().collect();
        for id in ids {
            if self.nodes.get(&id).unwrap().running.is_some() {
                self.power_cut(id).await;
            }
        }
    }
}

fn unfence(controller: &TestController, id: BrokerId) {
    let epoch = controller.image().broker(id).unwrap().epoch;
    let beat = BrokerHeartbeat {
        broker_id: id,
        broker_epoch: epoch,
        is_caught_up: true,
        wants_fence: false,
        wants_shutdown: false,
    };
    let answer = controller.ask(Request::BrokerHeartbeat(beat));
    assert!(matches!(answer, Response::BrokerHeartbeat(Ok(_))), "{answer:?}");
}

fn directory(id: i32) -> DirectoryId {
    DirectoryId(Uuid([100 + u8::try_from(id).unwrap(); 16]))
}

fn options(id: i32, lag_max: Duration, cached_bytes_max: usize) -> Options {
    Options {
        node_id: BrokerId(id),
        rack: Some(format!("rack-{id}")),
        cluster: ClusterOptions {
            roles: Roles { broker: true, controller: true },
            quorum: Quorum::default(),
            inter_broker_listener: None,
            election_timeout: Duration::from_secs(1),
            leader_ack_max_lag: Duration::from_secs(1),
            snapshot_every: 20_000,
            heartbeat_interval: Duration::from_secs(3_600),
            session_timeout: Duration::from_secs(3_600),
            replica_lag_max: lag_max,
            controlled_shutdown: false,
            leader_rebalance: None,
            rack_aware_fetch: true,
        },
        endpoints: vec![],
        internal: None,
        controller_listeners: BTreeSet::new(),
        log_dirs: vec![PathBuf::from("/data")],
        journal_dir: None,
        journal_max_bytes: 256 << 20,
        journal_file_bytes: 16 << 20,
        journal_group_max_bytes: 4 << 20,
        journal_recycle: true,
        journal_direct_io: true,
        decompressed_batch_max_bytes: 64 << 20,
        open_files_max: 100,
        unflushed_bytes_max: 64 << 20,
        cached_bytes_max,
        free_bytes_floor: 0,
        election: chronik_raft::ElectionTimes::default(),
        static_configs: Arc::default(),
        auto_create_topics: false,
        fetch_max_bytes: 50 << 20,
        fetch_session_slots: 10,
        producer_id_expiration_ms: 86_400_000,
        retention_check: Duration::from_secs(3_600),
        groups: CoordinatorConfig::default(),
    }
}

async fn run(
    env: Env,
    options: Options,
    controller: &TestController,
    addresses: &Arc<Mutex<BTreeMap<BrokerId, Address>>>,
) -> Running {
    let me = options.node_id;
    let journal = chronik_journal::Options::new(
        PathBuf::from("/data/journal"),
        CLUSTER_ID,
        me,
        directory(me.0),
    );
    let mut storage_options = chronik_log::Options::new(options.log_dirs.clone(), journal);
    storage_options.journal.file_bytes = options.journal_file_bytes;
    let first = storage_options.journal.first_file_bytes;
    storage_options.journal.first_file_bytes = first.min(options.journal_file_bytes);
    storage_options.journal.max_bytes = options.journal_max_bytes;
    storage_options.journal.reserve_bytes = options.journal_max_bytes / 4;
    storage_options.unflushed_bytes_max = options.unflushed_bytes_max;
    storage_options.cached_bytes_max = options.cached_bytes_max;
    let (storage, completions, _report) =
        Storage::open(env.clone(), storage_options).expect("the disk is sound");
    let mut tasks = vec![tokio::spawn(completions.run())];
    let identity = Identity {
        cluster_id: Some(CLUSTER_ID),
        node_id: me,
        directory_id: directory(me.0),
        incarnation: env.rng.uuid(),
    };
    let incarnation = identity.incarnation;
    let peers = Peers::new(
        env.clone(),
        Arc::new(IdentityCell::new(identity)),
        chronik_peer::Options::default(),
    );
    let metadata = quorum_of_one(&env, &storage, &options).await;
    let (metrics, _registry) = Metrics::new();
    let (stop, stopped) = watch::channel(false);
    let replication = Replication::new(
        me,
        options.cluster.replica_lag_max,
        Arc::clone(&env.clock),
        peers.clone(),
        stopped.clone(),
    );
    let answering = controller.clone();
    let handle = answered_by(env.clone(), metadata.clone(), peers.clone(), move |request| {
        answering.answer(me, request)
    });
    let committed = controller.committed.subscribe();
    let settings = SettingsSource::new(me, Arc::default(), 86_400_000, 64 << 20);
    let leading = Arc::clone(&replication.leading);
    let broker = Arc::new(Broker {
        partitions: Partitions::new(me, storage.clone(), committed.clone(), settings, leading),
        replication,
        groups: Groups::new(&options),
        fetch_sessions: Mutex::new(FetchSessions::new(10)),
        producer_ids: api::init_producer_id::ProducerIds::default(),
        reads: Semaphore::new(READS_MAX),
        cluster_id: CLUSTER_ID,
        env,
        options,
        storage,
        metadata,
        committed,
        controller: handle,
        peers: peers.clone(),
        metrics,
    });
    let (address, listening) = listen(&broker, &peers).await;
    addresses.lock().insert(me, address);
    tasks.push(tokio::spawn(know(peers.clone(), me, Arc::clone(addresses))));
    register(controller, me, incarnation);
    let epoch = controller.image().broker(me).map(|broker| broker.epoch);
    broker.controller.set_broker_epoch(epoch);
    background::keep_room(&broker.storage, &stopped);
    background::serve(&broker, &stopped);
    Running { broker, stop, tasks, peers, listening }
}

/// Keeps the addresses of the others; they change when those start anew.
async fn know(peers: Peers, me: BrokerId, addresses: Arc<Mutex<BTreeMap<BrokerId, Address>>>) {
    loop {
        let known = addresses.lock().clone();
        for (node, address) in known.into_iter().filter(|(node, _)| *node != me) {
            if peers.addresses().get(&node) != Some(&address) {
                peers.set_address(node, address);
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn listen(broker: &Arc<Broker>, peers: &Peers) -> (Address, JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let address = Address { host: "127.0.0.1".into(), port, directory_id: None };
    let service: Arc<dyn PeerService> = Arc::new(Streams { broker: Arc::clone(broker) });
    let peers = peers.clone();
    let task = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((io, _)) = listener.accept().await {
            let _ = io.set_nodelay(true);
            let (peers, service) = (peers.clone(), Arc::clone(&service));
            connections.spawn(async move {
                peers.serve(io, Bytes::new(), service, std::future::pending()).await;
            });
        }
    });
    (address, task)
}

/// Streams of followers, and nothing else.
struct Streams {
    broker: Arc<Broker>,
}

impl PeerService for Streams {
    fn admit(&self, _: &Hello) -> Result<(), Refusal> {
        Ok(())
    }

    fn call<'s>(&'s self, _: &'s Identity, _: Channel, _: Message) -> BoxFuture<'s, Message> {
        Box::pin(async { Message::default() })
    }

    fn stream<'s>(&'s self, _: Channel, first: Message, stream: PeerStream) -> BoxFuture<'s, ()> {
        Box::pin(replication::serve(Arc::clone(&self.broker), first, stream))
    }
}

async fn quorum_of_one(env: &Env, storage: &Storage, options: &Options) -> MetadataNode {
    let me = options.node_id;
    let member = Member { directory: directory(me.0), endpoint: String::new(), stands: true };
    let identity = Identity {
        cluster_id: Some(CLUSTER_ID),
        node_id: me,
        directory_id: directory(me.0),
        incarnation: env.rng.uuid(),
    };
    let founders = BTreeMap::from([(me, member.clone())]);
    let quorum = chronik_raft::Options {
        node_id: me,
        member,
        snapshot_dir: PathBuf::from("/data/snapshots"),
        times: options.election,
        kept: LogKept::default(),
        voters: vec![me],
        decision: Decision { cluster_id: CLUSTER_ID, role: QuorumRole::Initialise(founders) },
        peers: Peers::new(
            env.clone(),
            Arc::new(IdentityCell::new(identity)),
            chronik_peer::Options::default(),
        ),
    };
    MetadataNode::start(env.clone(), storage.clone(), quorum).await.expect("a quorum of one")
}

fn register(controller: &TestController, me: BrokerId, incarnation: Uuid) {
    let earlier = controller.image().broker(me).map(|broker| broker.incarnation);
    let registration = RegisterBroker {
        broker_id: me,
        cluster_id: CLUSTER_ID.to_string(),
        incarnation,
        listeners: vec![Listener {
            name: "PLAINTEXT".into(),
            host: "127.0.0.1".into(),
            port: 9092,
            security_protocol: 0,
        }],
        internal: None,
        rack: Some(format!("rack-{me}")),
        directories: vec![directory(me.0)],
        features: vec![],
        earlier_incarnations: earlier.into_iter().collect(),
        storage: StorageHealth::Intact,
    };
    let answer = controller.ask(Request::RegisterBroker(registration));
    assert!(matches!(answer, Response::RegisterBroker(Ok(_))), "{answer:?}");
    unfence(controller, me);
}

/// A batch of `count` records that say `text`.
pub(crate) fn batch(text: &str, count: usize) -> ValidBatch {
    let mut builder = BatchBuilder::new();
    // Young enough for retention.
    let now = RealClock::new().wall();
    for at in 0..count {
        let value = format!("{text}-{at}");
        builder.append(now, None, Some(value.as_bytes()), &[]).expect("it fits");
    }
    let batch = builder.build().expect("a batch");
    let header = BatchHeader::of(&batch).expect("a header");
    ValidBatch { batch, header, max_timestamp: now, offset_of_max_timestamp_delta: 0 }
}

/// Appends to a led partition. Returns the offset after the batch.
pub(crate) fn append(broker: &Broker, tp: TopicPartition, text: &str) -> Result<Offset, ErrorCode> {
    let partition = broker.partitions.by_id(tp).map_err(|refusal| refusal.code)?;
    append_to(broker, &partition, batch(text, 1))
}

pub(crate) fn append_to(
    broker: &Broker,
    partition: &Partition,
    batch: ValidBatch,
) -> Result<Offset, ErrorCode> {
    let mut permit =
        broker.storage.try_admit(chronik_journal::Class::Client, batch.batch.len()).expect("room");
    let appended = partition.append(&mut permit, batch, Origin::Client);
    appended.map(|appended| appended.last_offset.next()).map_err(|refusal| refusal.code)
}

/// Waits until every in-sync replica has everything below `end`.
pub(crate) async fn replicated(broker: &Broker, tp: TopicPartition, end: Offset) {
    let partition = broker.partitions.by_id(tp).expect("led here");
    let latch = Arc::new(Latch::new(1));
    assert!(partition.progress.notify(ReleaseWhen::Replicated(end), &latch), "it is served");
    let waited = tokio::time::timeout(PATIENCE, latch.opened()).await;
    assert!(waited.is_ok(), "{:?}, {end} was not reached", partition.progress.reached());
}

/// Waits until `done`; says what was waited for if that takes too long.
pub(crate) async fn eventually(what: &str, done: impl FnMut() -> bool) {
    eventually_or(what, done, String::new).await;
}

/// As [`eventually`]; says what `describe` finds if it takes too long.
pub(crate) async fn eventually_or(
    what: &str,
    mut done: impl FnMut() -> bool,
    describe: impl Fn() -> String,
) {
    let clock = RealClock::new();
    let begun = clock.monotonic();
    while !done() {
        let in_time = clock.monotonic().since(begun) < PATIENCE;
        assert!(in_time, "in vain: {what}\n{}", describe());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Everything in a log, in one piece.
pub(crate) fn content(log: &Arc<Log>) -> Vec<u8> {
    let (mut at, end) = (log.start(), log.end());
    let mut content = Vec::new();
    while at < end {
        let limit = ReadLimit { max_bytes: 1 << 20, end, at_least_one: true };
        let fetched = match log.read(at, limit).expect("readable") {
            Read::Memory(fetched) => fetched,
            Read::Segment(job) => job.run().expect("readable"),
        };
        assert!(fetched.next_offset > at, "nothing at {at} below {end}");
        fetched.chunks.iter().for_each(|chunk| content.extend_from_slice(chunk));
        at = fetched.next_offset;
    }
    content
}
