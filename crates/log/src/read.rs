//! Reading by offset: whole batches, from memory where they are there, otherwise from segments.
//!
//! **Invariants**
//! - A batch is never split: the one that holds the offset comes whole, and no batch reaches to or
//!   beyond the limit's end.
//! - What comes from memory is the very bytes that were appended, not a copy.
//! - Files are only read in [`SegmentRead::run`], with no lock held; if the log was cut meanwhile,
//!   what was read is thrown away.
//!
//! **Not here:** up to where a client may read (`broker`), lookups by time (`lookup`).

use std::sync::Arc;

use bytes::Bytes;
use chronik_types::Offset;

use crate::error::ReadError;
use crate::log::Log;

/// How much to read, and up to where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimit {
    /// Bytes of batches.
    pub max_bytes: usize,
    /// Exclusive: only batches that end at or below it. The high watermark, the last stable
    /// offset or the log end offset, as the reader may see.
    pub end: Offset,
    /// The first batch comes even if it is larger than `max_bytes`.
    pub at_least_one: bool,
}

/// Batches that were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Whole batches, in order; each chunk holds one or more.
    pub chunks: Vec<Bytes>,
    /// Bytes of all chunks.
    pub bytes: usize,
    /// Base offset of the first batch: at or below the offset asked for. That offset if nothing
    /// was read.
    pub first_offset: Offset,
    /// The offset to read next. The offset asked for if nothing was read.
    pub next_offset: Offset,
}

impl Fetched {
    pub(crate) fn nothing(from: Offset) -> Self {
        Self { chunks: Vec::new(), bytes: 0, first_offset: from, next_offset: from }
    }

    pub(crate) fn has_room(&self, bytes: usize, limit: &ReadLimit) -> bool {
        self.bytes.saturating_add(bytes) <= limit.max_bytes
            || (limit.at_least_one && self.chunks.is_empty())
    }

    pub(crate) fn push(&mut self, base: Offset, next: Offset, chunk: Bytes) {
        if self.chunks.is_empty() {
            self.first_offset = base;
        }
        self.bytes += chunk.len();
        self.next_offset = next;
        self.chunks.push(chunk);
    }
}

/// Where the batches are.
#[derive(Debug)]
pub enum Read {
    /// In memory: here they are.
    Memory(Fetched),
    /// In segments: run the job where blocking is allowed.
    Segment(SegmentRead),
}

/// A read that needs files.
#[derive(Debug)]
pub struct SegmentRead {
    log: Arc<Log>,
    from: Offset,
    limit: ReadLimit,
}

/// How often a read is begun again because the log changed under it.
const ATTEMPTS: usize = 4;

impl SegmentRead {
    /// Reads. Blocks on the disk.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn run(self) -> Result<Fetched, ReadError> {
        for _ in 0..ATTEMPTS {
            match self.log.read_segments(self.from, &self.limit) {
                Err(ReadError::Changed) => {}
                done => return done,
            }
        }
        Err(ReadError::Changed)
    }
}

impl Log {
    /// Whole batches from the one that holds `from` on, within the limit. Nothing, without error,
    /// if `from` is at or above the limit's end but not above the log's.
    ///
    /// # Errors
    /// [`ReadError::OutOfRange`] below the start or above the end; [`ReadError::Gone`].
    pub fn read(self: &Arc<Self>, from: Offset, limit: ReadLimit) -> Result<Read, ReadError> {
        let state = self.lock();
        if state.gone {
            return Err(ReadError::Gone);
        }
        if from < state.start || from > state.end {
            return Err(ReadError::OutOfRange { offset: from, start: state.start, end: state.end });
        }
        let nothing = Read::Memory(Fetched::nothing(from));
        let Some(written) = &state.written else { return Ok(nothing) };
        if from >= limit.end || from == state.end {
            return Ok(nothing);
        }
        if written.tail.first().is_some_and(|first| first <= from) {
            return Ok(Read::Memory(written.tail.read(from, &limit)));
        }
        Ok(Read::Segment(SegmentRead { log: Arc::clone(self), from, limit }))
    }

    /// One attempt at a read from files; from memory if the log is there by now.
    fn read_segments(
        self: &Arc<Self>,
        from: Offset,
        limit: &ReadLimit,
    ) -> Result<Fetched, ReadError> {
        let view = self.segment_view(from)?;
        for segment in view.segments() {
            let fetched = match view.read(segment, from, limit) {
                Ok(fetched) => fetched,
                Err(_) if view.has_changed() => return Err(ReadError::Changed),
                Err(error) => return Err(error.into()),
            };
            if view.has_changed() {
                return Err(ReadError::Changed);
            }
            if let Some(fetched) = fetched {
                return Ok(fetched);
            }
        }
        // The segments end below `from`: compaction may leave such a gap before the tail.
        let state = self.lock();
        let written = state.written.as_ref().ok_or(ReadError::Changed)?;
        if written.tail.first() != Some(view.end()) && state.end != view.end() {
            return Err(ReadError::Changed);
        }
        Ok(written.tail.read(from, limit))
    }
}
