//! What moves on by itself: the journal, the high watermark, flushes.

use chronik_env::{CallKind, Fault};
use chronik_journal::Step;
use chronik_log::FlushError;
use chronik_types::Offset;

use super::world::{EIO, Outcome, World, same};

impl World {
    pub(super) fn journal_step(&mut self) -> Outcome {
        let (_, completions, core) = self.storage.as_mut().unwrap();
        let step = core.step();
        completions.drain();
        if step == Step::Stopped {
            return Err("the journal stopped".into());
        }
        self.learn_durable()
    }

    pub(super) fn settle(&mut self) -> Outcome {
        let (_, completions, core) = self.storage.as_mut().unwrap();
        let last = loop {
            let step = core.step();
            if step != Step::Durable {
                break step;
            }
        };
        completions.drain();
        if last != Step::Idle {
            return Err(format!("the journal says {last:?}"));
        }
        for partition in &mut self.partitions {
            partition.all_durable();
            let position = partition.log().position();
            let (durable, end) = (position.durable, position.end);
            if durable != end {
                return Err(format!("all is durable, but {durable} is not {end}"));
            }
        }
        Ok(())
    }

    pub(super) fn learn_durable(&mut self) -> Outcome {
        for partition in &mut self.partitions {
            let told = *partition.listener.told.lock();
            let durable = partition.log().position().durable.0;
            // The listener may have been told more before a truncation, never less.
            if told < durable {
                return Err(format!("the listener was told {told}, not {durable}"));
            }
            partition.learn_durable();
        }
        Ok(())
    }

    pub(super) fn advance(&mut self, at: usize) -> Outcome {
        let partition = &self.partitions[at];
        let durable = partition.log().durable_end().0;
        let ends = partition.now().batches.iter().map(|batch| batch.last + 1);
        let low = partition.now().high_watermark;
        let possible: Vec<i64> = ends.filter(|end| *end > low && *end <= durable).collect();
        if possible.is_empty() {
            return Ok(());
        }
        let to = possible[self.rng.below(possible.len() as u64) as usize];
        let partition = &mut self.partitions[at];
        partition.history.back_mut().unwrap().1.high_watermark = to;
        same("high watermark", to, partition.log().advance_high_watermark(Offset(to)).0)
    }

    pub(super) fn flush(&mut self, all: bool) -> Outcome {
        let before = self.storage().stats();
        if all {
            match self.storage().flush_all() {
                Ok(()) | Err(FlushError::NoRoom(_)) => {}
                Err(error) => return Err(format!("flush: {error}")),
            }
        } else {
            let report = self.storage().flush_round();
            let no_room = |e: &FlushError| matches!(e, FlushError::NoRoom(_));
            if let Some(error) = report.errors.iter().find(|error| !no_room(error)) {
                return Err(format!("flush: {error}"));
            }
        }
        let after = self.storage().stats();
        self.seen.flushes += after.flushed_logs - before.flushed_logs;
        self.seen.flushed_bytes += after.flushed_bytes - before.flushed_bytes;
        self.seen.copies += after.copied_logs - before.copied_logs;
        Ok(())
    }

    /// Writes of segments fail now and then; nothing but the flush notices.
    pub(super) fn flush_with_faults(&mut self) -> Outcome {
        let rng = self.rng.fork("faults").fork(&self.seen.operations.to_string());
        self.disk.set_hook(move |call| {
            let of_journal = call.path.starts_with("/data/journal");
            let may_fail = matches!(
                call.kind,
                CallKind::Open | CallKind::Write | CallKind::SetLen | CallKind::Remove
            );
            if of_journal || !may_fail || rng.below(6) > 0 {
                return Fault::None;
            }
            let half = Fault::Short { bytes: call.bytes / 2, errno: EIO };
            if call.kind == CallKind::Write { half } else { Fault::Fail(EIO) }
        });
        if self.storage().flush_all().is_err() {
            self.seen.failed_writes += 1;
        }
        self.disk.clear_faults();
        Ok(())
    }
}
