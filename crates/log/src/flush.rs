//! Flushing: from the tail into segments, so that the journal can let go.
//!
//! ```text
//! plan (locked) ─► write (no lock) ─► sync all logs of the batch ─► commit (locked): FLUSHED
//! ```
//!
//! **Invariants**
//! - Oldest first: the log whose oldest unflushed record is oldest goes first, which bounds the age
//!   of the journal.
//! - Only what is durable is flushed, and FLUSHED is journaled only after the files and the names
//!   in their directories are synced.
//! - A flush that finds its log cut when it comes back gives up; what it wrote does not count, and
//!   is overwritten or removed.
//! - A failed write is tried again by the next round. A failed sync stops the broker.
//!
//! **Not here:** the bytes of segments (`segment::active`), executing the writes (`flush_files`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use chronik_journal::{Flushed, LogId, Lsn, Record, Refused, Reservation, batch_crc};
use chronik_protocol::batch::BatchHeader;
use chronik_types::Offset;

use crate::config::LogConfig;
use crate::dirs::dir_name;
use crate::error::{FlushError, Stopped};
use crate::flush_files::{FlushFiles, Written as WrittenFiles};
use crate::log::{Log, State, Written};
use crate::segment::active::ActiveSegment;
use crate::storage::{Shared, Storage};

/// How many logs are written before they are made durable together.
const LOGS_PER_BATCH: usize = 64;
/// How many bytes of batches a round writes at most, before it looks again at what is needed.
const ROUND_BYTES_MAX: usize = 256 << 20;

/// What a round did.
#[derive(Debug, Default)]
pub struct FlushReport {
    /// Logs flushed to segments.
    pub flushed_logs: usize,
    /// Bytes of batches written to segments.
    pub flushed_bytes: usize,
    /// Logs whose leftovers were copied to the journal's head.
    pub copied_logs: usize,
    /// Bytes of batches copied.
    pub copied_bytes: usize,
    /// What did not work; the logs concerned stay as they were.
    pub errors: Vec<FlushError>,
}

/// What is to be flushed of one log.
pub(crate) struct Plan {
    pub(crate) log: Arc<Log>,
    pub(crate) config: Arc<LogConfig>,
    pub(crate) from: Offset,
    pub(crate) end: Offset,
    pub(crate) batches: Vec<Bytes>,
    pub(crate) bytes: usize,
    pub(crate) active: Option<ActiveSegment>,
    /// Whether the last segment's end must be learned from its files first.
    pub(crate) unloaded: bool,
    pub(crate) stale: BTreeSet<String>,
    /// Sidecars must be written: a producer is, or was, known.
    pub(crate) producers: Option<crate::producer_snapshot::ProducersSource>,
    pub(crate) newest_sidecar: Option<Offset>,
    /// The directory's name must be made durable with this flush.
    pub(crate) dir_unproved: bool,
    /// Everything lies below the log start: the log is empty, and has no segment.
    skipped: bool,
    /// What will be journaled; the active segment is known once it is written.
    pub(crate) fact: Flushed,
    pub(crate) reservation: Option<Reservation>,
    generation: u64,
}

/// Which logs a round is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Memory or the journal fill up.
    Pressure,
    /// All, to segments.
    All,
}

impl Storage {
    /// Flushes what memory and the journal need to be flushed, and goes on with deletions. Blocks.
    pub fn flush_round(&self) -> FlushReport {
        let mut report = FlushReport::default();
        let _maintenance = self.shared.maintenance.lock();
        if self.shared.is_stopped() {
            return report;
        }
        if let Err(error) = self.shared.removal_round() {
            report.errors.push(error.into());
        }
        if self.shared.under_pressure() {
            self.shared.flush(Purpose::Pressure, &mut report);
        }
        self.shared.admission.pump();
        self.shared.look_for_holders();
        report
    }

    /// Flushes everything durable to segments: for backups, tests and `kafka-dump-log`. Blocks.
    ///
    /// # Errors
    /// The first of what did not work; the other logs are flushed all the same.
    pub fn flush_all(&self) -> Result<(), FlushError> {
        let mut report = FlushReport::default();
        {
            let _maintenance = self.shared.maintenance.lock();
            if self.shared.is_stopped() {
                return Err(Stopped.into());
            }
            self.shared.removal_round()?;
            self.shared.flush(Purpose::All, &mut report);
        }
        self.shared.admission.pump();
        report.errors.into_iter().next().map_or(Ok(()), Err)
    }

