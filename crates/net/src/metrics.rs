//! Plain counters of the network; the server gives them names and units.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::CloseReason;

/// Counters since the start, of all listeners together.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections closed at once because `max.connections` was reached.
    pub refused_total: AtomicU64,
    /// Connections closed at once because `max.connections.per.ip` was reached.
    pub refused_per_ip: AtomicU64,
    /// Failed calls of `accept`, such as for want of file descriptors.
    pub accept_errors: AtomicU64,
    /// Requests read.
    pub requests: AtomicU64,
    /// Bytes read from clients.
    pub bytes_in: AtomicU64,
    /// Bytes written to clients.
    pub bytes_out: AtomicU64,
    closed: [AtomicU64; CloseReason::ALL.len()],
}

impl Metrics {
    /// Connections closed for `reason`.
    #[must_use]
    pub fn closed(&self, reason: CloseReason) -> u64 {
        self.closed.get(reason as usize).map_or(0, |count| count.load(Relaxed))
    }

    /// Connections open now.
    #[must_use]
    pub fn open(&self) -> u64 {
        let closed: u64 = self.closed.iter().map(|count| count.load(Relaxed)).sum();
        self.accepted.load(Relaxed).saturating_sub(closed)
    }

    pub(crate) fn count_closed(&self, reason: CloseReason) {
        if let Some(count) = self.closed.get(reason as usize) {
            count.fetch_add(1, Relaxed);
        }
    }
}

pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Relaxed);
}
