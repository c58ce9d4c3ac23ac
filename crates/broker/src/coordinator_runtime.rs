//! Drives the group coordinator: one shard for each partition of `__consumer_offsets` that this
//! broker leads.
//!
//! ```text
//! request ─► shard.handle ─► records ─► append ─► (durable) ─► replies
//!               ▲
//!            timer of the shard
//! ```
//!
//! **Invariants**
//! - A shard is used by one task at a time, and its records are appended before it is used again,
//!   so their order in the log is the order of its decisions.
//! - A reply that shows state which must not be lost leaves when everything the shard has emitted
//!   is at or below the high watermark.
//! - A shard serves only after its whole log was replayed; until then requests are told to come
//!   again.
//! - A shard lives as long as one tenure of its partition: when another broker leads, whoever waits
//!   is told to look for that one, and the state is forgotten.
//!
//! **Not here:** what a group decides (`chronik-coordinator`), which topics a request may name
//! (`api`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use chronik_coordinator::{
    AppendFailure, ClientInfo, CoordinatorConfig, Effects, GroupShard, Now, Phase, Release,
    ReplayError, Reply, Request, RequestId, partition_of,
};
use chronik_env::Env;
use chronik_journal::Class;
use chronik_log::{AdmitError, Origin, Read, ReadLimit};
use chronik_metadata::Topic;
use chronik_protocol::batch::{self, BatchBuilder, BatchHeader, EndTransactionMarker, MarkerKind};
use chronik_protocol::validate::ValidBatch;
use chronik_types::{ErrorCode, Offset, PartitionId, Timestamp, TopicPartition};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};

use crate::Broker;
use crate::api::error::Refusal;
use crate::latch::Latch;
use crate::options::Options;
use crate::partition::Partition;
use crate::progress::ReleaseWhen;

/// Kafka's name of the topic that holds group state.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// How long an append of group state waits for room (`offsets.commit.timeout.ms`).
const APPEND_PATIENCE: Duration = Duration::from_secs(5);
/// How long a request waits for its shard to be loaded before it is told to come again.
const LOAD_PATIENCE: Duration = Duration::from_millis(200);
/// How much of the log one step of a load reads.
const LOAD_BYTES: usize = 1 << 20;
/// Records of one batch stay below this, so that a batch is no larger than clients may fetch.
const BATCH_BYTES: usize = 512 << 10;

/// The groups of this broker.
pub(crate) struct Groups {
    config: CoordinatorConfig,
    next_request: AtomicU64,
    shards: Mutex<HashMap<PartitionId, Arc<Shard>>>,
}

/// One shard and what its driver keeps of it.
struct Shard {
    partition: Arc<Partition>,
    state: tokio::sync::Mutex<State>,
    loading: watch::Sender<Loading>,
    /// Told when the earliest deadline may have changed.
    deadline_changed: Notify,
}

/// How far the load of a shard is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loading {
    UnderWay,
    Done,
    /// The log is unreadable.
    Failed,
}

struct State {
    shard: GroupShard,
    waiting: HashMap<RequestId, oneshot::Sender<Reply>>,
    /// The offset after everything the shard has emitted.
    emitted_end: Offset,
}

/// What will carry the answer to a request.
pub(crate) type Answer = oneshot::Receiver<Reply>;

impl Groups {
    pub fn new(options: &Options) -> Self {
        Self {
            config: options.groups.clone(),
            next_request: AtomicU64::new(0),
            shards: Mutex::default(),
        }
    }

    /// The partition of `__consumer_offsets` that `group` belongs to.
    pub fn partition_of(broker: &Broker, group: &str) -> Option<PartitionId> {
        let committed = broker.committed.borrow();
        let topic = committed.image.topic_named(OFFSETS_TOPIC)?;
        let count = i32::try_from(topic.partitions.len()).ok()?;
        Some(partition_of(group, count))
    }

    /// Hands a request to the shard of `group`.
    ///
    /// # Errors
    /// When this broker does not coordinate the group.
    pub async fn submit(
        broker: &Arc<Broker>,
        group: &str,
        request: Request<'_>,
        client: &ClientInfo<'_>,
    ) -> Result<Answer, ErrorCode> {
        let partition =
            Self::partition_of(broker, group).ok_or(ErrorCode::CoordinatorNotAvailable)?;
        Self::submit_to(broker, partition, request, client).await
    }

