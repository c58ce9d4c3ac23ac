//! A partition log: one sequence of batches, durable through the journal, readable from memory or
//! from segments.
//!
//! ```text
//!   start ≤ flushed end ≤ durable ≤ end          start ≤ high watermark ≤ end
//! ```
//!
//! **Invariants**
//! - One mutex serialises everything about a log: append, truncation, the hand-over to the flush
//!   and back. It is never held while a file is read or written.
//! - Records of a log reach the journal in the order in which they changed the state, because they
//!   are submitted under that mutex.
//! - A log that was never written has no journal id, no file and no box: it costs this struct.
//!
//! **Not here:** appending (`append`), reading (`read`, `lookup`), cutting (`cut`), writing
//! segments (`flush`), who may lead or follow (`broker`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chronik_journal::{Class, Completed, LogId, Lsn, Record};
use chronik_types::{LeaderEpoch, Offset, TopicPartition};
use parking_lot::{Mutex, MutexGuard};

use crate::admission::Memory;
use crate::config::LogConfig;
use crate::error::AppendError;
use crate::leader_epochs::LeaderEpochs;
use crate::producer_state::ProducerState;
use crate::producers::ProducerSummary;
use crate::segment::Segments;
use crate::storage::Shared;
use crate::tail::Tail;
use crate::transactions::Transactions;

/// Told when more of a log counts as written.
pub trait LogListener: Send + Sync {
    /// Everything below `durable_end` is durable here; with `write.caching` also what is only in
    /// memory. Called in order by the completions task (with `write.caching` by the appender too),
    /// while the log is not locked. It may come a second time with the same or a lower offset,
    /// after a truncation or a reset.
    fn durable(&self, durable_end: Offset);

    /// Retention has moved the log start offset to `start`. Called while the log is not locked.
    fn start_moved(&self, start: Offset) {
        let _ = start;
    }
}

/// The offsets of a log at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// The log start offset: nothing below is served.
    pub start: Offset,
    /// The log end offset: what the next record gets.
    pub end: Offset,
    /// Everything below is fsynced here.
    pub durable: Offset,
    /// Everything below is on every in-sync replica.
    pub high_watermark: Offset,
    /// Everything below is decided: no transaction is open there. At most the high watermark.
    pub last_stable: Offset,
}

/// Where a log begins and ends, as replicas compare it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The log start offset.
    pub start: Offset,
    /// The log end offset.
    pub end: Offset,
    /// Everything below is fsynced here; [`Offset::UNKNOWN`] after a reset that is not durable yet.
    pub durable: Offset,
    /// The latest leader epoch; [`LeaderEpoch::NONE`] if there was none.
    pub last_epoch: LeaderEpoch,
}

/// A partition log. See the module.
pub struct Log {
    pub(crate) shared: Arc<Shared>,
    pub(crate) partition: TopicPartition,
    pub(crate) topic: Arc<str>,
    pub(crate) class: Class,
    pub(crate) listener: Arc<dyn LogListener>,
    state: Mutex<State>,
}

/// What the mutex guards.
pub(crate) struct State {
    pub(crate) config: Arc<LogConfig>,
    pub(crate) start: Offset,
    pub(crate) end: Offset,
    pub(crate) durable: Offset,
    pub(crate) high_watermark: Offset,
    pub(crate) epochs: LeaderEpochs,
    /// Deleted or closed: every operation is refused.
    pub(crate) gone: bool,
    /// Nothing until the first record.
    pub(crate) written: Option<Box<Written>>,
}

/// What only a log has that was written once.
pub(crate) struct Written {
    pub(crate) id: LogId,
    pub(crate) tail: Tail,
    /// The budget for the unflushed part of the tail.
    pub(crate) memory: Memory,
    pub(crate) producers: ProducerState,
    pub(crate) transactions: Transactions,
    /// What is in segments: everything in `[start, segments.end())`.
    pub(crate) segments: Segments,
    /// The last record of this log that is durable.
    pub(crate) durable_lsn: Lsn,
    /// The submission whose records are the last durable ones.
    pub(crate) durable_ticket: u64,
    /// The last submission.
    pub(crate) submitted_ticket: u64,
    /// The first durable record that no flush covers: what pins the journal.
    pub(crate) oldest_unflushed: Option<Lsn>,
    /// The first record that became durable after the running flush was planned.
    pub(crate) oldest_after_plan: Option<Lsn>,
    /// Of the last truncation or reset. Files follow it only once it is durable, and what was
    /// appended before it never counts as durable end.
    pub(crate) cut_ticket: u64,
    /// The log end offset right after it.
    pub(crate) cut_end: Offset,
    /// A reset is not durable yet, so nothing is: a crash would bring back what was before.
    pub(crate) reset_unproved: bool,
    /// Of the last START_OFFSET. Segments below the start go only once it is durable.
    pub(crate) start_ticket: u64,
    /// Of the last FLUSHED. Files it made needless go only once it is durable.
    pub(crate) flush_ticket: u64,
    /// Submissions of facts only, which no flush need cover, not durable yet.
    pub(crate) fact_tickets: Vec<u64>,
    /// Moves with every change that makes file positions meaningless: readers and a running flush
    /// that see it move give up what they did.
    pub(crate) generation: Arc<AtomicU64>,
}

