//! Admission: room in the journal and in memory, granted in order, before an offset is assigned.
//!
//! **Invariants**
//! - A permit holds what it was granted until it is used or dropped; what it does not use comes
//!   back. From a permit on, an append can only succeed or the broker stops.
//! - Clients are served in the order in which they asked. The metadata log and internal topics have
//!   a queue of their own and room that clients cannot use, so that what frees space never waits
//!   behind what needs it; and so has what other brokers replicate here, which they wait for.
//! - `used` counts allocations, not slices: a small batch that keeps a large buffer alive counts
//!   as the buffer.
//!
//! **Not here:** who wakes the queue (`completions` when space was freed, `flush` when memory was).

use std::collections::VecDeque;
use std::sync::Arc;

use chronik_journal::{Class, Journal, Refused, Reservation};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::error::{AdmitError, Stopped};

/// Room for one request's batches. Appends take their part; the rest is given back when dropped.
pub struct Permit {
    reservation: Reservation,
    memory: Memory,
    /// Bytes asked for: what the buffer behind the batches takes at least.
    asked: usize,
    left: usize,
}

impl Permit {
    /// Bytes of batches it still covers.
    #[must_use]
    pub fn bytes_left(&self) -> usize {
        self.left
    }

    /// Bytes it was granted for.
    pub(crate) fn asked(&self) -> usize {
        self.asked
    }

    /// Takes room for `bytes`; `None` if less is left.
    pub(crate) fn take(&mut self, bytes: usize) -> Option<(Reservation, Memory)> {
        self.left = self.left.checked_sub(bytes)?;
        Some((self.reservation.split(bytes), self.memory.split(bytes)))
    }
}

/// Bytes of the budget for unflushed batches; given back when dropped.
pub(crate) struct Memory {
    bytes: usize,
    admission: Arc<Admission>,
}

impl Memory {
    /// Makes this hold `bytes`, more or less than it did.
    pub(crate) fn resize(&mut self, bytes: usize) {
        let mut room = self.admission.room.lock();
        room.used = room.used.saturating_sub(self.bytes).saturating_add(bytes);
        self.bytes = bytes;
    }

    /// Moves up to `bytes` into another holder.
    fn split(&mut self, bytes: usize) -> Self {
        let part = bytes.min(self.bytes);
        self.bytes -= part;
        Self { bytes: part, admission: Arc::clone(&self.admission) }
    }

    /// Adds what `other` holds.
    pub(crate) fn merge(&mut self, mut other: Self) {
        self.bytes = self.bytes.saturating_add(std::mem::take(&mut other.bytes));
    }

    /// Gives back up to `bytes`.
    pub(crate) fn release(&mut self, bytes: usize) {
        drop(self.split(bytes));
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.bytes > 0 {
            let mut room = self.admission.room.lock();
            room.used = room.used.saturating_sub(self.bytes);
            drop(room);
        }
    }
}

struct Waiter {
    class: Class,
    bytes: usize,
    grant: oneshot::Sender<Result<Permit, AdmitError>>,
}

#[derive(Default)]
struct Room {
    used: usize,
    stopped: bool,
    internal: VecDeque<Waiter>,
    replicas: VecDeque<Waiter>,
    clients: VecDeque<Waiter>,
}

/// The queues, first served first; each by a class that stands in it.
const QUEUES: [Class; 3] = [Class::Internal, Class::Replica, Class::Client];

impl Room {
    fn queue(&mut self, class: Class) -> &mut VecDeque<Waiter> {
        match class {
            Class::Client => &mut self.clients,
            Class::Replica => &mut self.replicas,
            Class::Metadata | Class::Internal => &mut self.internal,
        }
    }
}

/// The gate in front of every append.
pub(crate) struct Admission {
    journal: Journal,
    bytes_max: usize,
    room: Mutex<Room>,
}

/// What asking came to.
pub(crate) enum Asked {
    /// Granted at once.
    Granted(Permit),
    /// In the queue.
    Queued(oneshot::Receiver<Result<Permit, AdmitError>>),
}

