//! What a log knows of its producers: sequences, epochs, open transactions (KIP-98, KIP-360).
//!
//! Pure: a batch header in, a judgement or a new state out. The leader checks and then updates;
//! recovery, flush and followers only update, with the same function.
//!
//! **Invariants**
//! - The last [`BATCHES_KEPT`] batches of each producer's current epoch are kept, oldest first.
//! - An open transaction begins at or below every offset its producer has written since.
//!
//! **Not here:** where the state is kept on disk (`producer_snapshot`).

use std::collections::BTreeMap;

use chronik_protocol::batch::{BatchHeader, EndTransactionMarker as Marker, MarkerKind};
use chronik_types::{Offset, ProducerEpoch, ProducerId};

use crate::error::AppendError;

/// How many batches a producer may have in flight (`max.in.flight.requests.per.connection`).
pub(crate) const BATCHES_KEPT: usize = 5;

/// A batch a producer wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchMeta {
    /// Sequence of its first record.
    pub first_sequence: i32,
    /// Sequence of its last record.
    pub last_sequence: i32,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Last offset minus base offset.
    pub offset_delta: i32,
    /// Its greatest timestamp, in milliseconds.
    pub timestamp: i64,
}

impl BatchMeta {
    /// Offset of its first record.
    #[must_use]
    pub fn base_offset(&self) -> Offset {
        Offset(self.last_offset.0.saturating_sub(i64::from(self.offset_delta)))
    }
}

/// One producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) epoch: ProducerEpoch,
    /// Of this epoch, oldest first, at most [`BATCHES_KEPT`].
    pub(crate) batches: Vec<BatchMeta>,
    /// The newest timestamp it wrote, in milliseconds.
    pub(crate) last_timestamp: i64,
    /// When it last wrote, by this broker's clock, as far as that is known; what expiry counts
    /// from. Its own timestamps may be years old, and it would be forgotten while it writes.
    pub(crate) last_seen: i64,
    /// -1 until a transaction of it has ended here.
    pub(crate) coordinator_epoch: i32,
    /// First offset of its open transaction.
    pub(crate) transaction_start: Option<Offset>,
}

impl Producer {
    fn new(epoch: ProducerEpoch) -> Self {
        Self {
            epoch,
            batches: Vec::new(),
            last_timestamp: -1,
            last_seen: -1,
            coordinator_epoch: -1,
            transaction_start: None,
        }
    }

    /// The sequence after the last one; 0 in an epoch that has written nothing.
    fn next_sequence(&self) -> i32 {
        match self.batches.last() {
            Some(last) if last.last_sequence < i32::MAX => last.last_sequence + 1,
            _ => 0,
        }
    }

    fn expired(&self, now: i64, expiration_ms: i64) -> bool {
        self.transaction_start.is_none() && now.saturating_sub(self.last_seen) >= expiration_ms
    }
}

/// One producer, for DescribeProducers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerSummary {
    /// Who.
    pub producer_id: ProducerId,
    /// In which incarnation.
    pub epoch: ProducerEpoch,
    /// Its last sequence; -1 if the epoch has written nothing.
    pub last_sequence: i32,
    /// The newest timestamp it wrote, in milliseconds.
    pub last_timestamp: i64,
    /// Of the last marker; -1 if there was none.
    pub coordinator_epoch: i32,
    /// First offset of its open transaction.
    pub transaction_start: Option<Offset>,
}

/// What a transaction's end leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndedTransaction {
    pub(crate) producer_id: ProducerId,
    pub(crate) first: Offset,
    /// The marker's offset.
    pub(crate) last: Offset,
    pub(crate) aborted: bool,
}

/// What the leader finds about a client's batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    Next,
    /// It is in the log already, as this batch.
    Duplicate(BatchMeta),
}

/// The producers of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Producers {
    by_id: BTreeMap<i64, Producer>,
}

impl Producers {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (i64, &Producer)> {
        self.by_id.iter().map(|(id, producer)| (*id, producer))
    }

    pub(crate) fn insert(&mut self, id: i64, producer: Producer) {
        self.by_id.insert(id, producer);
    }

    /// Whether a client's batch may be appended, is a duplicate, or is refused.
    pub(crate) fn judge(&self, header: &BatchHeader) -> Result<Judgement, AppendError> {
        // A producer nobody knows may begin anywhere: its state may have expired or been deleted.
        let Some(known) = self.by_id.get(&header.producer_id.0) else {
            return Ok(Judgement::Next);
        };
        if header.producer_epoch < known.epoch {
            return Err(AppendError::InvalidProducerEpoch {
                current: known.epoch.0,
                found: header.producer_epoch.0,
            });
        }
        let same_epoch = header.producer_epoch == known.epoch;
        let (first, last) = (header.base_sequence, header.last_sequence());
        let is_it = |b: &&BatchMeta| b.first_sequence == first && b.last_sequence == last;
        if same_epoch && let Some(batch) = known.batches.iter().find(is_it) {
            return Ok(Judgement::Duplicate(*batch));
        }
        let expected = if same_epoch { known.next_sequence() } else { 0 };
        if first != expected {
            return Err(AppendError::OutOfOrderSequence {
                producer_id: header.producer_id.0,
                expected,
                found: first,
            });
        }
        if known.transaction_start.is_some() && !header.attributes.is_transactional() {
            return Err(AppendError::InvalidTxnState);
        }
        Ok(Judgement::Next)
    }