impl Written {
    pub(crate) fn new(id: LogId, memory: Memory, start: Offset) -> Self {
        Self {
            id,
            tail: Tail::default(),
            memory,
            producers: ProducerState::default(),
            transactions: Transactions::default(),
            segments: Segments::empty(start),
            durable_lsn: Lsn::ZERO,
            durable_ticket: 0,
            submitted_ticket: 0,
            oldest_unflushed: None,
            oldest_after_plan: None,
            cut_ticket: 0,
            cut_end: start,
            reset_unproved: false,
            start_ticket: 0,
            flush_ticket: 0,
            fact_tickets: Vec::new(),
            generation: Arc::new(AtomicU64::new(0)),
        }
    }

    /// Whether everything submitted so far is durable.
    pub(crate) fn is_settled(&self) -> bool {
        self.durable_ticket >= self.submitted_ticket
    }

    /// Whether every truncation and reset so far is durable.
    pub(crate) fn cut_is_durable(&self) -> bool {
        self.durable_ticket >= self.cut_ticket
    }

    /// Whether every move of the log start so far is durable.
    pub(crate) fn start_is_durable(&self) -> bool {
        self.durable_ticket >= self.start_ticket
    }

    pub(crate) fn bump_generation(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}

impl State {
    pub(crate) fn last_stable(&self) -> Offset {
        let Some(written) = &self.written else { return self.high_watermark };
        let first_open = written.producers.first_open_transaction();
        written.transactions.last_stable(first_open, self.high_watermark)
    }

    /// The offset after what segments hold.
    pub(crate) fn flushed_end(&self) -> Offset {
        self.written.as_ref().map_or(self.start, |written| written.segments.end())
    }
}

impl Log {
    pub(crate) fn new(
        shared: Arc<Shared>,
        partition: TopicPartition,
        topic: Arc<str>,
        class: Class,
        listener: Arc<dyn LogListener>,
        state: State,
    ) -> Self {
        Self { shared, partition, topic, class, listener, state: Mutex::new(state) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Whose log it is.
    #[must_use]
    pub fn partition(&self) -> TopicPartition {
        self.partition
    }

    /// The topic's name.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The log start offset.
    #[must_use]
    pub fn start(&self) -> Offset {
        self.lock().start
    }

    /// The log end offset: what the next record gets.
    #[must_use]
    pub fn end(&self) -> Offset {
        self.lock().end
    }

    /// Everything below is fsynced here.
    #[must_use]
    pub fn durable_end(&self) -> Offset {
        self.lock().durable
    }

    /// The high watermark, as [`Log::advance_high_watermark`] set it.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.lock().high_watermark
    }

    /// The high watermark, or the start of the oldest transaction that is not decided below it.
    /// Reads the producers' state from disk the first time, if a flush left one.
    #[must_use]
    pub fn last_stable_offset(&self) -> Offset {
        self.offsets().last_stable
    }

    /// The latest leader epoch: of the last batch, or begun since; [`LeaderEpoch::NONE`] if there
    /// was none.
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.lock().epochs.latest().unwrap_or(LeaderEpoch::NONE)
    }

    /// Where it begins and ends, at one moment.
    #[must_use]
    pub fn position(&self) -> Position {
        let state = self.lock();
        let unproved = state.written.as_ref().is_some_and(|written| written.reset_unproved);
        Position {
            start: state.start,
            end: state.end,
            durable: if unproved { Offset::UNKNOWN } else { state.durable },
            last_epoch: state.epochs.latest().unwrap_or(LeaderEpoch::NONE),
        }
    }

    /// All offsets at one moment. Reads the producers' state from disk the first time, if a flush
    /// left one.
    #[must_use]
    pub fn offsets(&self) -> Offsets {
        let loaded = self.load_producers();
        let state = self.lock();
        // If nothing can be known about open transactions, nothing is stable.
        let last_stable = if loaded.is_ok() { state.last_stable() } else { state.start };
        Offsets {
            start: state.start,
            end: state.end,
            durable: state.durable,
            high_watermark: state.high_watermark,
            last_stable,
        }
    }

