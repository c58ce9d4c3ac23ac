//! Members of a quorum in one process: a runtime, a disk and a listener each, over loopback.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chronik_env::{CrashKind, Env, RealClock, Rng, SimDisk};
use chronik_log::Storage;
use chronik_metadata::record::{Change, NoOp};
use chronik_metadata::{Image, MetadataBatch};
use chronik_peer::{
    BoxFuture, Channel, Hello, Identity, IdentityCell, Message, PeerService, PeerStream, Peers,
    Refusal,
};
use chronik_raft::bootstrap::{self, Answers, Newcomer, Voter};
use chronik_raft::{ElectionTimes, LogKept, Member, MetadataNode, Options, Proposed};
use chronik_types::{BrokerId, DirectoryId, Offset, Uuid};
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What is true after a while, or the test fails.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Answers for a node that starts, and then for its quorum.
struct Service {
    answers: Answers,
    node: Mutex<Option<MetadataNode>>,
}

impl PeerService for Service {
    fn admit(&self, _hello: &Hello) -> Result<(), Refusal> {
        Ok(())
    }

    fn call<'s>(
        &'s self,
        from: &'s Identity,
        _channel: Channel,
        request: Message,
    ) -> BoxFuture<'s, Message> {
        Box::pin(async move {
            let node = self.node.lock().clone();
            match node {
                Some(node) => node.handle(from, request).await,
                None => self.answers.handle(&request).unwrap_or_default(),
            }
        })
    }

    fn stream<'s>(
        &'s self,
        _channel: Channel,
        first: Message,
        stream: PeerStream,
    ) -> BoxFuture<'s, ()> {
        Box::pin(async move {
            let node = self.node.lock().clone();
            if let Some(node) = node {
                node.stream(first, stream).await;
            }
        })
    }
}

/// What makes a node.
pub struct Host {
    pub id: BrokerId,
    pub address: SocketAddr,
    pub voters: Vec<Voter>,
    pub kept: LogKept,
    /// The disk; another one after [`Host::wipe`].
    pub disk: SimDisk,
    pub directory: DirectoryId,
    cluster: Arc<Mutex<Option<Uuid>>>,
    rng: Rng,
    running: Option<Running>,
}

struct Running {
    runtime: Runtime,
    node: watch::Receiver<Option<MetadataNode>>,
}

fn env(disk: &SimDisk, rng: &Rng) -> Env {
    Env {
        disk: Arc::new(disk.clone()),
        clock: Arc::new(RealClock::new()),
        rng: Rng::from_seed(rng.u64()),
    }
}

impl Host {
    /// Starts the node; it is there when its quorum has been opened.
    pub fn start(&mut self) {
        assert!(self.running.is_none(), "node {} runs", self.id);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (sender, node) = watch::channel(None);
        let env = env(&self.disk, &self.rng);
        let local = bootstrap::local_state(&env, *self.cluster.lock(), Path::new("/snapshots"));
        let newcomer = Newcomer {
            node_id: self.id,
            directory: self.directory,
            endpoint: self.address.to_string(),
            voters: self.voters.clone(),
            without: BTreeSet::new(),
            local,
        };
        let (address, kept, cluster) = (self.address, self.kept, Arc::clone(&self.cluster));
        runtime.spawn(run(env, newcomer, address, kept, cluster, sender));
        self.running = Some(Running { runtime, node });
    }

    /// Ends the node as a power cut does.
    pub fn cut(&mut self) {
        let running = self.running.take().expect("it runs");
        self.disk.crash(CrashKind::PowerCut);
        running.runtime.shutdown_timeout(Duration::from_millis(200));
        self.disk.crash(CrashKind::PowerCut);
    }

    /// Gives the node, which does not run, an empty disk.
    pub fn wipe(&mut self) {
        assert!(self.running.is_none(), "node {} runs", self.id);
        self.disk = SimDisk::new(self.rng.u64());
        self.directory = DirectoryId(self.rng.uuid());
        *self.cluster.lock() = None;
    }

    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// The quorum on this node, once it is there.
    pub fn node(&self) -> MetadataNode {
        let running = self.running.as_ref().expect("it runs");
        eventually("the quorum on a node is opened", || running.node.borrow().is_some());
        running.node.borrow().clone().unwrap()
    }

