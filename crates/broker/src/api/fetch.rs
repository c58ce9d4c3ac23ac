//! Fetch: read what is visible, or wait until there is enough of it.
//!
//! **Copies on this path:** none from the tail (its buffers go to the socket as they are); data
//! that is no longer in memory is read from the segment into one buffer per partition.
//!
//! **Not here:** which partitions an incremental request means (`fetch_sessions.rs`).

mod answer;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronik_log::{Read, ReadLimit};
use chronik_net::Reply;
use chronik_protocol::messages::{FetchRequest, FetchResponse};
use chronik_types::{BrokerId, ErrorCode, LeaderEpoch, Offset, TopicId, TopicPartition};

use crate::Broker;
use crate::api::context::Context;
use crate::api::error::code_of_read;
use crate::api::read_replica;
use crate::fetch_sessions::{Asked, TopicKey, Wanted};
use crate::latch::Latch;
use crate::partition::Partition;
use crate::progress::ReleaseWhen;

use answer::{respond, unknown_isolation};

/// The first version that names topics by id.
const BY_TOPIC_ID: i16 = 13;
/// The first version whose clients know of replicas to read from.
const FROM_REPLICAS: i16 = 11;
/// The first version whose requests say in a struct of its own which replica they come from.
const WITH_REPLICA_STATE: i16 = 15;

/// The limits of one fetch, and who asks.
struct Limits {
    min_bytes: usize,
    max_bytes: usize,
    read_committed: bool,
    /// Asked as a replica. Replicas here have a protocol of their own, so whoever asks so is none.
    as_replica: bool,
    /// Only from leaders.
    only_leader: bool,
    /// The client's rack; empty if it has none.
    rack: String,
}

/// What one partition answers.
struct Answered {
    wanted: Wanted,
    partition: Option<Arc<Partition>>,
    error: ErrorCode,
    /// Where the log ends for consumers. Unknown while a new leader's is not yet where its
    /// predecessor's was: a reader may have been told more.
    high_watermark: Offset,
    /// Up to where it may be read here.
    visible: Offset,
    log_start: Offset,
    diverging: Option<(LeaderEpoch, Offset)>,
    /// Another replica to read from.
    elsewhere: Option<BrokerId>,
    chunks: Vec<Bytes>,
    bytes: usize,
}

impl Answered {
    /// Whether there is something to say at once.
    fn tells(&self) -> bool {
        self.error.is_error() || self.diverging.is_some() || self.elsewhere.is_some()
    }
}

/// Serves one fetch request.
pub(crate) fn handle(broker: &Arc<Broker>, ctx: Context, body: &[u8]) -> Reply {
    let Some(request) = ctx.decode::<FetchRequest<'_>>(body) else { return Reply::Close };
    let now = broker.env.clock.monotonic();
    let by_topic_id = ctx.version >= BY_TOPIC_ID;
    let asked = Asked { id: request.session_id, epoch: request.session_epoch, by_topic_id };
    let (wanted, forgotten) = read(&request, by_topic_id);
    let begun = broker.fetch_sessions.lock().begin(now, asked, wanted, &forgotten);
    let (kind, wanted) = match begun {
        Ok(begun) => begun,
        Err(code) => {
            let response = FetchResponse { error_code: code.code(), ..Default::default() };
            return ctx.encode(&response).map_or(Reply::Close, Reply::Now);
        }
    };
    let Some(limits) = limits(broker, ctx.version, &request) else {
        let response = unknown_isolation(by_topic_id, &request);
        return ctx.encode(&response).map_or(Reply::Close, Reply::Now);
    };
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let broker = Arc::clone(broker);
    Reply::Later(Box::pin(async move {
        let answered = fetch(&broker, &wanted, &limits, now.after(wait)).await;
        let response = respond(&broker, &ctx, kind, &limits, answered);
        ctx.encode(&response)
    }))
}

/// `None` if the isolation level is none there is.
fn limits(broker: &Broker, version: i16, request: &FetchRequest<'_>) -> Option<Limits> {
    let read_committed = match request.isolation_level {
        0 => false,
        1 => true,
        _ => return None,
    };
    let max = usize::try_from(request.max_bytes).unwrap_or(0);
    let max_bytes = max.min(broker.options.fetch_max_bytes);
    let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0).min(max_bytes);
    let replica = if version >= WITH_REPLICA_STATE {
        request.replica_state.replica_id
    } else {
        request.replica_id
    };
    Some(Limits {
        min_bytes,
        max_bytes,
        read_committed,
        as_replica: replica >= 0,
        only_leader: version < FROM_REPLICAS,
        rack: request.rack_id.to_string(),
    })
}