    /// Flushes what is durable of one log.
    pub(crate) fn flush_log(&self, log: &Arc<Log>) -> Result<(), FlushError> {
        let mut report = FlushReport::default();
        let _maintenance = self.shared.maintenance.lock();
        if self.shared.is_stopped() {
            return Err(Stopped.into());
        }
        self.shared.flush_batch(&[Arc::clone(log)], &mut report);
        report.errors.into_iter().next().map_or(Ok(()), Err)
    }
}

impl Shared {
    /// The caller holds the maintenance lock.
    fn flush(self: &Arc<Self>, purpose: Purpose, report: &mut FlushReport) {
        // What is written while this runs is for the next round: producers must not be able to keep
        // this one going for ever.
        let newest = self.dirty.newest();
        // Logs with little to flush cost as much as others and give little memory back; they are
        // left for last, unless the journal needs what they pin.
        for little_too in [false, true] {
            let mut after: Option<(Lsn, LogId)> = None;
            loop {
                let enough = purpose == Purpose::Pressure
                    && (report.flushed_bytes >= ROUND_BYTES_MAX || self.is_relieved());
                if enough || self.is_stopped() {
                    return;
                }
                let mut logs = self.dirty.oldest(after, LOGS_PER_BATCH);
                logs.retain(|((lsn, _), _)| Some(*lsn) <= newest);
                let Some((last, _)) = logs.last() else { break };
                after = Some(*last);
                let chosen: Vec<Arc<Log>> = logs
                    .into_iter()
                    .filter(|((oldest, _), log)| {
                        purpose == Purpose::All || self.choose(log, *oldest, little_too, report)
                    })
                    .map(|(_, log)| log)
                    .collect();
                self.flush_batch(&chosen, report);
            }
        }
    }

    /// Whether a log is to be flushed now. If it pins an old journal file with little, it is copied
    /// to the journal's head instead.
    fn choose(
        &self,
        log: &Arc<Log>,
        oldest: Lsn,
        little_too: bool,
        report: &mut FlushReport,
    ) -> bool {
        let little = log.unflushed_bytes() < self.options.flush_small_bytes;
        let pins = oldest.file < self.current_file() && self.journal_is_filling();
        if !little {
            return true;
        }
        if !pins {
            return little_too;
        }
        let copy_bytes_max = self.options.journal.file_bytes as usize / 4;
        let room = copy_bytes_max.saturating_sub(report.copied_bytes);
        match self.copy_forward(log, room) {
            Some(bytes) => {
                report.copied_logs += 1;
                report.copied_bytes += bytes;
                false
            }
            None => true,
        }
    }

    /// More than half of what it may take.
    pub(crate) fn journal_is_filling(&self) -> bool {
        self.journal.stats().used_bytes > self.options.journal.max_bytes / 2
    }

    /// Whether a flush could let the journal drop files. What is in the file being written need not
    /// be flushed for it.
    fn journal_needs_flush(&self) -> bool {
        self.journal_is_filling()
            && self
                .dirty
                .oldest(None, 1)
                .first()
                .is_some_and(|((oldest, _), _)| oldest.file < self.current_file())
    }

    /// Whether there is reason to flush.
    pub(crate) fn under_pressure(&self) -> bool {
        let memory_is_filling = self.admission.used() > self.options.unflushed_bytes_max / 2;
        (memory_is_filling || self.admission.is_contended()) && self.dirty.len() > 0
            || self.journal_needs_flush()
    }

    /// Whether memory is fine and every old journal file can go.
    fn is_relieved(&self) -> bool {
        let memory_is_fine = self.admission.used() <= self.options.unflushed_bytes_max / 4;
        memory_is_fine && !self.journal_needs_flush()
    }

