//! What a reader sees of a log's segments: a snapshot taken under the lock, read without it.
//!
//! **Invariants**: whatever was read counts only if the log's generation has not moved since the
//! snapshot, because a truncation may let a flush overwrite what the snapshot points at.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use chronik_protocol::batch::{BatchHeader, batches, verify_crc};
use chronik_types::Offset;

use crate::error::{DiskError, ReadError};
use crate::log::Log;
use crate::read::{Fetched, ReadLimit};
use crate::segment::active::{ActiveSegment, read_index};
use crate::segment::scan::Scan;
use crate::segment::{Segment, offset_index, path_of, time_index, txn_index};
use crate::storage::Shared;
use crate::transactions::AbortedTransaction;

/// A segment as a reader sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ViewedSegment {
    pub(crate) segment: Segment,
    /// Exclusive.
    pub(crate) end: Offset,
    /// How many index and time index entries count; all of the file's if not said.
    entries: Option<(u64, u64)>,
}

/// See the module.
pub(crate) struct SegmentView {
    shared: Arc<Shared>,
    dir: Arc<Path>,
    segments: Vec<ViewedSegment>,
    end: Offset,
    generation: Arc<AtomicU64>,
    seen: u64,
}

impl Log {
    /// The segments from the one that holds `from` on. Reads the end of the last one the first
    /// time.
    pub(crate) fn segment_view(&self, from: Offset) -> Result<SegmentView, ReadError> {
        loop {
            let state = self.lock();
            if state.gone {
                return Err(ReadError::Gone);
            }
            if from < state.start || from > state.end {
                let (start, end) = (state.start, state.end);
                return Err(ReadError::OutOfRange { offset: from, start, end });
            }
            let written = state.written.as_ref().ok_or(ReadError::Changed)?;
            let segments = &written.segments;
            let generation = Arc::clone(&written.generation);
            let seen = generation.load(Ordering::Acquire);
            let Some(dir) = segments.dir.clone() else { return Err(ReadError::Changed) };
            let Some(last) = segments.list().last().copied() else {
                return Err(ReadError::Changed);
            };
            let end = segments.end();
            let Some(active) = &segments.active else {
                drop(state);
                self.load_active(&dir, &last, end, seen)?;
                continue;
            };
            let entries = (active.index_entries, active.time_entries);
            let newest = active.max_timestamp;
            let first = segments.list().len() - segments.from(from).len();
            let viewed = |(at, segment): (usize, &Segment)| {
                let end = segments.end_of(first + at);
                if segment.base == last.base {
                    let segment = Segment { max_timestamp: Some(newest), ..*segment };
                    return ViewedSegment { segment, end, entries: Some(entries) };
                }
                ViewedSegment { segment: *segment, end, entries: None }
            };
            let segments = segments.from(from).iter().enumerate().map(viewed).collect();
            let shared = Arc::clone(&self.shared);
            return Ok(SegmentView { shared, dir, segments, end, generation, seen });
        }
    }

    /// Learns the end of the last segment from its files, unless the log has changed meanwhile.
    pub(crate) fn load_active(
        &self,
        dir: &Path,
        segment: &Segment,
        end: Offset,
        seen: u64,
    ) -> Result<(), DiskError> {
        let loaded = ActiveSegment::load(&self.shared.files, dir, segment, end);
        let mut state = self.lock();
        let Some(written) = &mut state.written else { return Ok(()) };
        let unchanged = written.generation.load(Ordering::Acquire) == seen
            && written.segments.active_segment() == Some((segment.base, segment.bytes));
        if unchanged {
            written.segments.active = Some(Box::new(loaded?));
        }
        Ok(())
    }
}

impl SegmentView {
    pub(crate) fn segments(&self) -> &[ViewedSegment] {
        &self.segments
    }

    /// The offset after the last segment.
    pub(crate) fn end(&self) -> Offset {
        self.end
    }

    /// Whether what was read may be something else by now.
    pub(crate) fn has_changed(&self) -> bool {
        self.generation.load(Ordering::Acquire) != self.seen
    }

    /// Whole batches of one segment, from the one that holds `from` on; `None` if the segment has
    /// nothing at or after it.
    pub(crate) fn read(
        &self,
        viewed: &ViewedSegment,
        from: Offset,
        limit: &ReadLimit,
    ) -> Result<Option<Fetched>, DiskError> {
        let path = path_of(&self.dir, viewed.segment.base, "log");
        let file = self.shared.files.read(&path)?;
        let start = self.position_before(viewed, from)?;
        let mut scan = Scan::new(&file, &path, start, viewed.segment.bytes);
        let mut fetched = Fetched::nothing(from);
        let (at, first) = loop {
            match scan.next()? {
                Some((at, header)) if header.last_offset() >= from => break (at, header),
                Some(_) => {}
                None => return Ok(None),
            }
        };
        let first_bytes = first.batch_bytes as usize;
        if first.last_offset() >= limit.end || !fetched.has_room(first_bytes, limit) {
            return Ok(Some(fetched));
        }
        let left = usize::try_from(viewed.segment.bytes - at).unwrap_or(usize::MAX);
        let mut bytes = vec![0; limit.max_bytes.max(first_bytes).min(left)];
        file.read_exact_at(&mut bytes, at).map_err(DiskError::io(&path))?;
        let (whole, next) = whole_batches(&bytes, limit.end);
        bytes.truncate(whole);
        // The first batch is whole and wanted, so only damage leaves nothing.
        let next =
            next.ok_or_else(|| DiskError::corrupt(&path, at, "the checksum of a batch is wrong"))?;
        fetched.push(first.base_offset, next, Bytes::from(bytes));
        Ok(Some(fetched))
    }

