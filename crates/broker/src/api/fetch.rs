//! Fetch: read what is visible, or wait until there is enough of it.
//!
//! **Copies on this path:** none from the tail (its buffers go to the socket as they are); data
//! that is no longer in memory is read from the segment into one buffer per partition.
//!
//! **Not here:** which partitions an incremental request means (`fetch_sessions.rs`).

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronik_log::{Read, ReadLimit};
use chronik_net::Reply;
use chronik_protocol::codec::Records;
use chronik_protocol::messages::{
    FetchEpochEndOffset, FetchPartitionData, FetchRequest, FetchResponse, FetchableTopicResponse,
};
use chronik_types::{ErrorCode, LeaderEpoch, Offset, TopicId, TopicPartition};

use crate::Broker;
use crate::api::context::Context;
use crate::api::error::code_of_read;
use crate::fetch_sessions::{Asked, Kind, Said, TopicKey, Wanted};
use crate::latch::Latch;
use crate::partition::Partition;
use crate::progress::ReleaseWhen;

/// The first version that names topics by id.
const BY_TOPIC_ID: i16 = 13;

/// The limits of one fetch.
#[derive(Clone, Copy)]
struct Limits {
    min_bytes: usize,
    max_bytes: usize,
    read_committed: bool,
}

/// What one partition answers.
struct Answered {
    wanted: Wanted,
    partition: Option<Arc<Partition>>,
    error: ErrorCode,
    high_watermark: Offset,
    log_start: Offset,
    diverging: Option<(LeaderEpoch, Offset)>,
    chunks: Vec<Bytes>,
    bytes: usize,
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
    let limits = limits(broker, &request);
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let broker = Arc::clone(broker);
    Reply::Later(Box::pin(async move {
        let answered = fetch(&broker, &wanted, limits, now.after(wait)).await;
        let response = respond(&broker, kind, by_topic_id, limits, answered);
        ctx.encode(&response)
    }))
}

fn limits(broker: &Broker, request: &FetchRequest<'_>) -> Limits {
    let max = usize::try_from(request.max_bytes).unwrap_or(0);
    let max_bytes = max.min(broker.options.fetch_max_bytes);
    let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0).min(max_bytes);
    Limits { min_bytes, max_bytes, read_committed: request.isolation_level == 1 }
}

fn read(request: &FetchRequest<'_>, by_topic_id: bool) -> (Vec<Wanted>, Vec<(TopicKey, i32)>) {
    let key = |name: &Cow<'_, str>, id| match by_topic_id {
        true => TopicKey::Id(TopicId(id)),
        false => TopicKey::Name(Arc::from(&**name)),
    };
    let mut wanted = Vec::new();
    for topic in &request.topics {
        let topic_key = key(&topic.topic, topic.topic_id);
        wanted.extend(topic.partitions.iter().map(|part| Wanted {
            topic: topic_key.clone(),
            partition: part.partition,
            current_leader_epoch: LeaderEpoch(part.current_leader_epoch),
            fetch_offset: Offset(part.fetch_offset),
            last_fetched_epoch: LeaderEpoch(part.last_fetched_epoch),
            max_bytes: part.partition_max_bytes,
        }));
    }
    let mut forgotten = Vec::new();
    for topic in &request.forgotten_topics_data {
        let topic_key = key(&topic.topic, topic.topic_id);
        forgotten.extend(topic.partitions.iter().map(|&part| (topic_key.clone(), part)));
    }
    (wanted, forgotten)
}

/// Reads until there are `min_bytes`, an error to tell, or the deadline has come.
async fn fetch(
    broker: &Broker,
    wanted: &[Wanted],
    limits: Limits,
    deadline: chronik_types::Monotonic,
) -> Vec<Answered> {
    loop {
        let answered = read_all(broker, wanted, limits).await;
        let bytes: usize = answered.iter().map(|a| a.bytes).sum();
        let told = answered.iter().any(|a| a.error.is_error() || a.diverging.is_some());
        let enough = bytes >= limits.min_bytes || told || wanted.is_empty();
        if enough || broker.env.clock.monotonic() >= deadline {
            return answered;
        }
        // Any partition that moves beyond what was just seen is a reason to look again.
        let latch = Arc::new(Latch::new(1));
        for part in &answered {
            let Some(partition) = &part.partition else { continue };
            let beyond = ReleaseWhen::Replicated(part.high_watermark.next());
            if !partition.progress.notify(beyond, &latch) {
                latch.count_down();
            }
        }
        if !broker.until(deadline, latch.opened()).await {
            return read_all(broker, wanted, limits).await;
        }
    }
}

async fn read_all(broker: &Broker, wanted: &[Wanted], limits: Limits) -> Vec<Answered> {
    let mut left = limits.max_bytes;
    let mut any = false;
    let mut answered = Vec::with_capacity(wanted.len());
    for part in wanted {
        let one = read_one(broker, part, left, !any).await;
        left = left.saturating_sub(one.bytes);
        any |= one.bytes > 0;
        answered.push(one);
    }
    answered
}