    /// Writes these logs, makes them durable together, and journals it.
    fn flush_batch(self: &Arc<Self>, logs: &[Arc<Log>], report: &mut FlushReport) {
        let mut files = FlushFiles::new(self);
        let mut written = Vec::new();
        for log in logs {
            let Some(mut plan) = log.plan_flush() else { continue };
            // Without room for the fact, the writes would be for nothing.
            match self.reserve_fact(&plan.fact) {
                Ok(reservation) => plan.reservation = Some(reservation),
                Err(Refused::Stopped) => {
                    report.errors.push(Stopped.into());
                    break;
                }
                Err(refused) => {
                    report.errors.push(FlushError::NoRoom(refused));
                    continue;
                }
            }
            let mut done = WrittenFiles::default();
            match files.write(&plan, &mut done) {
                Ok(()) => written.push((plan, done)),
                Err(error) => {
                    log.give_up_flush(&done);
                    tracing::warn!(topic = log.topic(), %error, "a log could not be flushed");
                    report.errors.push(error.into());
                }
            }
        }
        if let Err(error) = files.sync() {
            // What the page cache shows and what the disk holds may differ from here on.
            self.stop(format!("syncing segments failed: {error}"));
            report.errors.push(error.into());
            return;
        }
        for (mut plan, done) in written {
            let bytes = plan.bytes;
            let log = Arc::clone(&plan.log);
            if log.commit_flush(&mut plan, done) {
                report.flushed_logs += 1;
                report.flushed_bytes += bytes;
                self.counters.flushed_logs.fetch_add(1, Ordering::Relaxed);
                self.counters.flushed_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            }
        }
    }

    /// Copies the little that is unflushed of a quiet log to the journal's head, if it is little
    /// and quiet: as one group with the fact that the originals are obsolete. Says how many bytes.
    /// What is still on its way to the disk would be replayed before the copies, out of its order.
    pub(crate) fn copy_forward(&self, log: &Arc<Log>, room: usize) -> Option<usize> {
        let mut state = log.lock();
        let flushed_end = state.flushed_end();
        let State { end, start, high_watermark, epochs, written, gone, .. } = &mut *state;
        let (end, start) = (*end, *start);
        let written = written.as_mut()?;
        let bytes = written.tail.bytes(flushed_end, end);
        // Files of a past that a reset ended, or of a flush that never counted, could pass for the
        // log's own once FLUSHED covers it.
        let unfinished = written.segments.dir.is_none()
            && self.dirs.is_unfinished(&dir_name(&log.topic, log.partition.partition));
        let clean =
            written.segments.stale.is_empty() && !written.segments.cut_unproved && !unfinished;
        let quiet = written.is_settled() && clean && !*gone;
        let little = bytes < self.options.flush_small_bytes && bytes <= room && bytes > 0;
        if !quiet || !little {
            return None;
        }
        let mut records = vec![Record::Flushed(Flushed {
            lsn: written.durable_lsn,
            start: start.min(flushed_end),
            end: flushed_end,
            epochs: epochs.up_to(flushed_end),
            active_segment: written.segments.active_segment(),
            high_watermark: (*high_watermark).min(flushed_end),
        })];
        records.extend(written.tail.range(flushed_end, end).map(|batch| Record::Append {
            base_offset: batch.base,
            last_offset: batch.last,
            epoch: batch.epoch,
            crc: batch_crc(&batch.bytes),
            batch: batch.bytes.clone(),
        }));
        if let Some((epoch, at)) = epochs.entries().last().filter(|(_, at)| *at == end) {
            records.push(Record::EpochStart { epoch: *epoch, start: *at });
        }
        if start > flushed_end {
            records.push(Record::StartOffset { start });
        }
        let ticket = self.submit_facts(log.class, written, records).ok()?;
        written.fact_tickets.push(ticket);
        if let Some(oldest) = written.oldest_unflushed.take() {
            self.dirty.remove(oldest, written.id);
        }
        drop(state);
        self.counters.copied_logs.fetch_add(1, Ordering::Relaxed);
        self.counters.copied_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Some(bytes)
    }
}

impl Log {
    /// Bytes of batches that no segment has.
    fn unflushed_bytes(&self) -> usize {
        let state = self.lock();
        let flushed_end = state.flushed_end();
        let written = state.written.as_ref();
        written.map_or(0, |written| written.tail.bytes(flushed_end, state.end))
    }

