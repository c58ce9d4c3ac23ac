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

mod answer;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use chronik_log::{Origin, Permit};
use chronik_net::{Frame, Reply};
use chronik_protocol::batch::BatchHeader;
use chronik_protocol::codec::Records;
use chronik_protocol::compression::Codec;
use chronik_protocol::messages::ProduceRequest;
use chronik_protocol::validate::{self, ValidBatch};
use chronik_types::{Acks, ErrorCode, Monotonic, TopicId, TopicPartition};

use crate::Broker;
use crate::api::context::Context;
use crate::api::error::Refusal;
use crate::bugs;
use crate::latch::Latch;
use crate::partition::Partition;
use crate::progress::ReleaseWhen;

use answer::{Appended, Outcome, Refused, Topic, answer};

/// The client id that may write to internal topics, as in Kafka.
const ADMIN_CLIENT: &str = "__admin_client";
/// How long an append waits for this broker's own disk, whatever the client's timeout.
const OWN_DISK_PATIENCE: Duration = Duration::from_secs(5);

/// What a request asks for one partition, with its batch still inside the frame.
struct Part {
    topic: usize,
    index: i32,
    at: Option<Range<usize>>,
    target: Result<Arc<Partition>, Refusal>,
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
                wait(&broker, ctx.received, &outcomes, deadline).await;
                ctx.encode(&answer(&broker, &ctx, topics, outcomes))
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
    let mut topics: Vec<Topic> = Vec::new();
    let mut parts = Vec::new();
    let mut places = HashMap::new();
    for topic in request.topic_data {
        // The answer names each topic once, and none of which nothing was asked.
        if topic.partition_data.is_empty() {
            continue;
        }
        let id = TopicId(topic.topic_id);
        let at = *places.entry((topic.name.clone(), id)).or_insert_with(|| {
            topics.push(Topic { name: topic.name.to_string(), id });
            topics.len() - 1
        });
        for data in topic.partition_data {
            let range = match &data.records {
                Records::Borrowed(batch) => range_within(&frame.bytes, batch),
                _ => None,
            };
            let target = match &acks {
                Err(refusal) => Err(refusal.clone()),
                Ok(_) => find(broker, ctx, &topic.name, id, data.index),
            };
            parts.push(Part { topic: at, index: data.index, at: range, target });
        }
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
            (Err(refusal), _) => Err(refusal.into()),
            (Ok(_), Err(refusal)) => Err(refusal.clone().into()),
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
) -> Result<Appended, Refused> {
    if acks == Acks::All && partition.lacks_replicas() {
        return Err(Refusal::from(ErrorCode::NotEnoughReplicas).into());
    }
    let valid = validate(broker, ctx, &partition, batch).await?;
    let bytes = valid.batch.len();
    let mut permit = broker.admit_client(bytes, deadline).await.map_err(Refusal::from)?;
    let appended = append_valid(acks, partition, valid, &mut permit)?;
    broker.metrics.produced_bytes.inc_by(bytes as u64);
    Ok(appended)
}

/// Judges a batch. Small and uncompressed ones are judged here; the others are decompressed, which
/// is done where it holds up nobody.
async fn validate(
    broker: &Broker,
    ctx: &Context,
    partition: &Partition,
    batch: BytesMut,
) -> Result<ValidBatch, Refused> {
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
    judged.map_err(|invalid| {
        let before_log = invalid.before_log;
        let records = invalid.record_errors.into_iter().map(|r| (r.batch_index, r.message));
        let why = Refusal {
            code: invalid.error,
            message: Some(invalid.message),
            records: records.collect(),
        };
        if before_log { why.into() } else { Refused::by_log(why, partition) }
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
) -> Result<Appended, Refused> {
    let appended = partition
        .append(permit, batch, Origin::Client)
        .map_err(|why| Refused::by_log(why, &partition))?;
    let end = appended.last_offset.next();
    Ok(Appended {
        base_offset: appended.base_offset,
        log_append_time: appended.log_append_time.0,
        log_start: appended.log_start,
        end,
        release: match acks {
            Acks::All if bugs::acknowledge_before_high_watermark() => ReleaseWhen::Durable(end),
            Acks::All => ReleaseWhen::Replicated(end),
            Acks::Leader | Acks::None => ReleaseWhen::Durable(end),
        },
        partition,
    })
}

/// Waits until every appended part may be answered, or the deadline.
async fn wait(broker: &Broker, received: Monotonic, outcomes: &[Outcome], deadline: Monotonic) {
    let appended = || outcomes.iter().filter_map(|outcome| outcome.result.as_ref().ok());
    let released = appended().map(|part| (part, part.release)).collect();
    if reach(broker, released, deadline).await {
        return;
    }
    // What the client bounds is the wait for other replicas; a timeout of 0, which Kafka's own
    // append outlasts, does not mean that it wants no answer.
    let durable = appended().map(|part| (part, ReleaseWhen::Durable(part.end))).collect();
    reach(broker, durable, received.after(OWN_DISK_PATIENCE)).await;
}

/// Waits until all of it is reached; `false` if the deadline came first.
async fn reach(broker: &Broker, parts: Vec<(&Appended, ReleaseWhen)>, deadline: Monotonic) -> bool {
    if parts.is_empty() {
        return true;
    }
    let latch = Arc::new(Latch::new(parts.len()));
    for (part, when) in parts {
        if !part.partition.progress.notify(when, &latch) {
            latch.count_down();
        }
    }
    broker.until(deadline, latch.opened()).await
}