async fn read_one(broker: &Broker, wanted: &Wanted, left: usize, first: bool) -> Answered {
    let mut answer = Answered {
        wanted: wanted.clone(),
        partition: None,
        error: ErrorCode::None,
        high_watermark: Offset::UNKNOWN,
        log_start: Offset::UNKNOWN,
        diverging: None,
        chunks: Vec::new(),
        bytes: 0,
    };
    if let Err(code) = read_into(broker, wanted, left, first, &mut answer).await {
        answer.error = code;
        answer.high_watermark = Offset::UNKNOWN;
        answer.log_start = Offset::UNKNOWN;
    }
    answer
}

async fn read_into(
    broker: &Broker,
    wanted: &Wanted,
    left: usize,
    first: bool,
    answer: &mut Answered,
) -> Result<(), ErrorCode> {
    let found = match &wanted.topic {
        TopicKey::Id(id) => {
            broker.partitions.by_id(TopicPartition { topic_id: *id, partition: wanted.partition })
        }
        TopicKey::Name(name) => broker.partitions.by_name(name, wanted.partition),
    };
    let partition = found.map_err(|refusal| refusal.code)?;
    check_epoch(&partition, wanted.current_leader_epoch)?;
    answer.high_watermark = partition.progress.reached().high_watermark;
    answer.log_start = partition.log.start();
    answer.partition = Some(Arc::clone(&partition));
    if let Some(diverging) = divergence(&partition, wanted) {
        answer.diverging = Some(diverging);
        return Ok(());
    }
    if wanted.fetch_offset > partition.log.end() || wanted.fetch_offset < answer.log_start {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let max_bytes = usize::try_from(wanted.max_bytes).unwrap_or(0).min(left);
    if wanted.fetch_offset >= answer.high_watermark || (max_bytes == 0 && !first) {
        return Ok(());
    }
    let limit = ReadLimit { max_bytes, end: answer.high_watermark, at_least_one: first };
    let read = partition.log.read(wanted.fetch_offset, limit).map_err(|e| code_of_read(&e))?;
    let fetched = match read {
        Read::Memory(fetched) => fetched,
        Read::Segment(job) => broker.run_read(job).await.map_err(|e| code_of_read(&e))?,
    };
    answer.bytes = fetched.bytes;
    answer.chunks = fetched.chunks;
    Ok(())
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

/// Where the client's log and ours part, if they do (KIP-595).
fn divergence(partition: &Partition, wanted: &Wanted) -> Option<(LeaderEpoch, Offset)> {
    if wanted.last_fetched_epoch == LeaderEpoch::NONE {
        return None;
    }
    let (epoch, end) = partition.log.end_offset_for_epoch(wanted.last_fetched_epoch);
    let parts = epoch < wanted.last_fetched_epoch || end < wanted.fetch_offset;
    parts.then_some((epoch, end))
}

fn respond(
    broker: &Broker,
    kind: Kind,
    by_topic_id: bool,
    limits: Limits,
    answered: Vec<Answered>,
) -> FetchResponse<'static> {
    let said: Vec<_> = answered
        .iter()
        .map(|a| {
            let said = Said {
                error: a.error.is_error(),
                bytes: a.bytes,
                high_watermark: a.high_watermark.0,
                log_start: a.log_start.0,
                diverging: a.diverging.is_some(),
            };
            (a.wanted.clone(), said)
        })
        .collect();
    let now = broker.env.clock.monotonic();
    let draw = || i32::from_be_bytes(broker.env.rng.bytes::<4>());
    let (session_id, named) =
        broker.fetch_sessions.lock().finish(now, kind, by_topic_id, &said, draw);
    let mut responses: Vec<FetchableTopicResponse<'_>> = Vec::new();
    let mut last: Option<TopicKey> = None;
    for (part, _) in answered.into_iter().zip(named).filter(|(_, named)| *named) {
        if last.as_ref() != Some(&part.wanted.topic) {
            last = Some(part.wanted.topic.clone());
            responses.push(topic_response(&part.wanted.topic));
        }
        if let Some(topic) = responses.last_mut() {
            topic.partitions.push(partition_data(part, limits));
        }
    }
    FetchResponse { session_id, responses, ..Default::default() }
}

fn topic_response(key: &TopicKey) -> FetchableTopicResponse<'static> {
    match key {
        TopicKey::Name(name) => {
            FetchableTopicResponse { topic: name.to_string().into(), ..Default::default() }
        }
        TopicKey::Id(id) => FetchableTopicResponse { topic_id: id.0, ..Default::default() },
    }
}

fn partition_data(part: Answered, limits: Limits) -> FetchPartitionData<'static> {
    let diverging = part
        .diverging
        .map(|(epoch, end)| FetchEpochEndOffset { epoch: epoch.0, end_offset: end.0 });
    FetchPartitionData {
        partition_index: part.wanted.partition,
        error_code: part.error.code(),
        high_watermark: part.high_watermark.0,
        last_stable_offset: part.high_watermark.0,
        log_start_offset: part.log_start.0,
        diverging_epoch: diverging.unwrap_or_default(),
        // There is no list only where one was read and nobody asked for it.
        aborted_transactions: (limits.read_committed || part.error.is_error()).then(Vec::new),
        preferred_read_replica: -1,
        // Never null: librdkafka breaks on it (KAFKA-18646).
        records: Records::Chunks(part.chunks),
        ..Default::default()
    }
}
