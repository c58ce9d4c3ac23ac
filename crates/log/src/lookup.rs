//! Lookups by time: the first record at or after a timestamp, and the record with the greatest.
//!
//! **Not here:** the special timestamps of ListOffsets, and up to where a client may see
//! (`broker`).

use std::sync::Arc;

use bytes::Bytes;
use chronik_protocol::batch::{BatchError, BatchHeader, find_max_timestamp, find_timestamp};
use chronik_types::{LeaderEpoch, Offset, Timestamp};

use crate::error::ReadError;
use crate::log::Log;
use crate::segment::view::SegmentView;
use crate::tail::TailBatch;
use crate::transactions::AbortedTransaction;

/// How often a lookup is begun again because the log changed under it.
const ATTEMPTS: usize = 4;

/// A record found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedRecord {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// The leader epoch of its batch.
    pub epoch: LeaderEpoch,
}

#[derive(Clone, Copy, Debug)]
enum Wanted {
    AtOrAfter(i64),
    Greatest,
}

/// A lookup by time that has not run yet: it may decompress a batch and read files.
#[derive(Debug)]
pub struct TimestampLookup {
    log: Arc<Log>,
    wanted: Wanted,
    end: Offset,
}

impl TimestampLookup {
    /// Looks. Blocks on the disk if the log has segments.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn run(self) -> Result<Option<TimedRecord>, ReadError> {
        for _ in 0..ATTEMPTS {
            let found = match self.wanted {
                Wanted::AtOrAfter(target) => self.log.find_time(target, self.end),
                Wanted::Greatest => self.log.find_greatest(self.end),
            };
            match found {
                Err(ReadError::Changed) => {}
                done => return done,
            }
        }
        Err(ReadError::Changed)
    }
}

impl Log {
    /// The first record with a timestamp of at least `timestamp`, below `end`.
    #[must_use]
    pub fn offset_for_timestamp(
        self: &Arc<Self>,
        timestamp: Timestamp,
        end: Offset,
    ) -> TimestampLookup {
        TimestampLookup { log: Arc::clone(self), wanted: Wanted::AtOrAfter(timestamp.0), end }
    }

    /// The first of the records with the greatest timestamp, below `end`.
    #[must_use]
    pub fn offset_of_max_timestamp(self: &Arc<Self>, end: Offset) -> TimestampLookup {
        TimestampLookup { log: Arc::clone(self), wanted: Wanted::Greatest, end }
    }