    /// Hands a request to a shard.
    ///
    /// # Errors
    /// When this broker does not lead the shard's partition.
    pub async fn submit_to(
        broker: &Arc<Broker>,
        partition: PartitionId,
        request: Request<'_>,
        client: &ClientInfo<'_>,
    ) -> Result<Answer, ErrorCode> {
        let shard = Self::shard(broker, partition)?;
        if shard.loaded(broker).await == Loading::Failed {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        let id = RequestId(broker.groups.next_request.fetch_add(1, Ordering::Relaxed));
        let (sender, receiver) = oneshot::channel();
        let mut state = shard.state.lock().await;
        state.waiting.insert(id, sender);
        let effects = state.shard.handle(now(&broker.env), id, request, client);
        shard.run(broker, &mut state, effects).await;
        Ok(receiver)
    }

    /// The partitions of `__consumer_offsets` that have groups here: those that this broker leads
    /// and that have a log.
    pub fn partitions(broker: &Broker) -> Vec<PartitionId> {
        let committed = broker.committed.borrow();
        let Some(topic) = committed.image.topic_named(OFFSETS_TOPIC).cloned() else {
            return Vec::new();
        };
        drop(committed);
        let me = broker.options.node_id;
        let led = topic.partitions.iter().filter(|(_, state)| state.leader == me);
        led.map(|(partition, _)| partition)
            .filter(|partition| {
                let tp = TopicPartition { topic_id: topic.id, partition: *partition };
                broker.storage.is_written(tp)
            })
            .collect()
    }

    /// Loads every shard that has a log, so that sessions and expiry run without a request.
    pub fn attach(broker: &Arc<Broker>) {
        for partition in Self::partitions(broker) {
            Self::begin(broker, partition);
        }
    }

    /// Follows a change of a partition of `__consumer_offsets`: gives up the shard if another
    /// broker leads, loads it if this one does.
    pub fn follow(broker: &Arc<Broker>, tp: TopicPartition) {
        let index = tp.partition;
        let gone = {
            let mut shards = broker.groups.shards.lock();
            let is_over = shards.get(&index).is_some_and(|shard| shard.partition.has_ended());
            if is_over { shards.remove(&index) } else { None }
        };
        if let Some(shard) = gone {
            resign(broker, shard);
        }
        let leads = {
            let committed = broker.committed.borrow();
            let state = committed.image.partition(tp);
            state.is_some_and(|state| state.leader == broker.options.node_id)
        };
        if leads && broker.storage.is_written(tp) {
            Self::begin(broker, index);
        }
    }

    fn begin(broker: &Arc<Broker>, partition: PartitionId) {
        if let Err(code) = Self::shard(broker, partition) {
            tracing::warn!(partition, %code, "a shard of groups could not be loaded");
        }
    }

    /// Removes the offsets that groups have committed for topics that are gone.
    pub async fn topics_deleted(broker: &Arc<Broker>, topics: &[Arc<Topic>]) {
        let names: Vec<&str> = topics.iter().map(|topic| &*topic.name).collect();
        let shards: Vec<_> = broker.groups.shards.lock().values().cloned().collect();
        for shard in shards {
            let mut state = shard.state.lock().await;
            loop {
                let (effects, more) = state.shard.topics_deleted(now(&broker.env), &names);
                shard.run(broker, &mut state, effects).await;
                if !more {
                    break;
                }
            }
        }
    }

    /// The shard of a partition that this broker leads; begins to load it if nobody has.
    fn shard(broker: &Arc<Broker>, index: PartitionId) -> Result<Arc<Shard>, ErrorCode> {
        let present = |shard: &&Arc<Shard>| !shard.partition.has_ended();
        if let Some(shard) = broker.groups.shards.lock().get(&index).filter(present) {
            return Ok(Arc::clone(shard));
        }
        let found = broker.partitions.by_name(OFFSETS_TOPIC, index);
        let partition = found.map_err(|refusal| match refusal.code {
            ErrorCode::NotLeaderOrFollower => ErrorCode::NotCoordinator,
            _ => ErrorCode::CoordinatorNotAvailable,
        })?;
        let shard = Arc::new(Shard {
            state: tokio::sync::Mutex::new(State {
                shard: GroupShard::new(broker.groups.config.clone()),
                waiting: HashMap::new(),
                emitted_end: partition.log.end(),
            }),
            loading: watch::Sender::new(Loading::UnderWay),
            deadline_changed: Notify::new(),
            partition,
        });
        let earlier = {
            let mut shards = broker.groups.shards.lock();
            if let Some(other) = shards.get(&index).filter(present) {
                return Ok(Arc::clone(other));
            }
            shards.insert(index, Arc::clone(&shard))
        };
        if let Some(earlier) = earlier {
            resign(broker, earlier);
        }
        tokio::spawn(load(Arc::clone(broker), Arc::clone(&shard)));
        Ok(shard)
    }
}

/// Ends a shard whose partition is led by another broker: whoever waits looks for that one.
fn resign(broker: &Arc<Broker>, shard: Arc<Shard>) {
    let broker = Arc::clone(broker);
    tokio::spawn(async move {
        let mut state = shard.state.lock().await;
        let effects = state.shard.resign();
        shard.run(&broker, &mut state, effects).await;
        // Those that are left hear that nobody answers any more, which is the same.
        state.waiting.clear();
        tracing::info!(partition = shard.partition.tp.partition, "a shard of groups was given up");
    });
}

fn now(env: &Env) -> Now {
    Now { monotonic: env.clock.monotonic(), wall: env.clock.wall() }
}

impl Shard {
    /// Waits a little for the load to be over.
    async fn loaded(&self, broker: &Broker) -> Loading {
        let mut loading = self.loading.subscribe();
        let now = *loading.borrow_and_update();
        if now != Loading::UnderWay {
            return now;
        }
        let deadline = broker.env.clock.monotonic().after(LOAD_PATIENCE);
        let over = async {
            // The sender is in `self`.
            let _ = loading.wait_for(|loading| *loading != Loading::UnderWay).await;
        };
        broker.until(deadline, over).await;
        *self.loading.borrow()
    }

