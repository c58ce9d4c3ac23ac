//! Cutting a log: at its end (truncation), wholly (reset), at its start (DeleteRecords, retention).
//!
//! **Invariants**
//! - The journal hears of a cut before anything later of the log, and files follow only when it is
//!   durable there.
//! - A truncation waits for a running flush only if it reaches below what is flushed; otherwise the
//!   flush notices and gives up.
//! - A cut never leaves a part of a batch.
//!
//! **Not here:** which files go when (`retention`, `flush`).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chronik_journal::Record;
use chronik_protocol::batch::BatchHeader;
use chronik_types::{LeaderEpoch, Offset};

use crate::append::marker_of;
use crate::error::{CutError, DiskError, Stopped};
use crate::log::{Log, State, Written};
use crate::open_files::OpenFiles;
use crate::producer_state::ProducerState;
use crate::producers::Producers;
use crate::segment::scan::Scan;
use crate::segment::{Segment, index_entries, path_of};

impl Log {
    /// Drops everything from `end` on; a batch that holds `end` in its middle goes whole. At the log
    /// end offset only the epochs go that began there without a record; above it nothing happens.
    /// Waits for a running flush and reads a segment, and
    /// so blocks, if `end` lies below what is flushed.
    ///
    /// # Errors
    /// [`CutError::OutOfRange`] below the log start offset; see [`CutError`].
    pub fn truncate_to(self: &Arc<Self>, end: Offset) -> Result<(), CutError> {
        {
            let mut state = self.lock();
            if !self.needs_cut(&state, end)? {
                return self.end_epochs(&mut state, end);
            }
            if end >= state.flushed_end() {
                let boundary = match &state.written {
                    Some(written) => written.tail.boundary(end),
                    None => end,
                };
                return self.cut(&mut state, boundary, None);
            }
        }
        // Below what is flushed: no flush may write while the segments change.
        let shared = Arc::clone(&self.shared);
        let _maintenance = shared.maintenance.lock();
        loop {
            let (dir, segment, seen) = {
                let mut state = self.lock();
                if !self.needs_cut(&state, end)? {
                    return Ok(());
                }
                let Some(written) = &state.written else { return Ok(()) };
                let seen = written.generation.load(Ordering::Acquire);
                // The batch before the end: the segment that holds it is the one to be cut.
                let holds = Offset(end.0.saturating_sub(1));
                let segment = written.segments.from(holds).first().copied();
                let segment = segment.filter(|segment| segment.base < end);
                let (Some(dir), Some(segment)) = (written.segments.dir.clone(), segment) else {
                    return self.cut(&mut state, end, Some(Place { end, cut: None, reached: end }));
                };
                (dir, segment, seen)
            };
            let found = find_boundary(&shared.files, &dir, &segment, end)?;
            let mut state = self.lock();
            let unmoved = state
                .written
                .as_ref()
                .is_some_and(|written| written.generation.load(Ordering::Acquire) == seen);
            if unmoved {
                return self.cut(&mut state, found.end, Some(found));
            }
        }
    }

    /// Drops everything; the log begins again, empty, at `start`, in `epoch`. Waits for a running
    /// flush.
    ///
    /// # Errors
    /// See [`CutError`].
    pub fn reset_to(self: &Arc<Self>, start: Offset, epoch: LeaderEpoch) -> Result<(), CutError> {
        let shared = Arc::clone(&self.shared);
        let _maintenance = shared.maintenance.lock();
        let mut state = self.lock();
        self.refuse_if_over(&state)?;
        let written = self.written(&mut state);
        let record = Record::ResetTo { start, epoch };
        let ticket = shared.submit_fact(self.class, written, record).map_err(CutError::NoRoom)?;
        written.cut_ticket = ticket;
        written.cut_end = start;
        written.reset_unproved = true;
        written.start_ticket = ticket;
        written.bump_generation();
        written.tail.clear();
        written.memory.resize(0);
        written.segments.reset(start);
        written.producers = ProducerState::default();
        written.transactions.forget_unflushed(Offset::ZERO);
        state.start = start;
        state.end = start;
        state.durable = start;
        state.high_watermark = start;
        state.epochs.truncate_from_end(Offset(i64::MIN));
        state.epochs.assign(epoch, start);
        drop(state);
        shared.admission.pump();
        Ok(())
    }

    /// Nothing below `start` is served any more: DeleteRecords, or a purged metadata log. The
    /// files go with a later retention round, once this is durable. Nothing happens at or below the
    /// log start offset. Up to where a client may delete, the caller decides.
    ///
    /// # Errors
    /// [`CutError::OutOfRange`] above the log end offset; see [`CutError`].
    pub fn set_start(self: &Arc<Self>, start: Offset) -> Result<(), CutError> {
        let mut state = self.lock();
        self.refuse_if_over(&state)?;
        if start <= state.start {
            return Ok(());
        }
        if start > state.end {
            return Err(CutError::OutOfRange { offset: start, start: state.start, end: state.end });
        }
        self.move_start(&mut state, start)
    }

