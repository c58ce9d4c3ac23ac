//! Appending: judge the producer, assign offsets, journal, and show to readers, in one step.
//!
//! **Invariants**
//! - Room is taken before an offset is assigned; from there on nothing can fail.
//! - The producers' state changes in the same step as the log, so that a duplicate is answered
//!   with the original offset however early it comes.
//! - An acknowledged batch is the bytes that came in, with base offset and leader epoch stamped.
//!
//! **Not here:** what a batch must look like (`chronik-protocol` validates), waiting for
//! durability and replicas (`broker`).

use std::sync::Arc;

use bytes::Bytes;
use chronik_journal::{Record, batch_crc};
use chronik_protocol::batch::{
    BatchHeader, EndTransactionMarker, TimestampType, batches, records, stamp,
};
use chronik_protocol::validate::ValidBatch;
use chronik_types::{LeaderEpoch, Offset, Timestamp};

use crate::admission::Permit;
use crate::error::{AppendError, Stopped};
use crate::log::{Log, State, Written};
use crate::producers::Judgement;
use crate::tail::TailBatch;

/// Who appends to a leader's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client's produce request: sequences and epochs are checked.
    Client,
    /// A coordinator of this cluster: its own records and transaction markers. No sequence check;
    /// a marker's epochs are checked.
    Coordinator,
    /// What another replica has accepted: nothing is checked again.
    Replication,
}

/// Where a batch is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record.
    pub base_offset: Offset,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// The log start offset.
    pub log_start: Offset,
    /// When the leader appended it if the topic says so; [`Timestamp::NONE`] otherwise.
    pub log_append_time: Timestamp,
    /// It was there already; the offsets are those of the first time.
    pub duplicate: bool,
}

/// A batch with its place in the log.
struct Placed {
    header: BatchHeader,
    bytes: Bytes,
    charge: usize,
}

impl Log {
    /// Appends a valid batch at the end of the log, as the leader in `epoch`. It is readable when
    /// this returns and durable when the listener says so. Reads the producers' state from disk
    /// the first time an idempotent producer writes after a start, if a flush left one.
    ///
    /// # Errors
    /// See [`AppendError`]; nothing has been written then.
    pub fn append_as_leader(
        self: &Arc<Self>,
        permit: &mut Permit,
        batch: ValidBatch,
        epoch: LeaderEpoch,
        origin: Origin,
    ) -> Result<Appended, AppendError> {
        let marker = marker_of(&batch.header, &batch.batch);
        let judged = batch.header.is_idempotent() && origin != Origin::Replication;
        let mut state = if judged { self.lock_with_producers()? } else { self.lock() };
        let checked = Checked { header: &batch.header, marker, epoch, origin };
        if let Some(duplicate) = self.check(&mut state, &checked)? {
            return Ok(duplicate);
        }
        let (base, last) = next_offsets(&state, &batch.header)?;
        let header = BatchHeader { base_offset: base, leader_epoch: epoch, ..batch.header };
        let mut bytes = batch.batch;
        stamp(&mut bytes, base, epoch);
        let placed = Placed::new(header, bytes.freeze(), permit);
        let appended = Appended {
            base_offset: base,
            last_offset: last,
            log_start: state.start,
            log_append_time: append_time(&header, header.max_timestamp),
            duplicate: false,
        };
        self.append_placed(&mut state, permit, vec![(placed, marker)])?;
        self.after_append(state);
        Ok(appended)
    }

    /// Appends batches that carry their offsets and epochs already: the metadata log's entries, or
    /// what a follower was sent. They become durable all or none.
    ///
    /// # Errors
    /// See [`AppendError`]; nothing has been written then.
    pub fn append_at(
        self: &Arc<Self>,
        permit: &mut Permit,
        bytes: impl Into<Bytes>,
    ) -> Result<Appended, AppendError> {
        let bytes = bytes.into();
        let mut state = self.lock();
        if state.gone {
            return Err(AppendError::Gone);
        }
        let mut next = state.end;
        let mut epoch = state.epochs.latest().unwrap_or(LeaderEpoch::NONE);
        let mut placed = Vec::new();
        let mut walked = batches(&bytes);
        for batch in walked.by_ref() {
            let (header, slice) = batch.map_err(|_| AppendError::Malformed)?;
            if header.base_offset != next {
                return Err(AppendError::NotContiguous { end: next, found: header.base_offset });
            }
            if header.leader_epoch < epoch {
                let found = header.leader_epoch;
                return Err(AppendError::StaleEpoch { current: epoch, found });
            }
            if header.last_offset_delta < 0 || header.last_offset().0 == i64::MAX {
                return Err(AppendError::Malformed);
            }
            (next, epoch) = (header.next_offset(), header.leader_epoch);
            let marker = marker_of(&header, slice);
            placed.push((Placed::new(header, bytes.slice_ref(slice), permit), marker));
        }
        let (Some((first, _)), Some((last, _))) = (placed.first(), placed.last()) else {
            return Err(AppendError::Malformed);
        };
        if !walked.rest().is_empty() {
            return Err(AppendError::Malformed);
        }
        let appended = Appended {
            base_offset: first.header.base_offset,
            last_offset: last.header.last_offset(),
            log_start: state.start,
            log_append_time: append_time(&last.header, last.header.max_timestamp),
            duplicate: false,
        };
        self.append_placed(&mut state, permit, placed)?;
        self.after_append(state);
        Ok(appended)
    }

