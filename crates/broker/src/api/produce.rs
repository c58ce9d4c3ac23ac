//! Produce: validate, admit, append in order; answer when the disk has it.
//!
//! The first half runs in the order of the requests of a connection, up to the append; the second
//! half waits for durability while later requests are appended already, so a pipelining producer
//! shares syncs with itself.
//!
//! **Copies on this path:** none. The frame read from the socket is split into one piece per
//! partition; each piece is stamped in place and becomes the journal's, the tail's and the
//! readers' buffer. (A batch much smaller than the frame it came in is copied by the log, so that
//! it does not pin the rest.)

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use chronik_log::{Origin, Permit};
use chronik_net::{Frame, Reply};
use chronik_protocol::batch::BatchHeader;
use chronik_protocol::codec::Records;
use chronik_protocol::compression::Codec;
use chronik_protocol::messages::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceResponse,
};
use chronik_protocol::validate::{self, ValidBatch};
use chronik_types::{Acks, ErrorCode, Monotonic, Offset, TopicId, TopicPartition};

use crate::Broker;
use crate::api::context::Context;
use crate::api::error::Refusal;
use crate::latch::Latch;
use crate::partition::Partition;
use crate::progress::ReleaseWhen;

/// The client id that may write to internal topics, as in Kafka.
const ADMIN_CLIENT: &str = "__admin_client";

/// What a request asks for one partition, with its batch still inside the frame.
struct Part {
    topic: usize,
    index: i32,
    at: Option<Range<usize>>,
    target: Result<Arc<Partition>, Refusal>,
}

/// A topic of the request, as its answer names it.
struct Topic {
    name: String,
    id: TopicId,
}

/// How one partition fared.
struct Outcome {
    topic: usize,
    index: i32,
    result: Result<Appended, Refusal>,
}

struct Appended {
    partition: Arc<Partition>,
    base_offset: Offset,
    log_append_time: i64,
    log_start: Offset,
    release: ReleaseWhen,
}

/// Serves one produce request.
pub(crate) async fn handle(broker: &Arc<Broker>, ctx: Context, frame: Frame, body: usize) -> Reply {
    let (acks, timeout, topics, parts) = match read(broker, &ctx, &frame, body) {
        Ok(request) => request,
        Err(close) => return close,
    };
    let Frame { bytes: buffer, permit: memory } = frame;
    let deadline = broker.env.clock.monotonic().after(timeout);
    let outcomes = append_all(broker, &ctx, &acks, parts, buffer, deadline).await;
    drop(memory);
    match acks {
        Ok(Acks::None) if outcomes.iter().any(|o| o.result.is_err()) => Reply::Close,
        Ok(Acks::None) => Reply::Nothing,
        _ => {
            let broker = Arc::clone(broker);
            Reply::Later(Box::pin(async move {
                wait(&broker, &outcomes, deadline).await;
                ctx.encode(&answer(topics, outcomes))
            }))
        }
    }
}

type Read = (Result<Acks, Refusal>, Duration, Vec<Topic>, Vec<Part>);

/// Reads the request and finds its partitions; batches stay where they are in the frame.
fn read(broker: &Broker, ctx: &Context, frame: &Frame, body: usize) -> Result<Read, Reply> {
    let bytes = frame.bytes.get(body..).unwrap_or_default();
    let request: ProduceRequest<'_> = ctx.decode(bytes).ok_or(Reply::Close)?;
    let acks =
        Acks::try_from(request.acks).map_err(|_| Refusal::from(ErrorCode::InvalidRequiredAcks));
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let mut topics = Vec::with_capacity(request.topic_data.len());
    let mut parts = Vec::new();
    for topic in request.topic_data {
        let at = topics.len();
        for data in topic.partition_data {
            let range = match &data.records {
                Records::Borrowed(batch) => range_within(&frame.bytes, batch),
                _ => None,
            };
            let target = match &acks {
                Err(refusal) => Err(refusal.clone()),
                Ok(_) => find(broker, ctx, &topic.name, TopicId(topic.topic_id), data.index),
            };
            parts.push(Part { topic: at, index: data.index, at: range, target });
        }
        topics.push(Topic { name: topic.name.into_owned(), id: TopicId(topic.topic_id) });
    }
    Ok((acks, timeout, topics, parts))
}

fn find(
    broker: &Broker,
    ctx: &Context,
    name: &str,
    id: TopicId,
    index: i32,
) -> Result<Arc<Partition>, Refusal> {
    let partition = if ctx.version >= 13 {
        broker.partitions.by_id(TopicPartition { topic_id: id, partition: index })?
    } else {
        broker.partitions.by_name(name, index)?
    };
    if partition.settings().internal && ctx.client_id.as_deref() != Some(ADMIN_CLIENT) {
        return Err(ErrorCode::InvalidTopicException.into());
    }
    Ok(partition)
}

/// Where `part`, a slice of `whole`, lies in it.
fn range_within(whole: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    let end = start.checked_add(part.len())?;
    (end <= whole.len()).then_some(start..end)
}

/// Appends every part that may be, in the order of the request.
async fn append_all(
    broker: &Broker,
    ctx: &Context,
    acks: &Result<Acks, Refusal>,
    parts: Vec<Part>,
    mut buffer: BytesMut,
    deadline: Monotonic,
) -> Vec<Outcome> {
    let mut consumed = 0;
    let mut outcomes = Vec::with_capacity(parts.len());
    for part in parts {
        let batch = part.at.and_then(|at| split_out(&mut buffer, &mut consumed, at));
        let result = match (part.target, acks) {
            (Err(refusal), _) => Err(refusal),
            (Ok(_), Err(refusal)) => Err(refusal.clone()),
            (Ok(partition), Ok(acks)) => {
                append(broker, ctx, *acks, partition, batch.unwrap_or_default(), deadline).await
            }
        };
        outcomes.push(Outcome { topic: part.topic, index: part.index, result });
    }
    outcomes
}

