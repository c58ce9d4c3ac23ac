//! The files of a flush: writing them, log by log, and syncing them together.
//!
//! **Invariants**
//! - Files that are no longer part of the log are unlinked before anything new is written.
//! - A file is cut to where the write begins before it is written, so that nothing of an earlier,
//!   longer past shows behind what counts.
//! - A directory is synced after the files in it, and its parent after a new directory.

use std::collections::BTreeSet;
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use chronik_env::{DiskFile, OpenMode};
use chronik_protocol::batch::BatchHeader;
use chronik_types::Offset;

use crate::append::marker_of;
use crate::bugs;
use crate::checkpoint;
use crate::dirs::{STRAY_SUFFIX, dir_name};
use crate::error::DiskError;
use crate::flush::Plan;
use crate::producer_snapshot::{encode, encode_kafka};
use crate::producers::Producers;
use crate::segment::active::{ActiveSegment, SegmentWrite};
use crate::segment::{Segment, path_of, time_index};
use crate::storage::Shared;
use crate::transactions::{AbortedTransaction, aborted};

/// Writeback is asked for in steps, so that the final sync finds little left to do.
const WRITEBACK_BYTES: u64 = 1 << 20;

/// What was written for one log.
#[derive(Default)]
pub(crate) struct Written {
    pub(crate) dir: Option<Arc<Path>>,
    /// The segments that were written, with their new lengths.
    pub(crate) segments: Vec<Segment>,
    /// Those among them that are new.
    created: Vec<Offset>,
    pub(crate) active: Option<ActiveSegment>,
    /// New sidecars, by offset.
    pub(crate) sidecars: Vec<Sidecar>,
    /// No producer is known any more: older sidecars say nothing.
    pub(crate) producers_gone: bool,
}

impl Written {
    pub(crate) fn created(&self) -> impl Iterator<Item = Offset> + '_ {
        self.created.iter().copied()
    }
}

/// Files that wait to be synced. See the module.
pub(crate) struct FlushFiles<'s> {
    shared: &'s Arc<Shared>,
    files: Vec<(PathBuf, Arc<dyn DiskFile>)>,
    dirs: BTreeSet<PathBuf>,
    parents: BTreeSet<PathBuf>,
}

impl<'s> FlushFiles<'s> {
    pub(crate) fn new(shared: &'s Arc<Shared>) -> Self {
        Self { shared, files: Vec::new(), dirs: BTreeSet::new(), parents: BTreeSet::new() }
    }

    /// Writes what the plan says; durable after [`FlushFiles::sync`]. `written` says what was
    /// begun also if this fails.
    pub(crate) fn write(&mut self, plan: &Plan, written: &mut Written) -> Result<(), DiskError> {
        let (known, active) = self.known(plan)?;
        if known.is_none() {
            self.remove_unfinished(plan)?;
        }
        if !plan.stale.is_empty()
            && !bugs::keep_stale_files()
            && let Some(dir) = &known
        {
            self.remove_stale(dir, &plan.stale)?;
        }
        if plan.dir_unproved
            && let Some(dir) = &known
        {
            self.prove_dir(plan, dir)?;
            written.dir = Some(Arc::clone(dir));
        }
        if plan.end == plan.from {
            written.active = active;
            return Ok(());
        }
        let dir = match known {
            Some(dir) => dir,
            None if plan.batches.is_empty() => return Ok(()),
            None => self.create_dir(plan)?,
        };
        written.dir = Some(Arc::clone(&dir));
        let now = self.shared.env.clock.wall().0;
        let mut tracker = Tracker::begin(plan, now)?;
        let (writes, active) = layout(plan, active, tracker.as_mut(), written);
        for write in &writes {
            self.write_segment(&dir, write)?;
        }
        written.active = active;
        if let Some(tracker) = tracker {
            let count_max = self.shared.options.producers_per_log_max;
            written.producers_gone = tracker.finish(plan, count_max, &mut written.sidecars);
        }
        for sidecar in &written.sidecars {
            self.write_sidecar(&dir, sidecar)?;
        }
        let epochs = checkpoint::leader_epochs(&plan.fact.epochs);
        self.write_whole(&dir.join(checkpoint::LEADER_EPOCHS), epochs.as_bytes())
    }

