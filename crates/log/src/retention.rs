//! Retention: which segments have had their time, or are beyond the size that may be kept.
//!
//! **Invariants**
//! - Nothing at or above the high watermark goes, and never a part of a segment.
//! - The new start is durable in the journal before a file is unlinked.
//! - The end survives even if everything below it goes: FLUSHED says it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chronik_types::Offset;

use crate::bugs;
use crate::config::LogConfig;
use crate::error::{CutError, DiskError, ReadError};
use crate::log::{Log, Written};
use crate::producer_snapshot::{encode, encode_kafka};
use crate::segment::path_of;
use crate::storage::{Shared, Storage};

/// What a round did.
#[derive(Debug, Default)]
pub struct RetentionReport {
    /// Logs whose start moved.
    pub moved_logs: usize,
    /// Segments that were unlinked.
    pub removed_segments: usize,
    /// What did not work; it is tried again by the next round.
    pub errors: Vec<RetentionError>,
}

/// Why retention of a log did not work.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// Its segments could not be judged.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its start could not be moved.
    #[error(transparent)]
    Cut(#[from] CutError),
    /// Its files could not be removed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// A segment, or the unflushed tail as if it were one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    end: Offset,
    bytes: u64,
    /// -1 if no record has one.
    max_timestamp: i64,
}

/// Where the log should start: pure.
fn new_start(
    pieces: &[Piece],
    config: &LogConfig,
    now: i64,
    high_watermark: Offset,
) -> Option<Offset> {
    let total: u64 = pieces.iter().map(|piece| piece.bytes).sum();
    let mut excess = match u64::try_from(config.retention_bytes) {
        Ok(keep) => total.saturating_sub(keep),
        Err(_) => 0,
    };
    let mut start = None;
    for piece in pieces.iter().take_while(|piece| piece.end <= high_watermark) {
        let age = now.saturating_sub(piece.max_timestamp);
        let expired =
            config.retention_ms >= 0 && piece.max_timestamp >= 0 && age > config.retention_ms;
        let too_much = excess >= piece.bytes && piece.bytes > 0;
        if !expired && !too_much {
            break;
        }
        excess = excess.saturating_sub(piece.bytes);
        start = Some(piece.end);
    }
    start
}

impl Storage {
    /// Moves log starts as `retention.ms` and `retention.bytes` say, and unlinks the segments
    /// below starts that are durable. Blocks.
    pub fn retention_round(&self) -> RetentionReport {
        let mut report = RetentionReport::default();
        let shared = &self.shared;
        let logs: Vec<Arc<Log>> = shared.tables.read().by_id.values().map(Arc::clone).collect();
        for log in logs {
            if shared.is_stopped() {
                break;
            }
            match log.apply_retention() {
                Ok(moved) => report.moved_logs += usize::from(moved),
                Err(error) => report.errors.push(error),
            }
            if log.lock().gone {
                continue;
            }
            // Taken for each log, so that a flush need not wait for all of them.
            let maintenance = shared.maintenance.lock();
            match log.remove_below_start() {
                Ok(removed) => report.removed_segments += removed,
                Err(error) => report.errors.push(error.into()),
            }
            drop(maintenance);
        }
        report
    }
}

