//! The last segment of a log as its writer knows it, and what a flush writes into it.
//!
//! Pure but for [`ActiveSegment::load`]: batches in, bytes and positions out.
//!
//! **Invariants**
//! - Positions are computed from what the journal says, never from a file's length; so a write that
//!   failed or never counted is simply written again.
//! - An index entry is added for the first batch after more than `index.interval.bytes`, and the
//!   time index gets the greatest timestamp so far whenever an offset entry is added, and when the
//!   segment is finished: as Kafka does it, and as `kafka-dump-log` checks it.

use std::path::Path;

use bytes::Bytes;
use chronik_protocol::batch::BatchHeader;
use chronik_types::Offset;

use crate::config::LogConfig;
use crate::error::DiskError;
use crate::open_files::OpenFiles;
use crate::segment::scan::Scan;
use crate::segment::{Segment, index_entries, offset_index, path_of, time_index, txn_index};
use crate::transactions::AbortedTransaction;

/// No index file is read whole beyond this; `segment.index.bytes` is far below.
const INDEX_BYTES_MAX: u64 = 256 << 20;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ActiveSegment {
    pub(crate) base: Offset,
    pub(crate) bytes: u64,
    pub(crate) index_entries: u64,
    pub(crate) time_entries: u64,
    txn_entries: u64,
    last_time: Option<time_index::Entry>,
    bytes_since_entry: u64,
    pub(crate) max_timestamp: i64,
    /// Last offset of the batch that has it.
    offset_of_max: Offset,
    /// Greatest timestamp of the first batch: what `segment.ms` counts from.
    first_timestamp: Option<i64>,
    /// A flush of this run has cut the files to what counts.
    trimmed: bool,
}

/// What is to be written into the files of one segment.
#[derive(Debug)]
pub(crate) struct SegmentWrite {
    pub(crate) base: Offset,
    /// The segment begins with this write.
    pub(crate) created: bool,
    pub(crate) log_at: u64,
    pub(crate) log: Vec<Bytes>,
    pub(crate) index_at: u64,
    pub(crate) index: Vec<u8>,
    pub(crate) time_at: u64,
    pub(crate) time: Vec<u8>,
    /// What stands before `time_at` and is to be written once more, in its place.
    pub(crate) time_again: Option<time_index::Entry>,
    pub(crate) txn_at: u64,
    pub(crate) txn: Vec<u8>,
    /// What lies behind these positions may be of a flush that never counted.
    pub(crate) trim: bool,
}

impl ActiveSegment {
    pub(crate) fn create(base: Offset) -> Self {
        Self {
            base,
            bytes: 0,
            index_entries: 0,
            time_entries: 0,
            txn_entries: 0,
            last_time: None,
            bytes_since_entry: 0,
            max_timestamp: -1,
            offset_of_max: base,
            first_timestamp: None,
            trimmed: false,
        }
    }

    /// Builds it from the files of the log's last segment, which counts up to `bytes` and `end`.
    /// Reads the indexes, and the batches after the last index entry.
    ///
    /// # Errors
    /// When the bytes that count are not there, or not batches that end at `end`.
    pub(crate) fn load(
        files: &OpenFiles,
        dir: &Path,
        segment: &Segment,
        end: Offset,
    ) -> Result<Self, DiskError> {
        let mut active = Self::create(segment.base);
        active.bytes = segment.bytes;
        let relative_end = end.since(segment.base);
        let (entries, last) = index_entries::below(files, dir, segment, end)?;
        active.index_entries = entries;
        let scan_from = last.map_or(0, |entry| u64::try_from(entry.position).unwrap_or(0));
        active.load_times(files, dir, relative_end)?;
        let txn = read_index(files, &path_of(dir, segment.base, "txnindex"))?;
        active.txn_entries = txn_index::decode(&txn, segment.base, end).len() as u64;
        active.load_end(files, dir, scan_from, end)?;
        Ok(active)
    }