    /// The first batch for which `wanted` says so, from the one that holds `from` on.
    pub(crate) fn find(
        &self,
        viewed: &ViewedSegment,
        from: Offset,
        wanted: impl Fn(&BatchHeader) -> bool,
    ) -> Result<Option<(BatchHeader, Vec<u8>)>, DiskError> {
        let path = path_of(&self.dir, viewed.segment.base, "log");
        let file = self.shared.files.read(&path)?;
        let start = self.position_before(viewed, from)?;
        let mut scan = Scan::new(&file, &path, start, viewed.segment.bytes);
        while let Some((at, header)) = scan.next()? {
            if header.last_offset() >= from && wanted(&header) {
                return Ok(Some((header, scan.batch(at, &header)?)));
            }
        }
        Ok(None)
    }

    /// The greatest timestamp of a segment; -1 if no record has one.
    pub(crate) fn max_timestamp(&self, viewed: &ViewedSegment) -> Result<i64, DiskError> {
        if let Some(known) = viewed.segment.max_timestamp {
            return Ok(known);
        }
        let path = path_of(&self.dir, viewed.segment.base, "timeindex");
        let file = match self.shared.files.read(&path) {
            Ok(file) => file,
            Err(error) if error.is_not_found() => return Ok(-1),
            Err(error) => return Err(error),
        };
        let len = file.len().map_err(DiskError::io(&path))?;
        let Some(last) = (len / time_index::ENTRY_BYTES as u64).checked_sub(1) else {
            return Ok(-1);
        };
        let entry = time_index::read(&*file, last).map_err(DiskError::io(&path))?;
        Ok(entry.timestamp)
    }

    /// An offset of the segment behind which every record with a timestamp of at least `target`
    /// lies, or at which it is.
    pub(crate) fn offset_before_time(
        &self,
        viewed: &ViewedSegment,
        target: i64,
    ) -> Result<Offset, DiskError> {
        let base = viewed.segment.base;
        let path = path_of(&self.dir, base, "timeindex");
        let file = match self.shared.files.read(&path) {
            Ok(file) => file,
            Err(error) if error.is_not_found() => return Ok(base),
            Err(error) => return Err(error),
        };
        let len = file.len().map_err(DiskError::io(&path))?;
        let in_file = len / time_index::ENTRY_BYTES as u64;
        let entries = viewed.entries.map_or(in_file, |(_, entries)| entries.min(in_file));
        let entry = time_index::lookup(&*file, entries, target).map_err(DiskError::io(&path))?;
        let relative = entry.map_or(0, |entry| i64::from(entry.offset));
        Ok(Offset(base.0.saturating_add(relative)))
    }

    /// Aborted transactions whose marker is in the segment.
    pub(crate) fn aborted(
        &self,
        viewed: &ViewedSegment,
    ) -> Result<Vec<AbortedTransaction>, DiskError> {
        let path = path_of(&self.dir, viewed.segment.base, "txnindex");
        let bytes = read_index(&self.shared.files, &path)?;
        Ok(txn_index::decode(&bytes, viewed.segment.base, viewed.end))
    }

    fn position_before(&self, viewed: &ViewedSegment, from: Offset) -> Result<u64, DiskError> {
        let target = from.since(viewed.segment.base);
        let path = path_of(&self.dir, viewed.segment.base, "index");
        let file = match self.shared.files.read(&path) {
            Ok(file) => file,
            Err(error) if error.is_not_found() => return Ok(0),
            Err(error) => return Err(error),
        };
        let len = file.len().map_err(DiskError::io(&path))?;
        let in_file = len / offset_index::ENTRY_BYTES as u64;
        let entries = viewed.entries.map_or(in_file, |(entries, _)| entries.min(in_file));
        let position =
            offset_index::lookup(&*file, entries, target).map_err(DiskError::io(&path))?;
        if position > viewed.segment.bytes {
            return Err(DiskError::corrupt(&path, 0, "an entry points behind the segment"));
        }
        Ok(position)
    }
}

/// How many of the bytes are whole, sound batches that follow each other and end at or below `end`,
/// and where the last ends.
fn whole_batches(bytes: &[u8], end: Offset) -> (usize, Option<Offset>) {
    let (mut whole, mut next): (_, Option<Offset>) = (0, None);
    for batch in batches(bytes) {
        let Ok((header, slice)) = batch else { break };
        // Offsets are outside the checksum.
        if header.last_offset() >= end || next.is_some_and(|next| header.base_offset < next) {
            break;
        }
        // A disk that rots must not pass for records: what is sound before the damage is served,
        // the damage itself is an error once it comes first. Costs some 30 ns per KiB.
        if verify_crc(slice).is_err() {
            break;
        }
        whole += slice.len();
        next = Some(header.next_offset());
    }
    (whole, next)
}
