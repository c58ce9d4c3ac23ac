//! What makes a log shorter: truncation, reset, start, retention, deletion.

use std::collections::VecDeque;
use std::sync::Arc;

use chronik_log::{CutError, LogError, Read, ReadLimit, RetentionError};
use chronik_types::{LeaderEpoch, Offset};

use super::partition::partition_id;
use super::reference::{Batch, State};
use super::world::{Outcome, World, said, same};

impl World {
    pub(super) fn truncate(&mut self, at: usize) -> Outcome {
        let low = self.partitions[at].now().high_watermark;
        let end = self.partitions[at].now().end;
        let to = self.between(low, end);
        self.truncate_at(at, to)
    }

    fn truncate_at(&mut self, at: usize, to: i64) -> Outcome {
        let partition = &mut self.partitions[at];
        let mut state = partition.now().clone();
        let limit = ReadLimit { max_bytes: 0, end: Offset(state.end), at_least_one: false };
        let cut_in_files = matches!(partition.log().read(Offset(to), limit), Ok(Read::Segment(_)));
        match partition.log().truncate_to(Offset(to)) {
            Ok(()) => {}
            Err(CutError::NoRoom(_)) => return Ok(()),
            Err(error) => return Err(format!("truncate to {to}: {error}")),
        }
        let ends_epochs = state.epochs.last().is_some_and(|(_, start)| *start >= to);
        if to < state.end || ends_epochs {
            self.seen.truncations += u64::from(to < state.end);
            self.seen.truncations_in_files += u64::from(cut_in_files && to < state.end);
            state.truncate(to);
            partition.submitted(false, state);
        }
        same(
            "end after a truncation",
            self.partitions[at].now().end,
            self.partitions[at].log().end().0,
        )
    }

    pub(super) fn reset(&mut self, at: usize) -> Outcome {
        let partition = &self.partitions[at];
        let start = self.between(0, partition.now().end + 20);
        let epoch = partition.now().latest_epoch().max(0) + 1;
        let partition = &mut self.partitions[at];
        match partition.log().reset_to(Offset(start), LeaderEpoch(epoch)) {
            Ok(()) => {}
            Err(CutError::NoRoom(_)) => return Ok(()),
            Err(error) => return Err(said(error)),
        }
        let mut state = partition.now().clone();
        state.reset(start, epoch);
        // Until the reset is durable a crash brings back what was before: nothing counts, and the
        // listener hears of it when it does.
        same("durable after a reset", -1, partition.log().position().durable.0)?;
        *partition.listener.told.lock() = -1;
        partition.submitted(false, state);
        self.seen.resets += 1;
        Ok(())
    }

    pub(super) fn set_start(&mut self, at: usize) -> Outcome {
        let state = self.partitions[at].now();
        let (low, high) = (state.start, state.high_watermark);
        if high <= low {
            return Ok(());
        }
        let start = self.between(low + 1, high);
        let partition = &mut self.partitions[at];
        match partition.log().set_start(Offset(start)) {
            Ok(()) => {}
            Err(CutError::NoRoom(_)) => return Ok(()),
            Err(error) => return Err(said(error)),
        }
        let mut state = partition.now().clone();
        state.set_start(start);
        partition.submitted(false, state);
        self.seen.starts_moved += 1;
        Ok(())
    }

    pub(super) fn retention(&mut self) -> Outcome {
        let report = self.storage().retention_round();
        let no_room = |e: &RetentionError| matches!(e, RetentionError::Cut(CutError::NoRoom(_)));
        if let Some(error) = report.errors.iter().find(|error| !no_room(error)) {
            return Err(format!("retention: {error}"));
        }
        self.seen.segments_removed += report.removed_segments as u64;
        let now = chronik_env::Clock::wall(&*self.clock).0;
        for partition in &mut self.partitions {
            let start = partition.log().start().0;
            let mut state = partition.now().clone();
            if start == state.start {
                continue;
            }
            if start < state.start || start > state.high_watermark {
                return Err(format!("retention moved {} to {start}", state.start));
            }
            let config = &partition.config;
            let gone: Vec<_> = state.batches.iter().filter(|batch| batch.last < start).collect();
            let left = state.batches.iter().filter(|batch| batch.last >= start);
            let left_bytes: usize = left.map(|batch| batch.bytes.len()).sum();
            let old = |batch: &&Arc<Batch>| now - batch.header.max_timestamp > config.retention_ms;
            let by_time = config.retention_ms >= 0 && gone.iter().all(old);
            let by_size =
                config.retention_bytes >= 0 && left_bytes as i64 >= config.retention_bytes;
            if !by_time && !by_size {
                return Err(format!("retention took what it may not: {start}, {left_bytes} left"));
            }
            state.set_start(start);
            partition.submitted(false, state);
            self.seen.retention_moves += 1;
        }
        Ok(())
    }

    pub(super) fn delete(&mut self, at: usize) -> Outcome {
        // What was submitted before and is not durable could come back otherwise.
        self.settle()?;
        let partition = &mut self.partitions[at];
        match self.storage.as_ref().unwrap().0.delete_log(partition.id) {
            Ok(()) => {}
            Err(LogError::NoRoom(_)) => return Ok(()),
            Err(error) => return Err(said(error)),
        }
        partition.incarnation += 1;
        partition.id = partition_id(at, partition.incarnation);
        partition.history = VecDeque::from([(false, State::default())]);
        partition.listener = Arc::default();
        partition.log = None;
        self.seen.deletions += 1;
        self.open_log(at)?;
        if self.chance(2) { self.settle() } else { Ok(()) }
    }
}