    /// What there is to flush now; nothing while a cut is not durable.
    fn plan_flush(self: &Arc<Self>) -> Option<Plan> {
        let mut state = self.lock();
        let State { start, durable, high_watermark, epochs, written, config, gone, .. } =
            &mut *state;
        let written = written.as_mut()?;
        let unneeded = written.oldest_unflushed.is_none() && written.segments.stale.is_empty();
        if *gone || unneeded || !written.cut_is_durable() {
            return None;
        }
        written.oldest_after_plan = None;
        let from = written.segments.end();
        let end = (*durable).max(from);
        let mut batches: Vec<Bytes> =
            written.tail.range(from, end).map(|batch| batch.bytes.clone()).collect();
        let newest_sidecar = written.segments.sidecars.last().copied();
        let idempotent =
            |batch: &Bytes| BatchHeader::parse(batch).is_ok_and(|header| header.is_idempotent());
        let producers = (end > from
            && (newest_sidecar.is_some() || batches.iter().any(idempotent)))
        .then(|| written.segments.producers_source(&self.shared, from, from));
        // What lies below a durable start need not be written any more, unless the producers at
        // the end are to be known from it.
        let known_at_end = written.segments.producers_known_at(end);
        let skipped =
            end <= *start && written.start_is_durable() && producers.is_none() && known_at_end;
        if skipped {
            batches.clear();
        }
        Some(Plan {
            log: Arc::clone(self),
            config: Arc::clone(config),
            from,
            end,
            bytes: batches.iter().map(Bytes::len).sum(),
            batches,
            active: written.segments.active.as_deref().cloned(),
            unloaded: written.segments.active.is_none() && !written.segments.list().is_empty(),
            stale: written.removable(),
            producers,
            newest_sidecar,
            dir_unproved: written.segments.dir_unproved,
            skipped,
            fact: Flushed {
                lsn: written.durable_lsn,
                start: (*start).min(end),
                end,
                epochs: epochs.up_to(end),
                active_segment: None,
                high_watermark: (*high_watermark).min(end),
            },
            reservation: None,
            generation: written.generation.load(Ordering::Acquire),
        })
    }

    /// A flush of it failed halfway, or was overtaken: its files hold what does not count.
    fn give_up_flush(&self, done: &WrittenFiles) {
        let mut state = self.lock();
        if let Some(written) = &mut state.written {
            written.give_up_flush(done);
        }
    }

    /// The plan's files are durable: journals FLUSHED, unless the log was cut meanwhile. Says
    /// whether it did.
    fn commit_flush(self: &Arc<Self>, plan: &mut Plan, done: WrittenFiles) -> bool {
        let mut state = self.lock();
        let State { start, high_watermark, written, gone, .. } = &mut *state;
        let Some(written) = written.as_mut() else { return false };
        let overtaken = written.generation.load(Ordering::Acquire) != plan.generation;
        let reservation = plan.reservation.take().filter(|_| !*gone && !overtaken);
        let Some(reservation) = reservation else {
            written.give_up_flush(&done);
            return false;
        };
        let mut fact = plan.fact.clone();
        fact.active_segment = match done.segments.last() {
            Some(last) => Some((last.base, last.bytes)),
            None if plan.skipped => None,
            None => written.segments.active_segment(),
        };
        let records = vec![Record::Flushed(fact)];
        let ticket = self.shared.submit(reservation, self.class, written, records);
        written.fact_tickets.push(ticket);
        written.flush_ticket = ticket;
        written.segments.forget_removed(&plan.stale);
        if let Some(dir) = &done.dir {
            if written.segments.dir.is_none() {
                self.shared.dirs.set_finished(&dir_name(&self.topic, self.partition.partition));
            }
            written.segments.dir = Some(Arc::clone(dir));
            written.segments.dir_unproved = false;
            written.segments.cut_unproved = false;
        }
        let charge = written.tail.charge(plan.from, plan.end);
        written.segments.flushed(plan.end, &done.segments, done.active.map(Box::new));
        if plan.skipped {
            written.segments.drop_below(plan.end);
        }
        if done.producers_gone {
            written.segments.drop_sidecars();
        }
        written.segments.add_sidecars(done.sidecars.iter().map(|sidecar| sidecar.at));
        written.segments.prune_sidecars(*high_watermark);
        written.transactions.forget_flushed(plan.end);
        written.memory.release(charge);
        written.tail.drop_below((*start).min(plan.end));
        if let Some(oldest) = written.oldest_unflushed.take() {
            self.shared.dirty.remove(oldest, written.id);
        }
        written.oldest_unflushed = written.oldest_after_plan;
        if let Some(oldest) = written.oldest_unflushed {
            self.shared.dirty.insert(oldest, written.id, self);
        }
        let end = plan.end;
        drop(state);
        if charge > 0 {
            self.shared.cache.add(self, end, charge);
        }
        true
    }
}

impl Written {
    /// Whatever a flush has written does not count: new files go with the next one, and the ends
    /// of the others are cut. What it was to remove may be there still.
    fn give_up_flush(&mut self, done: &WrittenFiles) {
        self.segments.active = None;
        self.segments.discard_created(done.created());
        done.sidecars.iter().for_each(|sidecar| self.segments.discard_sidecar(sidecar.at));
    }
}
