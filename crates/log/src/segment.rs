//! The segments of a log: files in Kafka's format, each named after its first offset.
//!
//! ```text
//! <log.dir>/<topic>-<partition>/00000000000000000000.log        batches, one after the other
//!                               00000000000000000000.index      offset → position, sparse
//!                               00000000000000000000.timeindex  time → offset, sparse
//!                               00000000000000000000.txnindex   aborted transactions
//!                               00000000000000001234.producers  producers at that offset, whole
//!                               00000000000000001234.snapshot   the same as Kafka keeps it
//!                               leader-epoch-checkpoint, partition.metadata
//! ```
//!
//! **Invariants**
//! - What is here is what the journal says: a file's length proves nothing. Bytes of the last
//!   segment beyond `bytes` are leftovers of a flush that did not finish, and are overwritten.
//! - Every other segment is exactly as long as its file.
//! - Files that are no longer part of the log are removed before the next flush of the log counts.
//!
//! **Not here:** when to roll and what to write (`segment::active`), reading (`segment::view`).

pub(crate) mod active;
pub(crate) mod index_entries;
pub(crate) mod offset_index;
pub(crate) mod scan;
pub(crate) mod time_index;
pub(crate) mod txn_index;
pub(crate) mod view;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chronik_types::Offset;

use crate::segment::active::ActiveSegment;

/// The kinds of files that belong to a segment.
pub(crate) const SEGMENT_SUFFIXES: [&str; 4] = ["log", "index", "timeindex", "txnindex"];
/// The kinds of files that hold the producers at an offset.
pub(crate) const PRODUCER_SUFFIXES: [&str; 3] = ["producers", "noproducers", "snapshot"];

/// Kafka's name for a file that begins at, or is about, `offset`.
pub(crate) fn file_name(offset: Offset, suffix: &str) -> String {
    format!("{:020}.{suffix}", offset.0)
}

/// The offset and suffix of a file named so.
pub(crate) fn parse_file_name(name: &str) -> Option<(Offset, &str)> {
    let (digits, suffix) = name.split_once('.')?;
    let is_number = digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit());
    let offset = is_number.then(|| digits.parse().ok()).flatten()?;
    Some((Offset(offset), suffix))
}

/// One segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) base: Offset,
    /// Bytes of batches that count.
    pub(crate) bytes: u64,
    /// The greatest timestamp in it, once somebody needed it; -1 if no record has one.
    pub(crate) max_timestamp: Option<i64>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Segments {
    /// The log's directory, once there is one.
    pub(crate) dir: Option<Arc<Path>>,
    /// What can be seen of the directory is what a crash left of it in the page cache: names that
    /// are there may go, and names that are gone may come back, until it is synced.
    pub(crate) dir_unproved: bool,
    /// The same of files that a truncation or reset ended, as long as the journal still says so.
    pub(crate) cut_unproved: bool,
    list: Vec<Segment>,
    end: Offset,
    /// What the writer knows of the last segment, once it needed to.
    pub(crate) active: Option<Box<ActiveSegment>>,
    /// Offsets of sidecars, ascending.
    pub(crate) sidecars: Vec<Offset>,
    /// Those that a crash may have left: torn, or in the page cache only.
    unproved: BTreeSet<Offset>,
    /// Names of files in the directory that are no part of the log: of a past that was cut off, or
    /// of a flush that never counted. They go before the next flush counts.
    pub(crate) stale: BTreeSet<String>,
    /// Names of files that the log can do without since its last flush or the last move of its
    /// start. They go once both are durable: until then a crash may need them.
    pub(crate) retired: BTreeSet<String>,
}

impl Segments {
    /// No segments; the log's flushed part ends at `end`.
    pub(crate) fn empty(end: Offset) -> Self {
        Self {
            dir: None,
            dir_unproved: false,
            cut_unproved: false,
            list: Vec::new(),
            end,
            active: None,
            sidecars: Vec::new(),
            unproved: BTreeSet::new(),
            stale: BTreeSet::new(),
            retired: BTreeSet::new(),
        }
    }

