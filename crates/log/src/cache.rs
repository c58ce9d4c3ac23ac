//! The budget for flushed batches that stay in memory for readers near the end of their log.
//!
//! **Invariants**: what was flushed first is dropped first; nothing unflushed is ever dropped for
//! it.

use std::collections::VecDeque;
use std::sync::Arc;

use chronik_types::Offset;
use parking_lot::Mutex;

use crate::log::Log;

struct Cached {
    log: Arc<Log>,
    /// Batches below it were added with this entry.
    end: Offset,
    bytes: usize,
}

#[derive(Default)]
struct Entries {
    queue: VecDeque<Cached>,
    bytes: usize,
}

/// See the module.
pub(crate) struct Cache {
    bytes_max: usize,
    entries: Mutex<Entries>,
}

impl Cache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, entries: Mutex::default() }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.entries.lock().bytes
    }

    /// `bytes` of this log's batches, those up to `end`, have been flushed and are still in memory.
    pub(crate) fn add(&self, log: &Arc<Log>, end: Offset, bytes: usize) {
        let mut dropped = Vec::new();
        {
            let mut entries = self.entries.lock();
            entries.bytes = entries.bytes.saturating_add(bytes);
            entries.queue.push_back(Cached { log: Arc::clone(log), end, bytes });
            while entries.bytes > self.bytes_max {
                let Some(oldest) = entries.queue.pop_front() else { break };
                entries.bytes = entries.bytes.saturating_sub(oldest.bytes);
                dropped.push(oldest);
            }
        }
        for Cached { log, end, .. } in dropped {
            let mut state = log.lock();
            let flushed_end = state.flushed_end();
            if let Some(written) = &mut state.written {
                written.tail.drop_below(end.min(flushed_end));
            }
        }
    }
}
