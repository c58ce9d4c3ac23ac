//! The writer: gather, write, sync, complete; one group at a time.

use std::sync::Arc;

use bytes::Bytes;
use chronik_types::Offset;

use crate::entry;
use crate::file_header::HEADER_BYTES;
use crate::files::{Current, Files};
use crate::frame::{FRAME_BYTES, padded};
use crate::group::{Builder, Effect, Group};
use crate::prepare::Trouble;
use crate::shared::{Content, Phase, Shared, Submission};
use crate::staged::Staged;
use crate::{Completed, DurableGroup, DurableSink, Journal, JournalError, Record};

/// Flush facts repeated in one group, in bytes: few enough not to hold up what was submitted.
const REPEAT_BYTES_MAX: usize = 256 << 10;

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A group became durable.
    Durable,
    /// There is nothing to do.
    Idle,
    /// The disk is full; the step must be tried again later.
    WaitingForSpace,
    /// The journal has stopped, by a shutdown or a failure.
    Stopped,
}

/// How far a step has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A group was written; the next part makes it durable.
    Written,
    /// A group was synced; the next part tells.
    Synced,
    /// The step is done.
    Done(Step),
}

/// The journal as a machine driven from outside: by its thread, a test or a simulation.
///
/// # Invariants
///
/// - At most one group is written and not yet synced.
/// - Nothing is reported durable that a sync has not covered.
pub struct Core {
    pub(crate) shared: Arc<Shared>,
    pub(crate) files: Files,
    sink: Box<dyn DurableSink>,
    staged: Staged,
    /// The last vote, repeated at the head of every file.
    vote: Option<Bytes>,
    /// Built, and not yet told of: on its way to the disk, or waiting for space.
    pending: Option<Pending>,
    /// Whether the journal ends with a seal, or is empty.
    sealed: bool,
    stopped: bool,
}

/// A group on its way.
struct Pending {
    group: Group,
    /// Nothing comes after it.
    is_seal: bool,
    at: At,
    write_micros: u64,
    sync_micros: u64,
}

/// How far a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Built,
    Written,
    Synced,
}

impl Core {
    pub(crate) fn new(
        shared: Arc<Shared>,
        files: Files,
        vote: Option<Bytes>,
        sealed: bool,
        sink: Box<dyn DurableSink>,
    ) -> Self {
        Self {
            shared,
            files,
            sink,
            staged: Staged::default(),
            vote,
            pending: None,
            sealed,
            stopped: false,
        }
    }

    /// The handle to write with.
    #[must_use]
    pub fn journal(&self) -> Journal {
        Journal { shared: Arc::clone(&self.shared) }
    }

    /// Drains one group, if there is something to write, and makes it durable.
    pub fn step(&mut self) -> Step {
        loop {
            if let Part::Done(step) = self.part_of_step() {
                return step;
            }
        }
    }

    /// As [`Core::step`], in parts, so that a simulation can let time pass between them.
    pub fn part_of_step(&mut self) -> Part {
        if self.stopped {
            return Part::Done(Step::Stopped);
        }
        let in_flight = self.pending.as_ref().is_some_and(|pending| pending.at != At::Built);
        let stopping = if in_flight {
            false
        } else {
            self.look_at_the_disk();
            self.take_in()
        };
        let step = match self.write_next(stopping) {
            Ok(part) => return part,
            Err(Trouble::Full) if stopping => {
                // Nothing that waits was acknowledged, and nobody waits for it any more.
                self.stop();
                Step::Stopped
            }
            Err(Trouble::Full) => {
                self.shared.queue.lock().waiting_for_space = true;
                Step::WaitingForSpace
            }
            Err(Trouble::Failed(error)) => {
                self.fail(&error);
                Step::Stopped
            }
        };
        Part::Done(step)
    }

    /// Moves the queue to this side. Says whether the journal is to stop when all is written.
    fn take_in(&mut self) -> bool {
        let mut queue = self.shared.queue.lock();
        let queue = &mut *queue;
        self.staged.take_in(&mut queue.metadata, &mut queue.others);
        queue.phase == Phase::Stopping
    }

    fn write_next(&mut self, stopping: bool) -> Result<Part, Trouble> {
        if self.pending.is_none() {
            let group = self.assemble()?;
            self.pend(group, false);
        }
        if self.pending.is_none() && stopping {
            if self.sealed {
                self.stop();
                return Ok(Part::Done(Step::Stopped));
            }
            self.ensure_room(FRAME_BYTES + 1)?;
            let seal = self.seal();
            self.pend(seal, true);
        }
        self.advance()
    }

    fn pend(&mut self, group: Option<Group>, is_seal: bool) {
        let at = At::Built;
        self.pending =
            group.map(|group| Pending { group, is_seal, at, write_micros: 0, sync_micros: 0 });
    }

