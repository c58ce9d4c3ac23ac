//! What the metadata of topics that are created costs in calculation alone: the controller, the
//! log entry, the images; without a disk, a network or another thread.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronik_controller::{
    BrokerHeartbeat, Context, Controller, CreatableTopic, CreateTopics, Options, RegisterBroker,
    Request, Response, Standing, supported_features,
};
use chronik_metadata::{Image, StorageHealth, decode_batch, delta, encode_batch};
use chronik_types::{BrokerId, DirectoryId, Monotonic, TopicId, Uuid};
use rustix::time::{ClockId, clock_gettime};

use crate::client::Failed;

#[derive(Clone, Copy, clap::Args)]
pub struct Load {
    #[arg(long, default_value_t = 10_000)]
    pub topics: usize,
    /// Topics that are there before.
    #[arg(long, default_value_t = 0)]
    pub present: usize,
    #[arg(long, default_value_t = 1)]
    pub per_request: usize,
    #[arg(long, default_value_t = 1)]
    pub requests_per_entry: usize,
    /// Entries that are on the leader's disk and not committed yet.
    #[arg(long, default_value_t = 2)]
    pub entries_in_flight: usize,
    #[arg(long, default_value_t = 3)]
    pub brokers: i32,
    #[arg(long, default_value_t = 1)]
    pub partitions: i32,
    #[arg(long, default_value_t = 3)]
    pub replication_factor: i16,
}

pub fn run(load: Load) -> Result<(), Failed> {
    let mut cluster = Cluster::new(load.brokers)?;
    while cluster.created < load.present {
        let count = (load.present - cluster.created).min(1_000);
        cluster.create(load, count)?;
        cluster.propose();
        cluster.settle(0)?;
    }
    let before = cluster.committed.clone();
    cluster.phases = Phases::default();
    cluster.entries.clear();
    let start = on_the_processor();
    let end = load.present + load.topics;
    while cluster.created < end {
        for _ in 0..load.requests_per_entry {
            let count = (end - cluster.created).min(load.per_request);
            if count > 0 {
                cluster.create(load, count)?;
            }
        }
        cluster.propose();
        cluster.settle(load.entries_in_flight)?;
    }
    cluster.settle(0)?;
    let over = on_the_processor().saturating_sub(start);
    println!(
        "{} topics of {} partitions, {} per request, {} requests per entry, {} there before",
        load.topics, load.partitions, load.per_request, load.requests_per_entry, load.present
    );
    let per_topic = |time: Duration| time.as_secs_f64() * 1e6 / load.topics as f64;
    for (name, time) in cluster.phases.0 {
        println!("  {name:<14} {:7.2} µs per topic", per_topic(time));
    }
    println!("  {:<14} {:7.2} µs per topic", "all", per_topic(over));
    let replay = replay(before, &cluster.entries)?;
    println!("  {:<14} {:7.2} µs per topic", "replay, again", per_topic(replay));
    Ok(())
}

/// What a start does with the entries of the log.
fn replay(mut image: Image, entries: &[Bytes]) -> Result<Duration, Failed> {
    let start = on_the_processor();
    for entry in entries {
        image.apply_batch(&decode_batch(entry)?)?;
    }
    Ok(on_the_processor().saturating_sub(start))
}