    pub(crate) fn recovered(
        dir: Arc<Path>,
        list: Vec<Segment>,
        end: Offset,
        sidecars: Vec<Offset>,
        stale: BTreeSet<String>,
    ) -> Self {
        Self {
            dir: Some(dir),
            dir_unproved: true,
            cut_unproved: false,
            list,
            end,
            active: None,
            unproved: sidecars.iter().copied().collect(),
            sidecars,
            stale,
            retired: BTreeSet::new(),
        }
    }

    /// The offset after what is flushed.
    pub(crate) fn end(&self) -> Offset {
        self.end
    }

    pub(crate) fn list(&self) -> &[Segment] {
        &self.list
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.list.iter().map(|segment| segment.bytes).sum()
    }

    /// Base and bytes of the last segment, as FLUSHED says it.
    pub(crate) fn active_segment(&self) -> Option<(Offset, u64)> {
        self.list.last().map(|segment| (segment.base, segment.bytes))
    }

    /// Where the segment at `index` ends.
    pub(crate) fn end_of(&self, index: usize) -> Offset {
        self.list.get(index + 1).map_or(self.end, |next| next.base)
    }

    /// The segments from the one that holds `from` on.
    pub(crate) fn from(&self, from: Offset) -> &[Segment] {
        let after = self.list.partition_point(|segment| segment.base <= from);
        self.list.get(after.saturating_sub(1)..).unwrap_or_default()
    }

    /// A flush wrote up to `end`: the last segment's new length, and those after it.
    pub(crate) fn flushed(
        &mut self,
        end: Offset,
        written: &[Segment],
        active: Option<Box<ActiveSegment>>,
    ) {
        for segment in written {
            match self.list.last_mut() {
                Some(last) if last.base == segment.base => *last = *segment,
                _ => self.list.push(*segment),
            }
        }
        self.end = end;
        self.active = active;
    }

    /// Cuts the log at `end`. `cut` is the base of the segment that holds it, and where in its
    /// file it lies; without, the end is that of a segment.
    pub(crate) fn truncate(&mut self, end: Offset, cut: Option<(Offset, u64)>) {
        while self.list.last().is_some_and(|segment| segment.base >= end) {
            if let Some(segment) = self.list.pop() {
                self.discard_segment(segment.base);
            }
        }
        if let (Some(last), Some((base, position))) = (self.list.last_mut(), cut)
            && last.base == base
        {
            *last = Segment { base, bytes: position, max_timestamp: None };
        }
        while self.sidecars.last().is_some_and(|at| *at > end) {
            if let Some(at) = self.sidecars.pop() {
                self.discard_sidecar(at);
            }
        }
        self.end = end;
        self.active = None;
    }

    /// Drops everything; the log begins again at `start`.
    pub(crate) fn reset(&mut self, start: Offset) {
        for segment in std::mem::take(&mut self.list) {
            self.discard_segment(segment.base);
        }
        for at in std::mem::take(&mut self.sidecars) {
            self.discard_sidecar(at);
        }
        // The log that begins now may give its own files these names.
        self.stale.append(&mut self.retired);
        self.end = start;
        self.active = None;
    }

    /// How many segments lie wholly below `start`, and where the first other one begins.
    pub(crate) fn below(&self, start: Offset) -> (usize, Offset) {
        let ends_below = |index: usize| self.end_of(index) <= start;
        let count = (0..self.list.len()).take_while(|index| ends_below(*index)).count();
        (count, self.list.get(count).map_or(self.end, |segment| segment.base))
    }