fn read(request: &FetchRequest<'_>, by_topic_id: bool) -> (Vec<Wanted>, Vec<(TopicKey, i32)>) {
    let key = |name: &Cow<'_, str>, id| match by_topic_id {
        true => TopicKey::Id(TopicId(id)),
        false => TopicKey::Name(Arc::from(&**name)),
    };
    // Any negative epoch is none.
    let epoch = |epoch: i32| LeaderEpoch(epoch.max(LeaderEpoch::NONE.0));
    let mut wanted = Vec::new();
    for topic in &request.topics {
        let topic_key = key(&topic.topic, topic.topic_id);
        wanted.extend(topic.partitions.iter().map(|part| Wanted {
            topic: topic_key.clone(),
            partition: part.partition,
            current_leader_epoch: epoch(part.current_leader_epoch),
            fetch_offset: Offset(part.fetch_offset),
            last_fetched_epoch: epoch(part.last_fetched_epoch),
            max_bytes: part.partition_max_bytes,
        }));
    }
    let wanted = once_each(wanted);
    let mut forgotten = Vec::new();
    for topic in &request.forgotten_topics_data {
        let topic_key = key(&topic.topic, topic.topic_id);
        forgotten.extend(topic.partitions.iter().map(|&part| (topic_key.clone(), part)));
    }
    (wanted, forgotten)
}

/// Each partition once: at the place where it was named first, as it was named last.
fn once_each(wanted: Vec<Wanted>) -> Vec<Wanted> {
    let mut places = HashMap::with_capacity(wanted.len());
    let mut once: Vec<Wanted> = Vec::with_capacity(wanted.len());
    for part in wanted {
        let place = *places.entry((part.topic.clone(), part.partition)).or_insert(once.len());
        match once.get_mut(place) {
            Some(earlier) => *earlier = part,
            None => once.push(part),
        }
    }
    once
}

/// Reads until there are `min_bytes`, an error to tell, or the deadline has come.
async fn fetch(
    broker: &Broker,
    wanted: &[Wanted],
    limits: &Limits,
    deadline: chronik_types::Monotonic,
) -> Vec<Answered> {
    loop {
        let answered = read_all(broker, wanted, limits).await;
        let bytes: usize = answered.iter().map(|a| a.bytes).sum();
        let told = answered.iter().any(Answered::tells);
        let enough = bytes >= limits.min_bytes || told || wanted.is_empty();
        if enough || broker.env.clock.monotonic() >= deadline {
            return answered;
        }
        // Any partition that moves beyond what was just seen is a reason to look again.
        let latch = Arc::new(Latch::new(1));
        for part in &answered {
            let Some(partition) = &part.partition else { continue };
            let beyond = ReleaseWhen::Replicated(part.visible.next());
            if !partition.progress.notify(beyond, &latch) {
                latch.count_down();
            }
        }
        if !broker.until(deadline, latch.opened()).await {
            return read_all(broker, wanted, limits).await;
        }
    }
}

async fn read_all(broker: &Broker, wanted: &[Wanted], limits: &Limits) -> Vec<Answered> {
    let mut left = limits.max_bytes;
    let mut any = false;
    let mut answered = Vec::with_capacity(wanted.len());
    for part in wanted {
        let one = read_one(broker, part, limits, left, !any).await;
        left = left.saturating_sub(one.bytes);
        any |= one.bytes > 0;
        answered.push(one);
    }
    answered
}

async fn read_one(
    broker: &Broker,
    wanted: &Wanted,
    limits: &Limits,
    left: usize,
    first: bool,
) -> Answered {
    let mut answer = Answered {
        wanted: wanted.clone(),
        partition: None,
        error: ErrorCode::None,
        high_watermark: Offset::UNKNOWN,
        visible: Offset::ZERO,
        log_start: Offset::UNKNOWN,
        diverging: None,
        elsewhere: None,
        chunks: Vec::new(),
        bytes: 0,
    };
    let found = find(broker, wanted, limits);
    let read = match found {
        Ok(partition) => {
            answer.elsewhere =
                read_replica::preferred(broker, &partition, &limits.rack, wanted.fetch_offset);
            read_into(broker, partition, wanted, left, first, &mut answer).await
        }
        Err(code) => Err(code),
    };
    if let Err(code) = read {
        answer.error = code;
        answer.elsewhere = None;
        answer.high_watermark = Offset::UNKNOWN;
        answer.log_start = Offset::UNKNOWN;
    }
    answer
}

