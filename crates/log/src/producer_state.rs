//! The producers of a log in memory, or the knowledge that they are on disk.
//!
//! **Invariants**: state = newest sidecar at or below the flushed end + the batch headers from
//! there on. So it can be dropped and built again at any time, and never depends on what happened
//! to be in memory.

use chronik_protocol::batch::{BatchHeader, EndTransactionMarker};
use chronik_types::Offset;

use crate::error::DiskError;
use crate::log::{Log, State};
use crate::producer_snapshot::LoadedProducers;
use crate::producers::{EndedTransaction, ProducerSummary, Producers};
use parking_lot::MutexGuard;

/// See the module.
#[derive(Debug)]
pub(crate) enum ProducerState {
    Loaded(Producers),
    /// A flush left a sidecar that has not been read since the start or the last truncation.
    OnDisk,
}

impl Default for ProducerState {
    fn default() -> Self {
        Self::Loaded(Producers::default())
    }
}

impl ProducerState {
    pub(crate) fn loaded(&self) -> Option<&Producers> {
        match self {
            Self::Loaded(producers) => Some(producers),
            Self::OnDisk => None,
        }
    }

    pub(crate) fn loaded_mut(&mut self) -> Option<&mut Producers> {
        match self {
            Self::Loaded(producers) => Some(producers),
            Self::OnDisk => None,
        }
    }

    pub(crate) fn first_open_transaction(&self) -> Option<Offset> {
        self.loaded().and_then(Producers::first_open_transaction)
    }

    pub(crate) fn summaries(&self) -> Vec<ProducerSummary> {
        self.loaded().map_or_else(Vec::new, Producers::summaries)
    }

    /// A batch is in the log. Nothing to do while the state is on disk: loading it walks the tail.
    pub(crate) fn apply(
        &mut self,
        header: &BatchHeader,
        marker: Option<EndTransactionMarker>,
        now: i64,
    ) -> Option<EndedTransaction> {
        self.loaded_mut().and_then(|producers| producers.apply(header, marker, now))
    }
}

impl Log {
    /// Makes sure that the producers are in memory.
    pub(crate) fn load_producers(&self) -> Result<(), DiskError> {
        self.lock_with_producers().map(drop)
    }

    /// The lock, with the producers in memory.
    pub(crate) fn lock_with_producers(&self) -> Result<MutexGuard<'_, State>, DiskError> {
        loop {
            let mut state = self.lock();
            let source = match &state.written {
                Some(written) if written.producers.loaded().is_none() => {
                    let low = state.high_watermark;
                    written.segments.producers_source(&self.shared, written.segments.end(), low)
                }
                _ => return Ok(state),
            };
            let seen = self.seen_at(&state);
            drop(state);
            let flushed = source.load();
            state = self.lock();
            if self.seen_at(&state) != seen {
                continue;
            }
            let State { written: Some(written), end, .. } = &mut *state else { continue };
            let LoadedProducers { mut producers, ended } = flushed?;
            let end = *end;
            let from = written.segments.end();
            written.transactions.restore(&ended);
            let now = self.shared.env.clock.wall().0;
            for batch in written.tail.range(from, end) {
                let Ok(header) = BatchHeader::parse(&batch.bytes) else { continue };
                let marker = crate::append::marker_of(&header, &batch.bytes);
                if let Some(ended) = producers.apply(&header, marker, now) {
                    written.transactions.ended(ended, producers.first_open_transaction());
                }
            }
            written.producers = ProducerState::Loaded(producers);
            return Ok(state);
        }
    }

    /// What must not have moved while a file was read.
    fn seen_at(&self, state: &State) -> Option<(u64, Offset)> {
        let written = state.written.as_ref()?;
        let generation = written.generation.load(std::sync::atomic::Ordering::Acquire);
        Some((generation, written.segments.end()))
    }
}
