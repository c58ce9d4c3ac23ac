//! Appends: by clients, idempotent and transactional producers, coordinators, and replicas.

use bytes::BytesMut;
use chronik_journal::Class;
use chronik_log::{AppendError, Appended, Origin};
use chronik_protocol::batch::{
    BatchBuilder, BatchHeader, EndTransactionMarker, MarkerKind, end_transaction_marker, stamp,
};
use chronik_protocol::validate::ValidBatch;
use chronik_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

use super::reference::Batch;
use super::world::{JOURNAL_BYTES, Outcome, World, said};

impl World {
    pub(super) fn timestamps(&self, count: usize) -> Vec<i64> {
        let now = chronik_env::Clock::wall(&*self.clock).0;
        (0..count).map(|_| now - self.rng.below(2_000) as i64).collect()
    }

    pub(super) fn build(&mut self, builder: BatchBuilder, timestamps: &[i64]) -> BytesMut {
        let mut builder = builder;
        for timestamp in timestamps {
            self.next_value += 1;
            let len = if self.chance(40) { 3_000 } else { self.rng.below(120) as usize };
            let mut value = vec![self.next_value as u8; len];
            value.extend_from_slice(&self.next_value.to_be_bytes());
            builder.append(Timestamp(*timestamp), None, Some(&value), &[]).unwrap();
        }
        builder.build().unwrap()
    }

    fn epoch(&self, at: usize) -> LeaderEpoch {
        let latest = self.partitions[at].now().latest_epoch();
        LeaderEpoch(if self.chance(60) { latest + 1 } else { latest.max(0) })
    }

    /// Appends as a leader would, and tells the model.
    pub(super) fn lead(
        &mut self,
        at: usize,
        bytes: BytesMut,
        timestamps: Vec<i64>,
        origin: Origin,
        commits: Option<bool>,
    ) -> Result<Option<Appended>, AppendError> {
        let epoch = self.epoch(at);
        let header = BatchHeader::parse(&bytes).unwrap();
        let class = Class::Client;
        let Some(mut permit) =
            self.storage().try_admit(class, bytes.len() * (1 + usize::from(self.chance(2)) * 2))
        else {
            self.seen.refused_admissions += 1;
            if !self.in_crash_loop && self.chance(3) {
                // As the broker's flush task would.
                let _ = self.settle();
                self.storage().flush_round();
            }
            return Ok(None);
        };
        let mut expected = bytes.clone();
        let valid = ValidBatch {
            batch: bytes,
            header,
            max_timestamp: Timestamp(header.max_timestamp),
            offset_of_max_timestamp_delta: 0,
        };
        let partition = &mut self.partitions[at];
        let appended = partition.log().append_as_leader(&mut permit, valid, epoch, origin)?;
        if appended.duplicate {
            return Ok(Some(appended));
        }
        let mut state = partition.now().clone();
        stamp(&mut expected, Offset(state.end), epoch);
        let header = BatchHeader::parse(&expected).unwrap();
        assert_eq!(appended.base_offset.0, state.end, "offsets are dense");
        assert_eq!(appended.last_offset, header.last_offset());
        state.append(Batch {
            base: state.end,
            last: header.last_offset().0,
            bytes: expected.freeze(),
            header,
            timestamps,
            commits,
        });
        partition.submitted(true, state);
        self.seen.appends += 1;
        Ok(Some(appended))
    }

    pub(super) fn append(&mut self, at: usize) -> Outcome {
        let timestamps = self.timestamps(1 + self.rng.below(4) as usize);
        let bytes = self.build(BatchBuilder::new(), &timestamps);
        self.lead(at, bytes, timestamps, Origin::Client, None).map(drop).map_err(said)
    }