    /// Starts a write at the end of what counts.
    pub(crate) fn begin_write(&mut self, created: bool) -> SegmentWrite {
        let trim = !std::mem::replace(&mut self.trimmed, true);
        SegmentWrite {
            base: self.base,
            created,
            log_at: self.bytes,
            log: Vec::new(),
            index_at: self.index_entries * offset_index::ENTRY_BYTES as u64,
            index: Vec::new(),
            time_at: self.time_entries * time_index::ENTRY_BYTES as u64,
            time: Vec::new(),
            time_again: self.last_time.filter(|_| trim),
            txn_at: self.txn_entries * txn_index::ENTRY_BYTES as u64,
            txn: Vec::new(),
            trim,
        }
    }

    /// Whether this batch must go to a new segment. `jitter_ms` is this segment's own.
    pub(crate) fn must_roll(
        &self,
        header: &BatchHeader,
        config: &LogConfig,
        jitter_ms: i64,
    ) -> bool {
        if self.bytes == 0 {
            return false;
        }
        let too_large = self.bytes + u64::from(header.batch_bytes) > config.segment_bytes;
        let too_far = header.last_offset().since(self.base) > i64::from(i32::MAX);
        let age_max = config.segment_ms.saturating_sub(jitter_ms);
        let too_old = self.first_timestamp.is_some_and(|first| {
            first >= 0 && header.max_timestamp.saturating_sub(first) > age_max
        });
        let index_full = (self.index_entries + 1) * offset_index::ENTRY_BYTES as u64
            > config.segment_index_bytes;
        // One entry is kept free for the end of the segment.
        let time_index_full =
            (self.time_entries + 2) * time_index::ENTRY_BYTES as u64 > config.segment_index_bytes;
        too_large || too_far || too_old || index_full || time_index_full
    }

    /// Adds a batch to the write.
    pub(crate) fn add(
        &mut self,
        write: &mut SegmentWrite,
        header: &BatchHeader,
        batch: &Bytes,
        config: &LogConfig,
    ) {
        self.see_timestamp(header);
        if self.bytes_since_entry > config.index_interval_bytes {
            let offset = relative(header.last_offset(), self.base);
            let position = i32::try_from(self.bytes).unwrap_or(i32::MAX);
            write.index.extend_from_slice(&offset_index::Entry { offset, position }.encode());
            self.index_entries += 1;
            self.bytes_since_entry = 0;
            self.add_time(write);
        }
        write.log.push(batch.clone());
        self.bytes += batch.len() as u64;
        self.bytes_since_entry += batch.len() as u64;
    }

    /// Adds an aborted transaction whose marker is the batch just added.
    pub(crate) fn add_aborted(
        &mut self,
        write: &mut SegmentWrite,
        transaction: &AbortedTransaction,
    ) {
        write.txn.extend_from_slice(&txn_index::encode(transaction));
        self.txn_entries += 1;
    }

    /// Nothing will be added to this segment any more: its time index says its greatest timestamp.
    pub(crate) fn finish(&mut self, write: &mut SegmentWrite) {
        self.add_time(write);
    }

    pub(crate) fn segment(&self) -> Segment {
        let max_timestamp = Some(self.max_timestamp);
        Segment { base: self.base, bytes: self.bytes, max_timestamp }
    }

    fn add_time(&mut self, write: &mut SegmentWrite) {
        if self.max_timestamp <= self.last_time.map_or(-1, |last| last.timestamp) {
            return;
        }
        let offset = relative(self.offset_of_max, self.base);
        let entry = time_index::Entry { timestamp: self.max_timestamp, offset };
        write.time.extend_from_slice(&entry.encode());
        self.last_time = Some(entry);
        self.time_entries += 1;
    }