    pub(crate) fn move_start(
        self: &Arc<Self>,
        state: &mut State,
        start: Offset,
    ) -> Result<(), CutError> {
        let written = self.written(state);
        let record = Record::StartOffset { start };
        let ticket =
            self.shared.submit_fact(self.class, written, record).map_err(CutError::NoRoom)?;
        written.start_ticket = ticket;
        let flushed_end = written.segments.end();
        written.tail.drop_below(start.min(flushed_end));
        state.start = start;
        state.high_watermark = state.high_watermark.max(start);
        state.epochs.truncate_from_start(start);
        Ok(())
    }

    /// Forgets epochs that began at the log end offset, if that is `end`, and have no record yet.
    fn end_epochs(self: &Arc<Self>, state: &mut State, end: Offset) -> Result<(), CutError> {
        if end != state.end || !state.epochs.begins_at(end) {
            return Ok(());
        }
        if state.written.is_some() {
            return self.cut(state, end, None);
        }
        state.epochs.truncate_from_end(end);
        Ok(())
    }

    fn refuse_if_over(&self, state: &State) -> Result<(), CutError> {
        if state.gone {
            return Err(CutError::Gone);
        }
        if self.shared.is_stopped() {
            return Err(Stopped.into());
        }
        Ok(())
    }

    fn needs_cut(&self, state: &State, end: Offset) -> Result<bool, CutError> {
        self.refuse_if_over(state)?;
        if end < state.start {
            return Err(CutError::OutOfRange { offset: end, start: state.start, end: state.end });
        }
        Ok(end < state.end)
    }

    /// The box of a log that is about to be journaled.
    fn written<'s>(self: &Arc<Self>, state: &'s mut State) -> &'s mut Written {
        let start = state.start;
        state.written.get_or_insert_with(|| {
            let id = self.shared.journal.new_log(self.partition);
            self.shared.register(id, self);
            Box::new(Written::new(id, self.shared.admission.recovered(0), start))
        })
    }

    /// Cuts at a boundary; `flushed` says where that is in the segments, if it lies there.
    fn cut(
        self: &Arc<Self>,
        state: &mut State,
        end: Offset,
        flushed: Option<Place>,
    ) -> Result<(), CutError> {
        let old_end = state.end;
        let now = self.shared.env.clock.wall().0;
        let written = self.written(state);
        let record = Record::TruncateTo { end };
        let ticket =
            self.shared.submit_fact(self.class, written, record).map_err(CutError::NoRoom)?;
        written.cut_ticket = ticket;
        written.cut_end = end;
        written.bump_generation();
        let unflushed_from = written.segments.end().max(end);
        let freed = written.tail.charge(unflushed_from, old_end);
        written.tail.truncate(end);
        written.memory.release(freed);
        if let Some(place) = flushed {
            written.segments.truncate(place.end, place.cut);
        }
        written.transactions.forget_unflushed(end);
        written.rebuild_producers(end, now);
        state.end = end;
        // A start in the middle of the batch that went, which no high watermark allows.
        state.start = state.start.min(end);
        state.durable = state.durable.min(end);
        state.high_watermark = state.high_watermark.min(end);
        state.epochs.truncate_from_end(end);
        Ok(())
    }
}

impl Written {
    /// The producers as they were at `end`: from the tail alone if no flush has ever seen one,
    /// otherwise from disk when they are next needed.
    pub(crate) fn rebuild_producers(&mut self, end: Offset, now: i64) {
        if !self.segments.sidecars.is_empty() {
            self.producers = ProducerState::OnDisk;
            return;
        }
        let mut producers = Producers::default();
        let from = self.segments.end();
        self.transactions.forget_unflushed(from);
        for batch in self.tail.range(from, end) {
            let Ok(header) = BatchHeader::parse(&batch.bytes) else { continue };
            if let Some(ended) = producers.apply(&header, marker_of(&header, &batch.bytes), now) {
                self.transactions.ended(ended, producers.first_open_transaction());
            }
        }
        self.producers = ProducerState::Loaded(producers);
    }
}

/// A batch boundary in the segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) end: Offset,
    /// The segment it lies in, by its base, and where in its file.
    pub(crate) cut: Option<(Offset, u64)>,
    /// Where the batches before it end: there, unless something between is missing.
    pub(crate) reached: Offset,
}

/// The last batch boundary at or below `target` in a segment that begins below it, and where it is
/// in the file. Nothing behind it is looked at: it may be half written.
pub(crate) fn find_boundary(
    files: &OpenFiles,
    dir: &Path,
    segment: &Segment,
    target: Offset,
) -> Result<Place, DiskError> {
    let place = |end, at, reached| Place { end, cut: Some((segment.base, at)), reached };
    let (_, last) = index_entries::below(files, dir, segment, target)?;
    let from = last.map_or(0, |entry| u64::try_from(entry.position).unwrap_or(0));
    let path = path_of(dir, segment.base, "log");
    let file = files.read(&path)?;
    let mut scan = Scan::new(&file, &path, from, segment.bytes);
    let (mut position, mut reached) = (from, segment.base);
    while let Some((at, header)) = scan.next()? {
        if header.base_offset >= target {
            return Ok(place(target, at, target));
        }
        if header.last_offset() >= target {
            return Ok(place(header.base_offset, at, header.base_offset));
        }
        position = at + u64::from(header.batch_bytes);
        reached = header.next_offset();
        if reached == target {
            break;
        }
    }
    Ok(place(target, position, reached))
}
