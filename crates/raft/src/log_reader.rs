//! Reading the metadata log as openraft does: by index, from memory where the entries are recent.
//!
//! **Invariants**
//! - What is read is decoded once per window, not once per call: openraft walks a log backwards in
//!   small steps when it starts.
//! - A stream of entries to apply is read in bounded pieces.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use chronik_log::{Read, ReadLimit};
use chronik_types::Offset;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use openraft::{OptionalSend, RaftLogReader};

use crate::entry_codec::{self, ReadEntry};
use crate::log_store::Shared;
use crate::type_config::{Entry, TypeConfig, Vote, offset_of};

/// How much one read of the log takes at most.
const READ_BYTES: usize = 4 << 20;
/// What an entry is expected to take; a longer one is read with another call.
const ENTRY_BYTES: usize = 1 << 10;
/// How many entries one limited read returns at most, and one window holds.
const WINDOW_ENTRIES: i64 = 1_024;

/// Entries that were read from disk last.
#[derive(Default)]
pub(crate) struct Window {
    from: Offset,
    entries: Vec<Entry>,
    /// Counts the cuts of the log: what was read before one is not kept after it.
    generation: u64,
}

impl Window {
    /// Forgets; called before and after the log is cut.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.generation += 1;
    }

    fn keep(&mut self, generation: u64, from: Offset, entries: Vec<Entry>) {
        if self.generation == generation {
            self.from = from;
            self.entries = entries;
        }
    }

    fn range(&self, from: Offset, end: Offset) -> Option<Vec<Entry>> {
        let skip = usize::try_from(from.since(self.from)).ok()?;
        let until = usize::try_from(end.since(self.from)).ok()?;
        self.entries.get(skip..until).map(<[Entry]>::to_vec)
    }
}

/// Reads the metadata log. Clones share it.
#[derive(Clone)]
pub(crate) struct LogReader {
    shared: Arc<Shared>,
}

impl LogReader {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The entries of `[from, end)`, as far as they are there.
    pub async fn read(&self, from: Offset, end: Offset) -> io::Result<Vec<Entry>> {
        let (from, end) = (from.max(self.first()), end.min(self.shared.log.end()));
        if from >= end {
            return Ok(Vec::new());
        }
        if let Some(entries) = self.shared.recent.lock().range(from, end) {
            return Ok(entries);
        }
        if let Some(entries) = self.shared.window.lock().range(from, end) {
            return Ok(entries);
        }
        if end.since(from) >= WINDOW_ENTRIES {
            let read = self.read_disk(from, end).await?;
            return Ok(read.into_iter().map(|read| read.entry).collect());
        }
        self.read_window(from, end).await
    }

    /// The first entry that is served.
    fn first(&self) -> Offset {
        let purged = self.shared.purged.lock().map(|purged| offset_of(purged.index).next());
        purged.unwrap_or(Offset::ZERO).max(self.shared.log.start())
    }

    /// Reads what lies around `[from, end)`, and keeps it.
    async fn read_window(&self, from: Offset, end: Offset) -> io::Result<Vec<Entry>> {
        let log = &self.shared.log;
        let generation = self.shared.window.lock().generation;
        let aligned = Offset(from.0 - from.0.rem_euclid(WINDOW_ENTRIES)).max(self.first());
        let until = Offset(end.0.max(aligned.0.saturating_add(WINDOW_ENTRIES))).min(log.end());
        let read = match self.read_disk(aligned, until).await {
            Ok(read) => read,
            // What lies around may be purged meanwhile; what was asked for may not.
            Err(_) => self.read_disk(from, end).await?,
        };
        let entries: Vec<Entry> = read.into_iter().map(|read| read.entry).collect();
        let wanted = |e: &&Entry| (from..end).contains(&offset_of(e.log_id.index));
        let answer = entries.iter().filter(wanted).cloned().collect();
        if let Some(first) = entries.first() {
            let first = offset_of(first.log_id.index);
            self.shared.window.lock().keep(generation, first, entries);
        }
        Ok(answer)
    }

    /// The entries of `[from, end)` from the log itself.
    pub async fn read_disk(&self, from: Offset, end: Offset) -> io::Result<Vec<ReadEntry>> {
        let mut entries = Vec::new();
        let mut at = from;
        while at < end {
            let expected = usize::try_from(end.since(at)).unwrap_or(0).saturating_mul(ENTRY_BYTES);
            let max_bytes = expected.min(READ_BYTES);
            let limit = ReadLimit { max_bytes, end, at_least_one: true };
            let fetched = match self.shared.log.read(at, limit).map_err(io::Error::other)? {
                Read::Memory(fetched) => fetched,
                Read::Segment(job) => {
                    chronik_env::blocking(move || job.run()).await.map_err(io::Error::other)?
                }
            };
            if fetched.next_offset <= at {
                return Err(io::Error::other(format!(
                    "the metadata log ends at {at}, before {end}"
                )));
            }
            for chunk in &fetched.chunks {
                let read = entry_codec::decode(chunk).map_err(io::Error::other)?;
                let wanted = |e: &ReadEntry| (at..end).contains(&offset_of(e.entry.log_id.index));
                entries.extend(read.into_iter().filter(wanted));
            }
            at = fetched.next_offset;
        }
        Ok(entries)
    }

    fn bounds(&self, range: &impl RangeBounds<u64>) -> (Offset, Offset) {
        let from = match range.start_bound() {
            Bound::Included(&i) => offset_of(i),
            Bound::Excluded(&i) => offset_of(i).next(),
            Bound::Unbounded => Offset::ZERO,
        };
        let end = match range.end_bound() {
            Bound::Included(&i) => offset_of(i).next(),
            Bound::Excluded(&i) => offset_of(i),
            Bound::Unbounded => self.shared.log.end(),
        };
        (from, end)
    }
}

impl RaftLogReader<TypeConfig> for LogReader {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let (from, end) = self.bounds(&range);
        self.read(from, end).await
    }

    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (from, end) = self.bounds(&range);
        let end = end.min(self.shared.log.end());
        let reader = self.clone();
        let pieces = stream::try_unfold(from, move |at| {
            let reader = reader.clone();
            async move {
                if at >= end {
                    return Ok::<_, io::Error>(None);
                }
                let until = Offset(at.0.saturating_add(WINDOW_ENTRIES)).min(end);
                let entries = reader.read(at, until).await?;
                let short = io::Error::other(format!("the metadata log lacks entries from {at}"));
                let next = entries.last().map(|last| offset_of(last.log_id.index).next());
                let next = next.ok_or(short)?;
                Ok(Some((stream::iter(entries).map(Ok::<_, io::Error>), next)))
            }
        });
        Box::pin(pieces.try_flatten())
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(*self.shared.vote.lock())
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        let (from, end) = (offset_of(start), offset_of(end));
        let limited = Offset(from.0.saturating_add(WINDOW_ENTRIES));
        self.read(from, end.min(limited)).await
    }
}