    /// Takes what fits in one group, beginning a new file when the first does not fit any more.
    fn assemble(&mut self) -> Result<Option<Group>, Trouble> {
        let frees = self.files.current.is_none() && self.can_free();
        if self.files.current.is_none() && (frees || !self.staged.is_empty()) {
            self.begin_next_file(0)?;
        }
        if let Some(group) = self.gather(frees) {
            return Ok(Some(group));
        }
        let mut wanted = None;
        let _ = self.staged.next_if(|first| {
            wanted = Some(submission_bytes(first));
            false
        });
        let Some(wanted) = wanted else { return Ok(None) };
        self.begin_next_file(FRAME_BYTES + wanted)?;
        Ok(self.gather(false))
    }

    /// Whether space is wanted.
    fn is_filling(&self) -> bool {
        self.files.used() > self.shared.options.max_bytes / 2 || self.shared.queue.lock().refused
    }

    /// Whether the oldest file could go if only a group were written: at the start of a run, after
    /// crashes that have filled the journal, all may be refused who would write one.
    fn can_free(&self) -> bool {
        let Some(oldest) = self.files.live.front() else { return false };
        self.is_filling() && !self.shared.table.lock().has_unflushed(oldest.sequence)
    }

    fn vote_bytes(&self) -> usize {
        self.vote.as_ref().map_or(0, |vote| vote.len() + entry::VOTE_BYTES)
    }

    fn begin_next_file(&mut self, group_bytes: usize) -> Result<(), Trouble> {
        let bytes = u32::try_from(group_bytes + self.vote_bytes()).unwrap_or(u32::MAX);
        let next_log = self.shared.table.lock().next_log();
        self.files.begin_next(padded(bytes), next_log.0)?;
        let live = self.files.live.iter().map(|file| file.sequence).collect();
        *self.shared.live.lock() = live;
        Ok(())
    }

    fn ensure_room(&mut self, bytes: usize) -> Result<(), Trouble> {
        if (self.files.room() as usize) < bytes { self.begin_next_file(bytes) } else { Ok(()) }
    }

    fn builder(&self) -> Option<Builder> {
        let Current { sequence, salt, position, .. } = self.files.current.as_ref()?;
        let mut builder = Builder::new(*sequence, *salt, *position, self.files.next_group);
        if *position == HEADER_BYTES
            && let Some(vote) = &self.vote
            && !crate::bugs::forget_vote()
        {
            builder.vote(vote.clone());
        }
        Some(builder)
    }

    /// A group of what fits; an empty one only if it `frees` files by being there.
    fn gather(&mut self, frees: bool) -> Option<Group> {
        let mut builder = self.builder()?;
        let room = self.files.room() as usize;
        let group_max = (self.shared.options.group_bytes_max as usize).min(room);
        let repeats = self.repeat_facts(&mut builder, group_max);
        let mut taken = 0;
        while let Some(submission) = self.staged.next_if(|next| {
            let bytes = builder.bytes() + submission_bytes(next);
            bytes <= group_max || (taken == 0 && !repeats && bytes <= room)
        }) {
            taken += 1;
            self.put(&mut builder, submission);
        }
        (taken > 0 || repeats || frees).then(|| builder.finish())
    }

    /// Repeats flush facts that stand in the oldest file, when nothing else keeps that file and
    /// its space is wanted. Says whether there were any.
    fn repeat_facts(&self, builder: &mut Builder, group_max: usize) -> bool {
        let Some(oldest) = self.files.live.front() else { return false };
        if self.files.is_current(oldest.sequence) {
            return false;
        }
        let wanted = self.is_filling();
        let Some(current) = self.files.current.as_ref().filter(|_| wanted) else { return false };
        let mut table = self.shared.table.lock();
        if table.has_unflushed(oldest.sequence) || crate::bugs::forget_facts() {
            return false;
        }
        let mut room = group_max.saturating_sub(builder.bytes()).min(REPEAT_BYTES_MAX);
        let mut repeated = Vec::new();
        for (log, flushed) in table.facts(oldest.sequence) {
            let record = Record::Flushed(flushed.clone());
            let bytes = entry::entry_bytes(&record) + entry::MAPPING_BYTES;
            if bytes > room {
                break;
            }
            room -= bytes;
            repeated.push((log, record));
        }
        builder.repeated = repeated.len() as u64;
        for (log, record) in repeated {
            if let Some(partition) = table.mapping_due(log, current.sequence) {
                builder.mapping(log, partition);
            }
            builder.record(log, record);
        }
        builder.repeated > 0
    }

    fn put(&mut self, builder: &mut Builder, submission: Submission) {
        let Submission { log, ticket, content, cost } = submission;
        builder.cost += cost;
        let records = match content {
            Content::Vote(vote) => {
                let lsn = builder.vote(vote.clone());
                self.vote = Some(vote);
                builder.done.push(Completed { log, lsn, end: None, ticket });
                return;
            }
            Content::Records(records) => records,
        };
        let Some(file) = self.files.current.as_ref().map(|current| current.sequence) else {
            return;
        };
        let mut table = self.shared.table.lock();
        if let Some(partition) = table.mapping_due(log, file) {
            builder.mapping(log, partition);
        }
        for record in records {
            let end = match &record {
                Record::Append { last_offset, .. } => Some(Offset::next(*last_offset)),
                _ => None,
            };
            let pins = !matches!(record, Record::Flushed(_) | Record::Drop);
            let lsn = builder.record(log, record);
            if pins {
                table.note_record(log, lsn);
            }
            builder.done.push(Completed { log, lsn, end, ticket });
        }
    }