    /// The aborted transactions that overlap `[from, end)`, by first offset. Reads files; blocks.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn aborted_transactions(
        self: &Arc<Self>,
        from: Offset,
        end: Offset,
    ) -> Result<Vec<AbortedTransaction>, ReadError> {
        drop(self.lock_with_producers()?);
        let mut found = Vec::new();
        if let Some(view) = self.view_if_flushed(from)? {
            for viewed in view.segments() {
                let overlaps =
                    |t: &AbortedTransaction| t.last_offset >= from && t.first_offset < end;
                found.extend(view.aborted(viewed)?.into_iter().filter(overlaps));
            }
            if view.has_changed() {
                return Err(ReadError::Changed);
            }
        }
        let state = self.lock();
        if let Some(written) = &state.written {
            found.extend(written.transactions.aborted_between(from, end));
        }
        found.sort_by_key(|transaction| (transaction.first_offset, transaction.last_offset));
        found.dedup();
        Ok(found)
    }

    fn find_time(
        self: &Arc<Self>,
        target: i64,
        end: Offset,
    ) -> Result<Option<TimedRecord>, ReadError> {
        let start = self.start();
        let mut tail_from = start;
        let in_reach =
            |header: &BatchHeader| header.max_timestamp >= target && header.base_offset < end;
        if let Some(view) = self.view_if_flushed(start)? {
            for viewed in view.segments() {
                if view.max_timestamp(viewed)? < target {
                    continue;
                }
                let mut from = view.offset_before_time(viewed, target)?.max(start);
                while let Some((header, batch)) = view.find(viewed, from, in_reach)? {
                    if let Some(found) = first_at(&batch, start, target, &header)? {
                        return self.unless_changed(&view, Some(found).filter(|r| r.offset < end));
                    }
                    from = header.next_offset();
                }
            }
            self.unless_changed(&view, None)?;
            tail_from = view.end();
        }
        let wanted = |batch: &TailBatch| batch.max_timestamp >= target;
        let batches = self.tail_batches(tail_from, end, wanted)?;
        for bytes in batches {
            let header = BatchHeader::parse(&bytes).map_err(|_| ReadError::Changed)?;
            if let Some(found) = first_at(&bytes, start, target, &header)? {
                return Ok(Some(found).filter(|record| record.offset < end));
            }
        }
        Ok(None)
    }

    fn find_greatest(self: &Arc<Self>, end: Offset) -> Result<Option<TimedRecord>, ReadError> {
        let start = self.start();
        let mut tail_from = start;
        let mut best: Option<(i64, Vec<u8>)> = None;
        if let Some(view) = self.view_if_flushed(start)? {
            for viewed in view.segments() {
                let beaten = best.as_ref().map_or(-1, |(timestamp, _)| *timestamp);
                // A segment that reaches beyond the end may have its greatest behind it.
                let bound = if viewed.end <= end { view.max_timestamp(viewed)? } else { i64::MAX };
                let mut from = start.max(viewed.segment.base);
                let mut above = beaten;
                if bound <= beaten {
                    continue;
                }
                loop {
                    let newer = |header: &BatchHeader| {
                        header.max_timestamp > above && header.last_offset() < end
                    };
                    let Some((header, batch)) = view.find(viewed, from, newer)? else { break };
                    above = header.max_timestamp;
                    from = header.next_offset();
                    best = Some((header.max_timestamp, batch));
                    if above >= bound {
                        break;
                    }
                }
            }
            self.unless_changed(&view, None)?;
            tail_from = view.end();
        }
        let beaten = best.as_ref().map_or(-1, |(timestamp, _)| *timestamp);
        let mut best = best.map(|(timestamp, batch)| (timestamp, Bytes::from(batch)));
        let newer = |batch: &TailBatch| batch.max_timestamp > beaten && batch.last < end;
        for bytes in self.tail_batches(tail_from, end, newer)? {
            let header = BatchHeader::parse(&bytes).map_err(|_| ReadError::Changed)?;
            if best.as_ref().is_none_or(|(timestamp, _)| header.max_timestamp > *timestamp) {
                best = Some((header.max_timestamp, bytes));
            }
        }
        let Some((_, batch)) = best else { return Ok(None) };
        let header = BatchHeader::parse(&batch).map_err(|_| ReadError::Changed)?;
        let found = find_max_timestamp(&batch).map_err(unreadable(header.base_offset))?;
        let epoch = header.leader_epoch;
        Ok(found.map(|(offset, timestamp)| TimedRecord { offset, timestamp, epoch }))
    }

    /// A view of the segments, if the log has any from `from` on.
    fn view_if_flushed(self: &Arc<Self>, from: Offset) -> Result<Option<SegmentView>, ReadError> {
        let state = self.lock();
        let flushed = state.written.as_ref().is_some_and(|written| {
            !written.segments.list().is_empty() && written.segments.end() > from
        });
        drop(state);
        if !flushed {
            return Ok(None);
        }
        self.segment_view(from).map(Some)
    }

    fn unless_changed(
        &self,
        view: &SegmentView,
        found: Option<TimedRecord>,
    ) -> Result<Option<TimedRecord>, ReadError> {
        if view.has_changed() { Err(ReadError::Changed) } else { Ok(found) }
    }

    /// The batches from `from` on that may hold what is wanted; they must still be in memory.
    fn tail_batches(
        &self,
        from: Offset,
        end: Offset,
        wanted: impl Fn(&TailBatch) -> bool,
    ) -> Result<Vec<Bytes>, ReadError> {
        let state = self.lock();
        if state.gone {
            return Err(ReadError::Gone);
        }
        let Some(written) = &state.written else { return Ok(Vec::new()) };
        if from < written.segments.end() && written.tail.first().is_none_or(|first| first > from) {
            return Err(ReadError::Changed);
        }
        let reachable = written.tail.range(from, state.end).take_while(|batch| batch.base < end);
        Ok(reachable.filter(|batch| wanted(batch)).map(|batch| batch.bytes.clone()).collect())
    }
}

fn first_at(
    batch: &[u8],
    start: Offset,
    target: i64,
    header: &BatchHeader,
) -> Result<Option<TimedRecord>, ReadError> {
    let found =
        find_timestamp(batch, Timestamp(target), start).map_err(unreadable(header.base_offset))?;
    let epoch = header.leader_epoch;
    Ok(found.map(|(offset, timestamp)| TimedRecord { offset, timestamp, epoch }))
}

fn unreadable(offset: Offset) -> impl FnOnce(BatchError) -> ReadError {
    move |error| ReadError::Batch { offset, error }
}