    /// Makes everything written so far durable.
    pub(crate) fn sync(self) -> Result<(), DiskError> {
        for (path, file) in self.files.iter().filter(|_| !bugs::leave_out_segment_sync()) {
            file.sync_data().map_err(DiskError::io(path))?;
        }
        let dirs = self.dirs.iter().chain(&self.parents);
        for dir in dirs.filter(|_| !bugs::leave_out_directory_sync()) {
            self.shared.env.disk.sync_dir(dir).map_err(DiskError::io(dir))?;
        }
        Ok(())
    }

    /// The log's directory, and the end of its last segment.
    fn known(&self, plan: &Plan) -> Result<(Option<Arc<Path>>, Option<ActiveSegment>), DiskError> {
        let (dir, last) = {
            let state = plan.log.lock();
            let Some(written) = &state.written else { return Ok((None, None)) };
            (written.segments.dir.clone(), written.segments.list().last().copied())
        };
        let active = match (&dir, last) {
            (Some(dir), Some(last)) if plan.unloaded && !plan.batches.is_empty() => {
                Some(ActiveSegment::load(&self.shared.files, dir, &last, plan.from)?)
            }
            _ => plan.active.clone(),
        };
        Ok((dir, active))
    }

    fn remove_stale(&mut self, dir: &Arc<Path>, names: &BTreeSet<String>) -> Result<(), DiskError> {
        for name in names {
            let path = dir.join(name);
            match self.shared.env.disk.remove_file(&path).map_err(DiskError::io(&path)) {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => self.shared.files.forget(&path),
            }
        }
        self.dirs.insert(dir.to_path_buf());
        Ok(())
    }

