//! What a follower is sent next: read from logs as its credit allows.
//!
//! **Copies on this path:** none from the tail: the very buffers that were appended go out. What
//! catch-up reads from segments is read into one buffer.
//!
//! **Not here:** whose turn it is (`chronik_replication::Outbox`).

use std::sync::Arc;

use bytes::Bytes;
use chronik_log::{Fetched, Read, ReadError, ReadLimit};
use chronik_peer::Message;
use chronik_replication::{Data, PartitionData, PartitionWatermark, Path, ToFollower, Work};
use chronik_types::{ErrorCode, Offset};

use super::codec::to_follower;
use super::follower_session::FollowerSession;
use crate::Broker;
use crate::partition::Partition;

/// Records of one message, unless the first batch alone is larger.
const MESSAGE_BYTES: u64 = 1 << 20;
/// Parts of one message.
const PARTS_MAX: usize = 1_024;
/// Watermarks of one message.
const WATERMARKS_MAX: usize = 4_096;

/// A message in the making.
#[derive(Default)]
struct Draft {
    data: Data,
    payload: Vec<Bytes>,
    bytes: u64,
}

/// What a follower is told with its records.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Watermarks {
    high_watermark: Offset,
    log_start: Offset,
}

impl Watermarks {
    fn of(partition: &Partition) -> Self {
        Self {
            high_watermark: partition.progress.reached().high_watermark,
            log_start: partition.log.start(),
        }
    }
}

impl Draft {
    fn push(&mut self, work: &Work, partition: &Partition, fetched: Fetched) -> Watermarks {
        let watermarks = Watermarks::of(partition);
        self.data.parts.push(PartitionData {
            tp: work.tp,
            leader_epoch: work.leader_epoch,
            subscription: work.subscription,
            base_offset: fetched.first_offset,
            bytes: u32::try_from(fetched.bytes).unwrap_or(u32::MAX),
            high_watermark: watermarks.high_watermark,
            log_start: watermarks.log_start,
        });
        self.bytes = self.bytes.saturating_add(fetched.bytes as u64);
        self.payload.extend(fetched.chunks);
        watermarks
    }

    fn finish(self) -> Option<Message> {
        if self.data.parts.is_empty() {
            return None;
        }
        Some(to_follower(&ToFollower::Data(self.data), self.payload))
    }
}

/// New records of any partitions, from memory.
pub(crate) fn live_data(broker: &Broker, session: &FollowerSession) -> Option<Message> {
    let mut draft = Draft::default();
    while draft.bytes < MESSAGE_BYTES && draft.data.parts.len() < PARTS_MAX {
        let Some((work, credit)) = session.next_work(Path::Live) else { break };
        let Some(partition) = led(broker, &work) else { continue };
        let room = credit.min(MESSAGE_BYTES.saturating_sub(draft.bytes));
        let limit = limit(&partition, room, draft.data.parts.is_empty());
        match partition.log.read(work.from, limit) {
            Ok(Read::Memory(fetched)) if fetched.chunks.is_empty() => {
                if work.from < limit.end {
                    // It did not fit into what is left of this message.
                    session.put_back(&work);
                    break;
                }
            }
            Ok(Read::Memory(fetched)) => {
                take(session, Path::Live, &work, &partition, fetched, &mut draft);
            }
            Ok(Read::Segment(_)) => partition.progress.switch_path(session, &work, Path::CatchUp),
            Err(error) => give_up(session, &work, &partition, &error),
        }
    }
    draft.finish()
}

/// Records that a follower has missed, of one partition, from segments.
pub(crate) async fn catch_up_data(broker: &Broker, session: &FollowerSession) -> Option<Message> {
    loop {
        let (work, credit) = session.next_work(Path::CatchUp)?;
        let Some(partition) = led(broker, &work) else { continue };
        let limit = limit(&partition, credit.min(MESSAGE_BYTES), true);
        let read = match partition.log.read(work.from, limit) {
            // In memory: the live stream sends it from here on.
            Ok(Read::Memory(_)) => {
                partition.progress.switch_path(session, &work, Path::Live);
                continue;
            }
            Ok(Read::Segment(job)) => broker.run_read(job).await,
            Err(error) => Err(error),
        };
        match read {
            Ok(fetched) if fetched.chunks.is_empty() => session.put_back(&work),
            Ok(fetched) => {
                let mut draft = Draft::default();
                take(session, Path::CatchUp, &work, &partition, fetched, &mut draft);
                if let Some(message) = draft.finish() {
                    return Some(message);
                }
            }
            Err(error) => give_up(session, &work, &partition, &error),
        }
    }
}

/// Watermarks that moved without records.
pub(crate) fn watermarks(broker: &Broker, session: &FollowerSession) -> Option<Message> {
    let moved = session.take_watermarks(WATERMARKS_MAX, |tp, subscription| {
        let partition = broker.partitions.opened(tp).filter(|partition| partition.is_leader())?;
        let Watermarks { high_watermark, log_start } = Watermarks::of(&partition);
        Some(PartitionWatermark { tp, subscription, high_watermark, log_start })
    });
    if moved.is_empty() {
        return None;
    }
    Some(to_follower(&ToFollower::Watermarks(moved), Vec::new()))
}

/// The partition, if it is still led in the epoch of the subscription. If it is not, the session
/// has been told or will be.
fn led(broker: &Broker, work: &Work) -> Option<Arc<Partition>> {
    let partition = broker.partitions.opened(work.tp)?;
    (partition.is_leader() && partition.leader_epoch() == work.leader_epoch).then_some(partition)
}

fn limit(partition: &Partition, room: u64, first: bool) -> ReadLimit {
    ReadLimit {
        max_bytes: usize::try_from(room).unwrap_or(usize::MAX),
        end: partition.log.end(),
        at_least_one: first,
    }
}

fn take(
    session: &FollowerSession,
    path: Path,
    work: &Work,
    partition: &Partition,
    fetched: Fetched,
    draft: &mut Draft,
) {
    if fetched.first_offset != work.from {
        // The follower's log ends where no batch of this one begins: it cannot be continued.
        tracing::error!(
            tp = %work.tp, from = %work.from, found = %fetched.first_offset,
            "a follower's log does not end at a batch of its leader"
        );
        end(session, work, partition, ErrorCode::OffsetOutOfRange);
        return;
    }
    let (bytes, next) = (fetched.bytes as u64, fetched.next_offset);
    let told = draft.push(work, partition, fetched);
    session.pushed(path, work, bytes, next, partition.log.end());
    if Watermarks::of(partition) != told {
        // They moved meanwhile, and what said so may have been taken for sent.
        session.mark(work.slot, work.subscription, false);
    }
}

/// One bad partition is given up alone.
fn give_up(session: &FollowerSession, work: &Work, partition: &Partition, error: &ReadError) {
    let code = match error {
        // The follower is below the log start now, and finds out when it subscribes again.
        ReadError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        ReadError::Changed | ReadError::Gone => ErrorCode::NotLeaderOrFollower,
        ReadError::Disk(_) | ReadError::Batch { .. } => {
            tracing::error!(tp = %work.tp, %error, "records could not be read for a follower");
            ErrorCode::KafkaStorageError
        }
    };
    end(session, work, partition, code);
}

fn end(session: &FollowerSession, work: &Work, partition: &Partition, code: ErrorCode) {
    session.end(work.tp, work.subscription, code);
    partition.progress.unsubscribed(session.follower, work.subscription);
}