    /// The quorum on this node, if it is there.
    pub fn try_node(&self) -> Option<MetadataNode> {
        self.running.as_ref().and_then(|running| running.node.borrow().clone())
    }
}

async fn run(
    env: Env,
    newcomer: Newcomer,
    address: SocketAddr,
    kept: LogKept,
    cluster: Arc<Mutex<Option<Uuid>>>,
    sender: watch::Sender<Option<MetadataNode>>,
) {
    let me = Identity {
        cluster_id: newcomer.local.cluster_id(),
        node_id: newcomer.node_id,
        directory_id: newcomer.directory,
        incarnation: env.rng.uuid(),
    };
    let cell = Arc::new(IdentityCell::new(me));
    let peers = Peers::new(env.clone(), Arc::clone(&cell), chronik_peer::Options::default());
    let answers = Answers::new(&newcomer);
    let service = Arc::new(Service { answers: answers.clone(), node: Mutex::new(None) });
    tokio::spawn(listen(address, peers.clone(), Arc::clone(&service)));
    let (node_id, directory) = (newcomer.node_id, newcomer.directory);
    let voters = newcomer.voters.iter().map(|voter| voter.node_id).collect();
    let stands = newcomer.voters.iter().any(|voter| voter.node_id == node_id);
    let format = |id| {
        *cluster.lock() = Some(id);
        std::future::ready(Ok(()))
    };
    let decision = bootstrap::join(&env, &peers, newcomer, &answers, format).await.unwrap();
    cell.set_cluster_id(decision.cluster_id);
    let mut journal = chronik_journal::Options::new(
        PathBuf::from("/journal"),
        decision.cluster_id,
        node_id,
        directory,
    );
    journal.first_file_bytes = 1 << 20;
    journal.file_bytes = 4 << 20;
    journal.max_bytes = 64 << 20;
    journal.reserve_bytes = 16 << 20;
    let options = chronik_log::Options::new(vec![PathBuf::from("/logs")], journal);
    let (storage, completions, _) = Storage::open(env.clone(), options).unwrap();
    tokio::spawn(completions.run());
    tokio::spawn(flush(storage.clone()));
    let options = Options {
        node_id,
        member: Member { directory, endpoint: address.to_string(), stands },
        snapshot_dir: PathBuf::from("/snapshots"),
        times: ElectionTimes::default(),
        kept,
        voters,
        decision,
        peers,
    };
    let node = MetadataNode::start(env, storage, options).await.unwrap();
    *service.node.lock() = Some(node.clone());
    sender.send_replace(Some(node));
}

/// What the broker's flush task does.
async fn flush(storage: Storage) {
    loop {
        storage.flush_wanted().await;
        let storage = storage.clone();
        tokio::task::spawn_blocking(move || storage.flush_round()).await.unwrap();
    }
}