    /// Removes what an earlier flush left that never counted: once this one counts, it would pass
    /// for the log's own.
    fn remove_unfinished(&mut self, plan: &Plan) -> Result<(), DiskError> {
        let shared = self.shared;
        let name = dir_name(&plan.log.topic, plan.log.partition.partition);
        let Some(dir) = shared.dirs.find(&name).filter(|_| shared.dirs.is_unfinished(&name)) else {
            return Ok(());
        };
        match shared.env.disk.remove_dir_all(&dir).map_err(DiskError::io(&dir)) {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
        self.parents.extend(dir.parent().map(Path::to_path_buf));
        shared.files.forget_below(&dir);
        shared.dirs.forget(&dir);
        Ok(())
    }

    /// Makes the directory of a log that was never flushed. What has its name already is a deleted
    /// log's that is still to be removed, or another log's, or the journal would know; the latter
    /// is moved out of the way, not deleted.
    fn create_dir(&mut self, plan: &Plan) -> Result<Arc<Path>, DiskError> {
        let shared = self.shared;
        let name = dir_name(&plan.log.topic, plan.log.partition.partition);
        if let Some(dir) = shared.dirs.find(&name)
            && !shared.retire_deleted(&dir)?
        {
            let stray = shared.retire_dir(&dir, STRAY_SUFFIX)?;
            tracing::warn!(?dir, ?stray, "a directory that belongs to no known log was renamed");
        }
        let dir = shared.dirs.place(&name);
        self.make_dir(plan, &dir)?;
        Ok(dir)
    }

    /// What a crash left to be seen of a directory is synced before anything relies on it. Whose it
    /// is may have been torn by that crash: then it is written again.
    fn prove_dir(&mut self, plan: &Plan, dir: &Path) -> Result<(), DiskError> {
        let env = &self.shared.env;
        let told = checkpoint::read_partition_metadata(env, dir);
        if told == Some(plan.log.partition.topic_id) {
            let path = dir.join(checkpoint::PARTITION_METADATA);
            let file = env.disk.open(&path, OpenMode::READ_WRITE).map_err(DiskError::io(&path))?;
            self.files.push((path, file));
        } else {
            self.write_metadata(plan, dir)?;
        }
        self.dirs.insert(dir.to_path_buf());
        self.parents.extend(dir.parent().map(Path::to_path_buf));
        Ok(())
    }

    fn make_dir(&mut self, plan: &Plan, dir: &Path) -> Result<(), DiskError> {
        self.shared.env.disk.create_dir_all(dir).map_err(DiskError::io(dir))?;
        self.parents.extend(dir.parent().map(Path::to_path_buf));
        self.dirs.insert(dir.to_path_buf());
        self.write_metadata(plan, dir)
    }

    fn write_metadata(&mut self, plan: &Plan, dir: &Path) -> Result<(), DiskError> {
        let text = checkpoint::partition_metadata(plan.log.partition.topic_id);
        self.write_whole(&dir.join(checkpoint::PARTITION_METADATA), text.as_bytes())
    }

    fn write_segment(&mut self, dir: &Path, write: &SegmentWrite) -> Result<(), DiskError> {
        let parts = [
            ("log", write.log_at, write.log.as_slice()),
            ("index", write.index_at, &[Bytes::copy_from_slice(&write.index)]),
            ("timeindex", write.time_at, &[Bytes::copy_from_slice(&write.time)]),
            ("txnindex", write.txn_at, &[Bytes::copy_from_slice(&write.txn)]),
        ];
        if write.created {
            self.dirs.insert(dir.to_path_buf());
        }
        if let Some(entry) = write.time_again {
            self.write_time_again(&path_of(dir, write.base, "timeindex"), write.time_at, entry)?;
        }
        for (suffix, at, chunks) in parts {
            if chunks.iter().all(Bytes::is_empty) {
                if write.trim {
                    self.trim(&path_of(dir, write.base, suffix), at)?;
                }
                continue;
            }
            if at == 0 {
                // Index files begin with their first entry.
                self.dirs.insert(dir.to_path_buf());
            }
            self.write_at(&path_of(dir, write.base, suffix), at, chunks)?;
        }
        Ok(())
    }

    /// Writes the last entry before `end` once more: the same bytes in the same place, so that a crash
    /// changes nothing, but now they are to be synced.
    fn write_time_again(
        &mut self,
        path: &Path,
        end: u64,
        entry: time_index::Entry,
    ) -> Result<(), DiskError> {
        let Some(at) = end.checked_sub(time_index::ENTRY_BYTES as u64) else { return Ok(()) };
        let opened = self.shared.env.disk.open(path, OpenMode::READ_WRITE);
        let file = opened.map_err(DiskError::io(path))?;
        file.write_all_at(&[IoSlice::new(&entry.encode())], at).map_err(DiskError::io(path))?;
        self.files.push((path.to_owned(), file));
        Ok(())
    }

    /// Cuts a file to which nothing is added now.
    fn trim(&mut self, path: &Path, at: u64) -> Result<(), DiskError> {
        let opened = self.shared.env.disk.open(path, OpenMode::READ_WRITE);
        let file = match opened.map_err(DiskError::io(path)) {
            Ok(file) => file,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        };
        if file.len().map_err(DiskError::io(path))? > at {
            file.set_len(at).map_err(DiskError::io(path))?;
        }
        // Also if it is as long as it should be: a crash may have left that in the page cache only.
        self.files.push((path.to_owned(), file));
        Ok(())
    }

    fn write_at(&mut self, path: &Path, at: u64, chunks: &[Bytes]) -> Result<(), DiskError> {
        let file =
            self.shared.env.disk.open(path, OpenMode::CREATE).map_err(DiskError::io(path))?;
        if file.len().map_err(DiskError::io(path))? != at {
            file.set_len(at).map_err(DiskError::io(path))?;
        }
        let mut position = at;
        let mut step: Vec<IoSlice<'_>> = Vec::new();
        let mut step_bytes = 0;
        for (index, chunk) in chunks.iter().enumerate() {
            step.push(IoSlice::new(chunk));
            step_bytes += chunk.len() as u64;
            if step_bytes >= WRITEBACK_BYTES || index + 1 == chunks.len() {
                file.write_all_at(&step, position).map_err(DiskError::io(path))?;
                file.start_writeback(position..position + step_bytes);
                position += step_bytes;
                step.clear();
                step_bytes = 0;
            }
        }
        self.files.push((path.to_owned(), file));
        Ok(())
    }

    fn write_whole(&mut self, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
        let disk = &self.shared.env.disk;
        let file = disk.open(path, OpenMode::CREATE).map_err(DiskError::io(path))?;
        file.set_len(0).map_err(DiskError::io(path))?;
        file.write_all_at(&[IoSlice::new(bytes)], 0).map_err(DiskError::io(path))?;
        self.files.push((path.to_owned(), file));
        Ok(())
    }

    fn write_sidecar(&mut self, dir: &Path, sidecar: &Sidecar) -> Result<(), DiskError> {
        match &sidecar.bytes {
            None => self.write_whole(&path_of(dir, sidecar.at, "noproducers"), &[])?,
            Some((ours, kafkas)) => {
                self.write_whole(&path_of(dir, sidecar.at, "producers"), ours)?;
                self.write_whole(&path_of(dir, sidecar.at, "snapshot"), kafkas)?;
            }
        }
        self.dirs.insert(dir.to_path_buf());
        Ok(())
    }
}

/// The producers at an offset, as they go to disk: ours and Kafka's bytes, or that there are none.
pub(crate) struct Sidecar {
    pub(crate) at: Offset,
    bytes: Option<(Vec<u8>, Vec<u8>)>,
}

/// Follows the producers through the batches of a plan.
struct Tracker {
    producers: Producers,
    now: i64,
    newest: Option<Offset>,
    sidecars: Vec<Sidecar>,
}

impl Tracker {
    fn begin(plan: &Plan, now: i64) -> Result<Option<Self>, DiskError> {
        let Some(source) = &plan.producers else { return Ok(None) };
        let producers = source.load()?.producers;
        let mut tracker =
            Self { producers, now, newest: plan.newest_sidecar, sidecars: Vec::new() };
        if plan.newest_sidecar.is_none() {
            // A truncation back to before the first producer needs to find that there was none.
            tracker.newest = Some(plan.from);
            tracker.sidecars.push(Sidecar { at: plan.from, bytes: None });
        }
        Ok(Some(tracker))
    }

