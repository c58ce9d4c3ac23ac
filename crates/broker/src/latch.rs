//! A count that somebody waits for: the one way a parked request is woken.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

/// Opens when it was counted down as often as it was made for. One task waits, any may count.
///
/// A latch only says "look again": what a waiter then finds is read from the partitions
/// themselves, so a wake-up too many does no harm and none carries a result.
#[derive(Debug)]
pub(crate) struct Latch {
    remaining: AtomicUsize,
    waiter: AtomicWaker,
}

impl Latch {
    /// A latch that opens after `count` calls of [`Latch::count_down`]; open at once for 0.
    pub fn new(count: usize) -> Self {
        Self { remaining: AtomicUsize::new(count), waiter: AtomicWaker::new() }
    }

    /// Counts down by one; further calls on an open latch do nothing.
    pub fn count_down(&self) {
        let step = |n: usize| n.checked_sub(1);
        if self.remaining.fetch_update(Ordering::AcqRel, Ordering::Acquire, step) == Ok(1) {
            self.waiter.wake();
        }
    }

    /// Completes when the latch is open.
    pub fn opened(&self) -> Opened<'_> {
        Opened { latch: self }
    }
}

/// See [`Latch::opened`].
pub(crate) struct Opened<'l> {
    latch: &'l Latch,
}

impl Future for Opened<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Registered before the check, so that a count between the two is not missed.
        self.latch.waiter.register(cx.waker());
        match self.latch.remaining.load(Ordering::Acquire) {
            0 => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn opens_after_the_last_count_and_stays_open() {
        let latch = Arc::new(Latch::new(2));
        let waiting = tokio::spawn({
            let latch = Arc::clone(&latch);
            async move { latch.opened().await }
        });
        latch.count_down();
        assert!(!waiting.is_finished());
        latch.count_down();
        waiting.await.expect("the waiter ran");
        latch.count_down();
        latch.opened().await;
    }
}
