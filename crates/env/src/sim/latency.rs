//! What calls of the simulated disk would take.
//!
//! A simulation runs on one thread, and a call cannot wait in the middle of code that is not
//! asynchronous. So each call adds what it takes to an account of the thread, and whoever made the
//! calls waits for all of them afterwards.

use std::cell::Cell;
use std::time::Duration;

use super::{Call, CallKind};
use crate::Rng;

/// How long calls take: each draws a time up to twice the mean given here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// A read.
    pub read: Duration,
    /// A write, until the system has it.
    pub write: Duration,
    /// Making something durable.
    pub sync: Duration,
}

thread_local! {
    static SPENT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

impl Latency {
    pub(super) fn spend(&self, rng: &Rng, call: &Call) {
        let mean = match call.kind {
            CallKind::Read | CallKind::ReadDir => self.read,
            CallKind::Sync | CallKind::SyncDir => self.sync,
            CallKind::Open | CallKind::FreeBytes => Duration::ZERO,
            _ => self.write,
        };
        if !mean.is_zero() {
            let micros = u64::try_from(mean.as_micros()).unwrap_or(u64::MAX / 4);
            let drawn = rng.below(micros.saturating_mul(2));
            SPENT.set(SPENT.get().saturating_add(Duration::from_micros(drawn)));
        }
    }
}

/// What the calls of this thread have taken since it was last asked.
pub fn disk_time() -> Duration {
    SPENT.take()
}

/// Waits as long as the calls of this thread have taken since somebody last waited for them.
pub async fn disk_time_passed() {
    let spent = disk_time();
    // The runtime's timers count milliseconds; what is shorter is no more than a turn of others.
    if spent < Duration::from_millis(1) {
        tokio::task::yield_now().await;
    } else {
        tokio::time::sleep(spent).await;
    }
}