    /// Carries out what the shard decided.
    async fn run(&self, broker: &Arc<Broker>, state: &mut State, effects: Effects) {
        let mut effects = effects;
        if !effects.records.is_empty()
            && let Err(why) = self.append(broker, state, &effects).await
        {
            tracing::warn!(
                partition = self.partition.tp.partition,
                ?why,
                "group state not appended"
            );
            effects = state.shard.append_failed(now(&broker.env), effects, why);
        }
        self.deadline_changed.notify_one();
        let replies: Vec<_> = effects
            .replies
            .into_iter()
            .filter_map(|(id, reply)| Some((state.waiting.remove(&id)?, reply)))
            .collect();
        if replies.is_empty() {
            return;
        }
        let when = ReleaseWhen::Replicated(state.emitted_end);
        if effects.release == Release::Now || self.partition.progress.reached().satisfies(when) {
            return send(replies);
        }
        // If the partition is served elsewhere now, the replies are dropped, and whoever waits for
        // them looks for the coordinator again.
        let latch = Arc::new(Latch::new(1));
        if !self.partition.progress.notify(when, &latch) {
            return;
        }
        let progress = Arc::clone(&self.partition.progress);
        tokio::spawn(async move {
            latch.opened().await;
            if progress.reached().satisfies(when) {
                send(replies);
            }
        });
    }