    /// Whether a transaction marker may be appended.
    pub(crate) fn judge_marker(
        &self,
        header: &BatchHeader,
        marker: Marker,
    ) -> Result<(), AppendError> {
        let Some(known) = self.by_id.get(&header.producer_id.0) else { return Ok(()) };
        if header.producer_epoch < known.epoch {
            return Err(AppendError::InvalidProducerEpoch {
                current: known.epoch.0,
                found: header.producer_epoch.0,
            });
        }
        if marker.coordinator_epoch < known.coordinator_epoch {
            return Err(AppendError::TransactionCoordinatorFenced {
                current: known.coordinator_epoch,
                found: marker.coordinator_epoch,
            });
        }
        Ok(())
    }

    /// A batch of an idempotent producer is in the log, with the offsets of `header`; `now` is when
    /// it came, or when it is read back. Gives back the transaction that its marker ended.
    pub(crate) fn apply(
        &mut self,
        header: &BatchHeader,
        marker: Option<Marker>,
        now: i64,
    ) -> Option<EndedTransaction> {
        if !header.is_idempotent() {
            return None;
        }
        let id = header.producer_id.0;
        let epoch = header.producer_epoch;
        let producer = self.by_id.entry(id).or_insert_with(|| Producer::new(epoch));
        if producer.epoch != epoch {
            producer.epoch = epoch;
            producer.batches.clear();
        }
        producer.last_timestamp = producer.last_timestamp.max(header.max_timestamp);
        producer.last_seen = producer.last_seen.max(now);
        if header.attributes.is_control() {
            let marker = marker?;
            producer.coordinator_epoch = marker.coordinator_epoch;
            let first = producer.transaction_start.take()?;
            return Some(EndedTransaction {
                producer_id: header.producer_id,
                first,
                last: header.last_offset(),
                aborted: marker.kind == MarkerKind::Abort,
            });
        }
        if producer.batches.len() == BATCHES_KEPT {
            producer.batches.remove(0);
        }
        producer.batches.push(BatchMeta {
            first_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        });
        if header.attributes.is_transactional() {
            producer.transaction_start.get_or_insert(header.base_offset);
        }
        None
    }

    /// First offset of the oldest open transaction.
    pub(crate) fn first_open_transaction(&self) -> Option<Offset> {
        self.by_id.values().filter_map(|producer| producer.transaction_start).min()
    }

    /// Forgets producers that have been idle for `expiration_ms`, save those with an open
    /// transaction.
    pub(crate) fn expire(&mut self, now: i64, expiration_ms: i64) {
        self.by_id.retain(|_, producer| !producer.expired(now, expiration_ms));
    }

    /// Forgets this one if it has been idle for so long.
    pub(crate) fn expire_one(&mut self, id: ProducerId, now: i64, expiration_ms: i64) {
        if self.by_id.get(&id.0).is_some_and(|producer| producer.expired(now, expiration_ms)) {
            self.by_id.remove(&id.0);
        }
    }

    /// Forgets those idle longest until at most `count_max` are left; open transactions stay.
    pub(crate) fn cap(&mut self, count_max: usize) {
        let excess = self.by_id.len().saturating_sub(count_max);
        if excess == 0 {
            return;
        }
        // A little below the bound, so that the next new producers need no such walk.
        let excess = excess + count_max / 16;
        let mut idle: Vec<(i64, i64)> = self
            .by_id
            .iter()
            .filter(|(_, producer)| producer.transaction_start.is_none())
            .map(|(id, producer)| (producer.last_seen, *id))
            .collect();
        idle.sort_unstable();
        for (_, id) in idle.into_iter().take(excess) {
            self.by_id.remove(&id);
        }
    }

    pub(crate) fn summaries(&self) -> Vec<ProducerSummary> {
        let summary = |(id, producer): (&i64, &Producer)| ProducerSummary {
            producer_id: ProducerId(*id),
            epoch: producer.epoch,
            last_sequence: producer.batches.last().map_or(-1, |batch| batch.last_sequence),
            last_timestamp: producer.last_timestamp,
            coordinator_epoch: producer.coordinator_epoch,
            transaction_start: producer.transaction_start,
        };
        self.by_id.iter().map(summary).collect()
    }
}
