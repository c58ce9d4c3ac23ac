//! The newest entries, kept for the apply path and for followers.
//!
//! **Invariants**: the entries are contiguous and end at the log's end (or there are none); count
//! and bytes are bounded.

use std::collections::VecDeque;

use chronik_types::Offset;
use openraft::EntryPayload;

use crate::type_config::{Entry, offset_of};

const ENTRIES_MAX: usize = 8_192;
const BYTES_MAX: usize = 16 << 20;
/// What an entry costs beside its bytes.
const ENTRY_BYTES: usize = 200;

/// See the module.
#[derive(Default)]
pub(crate) struct Recent {
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Recent {
    /// The entries of `[from, end)` if all of them are here.
    pub fn range(&self, from: Offset, end: Offset) -> Option<Vec<Entry>> {
        let first = offset_of(self.entries.front()?.log_id.index);
        let skip = usize::try_from(from.since(first)).ok()?;
        let take = usize::try_from(end.since(from)).ok()?;
        (skip.saturating_add(take) <= self.entries.len())
            .then(|| self.entries.iter().skip(skip).take(take).cloned().collect())
    }

    /// The newest entry.
    pub fn push(&mut self, entry: Entry) {
        self.bytes += cost(&entry);
        self.entries.push_back(entry);
        while self.entries.len() > ENTRIES_MAX || self.bytes > BYTES_MAX {
            let Some(gone) = self.entries.pop_front() else { return };
            self.bytes -= cost(&gone);
        }
    }

    /// Forgets the entries from `end` on.
    pub fn truncate(&mut self, end: Offset) {
        while self.entries.back().is_some_and(|last| offset_of(last.log_id.index) >= end) {
            let Some(gone) = self.entries.pop_back() else { return };
            self.bytes -= cost(&gone);
        }
    }
}

fn cost(entry: &Entry) -> usize {
    match &entry.payload {
        EntryPayload::Normal(proposal) => proposal.encoded().len().saturating_add(ENTRY_BYTES),
        EntryPayload::Blank | EntryPayload::Membership(_) => ENTRY_BYTES,
    }
}