    pub(super) fn append_idempotent(&mut self, at: usize) -> Outcome {
        let id = 1 + self.rng.below(3) as i64;
        let (producers, _) = self.partitions[at].now().producers();
        let known = producers.get(&id).cloned();
        let epoch = known.as_ref().map_or(0, |producer| producer.epoch);
        let last = known.as_ref().and_then(|producer| producer.batches.last()).copied();
        let next = last.map_or(0, |(_, last, ..)| if last == i32::MAX { 0 } else { last + 1 });
        let count = 1 + self.rng.below(3) as usize;
        let timestamps = self.timestamps(count);
        let choice = self.rng.below(20);
        let (epoch, sequence, count, expect) = match (choice, known.as_ref(), last) {
            // A retry of one of the batches that are remembered.
            (0..4, Some(producer), Some(_)) => {
                let index = self.rng.below(producer.batches.len() as u64) as usize;
                let (first, last, base, _) = producer.batches[index];
                let records = (i64::from(last) - i64::from(first)).rem_euclid(1 << 31) + 1;
                (epoch, first, records as usize, Expect::Duplicate(base))
            }
            (4, Some(_), Some(_)) => {
                (epoch, next.wrapping_add(7) & i32::MAX, count, Expect::OutOfOrder)
            }
            (5, Some(_), _) if epoch > 0 => (epoch - 1, 0, count, Expect::Fenced),
            (6, Some(_), _) => (epoch + 1, 0, count, Expect::Appended),
            (7, Some(_), _) => (epoch + 1, 3, count, Expect::OutOfOrder),
            // Nobody knows this producer: it may begin anywhere, also just before the wrap.
            (_, None, _) if choice < 10 => (0, i32::MAX - 2, count, Expect::Appended),
            _ => (epoch, next, count, Expect::Appended),
        };
        let timestamps =
            if count == timestamps.len() { timestamps } else { self.timestamps(count) };
        let builder = BatchBuilder::new().producer(ProducerId(id), ProducerEpoch(epoch), sequence);
        let bytes = self.build(builder, &timestamps);
        let done = self.lead(at, bytes, timestamps, Origin::Client, None);
        match (expect, done) {
            (_, Ok(None)) => Ok(()),
            (Expect::Appended, Ok(Some(appended))) if !appended.duplicate => Ok(()),
            (Expect::Duplicate(base), Ok(Some(appended)))
                if appended.duplicate && appended.base_offset.0 == base =>
            {
                self.seen.duplicates += 1;
                Ok(())
            }
            (Expect::OutOfOrder, Err(AppendError::OutOfOrderSequence { .. }))
            | (Expect::Fenced, Err(AppendError::InvalidProducerEpoch { .. })) => {
                self.seen.refused_sequences += 1;
                Ok(())
            }
            (expect, done) => Err(format!("expected {expect:?}, got {done:?}")),
        }
    }

    pub(super) fn append_transactional(&mut self, at: usize) -> Outcome {
        let id = 20 + self.rng.below(2) as i64;
        let (producers, _) = self.partitions[at].now().producers();
        let known = producers.get(&id).cloned().unwrap_or_default();
        if known.open.is_some() && self.chance(2) {
            let commit = self.chance(2);
            let kind = if commit { MarkerKind::Commit } else { MarkerKind::Abort };
            let marker = EndTransactionMarker { kind, coordinator_epoch: 1 };
            let now = chronik_env::Clock::wall(&*self.clock);
            let epoch = ProducerEpoch(known.epoch);
            let bytes = end_transaction_marker(marker, ProducerId(id), epoch, now).unwrap();
            self.seen.transactions += 1;
            let lead = self.lead(at, bytes, vec![now.0], Origin::Coordinator, Some(commit));
            return lead.map(drop).map_err(said);
        }
        let sequence = known.batches.last().map_or(0, |(_, last, ..)| last + 1);
        let timestamps = self.timestamps(1);
        let builder = BatchBuilder::new()
            .producer(ProducerId(id), ProducerEpoch(known.epoch), sequence)
            .transactional();
        let bytes = self.build(builder, &timestamps);
        self.lead(at, bytes, timestamps, Origin::Client, None).map(drop).map_err(said)
    }

    pub(super) fn append_at(&mut self, at: usize) -> Outcome {
        let mut state = self.partitions[at].now().clone();
        let epoch = self.epoch(at);
        let mut all = BytesMut::new();
        for _ in 0..=self.rng.below(2) {
            let timestamps = self.timestamps(1 + self.rng.below(2) as usize);
            let mut bytes = self.build(BatchBuilder::new(), &timestamps);
            stamp(&mut bytes, Offset(state.end), epoch);
            all.extend_from_slice(&bytes);
            let header = BatchHeader::parse(&bytes).unwrap();
            let (base, last) = (state.end, header.last_offset().0);
            let bytes = bytes.freeze();
            state.append(Batch { base, last, bytes, header, timestamps, commits: None });
        }
        let Some(mut permit) = self.storage().try_admit(Class::Client, all.len()) else {
            self.seen.refused_admissions += 1;
            return Ok(());
        };
        let partition = &mut self.partitions[at];
        partition.log().append_at(&mut permit, all).map_err(said)?;
        partition.submitted(true, state);
        Ok(())
    }

    pub(super) fn begin_epoch(&mut self, at: usize) -> Outcome {
        let partition = &mut self.partitions[at];
        let mut state = partition.now().clone();
        let full =
            self.storage.as_ref().unwrap().0.stats().journal.used_bytes > JOURNAL_BYTES / 6 * 5;
        if !state.written || full {
            // In memory only, until the first batch.
            return Ok(());
        }
        let epoch = state.latest_epoch() + 1;
        partition.log().begin_epoch(LeaderEpoch(epoch)).map_err(said)?;
        let end = state.end;
        state.begin_epoch(epoch, end);
        partition.submitted(false, state);
        Ok(())
    }
}

#[derive(Debug)]
enum Expect {
    Appended,
    Duplicate(i64),
    OutOfOrder,
    Fenced,
}