/// Takes `at` out of the frame as a piece of its own. Pieces are taken in ascending order, of
/// which `consumed` keeps track.
fn split_out(buffer: &mut BytesMut, consumed: &mut usize, at: Range<usize>) -> Option<BytesMut> {
    let skip = at.start.checked_sub(*consumed)?;
    if at.end.checked_sub(*consumed)? > buffer.len() {
        return None;
    }
    let _gap = buffer.split_to(skip);
    *consumed = at.end;
    Some(buffer.split_to(at.len()))
}

async fn append(
    broker: &Broker,
    ctx: &Context,
    acks: Acks,
    partition: Arc<Partition>,
    batch: BytesMut,
    deadline: Monotonic,
) -> Result<Appended, Refusal> {
    let valid = validate(broker, ctx, &partition, batch).await?;
    let mut permit = broker.admit_client(valid.batch.len(), deadline).await?;
    append_valid(acks, partition, valid, &mut permit)
}

/// Judges a batch. Small and uncompressed ones are judged here; the others are decompressed, which
/// is done where it holds up nobody.
async fn validate(
    broker: &Broker,
    ctx: &Context,
    partition: &Partition,
    batch: BytesMut,
) -> Result<ValidBatch, Refusal> {
    let settings = partition.settings();
    let now = broker.env.clock.wall();
    let version = ctx.version;
    let judge = move |batch| validate::validate_batch(batch, &settings.rules(now, version));
    let judged = if is_costly(&batch) {
        let topic = Arc::clone(&partition.topic);
        tracing::trace!(%topic, "batch judged on the CPU pool");
        chronik_env::blocking(move || judge(batch)).await
    } else {
        judge(batch)
    };
    judged.map_err(|invalid| Refusal {
        code: invalid.error,
        message: Some(invalid.message),
        records: invalid.record_errors.into_iter().map(|r| (r.batch_index, r.message)).collect(),
    })
}

/// Whether judging a batch means decompressing so much that others would wait for it.
fn is_costly(batch: &[u8]) -> bool {
    const LONG: usize = 16 << 10;
    let compressed = BatchHeader::parse(batch)
        .is_ok_and(|header| header.attributes.codec().is_ok_and(|codec| codec != Codec::None));
    compressed && batch.len() > LONG
}

fn append_valid(
    acks: Acks,
    partition: Arc<Partition>,
    batch: ValidBatch,
    permit: &mut Permit,
) -> Result<Appended, Refusal> {
    let appended = partition.append(permit, batch, Origin::Client)?;
    let end = appended.last_offset.next();
    Ok(Appended {
        base_offset: appended.base_offset,
        log_append_time: appended.log_append_time.0,
        log_start: appended.log_start,
        release: match acks {
            Acks::All => ReleaseWhen::Replicated(end),
            Acks::Leader | Acks::None => ReleaseWhen::Durable(end),
        },
        partition,
    })
}

/// Waits until every appended part may be answered, or the deadline.
async fn wait(broker: &Broker, outcomes: &[Outcome], deadline: Monotonic) {
    let appended: Vec<_> = outcomes.iter().filter_map(|o| o.result.as_ref().ok()).collect();
    if appended.is_empty() {
        return;
    }
    let latch = Arc::new(Latch::new(appended.len()));
    for part in appended {
        if !part.partition.progress.notify(part.release, &latch) {
            latch.count_down();
        }
    }
    broker.until(deadline, latch.opened()).await;
}

fn answer(topics: Vec<Topic>, outcomes: Vec<Outcome>) -> ProduceResponse<'static> {
    let mut responses: Vec<TopicProduceResponse<'_>> = topics
        .into_iter()
        .map(|topic| TopicProduceResponse {
            name: Cow::Owned(topic.name),
            topic_id: topic.id.0,
            partition_responses: Vec::new(),
        })
        .collect();
    for outcome in outcomes {
        if let Some(topic) = responses.get_mut(outcome.topic) {
            topic.partition_responses.push(answer_part(outcome.index, outcome.result));
        }
    }
    ProduceResponse { responses, ..Default::default() }
}

fn answer_part(index: i32, result: Result<Appended, Refusal>) -> PartitionProduceResponse<'static> {
    let refused = |refusal: Refusal| PartitionProduceResponse {
        index,
        error_code: refusal.code.code(),
        base_offset: -1,
        log_append_time_ms: -1,
        log_start_offset: -1,
        record_errors: refusal
            .records
            .into_iter()
            .map(|(batch_index, message)| BatchIndexAndErrorMessage {
                batch_index,
                batch_index_error_message: Some(message),
            })
            .collect(),
        error_message: refusal.message,
        ..Default::default()
    };
    let appended = match result {
        Ok(appended) => appended,
        Err(refusal) => return refused(refusal),
    };
    if !appended.partition.progress.reached().satisfies(appended.release) {
        // The records stay appended; only what became of them in time is unknown.
        let gone = appended.partition.progress.is_closed();
        let code = if gone { ErrorCode::NotLeaderOrFollower } else { ErrorCode::RequestTimedOut };
        return refused(code.into());
    }
    PartitionProduceResponse {
        index,
        error_code: ErrorCode::None.code(),
        base_offset: appended.base_offset.0,
        log_append_time_ms: appended.log_append_time,
        log_start_offset: appended.log_start.0,
        ..Default::default()
    }
}
