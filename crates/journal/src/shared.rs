//! What the handles and the writer share: the queue, admission, the table of logs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use chronik_env::{Clock, Disk};
use chronik_types::Monotonic;
use parking_lot::Mutex;

use crate::frame::BLOCK_BYTES;
use crate::table::Table;
use crate::{LogId, Options, Record, Stats};

/// How long a look at the filesystem's free space is believed.
pub const FREE_SPACE_AGE: Duration = Duration::from_millis(250);
/// How long the writer waits before it tries again to write to a full disk.
pub const FULL_DISK_WAIT: Duration = Duration::from_millis(100);
/// What a submission adds to its batches: frame, mapping and entries.
const OVERHEAD_BYTES: u64 = 512;

/// Who writes. The metadata log is drained first, the others in turn; all but clients may use space
/// that clients cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// The metadata log, and facts about logs. Drained first; refused only when `reserve_bytes`
    /// beyond `max_bytes` are in use.
    Metadata,
    /// Internal topics.
    Internal,
    /// What other brokers' leaders have taken already: it must not wait behind what this broker's
    /// own clients send, or in-sync sets shrink under load.
    Replica,
    /// Everything else.
    Client,
}

/// Why space was not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The journal's files are full until older data has been flushed. Passes.
    #[error("the journal is full until older data has been flushed")]
    JournalFull,
    /// The filesystem is at its floor, or a write is waiting for space. Passes.
    #[error("the disk is full")]
    DiskFull,
    /// Larger than half a journal file. Never passes.
    #[error("larger than a journal file can take")]
    TooLarge,
    /// The journal has stopped. Never passes.
    #[error("the journal has stopped")]
    Stopped,
}

/// What was submitted as one unit.
pub struct Submission {
    pub log: LogId,
    pub ticket: u64,
    pub content: Content,
    /// Bytes reserved for it.
    pub cost: u64,
}

pub enum Content {
    Records(Vec<Record>),
    Vote(Bytes),
}

/// Whether more may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Running,
    /// What is queued is written, then the journal is sealed.
    Stopping,
    Stopped,
}

/// # Invariants
///
/// - `reserved` is the cost of all reservations and of all submissions not yet written.
/// - Tickets in each queue ascend.
pub struct Queue {
    pub metadata: VecDeque<Submission>,
    pub others: VecDeque<Submission>,
    pub next_ticket: u64,
    pub phase: Phase,
    pub reserved: u64,
    /// Bytes of live files in use.
    pub used: u64,
    /// A write waits for space.
    pub waiting_for_space: bool,
    /// The filesystem was below the floor when last looked at.
    pub disk_low: bool,
    pub disk_seen: Option<Monotonic>,
    /// Somebody was refused and waits to be told when to try again.
    pub refused: bool,
    /// The writer is asleep, or about to be.
    pub asleep: bool,
    /// What wakes the writer, if something drives it.
    pub writer: Option<Waker>,
}

/// Shared by all handles and the writer. Locks are taken one at a time.
pub struct Shared {
    pub options: Options,
    pub disk: Arc<dyn Disk>,
    pub clock: Arc<dyn Clock>,
    pub queue: Mutex<Queue>,
    pub table: Mutex<Table>,
    pub stats: Mutex<Stats>,
    /// Sequences of the live files, oldest first.
    pub live: Mutex<VecDeque<u64>>,
    pub joins: Mutex<Vec<JoinHandle<()>>>,
    #[cfg(chronik_sim)]
    pub driven: Mutex<crate::simulated::Driven>,
}

impl Shared {
    pub fn new(
        options: Options,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        table: Table,
        live: VecDeque<u64>,
        used: u64,
    ) -> Self {
        let queue = Queue {
            metadata: VecDeque::new(),
            others: VecDeque::new(),
            next_ticket: 1,
            phase: Phase::Running,
            reserved: 0,
            used,
            waiting_for_space: false,
            disk_low: false,
            disk_seen: None,
            refused: false,
            asleep: false,
            writer: None,
        };
        let stats = Stats { direct: options.direct, ..Stats::default() };
        Self {
            options,
            disk,
            clock,
            queue: Mutex::new(queue),
            table: Mutex::new(table),
            stats: Mutex::new(stats),
            live: Mutex::new(live),
            joins: Mutex::new(Vec::new()),
            #[cfg(chronik_sim)]
            driven: Mutex::default(),
        }
    }

    /// Bytes of live files that this class may fill.
    fn limit(&self, class: Class) -> u64 {
        let Options { max_bytes, reserve_bytes, .. } = self.options;
        match class {
            Class::Metadata => max_bytes.saturating_add(reserve_bytes),
            Class::Internal => max_bytes.saturating_sub(reserve_bytes / 4),
            Class::Replica => max_bytes.saturating_sub(reserve_bytes / 2),
            Class::Client => max_bytes.saturating_sub(reserve_bytes),
        }
    }