    fn see_timestamp(&mut self, header: &BatchHeader) {
        self.first_timestamp.get_or_insert(header.max_timestamp);
        if header.max_timestamp > self.max_timestamp {
            self.max_timestamp = header.max_timestamp;
            self.offset_of_max = header.last_offset();
        }
    }

    /// The time index entries that count. The last one may stem from a flush that never counted,
    /// when the segment was to be finished: it is believed only if a batch bears it out, and written
    /// again with the first write even then, because it may be in the page cache only.
    fn load_times(
        &mut self,
        files: &OpenFiles,
        dir: &Path,
        relative_end: i64,
    ) -> Result<(), DiskError> {
        let bytes = read_index(files, &path_of(dir, self.base, "timeindex"))?;
        let mut entries = time_index::valid_prefix(&bytes, relative_end);
        while let Some(last) = entries.last() {
            if self.bears_out(files, dir, last)? {
                self.max_timestamp = last.timestamp;
                self.offset_of_max = Offset(self.base.0.saturating_add(i64::from(last.offset)));
                break;
            }
            entries.pop();
        }
        self.time_entries = entries.len() as u64;
        self.last_time = entries.last().copied();
        Ok(())
    }

    fn bears_out(
        &self,
        files: &OpenFiles,
        dir: &Path,
        entry: &time_index::Entry,
    ) -> Result<bool, DiskError> {
        let target = i64::from(entry.offset);
        let from = self.position_before(files, dir, target)?;
        let path = path_of(dir, self.base, "log");
        let file = files.read(&path)?;
        let mut scan = Scan::new(&file, &path, from, self.bytes);
        while let Some((_, header)) = scan.next()? {
            let last = header.last_offset().since(self.base);
            if last >= target {
                return Ok(last == target && header.max_timestamp == entry.timestamp);
            }
        }
        Ok(false)
    }

    /// A position at or before the batch that holds `target` (relative).
    pub(crate) fn position_before(
        &self,
        files: &OpenFiles,
        dir: &Path,
        target: i64,
    ) -> Result<u64, DiskError> {
        if self.index_entries == 0 {
            return Ok(0);
        }
        let path = path_of(dir, self.base, "index");
        let file = files.read(&path)?;
        offset_index::lookup(&*file, self.index_entries, target).map_err(DiskError::io(&path))
    }

    /// Walks the batches from the last index entry on, and sees that they end where they should.
    fn load_end(
        &mut self,
        files: &OpenFiles,
        dir: &Path,
        from: u64,
        end: Offset,
    ) -> Result<(), DiskError> {
        let path = path_of(dir, self.base, "log");
        let file = files.read(&path)?;
        let mut first = Scan::new(&file, &path, 0, self.bytes);
        self.first_timestamp = first.next()?.map(|(_, header)| header.max_timestamp);
        let mut scan = Scan::new(&file, &path, from, self.bytes);
        let mut next = self.base;
        while let Some((_, header)) = scan.next()? {
            if header.max_timestamp > self.max_timestamp {
                self.max_timestamp = header.max_timestamp;
                self.offset_of_max = header.last_offset();
            }
            next = header.next_offset();
        }
        self.bytes_since_entry = self.bytes - from;
        if self.bytes > 0 && next != end {
            return Err(DiskError::corrupt(&path, self.bytes, "the last batch ends elsewhere"));
        }
        Ok(())
    }
}

fn relative(offset: Offset, base: Offset) -> i32 {
    i32::try_from(offset.since(base)).unwrap_or(i32::MAX)
}

/// The whole of an index file; nothing if there is none, because an empty one is never synced.
pub(crate) fn read_index(files: &OpenFiles, path: &Path) -> Result<Vec<u8>, DiskError> {
    let file = match files.read(path) {
        Ok(file) => file,
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let len = file.len().map_err(DiskError::io(path))?.min(INDEX_BYTES_MAX);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    let read = file.read_at(&mut bytes, 0).map_err(DiskError::io(path))?;
    bytes.truncate(read);
    Ok(bytes)
}