    /// Moves the high watermark up to `to`, never back and never beyond the end. Returns where it
    /// is then.
    pub fn advance_high_watermark(&self, to: Offset) -> Offset {
        let mut state = self.lock();
        state.high_watermark = state.high_watermark.max(to.min(state.end));
        let high_watermark = state.high_watermark;
        if let Some(written) = &mut state.written {
            written.transactions.forget_replicated(high_watermark);
        }
        high_watermark
    }

    /// A leader's reign begins at the end of this log. Journaled if the log was ever written;
    /// otherwise its first batch says so.
    ///
    /// # Errors
    /// [`AppendError::StaleEpoch`] below the latest epoch; [`AppendError::Gone`].
    pub fn begin_epoch(&self, epoch: LeaderEpoch) -> Result<(), AppendError> {
        let mut state = self.lock();
        if state.gone {
            return Err(AppendError::Gone);
        }
        if let Some(current) = state.epochs.latest().filter(|current| epoch < *current) {
            return Err(AppendError::StaleEpoch { current, found: epoch });
        }
        let end = state.end;
        if !state.epochs.assign(epoch, end) {
            return Ok(());
        }
        if let Some(written) = &mut state.written {
            // Without room the epoch lives in memory only: no record carries it yet, and the first
            // one that does will say where it began.
            let record = Record::EpochStart { epoch, start: end };
            if let Err(refused) = self.shared.submit_fact(self.class, written, record) {
                tracing::debug!(%refused, "a leader epoch is not journaled before its first batch");
            }
        }
        Ok(())
    }

    /// Answers OffsetForLeaderEpoch: the largest epoch not above `epoch` and its end offset, or
    /// (-1, -1) if the log cannot say.
    #[must_use]
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        let state = self.lock();
        state.epochs.end_offset_for(epoch, state.end)
    }

    /// Every idempotent or transactional producer this log knows. Reads their state from disk the
    /// first time, if a flush left one.
    #[must_use]
    pub fn producers(&self) -> Vec<ProducerSummary> {
        if let Err(error) = self.load_producers() {
            tracing::warn!(topic = self.topic(), %error, "the producers cannot be read");
            return Vec::new();
        }
        let state = self.lock();
        state.written.as_ref().map_or_else(Vec::new, |written| written.producers.summaries())
    }

    /// Bytes of batches between start and end, in segments and not yet.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        let state = self.lock();
        let Some(written) = &state.written else { return 0 };
        let unflushed = written.tail.bytes(written.segments.end(), state.end);
        written.segments.bytes().saturating_add(unflushed as u64)
    }

    /// New settings; they count from the next operation on.
    pub fn set_config(&self, config: Arc<LogConfig>) {
        self.lock().config = config;
    }

    /// The settings in force.
    #[must_use]
    pub fn config(&self) -> Arc<LogConfig> {
        Arc::clone(&self.lock().config)
    }

    /// A record of this log is durable. Says where the durable end is if it moved.
    pub(crate) fn complete(self: &Arc<Self>, completed: &Completed) -> Option<Offset> {
        let mut state = self.lock();
        let State { end, gone, written, .. } = &mut *state;
        let (end, gone) = (*end, *gone);
        let written = written.as_mut()?;
        written.durable_lsn = written.durable_lsn.max(completed.lsn);
        written.durable_ticket = written.durable_ticket.max(completed.ticket);
        written.fact_tickets.retain(|ticket| *ticket >= completed.ticket);
        let is_fact = written.fact_tickets.contains(&completed.ticket);
        if gone {
            // Its DROP may be durable now: the files can go.
            self.shared.want_round();
            return None;
        }
        if completed.end.is_none() && is_fact {
            return None;
        }
        if written.oldest_after_plan.is_none() {
            written.oldest_after_plan = Some(completed.lsn);
        }
        if written.oldest_unflushed.is_none() {
            written.oldest_unflushed = Some(completed.lsn);
            self.shared.dirty.insert(completed.lsn, written.id, self);
        }
        // What was appended before a cut that is not durable yet may be gone by it. With the cut
        // itself everything that it left is durable.
        let durable = match completed.ticket.cmp(&written.cut_ticket) {
            std::cmp::Ordering::Less => return None,
            std::cmp::Ordering::Equal => written.cut_end,
            std::cmp::Ordering::Greater => completed.end?.min(end),
        };
        let proves_reset = std::mem::take(&mut written.reset_unproved);
        if durable < state.durable || (durable == state.durable && !proves_reset) {
            return None;
        }
        state.durable = durable;
        Some(durable)
    }

    pub(crate) fn tell_durable(&self, durable_end: Offset) {
        self.listener.durable(durable_end);
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("topic", &self.topic)
            .field("partition", &self.partition)
            .finish_non_exhaustive()
    }
}