    /// A segment begins here: once those before it are gone, the state cannot be had from them.
    fn snapshot(&mut self, at: Offset) {
        // One that is there already counts; writing it again could tear it.
        if self.newest.is_none_or(|newest| newest < at) {
            let bytes = Some((encode(&self.producers), encode_kafka(&self.producers)));
            self.newest = Some(at);
            self.sidecars.push(Sidecar { at, bytes });
        }
    }

    /// The transaction that this batch aborted.
    fn apply(&mut self, header: &BatchHeader, batch: &Bytes) -> Option<AbortedTransaction> {
        let ended = self.producers.apply(header, marker_of(header, batch), self.now)?;
        aborted(&ended, self.producers.first_open_transaction())
    }

    /// Says whether there is no producer left.
    fn finish(mut self, plan: &Plan, count_max: usize, to: &mut Vec<Sidecar>) -> bool {
        self.producers.expire(self.now, plan.config.producer_id_expiration_ms);
        self.producers.cap(count_max);
        if self.producers.is_empty() {
            return true;
        }
        self.snapshot(plan.end);
        to.append(&mut self.sidecars);
        false
    }
}

/// Lays the plan's batches out over segments: pure.
fn layout(
    plan: &Plan,
    active: Option<ActiveSegment>,
    mut tracker: Option<&mut Tracker>,
    written: &mut Written,
) -> (Vec<SegmentWrite>, Option<ActiveSegment>) {
    let mut writes = Vec::new();
    let mut current = active.map(|mut segment| (segment.begin_write(false), segment));
    for batch in &plan.batches {
        let Ok(header) = BatchHeader::parse(batch) else { continue };
        if let Some((mut write, mut segment)) = current.take() {
            let jitter = jitter_ms(segment.base, plan.config.segment_jitter_ms);
            if segment.must_roll(&header, &plan.config, jitter) {
                segment.finish(&mut write);
                written.segments.push(segment.segment());
                writes.push(write);
            } else {
                current = Some((write, segment));
            }
        }
        let (write, segment) = current.get_or_insert_with(|| {
            written.created.push(header.base_offset);
            if let Some(tracker) = tracker.as_deref_mut() {
                tracker.snapshot(header.base_offset);
            }
            let mut segment = ActiveSegment::create(header.base_offset);
            (segment.begin_write(true), segment)
        });
        segment.add(write, &header, batch, &plan.config);
        if let Some(transaction) = tracker.as_deref_mut().and_then(|t| t.apply(&header, batch)) {
            segment.add_aborted(write, &transaction);
        }
    }
    let Some((write, segment)) = current else { return (writes, None) };
    written.segments.push(segment.segment());
    writes.push(write);
    (writes, Some(segment))
}

/// This segment's part of `segment.jitter.ms`: spread evenly, and the same each time it is asked.
fn jitter_ms(base: Offset, max: i64) -> i64 {
    let mixed = (base.0 as u64).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
    i64::try_from(mixed).unwrap_or(0).checked_rem(max).unwrap_or(0)
}