    async fn append(
        &self,
        broker: &Broker,
        state: &mut State,
        effects: &Effects,
    ) -> Result<(), AppendFailure> {
        if self.partition.lacks_replicas() {
            return Err(AppendFailure::Unavailable);
        }
        let batches = build(&effects.records, broker.env.clock.wall());
        let bytes = batches.iter().map(|batch| batch.batch.len()).sum();
        let deadline = broker.env.clock.monotonic().after(APPEND_PATIENCE);
        let admitted = broker.storage.admit(Class::Internal, bytes, deadline).await;
        let mut permit = admitted.map_err(|error| match error {
            AdmitError::TooLarge { .. } => AppendFailure::TooLarge,
            _ => AppendFailure::Unavailable,
        })?;
        for batch in batches {
            let appended = self
                .partition
                .append(&mut permit, batch, Origin::Coordinator)
                .map_err(|_| AppendFailure::NotLeader)?;
            state.emitted_end = appended.last_offset.next();
        }
        Ok(())
    }
}

fn send(replies: Vec<(oneshot::Sender<Reply>, Reply)>) {
    for (sender, reply) in replies {
        // A client that went away waits no more.
        let _ = sender.send(reply);
    }
}

/// Batches of `records`, each of a size that a reader may ask for.
fn build(records: &[(Bytes, Option<Bytes>)], at: Timestamp) -> Vec<ValidBatch> {
    let mut batches = Vec::new();
    let mut builder = BatchBuilder::new();
    for (key, value) in records {
        if builder.record_count() > 0 && builder.batch_bytes() > BATCH_BYTES {
            batches.push(std::mem::take(&mut builder));
        }
        let appended = builder.append(at, Some(key), value.as_deref(), &[]);
        assert!(appended.is_ok(), "a record of group state fits into a batch");
    }
    batches.push(builder);
    batches.into_iter().filter_map(|builder| valid(builder, at)).collect()
}

/// What a coordinator builds is valid by construction.
fn valid(builder: BatchBuilder, at: Timestamp) -> Option<ValidBatch> {
    let batch = builder.build().ok()?;
    let header = BatchHeader::of(&batch).ok()?;
    Some(ValidBatch { batch, header, max_timestamp: at, offset_of_max_timestamp_delta: 0 })
}

/// Loads a shard and lets it serve.
async fn load(broker: Arc<Broker>, shard: Arc<Shard>) {
    let index = shard.partition.tp.partition;
    if let Err(why) = replay_log(&broker, &shard).await {
        if !shard.partition.has_ended() {
            tracing::error!(partition = index, %why, "the log of a shard of groups is unreadable");
        }
        let mut shards = broker.groups.shards.lock();
        if shards.get(&index).is_some_and(|present| Arc::ptr_eq(present, &shard)) {
            shards.remove(&index);
        }
        drop(shards);
        shard.loading.send_replace(Loading::Failed);
        return;
    }
    let mut state = shard.state.lock().await;
    if state.shard.phase() == Phase::Loading {
        let effects = state.shard.loaded(now(&broker.env));
        shard.run(&broker, &mut state, effects).await;
    }
    tracing::debug!(
        partition = index,
        groups = state.shard.groups(),
        "a shard of groups is loaded"
    );
    drop(state);
    shard.loading.send_replace(Loading::Done);
    tokio::spawn(run_timer(Arc::downgrade(&broker), Arc::downgrade(&shard)));
}

/// Replays the whole log of a shard, which meanwhile answers that it is loading.
async fn replay_log(broker: &Broker, shard: &Shard) -> Result<(), String> {
    let log = &shard.partition.log;
    let (mut at, end) = (log.start(), log.end());
    shard.state.lock().await.emitted_end = end;
    while at < end {
        let limit = ReadLimit { max_bytes: LOAD_BYTES, end, at_least_one: true };
        let fetched = match log.read(at, limit).map_err(|e| e.to_string())? {
            Read::Memory(fetched) => fetched,
            Read::Segment(job) => broker.run_read(job).await.map_err(|e| e.to_string())?,
        };
        if fetched.next_offset <= at {
            return Err(format!("nothing to read at offset {at}, before the end {end}"));
        }
        let mut state = shard.state.lock().await;
        if state.shard.phase() != Phase::Loading {
            return Err("the partition is led by another broker now".to_owned());
        }
        for chunk in &fetched.chunks {
            replay(&mut state.shard, chunk)?;
        }
        at = fetched.next_offset;
    }
    Ok(())
}

fn replay(shard: &mut GroupShard, chunk: &Bytes) -> Result<(), String> {
    for item in batch::batches(chunk) {
        let (header, bytes) = item.map_err(|e| e.to_string())?;
        if header.attributes.is_control() {
            replay_marker(shard, &header, bytes)?;
            continue;
        }
        let records = batch::records(bytes, LOAD_DECOMPRESSED_MAX).map_err(|e| e.to_string())?;
        for record in records.iter() {
            let record = record.map_err(|e| e.to_string())?;
            let key = record.key.ok_or("a record without a key")?;
            let value = record.value.map(Bytes::copy_from_slice);
            let replayed = if header.attributes.is_transactional() {
                shard.replay_transactional(header.producer_id, key, value.as_ref())
            } else {
                shard.replay(key, value.as_ref())
            };
            match replayed {
                Ok(()) => {}
                // Written by a later version or another group protocol: not ours to judge.
                Err(error @ ReplayError::UnknownType { .. }) => {
                    tracing::info!(offset = %record.offset, %error, "a group record was skipped");
                }
                Err(error) => return Err(format!("offset {}: {error}", record.offset)),
            }
        }
    }
    Ok(())
}

/// The most that one batch of group state may decompress to.
const LOAD_DECOMPRESSED_MAX: usize = 64 << 20;

fn replay_marker(shard: &mut GroupShard, header: &BatchHeader, bytes: &[u8]) -> Result<(), String> {
    let records = batch::records(bytes, bytes.len()).map_err(|e| e.to_string())?;
    for record in records.iter() {
        let record = record.map_err(|e| e.to_string())?;
        let parts = record.key.zip(record.value);
        let marker = parts.and_then(|(key, value)| EndTransactionMarker::parse(key, value));
        if let Some(marker) = marker {
            shard.end_transaction(header.producer_id, marker.kind == MarkerKind::Commit);
        }
    }
    Ok(())
}

/// Lets the timers of a shard fire until the broker or the shard is gone.
async fn run_timer(broker: Weak<Broker>, shard: Weak<Shard>) {
    loop {
        let (Some(broker), Some(this)) = (broker.upgrade(), shard.upgrade()) else { return };
        let changed = this.deadline_changed.notified();
        let deadline = this.state.lock().await.shard.next_deadline();
        match deadline {
            None => changed.await,
            Some(deadline) => {
                if broker.until(deadline, changed).await {
                    continue;
                }
                let mut state = this.state.lock().await;
                let effects = state.shard.on_deadline(now(&broker.env));
                this.run(&broker, &mut state, effects).await;
            }
        }
    }
}

impl From<Refusal> for ErrorCode {
    fn from(refusal: Refusal) -> Self {
        refusal.code
    }
}
