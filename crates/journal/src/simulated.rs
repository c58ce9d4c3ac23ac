//! The task that drives a journal in a simulation: the threads' work, with the disk's time passing
//! between its parts.

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Weak};
use std::task::Poll;

use chronik_env::disk_time_passed;
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};

use crate::core::{Core, Part, Step};
use crate::open::Opened;
use crate::shared::{FREE_SPACE_AGE, FULL_DISK_WAIT, Shared};
use crate::{DurableSink, Journal};

/// The core of a running journal. The task owns it, so that it ends with the task's runtime.
pub type Driven = Weak<Mutex<Core>>;

impl Opened {
    /// Starts the journal's task.
    ///
    /// # Errors
    ///
    /// Never; on a real machine, when the system gives no thread.
    pub fn start(self, sink: Box<dyn DurableSink>) -> io::Result<Journal> {
        let core = self.into_core(sink);
        let journal = core.journal();
        let core = Arc::new(Mutex::new(core));
        *journal.shared.driven.lock() = Arc::downgrade(&core);
        tokio::spawn(run(core));
        Ok(journal)
    }
}

async fn run(core: Arc<Mutex<Core>>) {
    let shared = Arc::clone(&core.lock().shared);
    loop {
        let part = core.lock().part_of_step();
        match part {
            Part::Written | Part::Synced | Part::Done(Step::Durable) => disk_time_passed().await,
            Part::Done(Step::Idle) => wait_for_work(&shared).await,
            Part::Done(Step::WaitingForSpace) => sleep(FULL_DISK_WAIT).await,
            Part::Done(Step::Stopped) => break,
        }
    }
}

async fn wait_for_work(shared: &Shared) {
    let mut disk_low = None;
    let woken = poll_fn(|cx| {
        if disk_low.is_some() && !shared.queue.lock().asleep {
            return Poll::Ready(());
        }
        shared.queue.lock().writer = Some(cx.waker().clone());
        disk_low = shared.fall_asleep();
        if disk_low.is_some() { Poll::Pending } else { Poll::Ready(()) }
    });
    // Looks at the disk now and then whether or not it is low: there is nothing to save here.
    let _ = timeout(FREE_SPACE_AGE, woken).await;
    shared.queue.lock().asleep = false;
}

/// Steps a journal that is to stop until it has.
pub fn finish(driven: &Driven) {
    if let Some(core) = driven.upgrade() {
        let mut core = core.lock();
        while core.step() != Step::Stopped {}
    }
}