/// The time that this thread has been running: others on the machine do not show in it.
fn on_the_processor() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// How long each part took, by its name.
#[derive(Default)]
struct Phases(BTreeMap<&'static str, Duration>);

impl Phases {
    fn time<T>(&mut self, name: &'static str, work: impl FnOnce() -> T) -> T {
        let start = on_the_processor();
        let result = work();
        *self.0.entry(name).or_default() += on_the_processor().saturating_sub(start);
        result
    }
}

/// A controller whose batches are committed some time after it has made them.
struct Cluster {
    controller: Controller,
    committed: Image,
    /// The numbers of the batches that are not committed yet.
    in_flight: VecDeque<u64>,
    /// What the log has, one entry a batch.
    entries: Vec<Bytes>,
    phases: Phases,
    created: usize,
    /// The state of a generator of numbers that are as good as random.
    drawn: u64,
}

impl Cluster {
    fn new(brokers: i32) -> Result<Self, Failed> {
        let configs = [("metadata.acks", "leader")];
        let configs = configs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let options = Options::new(BrokerId(1), Arc::new(configs.into()));
        let mut controller = Controller::new(options, Image::default());
        controller.activate(Monotonic::default(), 1, Image::default());
        let mut cluster = Self {
            controller,
            committed: Image::default(),
            in_flight: VecDeque::new(),
            entries: Vec::new(),
            phases: Phases::default(),
            created: 0,
            drawn: 0,
        };
        for broker in 1..=brokers {
            cluster.start(BrokerId(broker))?;
        }
        Ok(cluster)
    }

    /// A broker comes, and is active.
    fn start(&mut self, broker_id: BrokerId) -> Result<(), Failed> {
        let incarnation = self.draw();
        let registration = RegisterBroker {
            broker_id,
            cluster_id: String::new(),
            incarnation,
            listeners: Vec::new(),
            internal: None,
            rack: None,
            directories: vec![DirectoryId(incarnation)],
            features: supported_features(),
            earlier_incarnations: Vec::new(),
            storage: StorageHealth::Intact,
        };
        let broker_epoch = match self.ask(Request::RegisterBroker(registration))? {
            Response::RegisterBroker(epoch) => epoch?,
            other => return Err(Failed(format!("{other:?}"))),
        };
        let heartbeat = BrokerHeartbeat {
            broker_id,
            broker_epoch,
            is_caught_up: true,
            wants_fence: false,
            wants_shutdown: false,
        };
        self.ask(Request::BrokerHeartbeat(heartbeat))?;
        self.propose();
        self.settle(0)
    }

    /// One request for so many topics.
    fn create(&mut self, load: Load, count: usize) -> Result<(), Failed> {
        let mut topics = Vec::with_capacity(count);
        for _ in 0..count {
            topics.push(CreatableTopic {
                name: format!("bench-{:07}", self.created),
                topic_id: TopicId(self.draw()),
                num_partitions: load.partitions,
                replication_factor: load.replication_factor,
                ..CreatableTopic::default()
            });
            self.created += 1;
        }
        match self.ask(Request::CreateTopics(CreateTopics { topics, validate_only: false }))? {
            Response::CreateTopics(Ok(results)) => {
                results.into_iter().try_for_each(|result| result.result.map(|_| ()))?;
                Ok(())
            }
            other => Err(Failed(format!("{other:?}"))),
        }
    }

    fn ask(&mut self, request: Request) -> Result<Response, Failed> {
        let seed = u64::try_from(self.created)?;
        let context = Context { now: Monotonic::default(), seed };
        let outcome = self.phases.time("1 handle", || self.controller.handle(&context, request))?;
        Ok(outcome.response)
    }

    /// What has gathered becomes an entry of the log, and is on the leader's disk.
    fn propose(&mut self) {
        let Some(batch) = self.phases.time("2 next batch", || self.controller.next_batch()) else {
            return;
        };
        self.entries.push(self.phases.time("3 encode", || encode_batch(&batch)));
        self.in_flight.push_back(batch.sequence);
        self.phases.time("4 leader synced", || self.controller.leader_synced(batch.sequence));
    }

    /// Commits until no more than so many entries are in flight.
    fn settle(&mut self, in_flight: usize) -> Result<(), Failed> {
        while self.in_flight.len() > in_flight {
            self.in_flight.pop_front();
            let at = self.entries.len() - self.in_flight.len() - 1;
            let Some(entry) = self.entries.get(at) else { return Ok(()) };
            let before = self.committed.clone();
            let batch = self.phases.time("5 decode", || decode_batch(entry))?;
            self.phases.time("6 apply", || self.committed.apply_batch(&batch))?;
            self.phases.time("7 drop batch", || drop(batch));
            let committed = &self.committed;
            let standing = self.phases.time("8 applied", || self.controller.applied(committed));
            if standing != Standing::Active {
                return Err(Failed("the controller is not active any more".to_owned()));
            }
            let changes = self.phases.time("9 delta", || delta(&before, committed));
            drop(changes);
            self.phases.time("drop image", || drop(before));
        }
        Ok(())
    }

    /// An id that is not zero and comes once.
    fn draw(&mut self) -> Uuid {
        let mut half = || {
            // SplitMix64.
            self.drawn = self.drawn.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (self.drawn ^ (self.drawn >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            u128::from(mixed ^ (mixed >> 31))
        };
        Uuid(((half() << 64) | half()).to_be_bytes())
    }
}
