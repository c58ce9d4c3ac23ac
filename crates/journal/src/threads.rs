//! The threads that drive a journal on a real machine: one that writes, one that prepares files.

use std::io;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::{self, Thread};

use crate::core::{Core, Step};
use crate::open::Opened;
use crate::shared::{FREE_SPACE_AGE, FULL_DISK_WAIT, Shared};
use crate::{DurableSink, Journal};

/// Wakes a parked thread.
struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Opened {
    /// Starts the journal's thread, and the one that prepares files.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn start(self, sink: Box<dyn DurableSink>) -> io::Result<Journal> {
        let mut core = self.into_core(sink);
        let journal = core.journal();
        let (preparer, disk) = (Arc::clone(&core.files.preparer), Arc::clone(&core.shared.disk));
        preparer.announce();
        let preparing = thread::Builder::new()
            .name("journal-files".into())
            .spawn(move || preparer.run(disk.as_ref()))?;
        core.files.prepare_ahead();
        let writing =
            thread::Builder::new().name("journal".into()).spawn(move || run(&mut core))?;
        let waker = Waker::from(Arc::new(Parked(writing.thread().clone())));
        journal.shared.queue.lock().writer = Some(waker);
        // Whatever was submitted before the writer was known: it may be asleep already.
        writing.thread().unpark();
        journal.shared.joins.lock().extend([writing, preparing]);
        Ok(journal)
    }
}

/// The writer's thread.
fn run(core: &mut Core) {
    loop {
        match core.step() {
            Step::Durable => {}
            Step::Idle => wait_for_work(&core.shared),
            Step::WaitingForSpace => thread::park_timeout(FULL_DISK_WAIT),
            Step::Stopped => break,
        }
    }
}

fn wait_for_work(shared: &Shared) {
    let Some(disk_low) = shared.fall_asleep() else { return };
    if disk_low {
        thread::park_timeout(FREE_SPACE_AGE)
    } else {
        thread::park()
    }
    shared.queue.lock().asleep = false;
}
