//! Reads and lookups, against the reference.

use std::sync::Arc;

use bytes::Bytes;
use chronik_log::{Fetched, Log, Read, ReadError, ReadLimit};
use chronik_types::{LeaderEpoch, Offset, Timestamp};

use super::world::{Outcome, World, said};

impl World {
    pub(super) fn read(&mut self, at: usize) -> Outcome {
        let partition = &self.partitions[at];
        let state = partition.now();
        let from = self.between(state.start, state.end);
        let end = self.between(from, state.end);
        let max_bytes = self.rng.below(3_000) as usize;
        let limit = ReadLimit { max_bytes, end: Offset(end), at_least_one: self.chance(2) };
        let (fetched, from_segment) = fetch(partition.log(), from, limit)?;
        let holds = state.batches.iter().filter(|batch| batch.last >= from);
        let mut expected: Vec<Bytes> = Vec::new();
        let mut bytes = 0;
        for batch in holds {
            let fits = bytes + batch.bytes.len() <= max_bytes
                || (limit.at_least_one && expected.is_empty());
            if batch.last >= end || !fits {
                break;
            }
            bytes += batch.bytes.len();
            expected.push(batch.bytes.clone());
        }
        let found: Vec<u8> = fetched.chunks.concat();
        let expected: Vec<u8> = expected.concat();
        let prefix = expected.starts_with(&found);
        // A read from files may stop at the end of a segment.
        let complete = found.len() == expected.len()
            || (from_segment && !found.is_empty() && found.len() < expected.len());
        if !prefix || !complete {
            return Err(format!(
                "read {from}..{end} of {} ({limit:?}, segment {from_segment}): {} bytes of {}",
                partition.name,
                found.len(),
                expected.len()
            ));
        }
        if from_segment {
            self.seen.segment_reads += 1;
        } else {
            self.seen.memory_reads += 1;
        }
        self.out_of_range(at)
    }

    fn out_of_range(&self, at: usize) -> Outcome {
        let partition = &self.partitions[at];
        let state = partition.now();
        let limit = ReadLimit { max_bytes: 1, end: Offset(i64::MAX), at_least_one: true };
        for offset in [state.start - 1, state.end + 1] {
            match partition.log().read(Offset(offset), limit) {
                Err(ReadError::OutOfRange { .. }) => {}
                other => return Err(format!("read at {offset}: {other:?}")),
            }
        }
        Ok(())
    }

    pub(super) fn look_up(&mut self, at: usize) -> Outcome {
        self.seen.lookups += 1;
        let partition = &self.partitions[at];
        let state = partition.now();
        let end = self.between(state.start, state.end);
        let now = chronik_env::Clock::wall(&*self.clock).0;
        let newest = state.batches.iter().map(|batch| batch.header.max_timestamp);
        let oldest = newest.min().unwrap_or(now);
        let target = self.between(oldest.min(now) - 2_000, now + 1);
        let job = partition.log().offset_for_timestamp(Timestamp(target), Offset(end));
        let found = job.run().map_err(said)?.map(|found| (found.offset.0, found.timestamp.0));
        let expected = state.at_time(target, end);
        if found != expected {
            return Err(format!("at or after {target} below {end}: {found:?}, not {expected:?}"));
        }
        self.greatest(at, end)?;
        let epoch = self.between(-1, i64::from(state.latest_epoch()) + 1) as i32;
        let (known, offset) = partition.log().end_offset_for_epoch(LeaderEpoch(epoch));
        if (known.0, offset.0) != state.end_of_epoch(epoch) {
            let expected = state.end_of_epoch(epoch);
            return Err(format!("epoch {epoch} ends at {:?}, not {expected:?}", (known, offset)));
        }
        Ok(())
    }

    fn greatest(&self, at: usize, end: i64) -> Outcome {
        let partition = &self.partitions[at];
        let state = partition.now();
        let job = partition.log().offset_of_max_timestamp(Offset(end));
        let found = job.run().map_err(said)?.map(|found| found.timestamp.0);
        let whole =
            state.batches.iter().filter(|batch| batch.last < end && batch.last >= state.start);
        let expected = whole.map(|batch| batch.header.max_timestamp).max();
        if found != expected {
            return Err(format!("greatest time below {end}: {found:?}, not {expected:?}"));
        }
        Ok(())
    }

    pub(super) fn whole(&self, at: usize) -> Result<Vec<u8>, String> {
        let log = self.partitions[at].log();
        let (mut from, end) = (log.start().0, log.end().0);
        let mut content = Vec::new();
        while from < end {
            let max_bytes = self.rng.below(16_000) as usize;
            let limit = ReadLimit { max_bytes, end: Offset(end), at_least_one: true };
            let (fetched, _) = fetch(log, from, limit)?;
            if fetched.next_offset.0 <= from {
                return Err(format!("nothing to read at {from}, below {end}"));
            }
            fetched.chunks.iter().for_each(|chunk| content.extend_from_slice(chunk));
            from = fetched.next_offset.0;
        }
        Ok(content)
    }
}

fn fetch(log: &Arc<Log>, from: i64, limit: ReadLimit) -> Result<(Fetched, bool), String> {
    match log.read(Offset(from), limit).map_err(said)? {
        Read::Memory(fetched) => Ok((fetched, false)),
        Read::Segment(job) => Ok((job.run().map_err(said)?, true)),
    }
}