    /// Drops the segments that lie wholly below `start`. Says whether there were any.
    pub(crate) fn drop_below(&mut self, start: Offset) -> bool {
        let (count, _) = self.below(start);
        let gone: Vec<Segment> = self.list.drain(..count).collect();
        for segment in &gone {
            self.retired.extend(SEGMENT_SUFFIXES.map(|suffix| file_name(segment.base, suffix)));
        }
        if self.list.is_empty() {
            self.active = None;
        }
        !gone.is_empty()
    }

    /// Whether the producers at `at` are known without the batches below it.
    pub(crate) fn producers_known_at(&self, at: Offset) -> bool {
        let is_proved = self.sidecars.contains(&at) && !self.unproved.contains(&at);
        self.sidecars.is_empty() || is_proved
    }

    /// A flush wrote these.
    pub(crate) fn add_sidecars(&mut self, at: impl Iterator<Item = Offset>) {
        let at: Vec<Offset> = at.collect();
        self.unproved.retain(|sidecar| !at.contains(sidecar));
        self.sidecars.extend(at);
        self.sidecars.sort_unstable();
        self.sidecars.dedup();
        // One that was discarded by a truncation has been written anew.
        let Self { sidecars, stale, retired, .. } = self;
        let is_no_sidecar = |name: &String| match parse_file_name(name) {
            Some((at, suffix)) => !(PRODUCER_SUFFIXES.contains(&suffix) && sidecars.contains(&at)),
            None => true,
        };
        stale.retain(is_no_sidecar);
        retired.retain(is_no_sidecar);
    }

    /// Keeps the sidecars at the beginning of a segment, those above the high watermark, and the
    /// two newest at or below it, which no truncation passes.
    pub(crate) fn prune_sidecars(&mut self, high_watermark: Offset) {
        let replicated = self.sidecars.partition_point(|at| *at <= high_watermark);
        let judged = replicated.saturating_sub(2);
        let Self { sidecars, list, .. } = self;
        let mut index = 0;
        let mut gone = Vec::new();
        sidecars.retain(|at| {
            index += 1;
            let keep = index > judged || list.iter().any(|segment| segment.base == *at);
            if !keep {
                gone.push(*at);
            }
            keep
        });
        for at in gone {
            self.retire_sidecar(at);
        }
    }

    /// Drops every sidecar: no producer is known any more.
    pub(crate) fn drop_sidecars(&mut self) {
        for at in std::mem::take(&mut self.sidecars) {
            self.retire_sidecar(at);
        }
    }

    /// Files of a flush that was given up.
    pub(crate) fn discard_created(&mut self, created: impl IntoIterator<Item = Offset>) {
        for base in created {
            if !self.list.iter().any(|segment| segment.base == base) {
                self.discard_segment(base);
            }
        }
    }

    /// Marks a sidecar's files for removal, unless they are those of one that counts.
    pub(crate) fn discard_sidecar(&mut self, at: Offset) {
        if self.sidecars.contains(&at) {
            return;
        }
        self.stale.extend(PRODUCER_SUFFIXES.map(|suffix| file_name(at, suffix)));
    }

    /// These files have been removed.
    pub(crate) fn forget_removed(&mut self, names: &BTreeSet<String>) {
        self.stale.retain(|name| !names.contains(name));
        self.retired.retain(|name| !names.contains(name));
    }

    pub(crate) fn learn_max_timestamp(&mut self, base: Offset, max_timestamp: i64) {
        let found = self.list.iter_mut().find(|segment| segment.base == base);
        if let Some(segment) = found {
            segment.max_timestamp = Some(max_timestamp);
        }
    }

    fn retire_sidecar(&mut self, at: Offset) {
        self.retired.extend(PRODUCER_SUFFIXES.map(|suffix| file_name(at, suffix)));
    }

    fn discard_segment(&mut self, base: Offset) {
        self.stale.extend(SEGMENT_SUFFIXES.map(|suffix| file_name(base, suffix)));
    }
}

/// A file of a log's directory.
pub(crate) fn path_of(dir: &Path, offset: Offset, suffix: &str) -> PathBuf {
    dir.join(file_name(offset, suffix))
}
