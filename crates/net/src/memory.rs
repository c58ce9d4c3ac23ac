//! The memory that requests in flight may take, on all connections together.
//!
//! Three pools, so that a wait is never part of a circle, and so that heartbeats and metadata pass
//! whatever happens to large requests:
//! - the **short frame** pool covers whole frames up to [`SHORT_FRAME`], asked for when they have
//!   arrived: half of one holds nothing of it, however long it stays half.
//! - the **first step** pool covers longer frames up to [`FIRST_STEP`], and the first step of even
//!   longer ones, asked for when the first [`SHORT_FRAME`] bytes have arrived.
//! - the **long frame** pool covers a frame longer than that as a whole, asked for once its first
//!   step has arrived. Waiting for it, a connection holds a place in the second pool only; whoever
//!   holds a place in this pool waits for nobody but its own peer and its own service.
//!
//! Each is handed out in the order of asking. What a connection holds without asking, the beginning
//! of a frame, is at most [`SHORT_FRAME`] bytes.
//!
//! **Invariant:** granted bytes never exceed the capacity of their pool.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of a frame that may be allocated from its announced length alone.
pub(crate) const SHORT_FRAME: usize = 4 * 1024;

/// Bytes of a frame that may be allocated once it is known to be longer than [`SHORT_FRAME`].
pub(crate) const FIRST_STEP: usize = 64 * 1024;

/// The least size of the first two pools, so that a small budget still serves several connections.
const POOL_MIN: usize = 16 * FIRST_STEP;

/// The budget. Shared by all listeners of a node.
#[derive(Debug)]
pub struct RequestMemory {
    short: Arc<Semaphore>,
    first_step: Arc<Semaphore>,
    long: Arc<Semaphore>,
    capacity: usize,
    waiting: AtomicUsize,
}

/// A grant; returned to the budget when dropped.
#[derive(Debug)]
pub struct MemoryPermit {
    _grant: OwnedSemaphorePermit,
    whole: bool,
}

impl MemoryPermit {
    /// Whether the grant covers the frame as a whole.
    pub(crate) fn covers_whole(&self) -> bool {
        self.whole
    }
}

impl RequestMemory {
    /// A budget of about `bytes`, of which a sixteenth is for short frames and an eighth for first
    /// steps; the other part is at least `largest_frame`, else such a frame could never be read.
    #[must_use]
    pub fn new(bytes: usize, largest_frame: usize) -> Arc<Self> {
        let short = (bytes / 16).clamp(POOL_MIN, Semaphore::MAX_PERMITS / 4);
        let first_step = (bytes / 8).clamp(POOL_MIN, Semaphore::MAX_PERMITS / 4);
        let rest = bytes.saturating_sub(short + first_step);
        let long = rest.max(largest_frame).min(Semaphore::MAX_PERMITS / 2);
        Arc::new(Self {
            short: Arc::new(Semaphore::new(short)),
            first_step: Arc::new(Semaphore::new(first_step)),
            long: Arc::new(Semaphore::new(long)),
            capacity: short + first_step + long,
            waiting: AtomicUsize::new(0),
        })
    }

    /// Bytes that can be granted in all.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes granted now.
    #[must_use]
    pub fn used(&self) -> usize {
        let pools = [&self.short, &self.first_step, &self.long];
        let free = pools.into_iter().map(|pool| pool.available_permits()).sum();
        self.capacity.saturating_sub(free)
    }

    /// Whether somebody waits for a grant.
    pub(crate) fn contended(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// The pool of the first grant of a frame of `length` bytes, and how much it is.
    fn first_grant(&self, length: usize) -> (&Arc<Semaphore>, usize) {
        let pool = if length <= SHORT_FRAME { &self.short } else { &self.first_step };
        (pool, length.min(FIRST_STEP))
    }

    /// The grant for the first step of a frame of `length` bytes, if it is free at once.
    pub(crate) fn try_first_step(&self, length: usize) -> Option<MemoryPermit> {
        let (pool, bytes) = self.first_grant(length);
        let grant = Arc::clone(pool).try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()?;
        Some(MemoryPermit { _grant: grant, whole: length <= FIRST_STEP })
    }

    /// Waits for the grant for the first step of a frame of `length` bytes.
    pub(crate) async fn first_step(self: Arc<Self>, length: usize) -> MemoryPermit {
        let _waiting = Waiting::enter(&self.waiting);
        let (pool, bytes) = self.first_grant(length);
        MemoryPermit { _grant: acquire(pool, bytes).await, whole: length <= FIRST_STEP }
    }

    /// Waits for the grant for the whole of a long frame.
    pub(crate) async fn whole(self: Arc<Self>, length: usize) -> MemoryPermit {
        let _waiting = Waiting::enter(&self.waiting);
        MemoryPermit { _grant: acquire(&self.long, length).await, whole: true }
    }

    /// The grant for the whole of a long frame, if it is free at once.
    pub(crate) fn try_whole(&self, length: usize) -> Option<MemoryPermit> {
        let bytes = u32::try_from(length).ok()?;
        let grant = Arc::clone(&self.long).try_acquire_many_owned(bytes).ok()?;
        Some(MemoryPermit { _grant: grant, whole: true })
    }
}

async fn acquire(pool: &Arc<Semaphore>, bytes: usize) -> OwnedSemaphorePermit {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    match Arc::clone(pool).acquire_many_owned(bytes).await {
        Ok(grant) => grant,
        Err(_) => unreachable!("the pools are never closed"),
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn grants_come_back_and_a_long_frame_that_fits_the_limit_always_fits() {
        let memory = RequestMemory::new(1024, 100 * 1024 * 1024);
        let small = memory.try_first_step(10).unwrap();
        let whole = Arc::clone(&memory).whole(100 * 1024 * 1024).await;
        assert_eq!(memory.used(), 10 + 100 * 1024 * 1024);
        assert!(memory.try_whole(1).is_none());
        drop((small, whole));
        assert_eq!(memory.used(), 0);
    }

    #[tokio::test]
    async fn long_frames_do_not_keep_short_ones_out() {
        let memory = RequestMemory::new(0, FIRST_STEP);
        let _hog = Arc::clone(&memory).whole(FIRST_STEP).await;
        assert!(memory.try_whole(1).is_none());
        assert!(memory.try_first_step(FIRST_STEP).is_some());
    }

    #[tokio::test]
    async fn contended_is_true_only_while_somebody_waits() {
        let memory = RequestMemory::new(0, FIRST_STEP);
        let hog = Arc::clone(&memory).whole(FIRST_STEP).await;
        let mut waiter = Box::pin(Arc::clone(&memory).whole(1));
        assert!(!memory.contended());
        assert!(waiter.as_mut().now_or_never().is_none());
        assert!(memory.contended());
        drop(hog);
        waiter.await;
        assert!(!memory.contended());
    }
}