    /// Judges a leader's append. The answer if it is a duplicate.
    fn check(
        &self,
        state: &mut State,
        append: &Checked<'_>,
    ) -> Result<Option<Appended>, AppendError> {
        if state.gone {
            return Err(AppendError::Gone);
        }
        if let Some(current) = state.epochs.latest().filter(|current| append.epoch < *current) {
            return Err(AppendError::StaleEpoch { current, found: append.epoch });
        }
        let log_start = state.start;
        let expiration = state.config.producer_id_expiration_ms;
        let header = append.header;
        let Some(written) = state.written.as_mut().filter(|_| header.is_idempotent()) else {
            return Ok(None);
        };
        let now = self.shared.env.clock.wall().0;
        let Some(producers) = written.producers.loaded_mut() else { return Ok(None) };
        producers.expire_one(header.producer_id, now, expiration);
        match (append.origin, append.marker) {
            (Origin::Client, _) => match producers.judge(header)? {
                Judgement::Next => Ok(None),
                Judgement::Duplicate(first) => Ok(Some(Appended {
                    base_offset: first.base_offset(),
                    last_offset: first.last_offset,
                    log_start,
                    log_append_time: append_time(header, first.timestamp),
                    duplicate: true,
                })),
            },
            (Origin::Coordinator, Some(marker)) => {
                producers.judge_marker(header, marker).map(|()| None)
            }
            (Origin::Coordinator, None) | (Origin::Replication, _) => Ok(None),
        }
    }

    /// Journals batches that are placed at the end, and shows them to readers.
    fn append_placed(
        self: &Arc<Self>,
        state: &mut State,
        permit: &mut Permit,
        placed: Vec<(Placed, Option<EndTransactionMarker>)>,
    ) -> Result<(), AppendError> {
        if self.shared.is_stopped() {
            return Err(Stopped.into());
        }
        let needed = placed.iter().map(|(placed, _)| placed.bytes.len()).sum();
        let left = permit.bytes_left();
        let (reservation, mut memory) =
            permit.take(needed).ok_or(AppendError::PermitTooSmall { left, needed })?;
        memory.resize(placed.iter().map(|(placed, _)| placed.charge).sum());
        let written = match &mut state.written {
            Some(written) => {
                written.memory.merge(memory);
                written
            }
            none => {
                let id = self.shared.journal.new_log(self.partition);
                // Before the submission, so that its completion finds the log.
                self.shared.register(id, self);
                none.insert(Box::new(Written::new(id, memory, state.start)))
            }
        };
        let records = placed.iter().map(|(placed, _)| placed.record()).collect();
        self.shared.submit(reservation, self.class, written, records);
        let now = self.shared.env.clock.wall().0;
        for (placed, marker) in placed {
            let header = placed.header;
            state.epochs.assign(header.leader_epoch, header.base_offset);
            state.end = header.next_offset();
            written.tail.push(TailBatch::new(&header, placed.bytes, placed.charge));
            if let Some(ended) = written.producers.apply(&header, marker, now) {
                let open = written.producers.first_open_transaction();
                written.transactions.ended(ended, open);
            }
        }
        if let Some(producers) = written.producers.loaded_mut() {
            producers.cap(self.shared.options.producers_per_log_max);
        }
        Ok(())
    }

    fn after_append(&self, state: parking_lot::MutexGuard<'_, State>) {
        let (write_caching, end) = (state.config.write_caching, state.end);
        drop(state);
        if write_caching {
            self.tell_durable(end);
        }
    }
}

/// A leader's append before it is placed.
struct Checked<'a> {
    header: &'a BatchHeader,
    marker: Option<EndTransactionMarker>,
    epoch: LeaderEpoch,
    origin: Origin,
}

impl Placed {
    fn new(header: BatchHeader, bytes: Bytes, permit: &Permit) -> Self {
        // A slice that is the smaller part of what was admitted would keep all of it alive for as
        // long as it stays in memory; it gets an allocation of its own.
        let len = bytes.len();
        if len.saturating_mul(2) < permit.asked() {
            Self { header, bytes: Bytes::copy_from_slice(&bytes), charge: len }
        } else {
            Self { header, bytes, charge: len.max(permit.asked()) }
        }
    }

    fn record(&self) -> Record {
        Record::Append {
            base_offset: self.header.base_offset,
            last_offset: self.header.last_offset(),
            epoch: self.header.leader_epoch,
            crc: batch_crc(&self.bytes),
            batch: self.bytes.clone(),
        }
    }
}

/// First and last offset of a batch that is appended next.
fn next_offsets(state: &State, header: &BatchHeader) -> Result<(Offset, Offset), AppendError> {
    if header.last_offset_delta < 0 {
        return Err(AppendError::Malformed);
    }
    let base = state.end;
    // The offset after the last must exist too: it is the end of the log.
    match base.checked_add(i64::from(header.last_offset_delta)) {
        Some(last) if last.0 < i64::MAX => Ok((base, last)),
        _ => Err(AppendError::OffsetsExhausted),
    }
}

fn append_time(header: &BatchHeader, timestamp: i64) -> Timestamp {
    match header.attributes.timestamp_type() {
        TimestampType::LogAppendTime => Timestamp(timestamp),
        TimestampType::CreateTime => Timestamp::NONE,
    }
}

/// A marker's record has ten bytes of key and value; nobody compresses it.
const MARKER_BYTES_MAX: usize = 4 << 10;

/// What a control batch of a producer says; `None` for every other batch.
pub(crate) fn marker_of(header: &BatchHeader, batch: &[u8]) -> Option<EndTransactionMarker> {
    if !header.attributes.is_control() || !header.is_idempotent() {
        return None;
    }
    let records = records(batch, MARKER_BYTES_MAX).ok()?;
    let first = records.iter().next()?.ok()?;
    EndTransactionMarker::parse(first.key?, first.value?)
}