async fn listen(address: SocketAddr, peers: Peers, service: Arc<Service>) {
    let listener = loop {
        // The port may be held a moment longer by what was before.
        match tokio::net::TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    loop {
        let (io, _) = listener.accept().await.unwrap();
        io.set_nodelay(true).unwrap();
        let (peers, service) = (peers.clone(), Arc::clone(&service) as Arc<dyn PeerService>);
        tokio::spawn(async move {
            peers.serve(io, Bytes::new(), service, std::future::pending()).await;
        });
    }
}

/// A cluster.
pub struct Cluster {
    pub hosts: Vec<Host>,
    runtime: Runtime,
}

impl Cluster {
    /// `voters` nodes that vote, and `observers` that do not; none runs.
    pub fn new(seed: u64, voters: i32, observers: i32) -> Self {
        Self::with(seed, voters, observers, LogKept::default())
    }

    pub fn with(seed: u64, voters: i32, observers: i32, kept: LogKept) -> Self {
        // RUST_LOG shows what the nodes say; a second test of the process finds it set already.
        let logs = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .try_init();
        drop(logs);
        let rng = Rng::from_seed(seed);
        let listener = || std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let listeners: Vec<_> = (0..voters + observers).map(|_| listener()).collect();
        let addresses: Vec<_> = listeners.iter().map(|l| l.local_addr().unwrap()).collect();
        let list: Vec<Voter> = (1..=voters)
            .zip(&addresses)
            .map(|(id, address)| Voter { node_id: BrokerId(id), endpoint: address.to_string() })
            .collect();
        let hosts = (1..).zip(addresses).map(|(id, address)| Host {
            id: BrokerId(id),
            address,
            voters: list.clone(),
            kept,
            disk: SimDisk::new(rng.u64()),
            directory: DirectoryId(rng.uuid()),
            cluster: Arc::default(),
            rng: rng.fork(&id.to_string()),
            running: None,
        });
        let hosts = hosts.collect();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        Self { hosts, runtime }
    }

    /// All of them, started.
    pub fn started(seed: u64, voters: i32, observers: i32) -> Self {
        let mut cluster = Self::new(seed, voters, observers);
        cluster.hosts.iter_mut().for_each(Host::start);
        cluster
    }

    pub fn host(&mut self, id: i32) -> &mut Host {
        self.hosts.iter_mut().find(|host| host.id.0 == id).expect("a node")
    }

    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let patience = async { tokio::time::timeout(PATIENCE, work).await };
        self.runtime.block_on(patience).expect("in time")
    }

    /// The node that leads with a lease and has applied its first entry, once there is one that the
    /// others know of.
    pub fn leader(&self) -> MetadataNode {
        let mut found = None;
        eventually("there is a leader", || {
            found = self.hosts.iter().filter_map(Host::try_node).find(|node| {
                let gate = node.gate();
                gate.has_lease && node.committed().borrow().activated == Some(gate.epoch)
            });
            found.is_some()
        });
        found.unwrap()
    }

    pub fn leader_id(&self) -> i32 {
        let leader = self.leader();
        leader.leadership().leader.expect("it leads").0
    }

    /// Everybody that runs has what the leader has.
    pub fn settle(&self) {
        let leader = self.leader();
        eventually("all nodes have the leader's image", || {
            let end = leader.committed().borrow().end();
            self.hosts.iter().filter(|host| host.is_running()).all(|host| {
                host.try_node().is_some_and(|node| node.committed().borrow().end() >= end)
            })
        });
        let images: Vec<Image> =
            self.hosts.iter().filter_map(Host::try_node).map(|n| n.image()).collect();
        let hash = leader.image().hash();
        assert!(images.iter().all(|image| image.hash() == hash), "the images differ");
    }
}

/// Proposes on one node, numbered as a controller does.
pub struct Proposer {
    pub node: MetadataNode,
    epoch: chronik_types::LeaderEpoch,
    sequence: u64,
}

impl Proposer {
    pub fn new(node: MetadataNode) -> Self {
        let epoch = node.gate().epoch;
        Self { node, epoch, sequence: 0 }
    }

    pub async fn propose(&mut self) -> Proposed {
        let follows = self.sequence;
        self.sequence += 1;
        let batch = MetadataBatch {
            term: u64::try_from(self.epoch.0).unwrap(),
            sequence: self.sequence,
            follows,
            records: vec![Change::NoOp(NoOp {}).into()],
        };
        self.node.propose(self.epoch, batch).await.unwrap()
    }

    /// Proposes `count` changes at once and waits until all are applied; the last one's offset.
    pub async fn applied(&mut self, count: u64) -> Offset {
        let mut proposed = Vec::new();
        for _ in 0..count {
            proposed.push(self.propose().await);
        }
        let mut last = Offset::ZERO;
        for one in proposed {
            last = one.applied.await.unwrap();
        }
        last
    }
}