fn find(broker: &Broker, wanted: &Wanted, limits: &Limits) -> Result<Arc<Partition>, ErrorCode> {
    let found = match &wanted.topic {
        TopicKey::Id(id) => {
            let tp = TopicPartition { topic_id: *id, partition: wanted.partition };
            broker.partitions.replica_by_id(tp)
        }
        TopicKey::Name(name) => broker.partitions.replica_by_name(name, wanted.partition),
    };
    let partition = found.map_err(|refusal| refusal.code)?;
    check_epoch(&partition, wanted.current_leader_epoch)?;
    if limits.only_leader {
        check_leader(&partition)?;
    }
    if limits.as_replica { Err(ErrorCode::NotLeaderOrFollower) } else { Ok(partition) }
}

async fn read_into(
    broker: &Broker,
    partition: Arc<Partition>,
    wanted: &Wanted,
    left: usize,
    first: bool,
    answer: &mut Answered,
) -> Result<(), ErrorCode> {
    let is_current = partition.progress.is_high_watermark_current();
    answer.visible = partition.progress.reached().high_watermark;
    answer.high_watermark = if is_current { answer.visible } else { Offset::UNKNOWN };
    answer.log_start = partition.log.start();
    answer.partition = Some(Arc::clone(&partition));
    if let Some(diverging) = divergence(&partition, wanted)? {
        answer.diverging = Some(diverging);
        return Ok(());
    }
    if wanted.fetch_offset > partition.log.end() {
        return Err(beyond_the_end(&partition));
    }
    if wanted.fetch_offset < answer.log_start {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    if answer.elsewhere.is_some() {
        return Ok(());
    }
    let max_bytes = usize::try_from(wanted.max_bytes).unwrap_or(0).min(left);
    if wanted.fetch_offset >= answer.visible || (max_bytes == 0 && !first) {
        return Ok(());
    }
    let limit = ReadLimit { max_bytes, end: answer.visible, at_least_one: first };
    let read = partition.log.read(wanted.fetch_offset, limit).map_err(|e| code_of_read(&e))?;
    let fetched = match read {
        Read::Memory(fetched) => fetched,
        Read::Segment(job) => broker.run_read(job).await.map_err(|e| code_of_read(&e))?,
    };
    broker.metrics.fetched_bytes.inc_by(fetched.bytes as u64);
    answer.bytes = fetched.bytes;
    answer.chunks = fetched.chunks;
    Ok(())
}

/// What to say of an offset that this log has not reached. A follower may be behind: a client that
/// believed that its offset is out of range would begin elsewhere, and skip or repeat records.
fn beyond_the_end(partition: &Partition) -> ErrorCode {
    match partition.is_leader() {
        true => ErrorCode::OffsetOutOfRange,
        false => ErrorCode::NotLeaderOrFollower,
    }
}

/// Compares the client's leader epoch with ours (KIP-320).
pub(crate) fn check_epoch(partition: &Partition, asked: LeaderEpoch) -> Result<(), ErrorCode> {
    let current = partition.leader_epoch();
    if asked == LeaderEpoch::NONE || asked == current {
        Ok(())
    } else if asked < current {
        Err(ErrorCode::FencedLeaderEpoch)
    } else {
        Err(ErrorCode::UnknownLeaderEpoch)
    }
}

/// Refuses what only a leader may answer.
pub(crate) fn check_leader(partition: &Partition) -> Result<(), ErrorCode> {
    match partition.is_leader() {
        true => Ok(()),
        false => Err(ErrorCode::NotLeaderOrFollower),
    }
}

/// Where the client's log and ours part, if they do (KIP-595). An epoch that we have not reached
/// is nothing to compare with.
fn divergence(
    partition: &Partition,
    wanted: &Wanted,
) -> Result<Option<(LeaderEpoch, Offset)>, ErrorCode> {
    if wanted.last_fetched_epoch == LeaderEpoch::NONE {
        return Ok(None);
    }
    let (epoch, end) = partition.log.end_offset_for_epoch(wanted.last_fetched_epoch);
    if end == Offset::UNKNOWN {
        return Err(beyond_the_end(partition));
    }
    let parts = epoch < wanted.last_fetched_epoch || end < wanted.fetch_offset;
    Ok(parts.then_some((epoch, end)))
}
