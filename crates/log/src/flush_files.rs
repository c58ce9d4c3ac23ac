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
use crate::checkpoint;
use crate::dirs::{STRAY_SUFFIX, dir_name};
use crate::error::DiskError;
use crate::flush::Plan;
use crate::producer_snapshot::{encode, encode_kafka};
use crate::producers::Producers;
use crate::segment::active::{ActiveSegment, SegmentWrite};
use crate::segment::{Segment, path_of};
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
    /// Offsets of new sidecars.
    pub(crate) sidecars: Vec<Offset>,
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

    /// Writes what the plan says; durable after [`FlushFiles::sync`].
    pub(crate) fn write(&mut self, plan: &Plan) -> Result<Written, DiskError> {
        let mut written = Written::default();
        let (known, active) = self.known(plan)?;
        if !plan.stale.is_empty()
            && let Some(dir) = &known
        {
            self.remove_stale(dir, &plan.stale)?;
        }
        if plan.end == plan.from {
            written.active = active;
            return Ok(written);
        }
        let dir = match known {
            Some(dir) => dir,
            None if plan.batches.is_empty() => return Ok(written),
            None => self.create_dir(plan)?,
        };
        written.dir = Some(Arc::clone(&dir));
        let aborted = self.write_producers(plan, &dir, &mut written)?;
        let (writes, active) = layout(plan, active, &aborted, &mut written);
        for write in &writes {
            self.write_segment(&dir, write)?;
        }
        written.active = active;
        self.write_text(&dir, checkpoint::LEADER_EPOCHS, &checkpoint::leader_epochs(&plan.epochs))?;
        Ok(written)
    }

    /// Makes everything written so far durable.
    pub(crate) fn sync(self) -> Result<(), DiskError> {
        for (path, file) in &self.files {
            file.sync_data().map_err(DiskError::io(path))?;
        }
        for dir in self.dirs.iter().chain(&self.parents) {
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

    fn remove_stale(&mut self, dir: &Arc<Path>, names: &[String]) -> Result<(), DiskError> {
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

    /// Makes the directory of a log that was never flushed. What has its name already is another
    /// log's, or the journal would know; it is moved out of the way, not deleted.
    fn create_dir(&mut self, plan: &Plan) -> Result<Arc<Path>, DiskError> {
        let shared = self.shared;
        let name = dir_name(&plan.log.topic, plan.log.partition.partition);
        if let Some(dir) = shared.dirs.find(&name) {
            let stray = shared.dirs.retire(&shared.env, &dir, STRAY_SUFFIX)?;
            shared.files.forget_below(&dir);
            tracing::warn!(?dir, ?stray, "a directory that belongs to no known log was renamed");
        }
        let dir = shared.dirs.place(&name);
        shared.env.disk.create_dir_all(&dir).map_err(DiskError::io(&dir))?;
        self.parents.extend(dir.parent().map(Path::to_path_buf));
        self.dirs.insert(dir.to_path_buf());
        let text = checkpoint::partition_metadata(plan.log.partition.topic_id);
        self.write_text(&dir, checkpoint::PARTITION_METADATA, &text)?;
        Ok(dir)
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
        for (suffix, at, chunks) in parts {
            if chunks.iter().all(Bytes::is_empty) {
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

    fn write_text(&mut self, dir: &Path, name: &str, text: &str) -> Result<(), DiskError> {
        let path = dir.join(name);
        let disk = &self.shared.env.disk;
        let file = disk.open(&path, OpenMode::CREATE).map_err(DiskError::io(&path))?;
        file.set_len(0).map_err(DiskError::io(&path))?;
        file.write_all_at(&[IoSlice::new(text.as_bytes())], 0).map_err(DiskError::io(&path))?;
        self.files.push((path, file));
        Ok(())
    }

    /// Writes the producers as they are at the plan's end. Gives back the transactions that were
    /// aborted by the batches of the plan.
    fn write_producers(
        &mut self,
        plan: &Plan,
        dir: &Path,
        written: &mut Written,
    ) -> Result<Vec<AbortedTransaction>, DiskError> {
        let Some(source) = &plan.producers else { return Ok(Vec::new()) };
        let mut producers = source.load()?.producers;
        if !plan.has_sidecars {
            // A truncation back to before the first producer needs to find that there was none.
            self.write_sidecar(dir, plan.from, &producers)?;
            written.sidecars.push(plan.from);
        }
        let mut ended = Vec::new();
        for batch in &plan.batches {
            let Ok(header) = BatchHeader::parse(batch) else { continue };
            if let Some(transaction) = producers.apply(&header, marker_of(&header, batch)) {
                ended.extend(aborted(&transaction, producers.first_open_transaction()));
            }
        }
        let now = self.shared.env.clock.wall().0;
        producers.expire(now, plan.config.producer_id_expiration_ms);
        producers.cap(self.shared.options.producers_per_log_max);
        if producers.is_empty() && plan.has_sidecars {
            written.producers_gone = true;
            return Ok(ended);
        }
        self.write_sidecar(dir, plan.end, &producers)?;
        written.sidecars.push(plan.end);
        Ok(ended)
    }

    fn write_sidecar(
        &mut self,
        dir: &Path,
        at: Offset,
        producers: &Producers,
    ) -> Result<(), DiskError> {
        let parts = [("producers", encode(producers)), ("snapshot", encode_kafka(producers))];
        for (suffix, bytes) in parts {
            let path = path_of(dir, at, suffix);
            let disk = &self.shared.env.disk;
            let file = disk.open(&path, OpenMode::CREATE).map_err(DiskError::io(&path))?;
            file.set_len(0).map_err(DiskError::io(&path))?;
            file.write_all_at(&[IoSlice::new(&bytes)], 0).map_err(DiskError::io(&path))?;
            self.files.push((path, file));
        }
        self.dirs.insert(dir.to_path_buf());
        Ok(())
    }
}

/// Lays the plan's batches out over segments: pure.
fn layout(
    plan: &Plan,
    active: Option<ActiveSegment>,
    aborted: &[AbortedTransaction],
    written: &mut Written,
) -> (Vec<SegmentWrite>, Option<ActiveSegment>) {
    let mut writes = Vec::new();
    let mut current = active.map(|segment| (segment.begin_write(false), segment));
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
            let segment = ActiveSegment::create(header.base_offset);
            (segment.begin_write(true), segment)
        });
        segment.add(write, &header, batch, &plan.config);
        let ended_here = |t: &&AbortedTransaction| t.last_offset == header.last_offset();
        if let Some(transaction) = aborted.iter().find(ended_here) {
            segment.add_aborted(write, transaction);
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