    fn seal(&self) -> Option<Group> {
        let mut builder = self.builder()?;
        builder.seal();
        Some(builder.finish())
    }

    /// Takes the pending group one part further: written, synced, told of.
    fn advance(&mut self) -> Result<Part, Trouble> {
        let Some(pending) = &mut self.pending else { return Ok(Part::Done(Step::Idle)) };
        let clock = &self.shared.clock;
        match pending.at {
            At::Built => {
                let begin = clock.monotonic();
                self.files.write(&pending.group)?;
                pending.at = At::Written;
                pending.write_micros = micros(clock.monotonic().since(begin));
                Ok(Part::Written)
            }
            At::Written => {
                let begin = clock.monotonic();
                self.files.sync(&pending.group)?;
                pending.at = At::Synced;
                pending.sync_micros = micros(clock.monotonic().since(begin));
                self.sealed = pending.is_seal;
                Ok(Part::Synced)
            }
            At::Synced => {
                let Some(pending) = self.pending.take() else {
                    return Ok(Part::Done(Step::Idle));
                };
                self.complete(pending.group, pending.write_micros, pending.sync_micros);
                if pending.is_seal {
                    self.stop();
                    return Ok(Part::Done(Step::Stopped));
                }
                Ok(Part::Done(Step::Durable))
            }
        }
    }

    fn complete(&mut self, group: Group, write_micros: u64, sync_micros: u64) {
        if !group.effects.is_empty() {
            let mut table = self.shared.table.lock();
            for (log, lsn, effect) in group.effects {
                match effect {
                    Effect::Flushed(flushed) => table.apply_flushed(log, lsn, flushed),
                    Effect::Drop => table.apply_drop(log, lsn),
                }
            }
        }
        let records = group.done.len() as u64;
        if records > 0 {
            self.sink.group_durable(DurableGroup { lsn: group.lsn, records: group.done });
        }
        self.retire();
        {
            let mut stats = self.shared.stats.lock();
            stats.groups += 1;
            stats.syncs += 1;
            stats.records += records;
            stats.bytes += u64::from(group.padded);
            stats.write_micros += write_micros;
            stats.sync_micros += sync_micros;
            stats.sync_micros_max = stats.sync_micros_max.max(sync_micros);
            stats.facts_repeated += group.repeated;
            stats.files_begun = self.files.begun;
            stats.files_recycled = self.files.recycled;
            stats.direct = self.files.direct.on;
        }
        let used = self.files.used();
        let tell = {
            let mut queue = self.shared.queue.lock();
            queue.reserved = queue.reserved.saturating_sub(group.cost);
            queue.used = used;
            queue.waiting_for_space = false;
            std::mem::take(&mut queue.refused)
        };
        if tell {
            self.sink.space_freed();
        }
    }

    /// Lets go of the oldest files as long as nothing in them is needed.
    fn retire(&mut self) {
        let mut table = self.shared.table.lock();
        let mut live = None;
        while let Some(oldest) = self.files.live.front().map(|file| file.sequence) {
            let needed = (table.has_unflushed(oldest) && !crate::bugs::recycle_unflushed())
                || (table.has_facts(oldest) && !crate::bugs::forget_facts());
            if self.files.is_current(oldest) || needed {
                break;
            }
            table.retire(oldest);
            self.files.retire_oldest();
            live = Some(self.files.live.iter().map(|file| file.sequence).collect());
        }
        drop(table);
        if let Some(live) = live {
            *self.shared.live.lock() = live;
        }
    }

    /// Tells those that were refused at the floor when there is space again.
    fn look_at_the_disk(&mut self) {
        let recovered = {
            let mut queue = self.shared.queue.lock();
            queue.disk_low
                && !self.shared.disk_is_low(&mut queue)
                && std::mem::take(&mut queue.refused)
        };
        if recovered {
            self.sink.space_freed();
        }
    }

    fn stop(&mut self) {
        self.stopped = true;
        self.files.preparer.stop();
        let mut queue = self.shared.queue.lock();
        queue.phase = Phase::Stopped;
        queue.metadata.clear();
        queue.others.clear();
    }

    fn fail(&mut self, error: &JournalError) {
        tracing::error!(%error, "the journal has stopped");
        self.stop();
        self.sink.failed(error);
    }
}

/// An upper bound of what a submission adds to a group.
fn submission_bytes(submission: &Submission) -> usize {
    match &submission.content {
        Content::Vote(vote) => entry::VOTE_BYTES + vote.len(),
        Content::Records(records) => {
            let record = |record| entry::entry_bytes(record) + entry::payload_bytes(record);
            entry::MAPPING_BYTES + records.iter().map(record).sum::<usize>()
        }
    }
}

fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
