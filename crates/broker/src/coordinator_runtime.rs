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
//! - A shard serves only after its whole log was replayed.
//!
//! **Not here:** what a group decides (`chronik-coordinator`), which topics a request may name
//! (`api`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use chronik_coordinator::{
    AppendFailure, ClientInfo, CoordinatorConfig, Effects, GroupShard, Now, Release, ReplayError,
    Reply, Request, RequestId, partition_of,
};
use chronik_env::Env;
use chronik_journal::Class;
use chronik_log::{AdmitError, Origin, Read, ReadLimit};
use chronik_metadata::Topic;
use chronik_protocol::batch::{self, BatchBuilder, BatchHeader, EndTransactionMarker, MarkerKind};
use chronik_protocol::validate::ValidBatch;
use chronik_types::{ErrorCode, Offset, PartitionId, Timestamp};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

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
    /// Told when the earliest deadline may have changed.
    deadline_changed: Notify,
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
        let shard = Self::shard(broker, partition).await?;
        let id = RequestId(broker.groups.next_request.fetch_add(1, Ordering::Relaxed));
        let (sender, receiver) = oneshot::channel();
        let mut state = shard.state.lock().await;
        state.waiting.insert(id, sender);
        let effects = state.shard.handle(now(&broker.env), id, request, client);
        shard.run(broker, &mut state, effects).await;
        Ok(receiver)
    }

    /// The partitions of `__consumer_offsets` that have groups here: those with a log.
    pub fn partitions(broker: &Broker) -> Vec<PartitionId> {
        let committed = broker.committed.borrow();
        let Some(topic) = committed.image.topic_named(OFFSETS_TOPIC) else { return Vec::new() };
        let topic_id = topic.id;
        drop(committed);
        let known = broker.storage.known_logs().into_iter();
        let mut partitions: Vec<_> =
            known.filter(|tp| tp.topic_id == topic_id).map(|tp| tp.partition).collect();
        partitions.extend(broker.groups.shards.lock().keys());
        partitions.sort_unstable();
        partitions.dedup();
        partitions
    }

    /// Loads every shard that has a log, so that sessions and expiry run without a request.
    pub fn attach(broker: &Arc<Broker>) {
        let broker = Arc::clone(broker);
        tokio::spawn(async move {
            for partition in Self::partitions(&broker) {
                if let Err(code) = Self::shard(&broker, partition).await {
                    tracing::warn!(partition, %code, "a shard of groups could not be loaded");
                }
            }
        });
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

    async fn shard(broker: &Arc<Broker>, index: PartitionId) -> Result<Arc<Shard>, ErrorCode> {
        let known = broker.groups.shards.lock().get(&index).cloned();
        if let Some(shard) = known {
            return Ok(shard);
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
            deadline_changed: Notify::new(),
            partition,
        });
        // Held before anybody else can find the shard, so that nobody uses it before it is loaded.
        let mut state = shard.state.lock().await;
        {
            let mut shards = broker.groups.shards.lock();
            if let Some(other) = shards.get(&index) {
                return Ok(Arc::clone(other));
            }
            shards.insert(index, Arc::clone(&shard));
        }
        match load(broker, &shard.partition, &mut state.shard).await {
            Ok(()) => {
                let effects = state.shard.loaded(now(&broker.env));
                shard.run(broker, &mut state, effects).await;
            }
            Err(why) => {
                tracing::error!(partition = index, %why, "the log of a shard of groups is unreadable");
                broker.groups.shards.lock().remove(&index);
                return Err(ErrorCode::CoordinatorNotAvailable);
            }
        }
        drop(state);
        tokio::spawn(run_timer(Arc::downgrade(broker), Arc::downgrade(&shard)));
        Ok(shard)
    }
}

fn now(env: &Env) -> Now {
    Now { monotonic: env.clock.monotonic(), wall: env.clock.wall() }
}

impl Shard {
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
        let latch = Arc::new(Latch::new(1));
        if !self.partition.progress.notify(when, &latch) {
            // The partition is served elsewhere now: the client hears nothing and asks again.
            return;
        }
        tokio::spawn(async move {
            latch.opened().await;
            send(replies);
        });
    }

    async fn append(
        &self,
        broker: &Broker,
        state: &mut State,
        effects: &Effects,
    ) -> Result<(), AppendFailure> {
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

/// Replays the whole log of a shard.
async fn load(
    broker: &Broker,
    partition: &Partition,
    shard: &mut GroupShard,
) -> Result<(), String> {
    let end = partition.log.end();
    let mut at = partition.log.start();
    while at < end {
        let limit = ReadLimit { max_bytes: LOAD_BYTES, end, at_least_one: true };
        let fetched = match partition.log.read(at, limit).map_err(|e| e.to_string())? {
            Read::Memory(fetched) => fetched,
            Read::Segment(job) => broker.run_read(job).await.map_err(|e| e.to_string())?,
        };
        if fetched.next_offset <= at {
            return Err(format!("nothing to read at offset {at}, before the end {end}"));
        }
        for chunk in &fetched.chunks {
            replay(shard, chunk)?;
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