impl Log {
    /// Says whether the start moved.
    fn apply_retention(self: &Arc<Self>) -> Result<bool, RetentionError> {
        let now = self.shared.env.clock.wall().0;
        let (config, start, has_segments) = {
            let mut state = self.lock();
            let expiration = state.config.producer_id_expiration_ms;
            let (config, start) = (Arc::clone(&state.config), state.start);
            let Some(written) = state.written.as_mut() else { return Ok(false) };
            if let Some(producers) = written.producers.loaded_mut() {
                producers.expire(now, expiration);
            }
            let flushed = !written.segments.list().is_empty() && written.segments.end() > start;
            if state.gone || state.start == state.end {
                return Ok(false);
            }
            (config, start, flushed)
        };
        let limited = config.retention_ms >= 0 || config.retention_bytes >= 0;
        if !config.cleanup_delete || !limited {
            return Ok(false);
        }
        let mut pieces = Vec::new();
        if has_segments {
            let view = self.segment_view(start)?;
            for viewed in view.segments() {
                let max_timestamp = view.max_timestamp(viewed)?;
                pieces.push(Piece { end: viewed.end, bytes: viewed.segment.bytes, max_timestamp });
                self.learn(viewed.segment.base, max_timestamp);
            }
            if view.has_changed() {
                return Ok(false);
            }
        }
        let mut state = self.lock();
        if state.gone || state.start != start {
            return Ok(false);
        }
        let (durable, high_watermark) = (state.durable, state.high_watermark);
        if let Some(written) = &state.written {
            let from = pieces.last().map_or(written.segments.end(), |piece| piece.end);
            if from != written.segments.end() {
                return Ok(false);
            }
            let tail = || written.tail.range(from, durable);
            if let Some(last) = tail().last() {
                pieces.push(Piece {
                    end: last.next(),
                    bytes: tail().map(|batch| batch.bytes.len() as u64).sum(),
                    max_timestamp: tail().map(|batch| batch.max_timestamp).max().unwrap_or(-1),
                });
            }
        }
        match new_start(&pieces, &config, now, high_watermark) {
            Some(to) if to > state.start => {
                self.move_start(&mut state, to)?;
                drop(state);
                self.listener.start_moved(to);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn learn(&self, base: Offset, max_timestamp: i64) {
        let mut state = self.lock();
        if let Some(written) = &mut state.written {
            written.segments.learn_max_timestamp(base, max_timestamp);
        }
    }

    /// Unlinks what lies below a start that is durable. The caller holds the maintenance lock.
    fn remove_below_start(&self) -> Result<usize, DiskError> {
        self.keep_producers()?;
        let (dir, stale, removed) = {
            let mut state = self.lock();
            let start = state.start;
            let Some(written) = &mut state.written else { return Ok(0) };
            if !written.may_remove() {
                return Ok(0);
            }
            let before = written.segments.list().len();
            // One that came since the producers were kept waits for the next round.
            let (_, first_kept) = written.segments.below(start);
            let known = written.segments.producers_known_at(first_kept);
            if known && written.segments.drop_below(start) {
                written.bump_generation();
            }
            let removed = before - written.segments.list().len();
            let stale = written.removable();
            let Some(dir) = written.segments.dir.clone().filter(|_| !stale.is_empty()) else {
                return Ok(0);
            };
            (dir, stale, removed)
        };
        self.shared.remove_files(&dir, &stale)?;
        let mut state = self.lock();
        if let Some(written) = &mut state.written {
            written.segments.forget_removed(&stale);
        }
        Ok(removed)
    }

    /// Before segments go: what their batches say of producers must be had without them.
    fn keep_producers(&self) -> Result<(), DiskError> {
        let (at, source, dir, generation) = {
            let state = self.lock();
            let Some(written) = &state.written else { return Ok(()) };
            let (count, first_kept) = written.segments.below(state.start);
            let known = written.segments.producers_known_at(first_kept);
            if count == 0 || known || !written.may_remove() {
                return Ok(());
            }
            let Some(dir) = written.segments.dir.clone() else { return Ok(()) };
            let source = written.segments.producers_source(&self.shared, first_kept, first_kept);
            (first_kept, source, dir, written.generation.load(Ordering::Acquire))
        };
        let producers = source.load()?.producers;
        // Replaced and never written over: it may be all that is left of segments that went before.
        let bytes = [("producers", encode(&producers)), ("snapshot", encode_kafka(&producers))];
        for (suffix, bytes) in bytes {
            let path = path_of(&dir, at, suffix);
            let written = self.shared.env.disk.write_atomically(&path, &bytes);
            written.map_err(DiskError::io(&path))?;
            self.shared.files.forget(&path);
        }
        let mut state = self.lock();
        if let Some(written) = &mut state.written
            && written.generation.load(Ordering::Acquire) == generation
        {
            written.segments.add_sidecars([at].into_iter());
        }
        Ok(())
    }
}

impl Written {
    /// Whether files that the log has outlived may go now: not before the journal durably says why.
    fn may_remove(&self) -> bool {
        let start_is_durable = self.start_is_durable() || bugs::unlink_before_start_is_durable();
        let flush_is_durable = self.durable_ticket >= self.flush_ticket;
        start_is_durable && flush_is_durable && self.cut_is_durable()
    }

    /// The files to be removed now. The caller has seen that cuts are durable.
    pub(crate) fn removable(&self) -> BTreeSet<String> {
        let mut names = self.segments.stale.clone();
        if self.may_remove() {
            names.extend(self.segments.retired.iter().cloned());
        }
        names
    }
}

impl Shared {
    /// Unlinks these files, durably. The caller holds the maintenance lock.
    fn remove_files(&self, dir: &Path, names: &BTreeSet<String>) -> Result<(), DiskError> {
        for name in names {
            let path = dir.join(name);
            match self.env.disk.remove_file(&path).map_err(DiskError::io(&path)) {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => self.files.forget(&path),
            }
        }
        self.sync_dir(dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces() -> Vec<Piece> {
        let piece = |n: i64| Piece { end: Offset(n * 10), bytes: 100, max_timestamp: n * 1_000 };
        (1..=4).map(piece).collect()
    }

    fn start(
        retention_ms: i64,
        retention_bytes: i64,
        now: i64,
        high_watermark: i64,
    ) -> Option<i64> {
        let config = LogConfig { retention_ms, retention_bytes, ..LogConfig::default() };
        new_start(&pieces(), &config, now, Offset(high_watermark)).map(|start| start.0)
    }

    #[test]
    fn whole_segments_go_by_their_newest_record() {
        assert_eq!(start(1_000, -1, 3_001, 40), Some(20));
        assert_eq!(start(1_000, -1, 3_000, 40), Some(10));
        assert_eq!(start(1_000, -1, 99_999, 40), Some(40));
        assert_eq!(start(-1, -1, 99_999, 40), None);
    }

    #[test]
    fn segments_go_while_what_is_left_is_still_enough() {
        assert_eq!(start(-1, 400, 0, 40), None);
        assert_eq!(start(-1, 301, 0, 40), None);
        assert_eq!(start(-1, 300, 0, 40), Some(10));
        assert_eq!(start(-1, 150, 0, 40), Some(20));
        assert_eq!(start(-1, 0, 0, 40), Some(40));
    }

    #[test]
    fn nothing_above_the_high_watermark_goes() {
        assert_eq!(start(0, 0, 99_999, 29), Some(20));
        assert_eq!(start(0, 0, 99_999, 9), None);
    }
}