    /// The largest submission.
    pub fn submission_bytes_max(&self) -> u64 {
        u64::from(self.options.file_bytes / 2)
    }

    pub fn try_reserve(
        self: &Arc<Self>,
        class: Class,
        bytes: usize,
    ) -> Result<Reservation, Refused> {
        self.reserve(bytes, |queue, cost| self.judge(class, queue, cost))
    }

    /// For facts that let files go: however full the journal is, it must be possible to empty it.
    /// They are few, because each stands for data that was admitted before.
    pub fn reserve_to_free(self: &Arc<Self>, bytes: usize) -> Result<Reservation, Refused> {
        self.reserve(bytes, |_, _| Ok(()))
    }

    fn reserve(
        self: &Arc<Self>,
        bytes: usize,
        judge: impl FnOnce(&mut Queue, u64) -> Result<(), Refused>,
    ) -> Result<Reservation, Refused> {
        let cost = cost(bytes);
        let mut queue = self.queue.lock();
        if queue.phase != Phase::Running {
            return Err(Refused::Stopped);
        }
        if cost > self.submission_bytes_max() {
            return Err(Refused::TooLarge);
        }
        if let Err(refused) = judge(&mut queue, cost) {
            queue.refused = true;
            return Err(refused);
        }
        queue.reserved = queue.reserved.saturating_add(cost);
        Ok(Reservation { shared: Arc::clone(self), cost })
    }

    /// Whether there is room for this class.
    fn judge(&self, class: Class, queue: &mut Queue, cost: u64) -> Result<(), Refused> {
        if class != Class::Metadata && (queue.waiting_for_space || self.disk_is_low(queue)) {
            // Internal topics may go on at the floor, until a write really waits.
            let goes_on = class == Class::Internal;
            if !goes_on || queue.waiting_for_space {
                return Err(Refused::DiskFull);
            }
        }
        let wanted = queue.used.saturating_add(queue.reserved).saturating_add(cost);
        if wanted > self.limit(class) { Err(Refused::JournalFull) } else { Ok(()) }
    }

    /// Whether the filesystem is below its floor; looks at most once per [`FREE_SPACE_AGE`].
    pub fn disk_is_low(&self, queue: &mut Queue) -> bool {
        let now = self.clock.monotonic();
        if queue.disk_seen.is_none_or(|seen| now.since(seen) >= FREE_SPACE_AGE) {
            queue.disk_seen = Some(now);
            // A filesystem that does not say how full it is refuses nobody.
            let free = self.disk.free_bytes(&self.options.dir).unwrap_or(u64::MAX);
            queue.disk_low = free < self.options.free_bytes_floor;
        }
        queue.disk_low
    }

    pub fn submit(&self, class: Class, log: LogId, content: Content, cost: u64) -> u64 {
        let mut queue = self.queue.lock();
        let ticket = queue.next_ticket;
        queue.next_ticket += 1;
        if queue.phase == Phase::Stopped {
            queue.reserved = queue.reserved.saturating_sub(cost);
            return ticket;
        }
        let submission = Submission { log, ticket, content, cost };
        match class {
            Class::Metadata => queue.metadata.push_back(submission),
            Class::Internal | Class::Replica | Class::Client => queue.others.push_back(submission),
        }
        let wake = if std::mem::take(&mut queue.asleep) { queue.writer.clone() } else { None };
        drop(queue);
        if let Some(writer) = wake {
            writer.wake();
        }
        ticket
    }

    /// Says that the writer is about to sleep, unless there is work for it; and whether it must
    /// look at the disk while nobody wakes it.
    pub fn fall_asleep(&self) -> Option<bool> {
        let mut queue = self.queue.lock();
        if !queue.metadata.is_empty() || !queue.others.is_empty() {
            return None;
        }
        queue.asleep = true;
        Some(queue.disk_low && queue.refused)
    }
}

fn cost(bytes: usize) -> u64 {
    (bytes as u64).saturating_add(OVERHEAD_BYTES).next_multiple_of(u64::from(BLOCK_BYTES))
}

/// Journal space granted to its holder; given back when dropped, used up by a submission.
pub struct Reservation {
    shared: Arc<Shared>,
    cost: u64,
}

impl Reservation {
    /// Bytes left in it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        usize::try_from(self.cost).unwrap_or(usize::MAX)
    }

    /// Takes a part for `bytes` of batches out of this reservation; one admission may so cover
    /// several submissions. Takes what is left if that is less.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Self {
        let part = cost(bytes).min(self.cost);
        self.cost -= part;
        Self { shared: Arc::clone(&self.shared), cost: part }
    }

    /// The reservation is now a submission's; what it cost is given back when that is written.
    pub fn into_cost(mut self) -> u64 {
        std::mem::take(&mut self.cost)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.cost > 0 {
            let mut queue = self.shared.queue.lock();
            queue.reserved = queue.reserved.saturating_sub(self.cost);
        }
    }
}
