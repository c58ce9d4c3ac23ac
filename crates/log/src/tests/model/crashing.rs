//! Ending and beginning again: crashes between and inside operations and recovery, clean stops.

use std::collections::VecDeque;
use std::sync::Arc;

use chronik_env::{CallKind, CrashKind, Fault};
use chronik_journal::{Class, Step};
use chronik_log::{LogListener, Storage};
use chronik_types::{LeaderEpoch, Offset};
use parking_lot::Mutex;

use super::reference::State;
use super::world::{EIO, LOGS, Outcome, World, same};

impl World {
    pub(super) fn crash_now(&mut self) {
        let kind = if self.chance(3) { CrashKind::Process } else { CrashKind::PowerCut };
        self.crash(kind);
        self.seen.crashes += 1;
    }

    pub(super) fn crash(&mut self, kind: CrashKind) {
        for partition in &mut self.partitions {
            partition.log = None;
        }
        if let Some((storage, _, core)) = self.storage.take() {
            // Nothing may reach the disk any more: it is as if the process were gone.
            self.disk.clear_faults();
            self.disk.crash(kind);
            drop(core);
            storage.shutdown();
        } else {
            self.disk.clear_faults();
            self.disk.crash(kind);
        }
    }

    /// From some disk call of an operation on, nothing works any more; then the crash.
    pub(super) fn crash_inside(&mut self, at: usize) -> Outcome {
        let mut left = self.rng.below(25);
        let sync_fails = self.chance(4);
        let failed = Arc::new(Mutex::new(0_u64));
        let counter = Arc::clone(&failed);
        self.disk.set_hook(move |call| {
            let counts = !sync_fails || matches!(call.kind, CallKind::Sync | CallKind::SyncDir);
            if counts && left > 0 {
                left -= 1;
            } else if counts {
                *counter.lock() += 1;
                return Fault::Fail(EIO);
            }
            Fault::None
        });
        // What they return is of no interest: the model keeps every state they may have led to.
        match self.rng.below(5) {
            0 => {
                let _ = self.storage().flush_all();
            }
            1 => {
                let _ = self.storage().flush_round();
            }
            2 => {
                let _ = self.storage().retention_round();
                let partition = &mut self.partitions[at];
                let _ = partition;
                self.adopt_starts();
            }
            3 => {
                let _ = self.storage().flush_all();
                let (_, completions, core) = self.storage.as_mut().unwrap();
                core.step();
                completions.drain();
            }
            _ => {
                let (_, completions, core) = self.storage.as_mut().unwrap();
                while core.step() == Step::Durable {}
                completions.drain();
            }
        }
        for partition in &mut self.partitions {
            partition.learn_durable();
        }
        if sync_fails {
            self.seen.failed_syncs += u64::from(*failed.lock() > 0);
        }
        self.crash_now();
        self.seen.crashes_inside += 1;
        self.reopen(true)
    }

    /// Retention moved starts while the disk failed; they are judged elsewhere.
    fn adopt_starts(&mut self) {
        for partition in &mut self.partitions {
            let start = partition.log().start().0;
            let mut state = partition.now().clone();
            if start > state.start {
                state.set_start(start);
                partition.submitted(false, state);
            }
        }
    }

    pub(super) fn clean_stop(&mut self) -> Outcome {
        self.seen.clean_stops += 1;
        for partition in &mut self.partitions {
            partition.log = None;
        }
        let (storage, mut completions, mut core) = self.storage.take().unwrap();
        storage.shutdown();
        while core.step() != Step::Stopped {}
        completions.drain();
        drop((completions, core));
        for partition in &mut self.partitions {
            partition.all_durable();
        }
        self.reopen(false)
    }

    pub(super) fn reopen(&mut self, may_crash: bool) -> Outcome {
        if may_crash && self.chance(4) {
            let mut left = self.rng.below(40);
            self.disk.set_hook(move |_| {
                left = left.saturating_sub(1);
                if left == 0 { Fault::Fail(EIO) } else { Fault::None }
            });
            let opened = Storage::open_stepped(self.env(), Self::options());
            if let Ok((storage, completions, _, core)) = opened {
                self.storage = Some((storage, completions, core));
                for at in 0..LOGS {
                    let _ = self.open_log(at);
                }
            }
            self.seen.crashes_in_recovery += 1;
            self.crash_now();
        }
        let opened = Storage::open_stepped(self.env(), Self::options());
        let (storage, completions, _, core) = opened.map_err(|e| format!("open: {e}"))?;
        self.storage = Some((storage, completions, core));
        for at in 0..LOGS {
            self.open_log(at)?;
            self.recognise(at)?;
        }
        for at in 0..LOGS {
            self.check_producers(at)?;
            self.check_duplicates(at)?;
        }
        Ok(())
    }

    pub(super) fn open_log(&mut self, at: usize) -> Outcome {
        let storage = self.storage().clone();
        let partition = &mut self.partitions[at];
        partition.listener = Arc::default();
        let listener = Arc::clone(&partition.listener) as Arc<dyn LogListener>;
        let config = Arc::clone(&partition.config);
        let log = storage.open_log(partition.id, &partition.name, config, Class::Client, listener);
        let log = log.map_err(|error| format!("open {}: {error}", partition.name))?;
        *partition.listener.told.lock() = log.durable_end().0;
        partition.log = Some(log);
        Ok(())
    }

    /// Finds out which of the possible states the log is in; there must be one.
    fn recognise(&mut self, at: usize) -> Outcome {
        let partition = &self.partitions[at];
        let log = partition.log();
        let (start, end) = (log.start().0, log.end().0);
        let content = self.whole(at)?;
        let is_it = |state: &State| {
            state.start == start
                && state.end == end
                && state.bytes_from(start) == content
                && (-1..=state.latest_epoch() + 1).all(|epoch| {
                    let (known, offset) = log.end_offset_for_epoch(LeaderEpoch(epoch));
                    (known.0, offset.0) == state.end_of_epoch(epoch)
                })
        };
        let found = partition.history.iter().rposition(|(_, state)| is_it(state));
        let Some(index) = found else {
            let possible: Vec<_> =
                partition.history.iter().map(|(_, s)| (s.start, s.end, s.epochs.clone())).collect();
            let partly = partition.history.iter().any(|(_, s)| (s.start, s.end) == (start, end));
            return Err(format!(
                "{} is {start}..{end} with {} bytes, epoch {}, and could be {possible:?} (same offsets: {partly})",
                partition.name,
                content.len(),
                log.leader_epoch(),
            ));
        };
        self.seen.lost_unacknowledged += (partition.history.len() - 1 - index) as u64;
        let partition = &mut self.partitions[at];
        let mut state = partition.history[index].1.clone();
        // Appends that are lost leave in force what was replicated before them.
        let lost = partition.history.iter().skip(index + 1).take_while(|(is_append, _)| *is_append);
        let known =
            lost.map(|(_, state)| state.high_watermark).fold(state.high_watermark, i64::max);
        state.high_watermark = known.min(state.end);
        let high_watermark = state.high_watermark;
        partition.history = VecDeque::from([(false, state)]);
        let restored = partition.log().high_watermark().0;
        if restored > high_watermark {
            return Err(format!("the high watermark is {restored}, above {high_watermark}"));
        }
        same(
            "restored high watermark",
            high_watermark,
            partition.log().advance_high_watermark(Offset(high_watermark)).0,
        )
    }
}