impl Admission {
    pub(crate) fn new(journal: Journal, bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { journal, bytes_max, room: Mutex::default() })
    }

    /// A holder of memory that was in use before admission began: what recovery brought back.
    pub(crate) fn recovered(self: &Arc<Self>, bytes: usize) -> Memory {
        let mut memory = Memory { bytes: 0, admission: Arc::clone(self) };
        memory.resize(bytes);
        memory
    }

    /// Bytes of unflushed batches, and of permits not used yet.
    pub(crate) fn used(&self) -> usize {
        self.room.lock().used
    }

    /// Whether anyone waits.
    pub(crate) fn is_contended(&self) -> bool {
        let room = self.room.lock();
        !room.clients.is_empty() || !room.replicas.is_empty() || !room.internal.is_empty()
    }

    /// A permit, or a place in the queue.
    pub(crate) fn ask(self: &Arc<Self>, class: Class, bytes: usize) -> Result<Asked, AdmitError> {
        let mut room = self.room.lock();
        if let Some(permit) = self.grant_at_once(&mut room, class, bytes)? {
            return Ok(Asked::Granted(permit));
        }
        let (grant, granted) = oneshot::channel();
        room.queue(class).push_back(Waiter { class, bytes, grant });
        Ok(Asked::Queued(granted))
    }

    /// A permit, if there is room and nobody waits for it.
    pub(crate) fn ask_once(self: &Arc<Self>, class: Class, bytes: usize) -> Option<Permit> {
        self.grant_at_once(&mut self.room.lock(), class, bytes).ok().flatten()
    }

    fn grant_at_once(
        self: &Arc<Self>,
        room: &mut Room,
        class: Class,
        bytes: usize,
    ) -> Result<Option<Permit>, AdmitError> {
        if room.stopped {
            return Err(Stopped.into());
        }
        let queue = room.queue(class);
        // Those who have stopped waiting hold nobody back.
        while queue.front().is_some_and(|waiter| waiter.grant.is_closed()) {
            queue.pop_front();
        }
        if queue.is_empty() { self.grant(room, class, bytes) } else { Ok(None) }
    }

    /// Grants what fits now, in order. Called whenever journal space or memory has come back.
    pub(crate) fn pump(self: &Arc<Self>) {
        let mut answers = Vec::new();
        {
            let mut room = self.room.lock();
            for queue in QUEUES {
                while let Some((grant, answer)) = self.next(&mut room, queue) {
                    answers.push((grant, answer));
                }
            }
        }
        // Outside the lock: an answer nobody waits for gives its permit back, which locks.
        for (grant, answer) in answers {
            drop(grant.send(answer));
        }
    }

    /// Refuses everyone, now and later.
    pub(crate) fn stop(&self) {
        let waiting: Vec<Waiter> = {
            let mut room = self.room.lock();
            room.stopped = true;
            QUEUES.into_iter().flat_map(|queue| std::mem::take(room.queue(queue))).collect()
        };
        for waiter in waiting {
            drop(waiter.grant.send(Err(Stopped.into())));
        }
    }

    #[expect(clippy::type_complexity, reason = "an answer and where it goes")]
    fn next(
        self: &Arc<Self>,
        room: &mut Room,
        queue: Class,
    ) -> Option<(oneshot::Sender<Result<Permit, AdmitError>>, Result<Permit, AdmitError>)> {
        loop {
            let front = room.queue(queue).front()?;
            let (class, bytes) = (front.class, front.bytes);
            let answer = if front.grant.is_closed() {
                None
            } else {
                // The first that does not fit holds back those behind it: order is the promise.
                Some(self.grant(room, class, bytes).transpose()?)
            };
            let waiter = room.queue(queue).pop_front()?;
            if let Some(answer) = answer {
                return Some((waiter.grant, answer));
            }
        }
    }

    /// A permit if there is room, `None` if there may be later.
    fn grant(
        self: &Arc<Self>,
        room: &mut Room,
        class: Class,
        bytes: usize,
    ) -> Result<Option<Permit>, AdmitError> {
        // A request larger than the whole budget is let in alone, or it never would be. The
        // metadata log and internal topics are bounded by their reserve of the journal.
        let bytes_max = match class {
            Class::Client => self.bytes_max,
            Class::Replica => self.bytes_max.saturating_add(self.bytes_max / 4),
            Class::Metadata | Class::Internal => usize::MAX,
        };
        if room.used.saturating_add(bytes) > bytes_max && room.used > 0 {
            return Ok(None);
        }
        let reservation = match self.journal.try_reserve(class, bytes) {
            Ok(reservation) => reservation,
            Err(Refused::JournalFull) => return Ok(None),
            Err(Refused::DiskFull) => return Err(AdmitError::DiskFull),
            Err(Refused::TooLarge) => return Err(AdmitError::TooLarge { bytes }),
            Err(Refused::Stopped) => return Err(Stopped.into()),
        };
        room.used = room.used.saturating_add(bytes);
        let memory = Memory { bytes, admission: Arc::clone(self) };
        Ok(Some(Permit { reservation, memory, asked: bytes, left: bytes }))
    }
}
