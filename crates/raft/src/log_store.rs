//! openraft's log on the metadata log: an entry's index is its offset, its term the leader epoch.
//!
//! **Invariants**
//! - Vote, append, truncate and purge reach the journal in the order in which openraft calls them:
//!   all go through the one queue of the metadata class.
//! - `append` returns when the entries are readable; its callback runs when they are durable here.
//! - `purged` is the entry at the log start offset: it stays readable, because openraft asks for
//!   its term, and entries are served from the one after it.
//!
//! **Not here:** when an answer may leave (`chronik-controller`'s durability, the runtime), the
//! image (`state_machine`).

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chronik_env::Env;
use chronik_journal::Class;
use chronik_log::{Log, LogListener, Read, ReadLimit, Storage};
use chronik_types::Offset;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use parking_lot::Mutex;

use crate::entry_codec;
use crate::type_config::{Entry, LogId, TypeConfig, Vote, epoch_of, log_id, offset_of};

/// How many decoded entries are kept for the apply path and for followers.
const RECENT_MAX: usize = 8_192;
/// How much one read of the log takes at most.
const READ_BYTES: usize = 4 << 20;
/// How long the metadata log waits for its reserved part of the journal before it gives up. It is
/// far beyond any flush; running into it means that the disk has stopped.
const ADMISSION_PATIENCE: Duration = Duration::from_secs(60);

/// The metadata log, as openraft sees it. Clones share the log.
#[derive(Clone)]
pub(crate) struct LogStore {
    shared: Arc<Shared>,
}

struct Shared {
    env: Env,
    storage: Storage,
    log: Arc<Log>,
    vote: Mutex<Option<Vote>>,
    recent: Mutex<VecDeque<Entry>>,
    flushes: Arc<Flushes>,
}

/// The callbacks of appends that are not durable yet, by end offset.
#[derive(Default)]
pub(crate) struct Flushes {
    waiting: Mutex<VecDeque<(Offset, IOFlushed<TypeConfig>)>>,
}

impl LogListener for Flushes {
    fn durable(&self, durable_end: Offset) {
        loop {
            let ready = {
                let mut waiting = self.waiting.lock();
                match waiting.front() {
                    Some((end, _)) if *end <= durable_end => waiting.pop_front(),
                    _ => None,
                }
            };
            let Some((_, callback)) = ready else { return };
            callback.io_completed(Ok(()));
        }
    }
}

impl LogStore {
    /// The store on `log`, whose listener is `flushes`.
    ///
    /// # Errors
    /// When the vote on disk cannot be read.
    pub fn new(
        env: Env,
        storage: Storage,
        log: Arc<Log>,
        flushes: Arc<Flushes>,
    ) -> io::Result<Self> {
        let vote = storage.vote().map(|bytes| decode_vote(&bytes)).transpose()?;
        let shared =
            Shared { env, storage, log, vote: Mutex::new(vote), recent: Mutex::default(), flushes };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The purged entry: the one at the log start offset, unless the log still begins at 0.
    async fn purged(&self) -> io::Result<Option<LogId>> {
        let log = &self.shared.log;
        let (start, end) = (log.start(), log.end());
        if start == Offset::ZERO {
            return Ok(None);
        }
        if start == end {
            // Emptied by a snapshot that was installed: the entry before the start is its last.
            return Ok(Some(log_id(log.leader_epoch(), Offset(start.0.saturating_sub(1)))));
        }
        let first = self.read(start, start.next()).await?;
        Ok(first.first().map(|entry| entry.log_id))
    }

    /// The entries of `[from, end)`, from memory where they are recent.
    async fn read(&self, from: Offset, end: Offset) -> io::Result<Vec<Entry>> {
        let end = end.min(self.shared.log.end());
        if let Some(entries) = self.read_recent(from, end) {
            return Ok(entries);
        }
        let mut entries = Vec::new();
        let mut at = from.max(self.shared.log.start());
        while at < end {
            let limit = ReadLimit { max_bytes: READ_BYTES, end, at_least_one: true };
            let fetched = match self.shared.log.read(at, limit).map_err(io::Error::other)? {
                Read::Memory(fetched) => fetched,
                Read::Segment(job) => {
                    chronik_env::blocking(move || job.run()).await.map_err(io::Error::other)?
                }
            };
            if fetched.next_offset <= at {
                return Err(io::Error::other(format!(
                    "the metadata log ends at {at}, before {end}"
                )));
            }
            for chunk in &fetched.chunks {
                let read = entry_codec::decode(chunk).map_err(io::Error::other)?;
                let wanted = |e: &Entry| (at..end).contains(&offset_of(e.log_id.index));
                entries.extend(read.into_iter().filter(wanted));
            }
            at = fetched.next_offset;
        }
        Ok(entries)
    }

    fn read_recent(&self, from: Offset, end: Offset) -> Option<Vec<Entry>> {
        let recent = self.shared.recent.lock();
        let first = offset_of(recent.front()?.log_id.index);
        let skip = usize::try_from(from.since(first)).ok()?;
        let take = usize::try_from(end.since(from)).ok()?;
        (skip + take <= recent.len())
            .then(|| recent.iter().skip(skip).take(take).cloned().collect())
    }

    fn remember(&self, entry: Entry) {
        let mut recent = self.shared.recent.lock();
        if recent.len() == RECENT_MAX {
            recent.pop_front();
        }
        recent.push_back(entry);
    }

    async fn append_batches(&self, batches: BytesMut) -> io::Result<()> {
        let deadline = self.shared.env.clock.monotonic().after(ADMISSION_PATIENCE);
        let mut permit = self
            .shared
            .storage
            .admit(Class::Metadata, batches.len(), deadline)
            .await
            .map_err(io::Error::other)?;
        self.shared.log.append_at(&mut permit, batches).map_err(io::Error::other)?;
        Ok(())
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let from = match range.start_bound() {
            Bound::Included(&i) => offset_of(i),
            Bound::Excluded(&i) => offset_of(i).next(),
            Bound::Unbounded => Offset::ZERO,
        };
        let end = match range.end_bound() {
            Bound::Included(&i) => offset_of(i).next(),
            Bound::Excluded(&i) => offset_of(i),
            Bound::Unbounded => self.shared.log.end(),
        };
        self.read(from, end).await
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(*self.shared.vote.lock())
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        let end = end.min(start.saturating_add(LIMITED_ENTRIES));
        self.read(offset_of(start), offset_of(end)).await
    }
}

/// How many entries one limited read returns at most.
const LIMITED_ENTRIES: u64 = 1_024;

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let last_purged_log_id = self.purged().await?;
        let log = &self.shared.log;
        let last_log_id = if log.start() < log.end() {
            Some(log_id(log.leader_epoch(), Offset(log.end().0.saturating_sub(1))))
        } else {
            last_purged_log_id
        };
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.shared.storage.save_vote(encode_vote(vote)).await.map_err(io::Error::other)?;
        *self.shared.vote.lock() = Some(*vote);
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let now = self.shared.env.clock.wall();
        let mut batches = BytesMut::new();
        let mut end = self.shared.log.end();
        let entries: Vec<Entry> = entries.into_iter().collect();
        for entry in &entries {
            let offset = offset_of(entry.log_id().index);
            let epoch = epoch_of(&entry.log_id());
            let batch = entry_codec::encode(entry, epoch, offset, now).map_err(io::Error::other)?;
            batches.unsplit(batch);
            end = offset.next();
        }
        // Registered before the append: the entries may be durable before this function goes on.
        self.shared.flushes.waiting.lock().push_back((end, callback));
        self.append_batches(batches).await?;
        for entry in entries {
            self.remember(entry);
        }
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        let end = last_log_id.map_or(Offset::ZERO, |id| offset_of(id.index).next());
        self.shared.flushes.waiting.lock().retain(|(at, _)| *at <= end);
        self.shared.recent.lock().retain(|entry| offset_of(entry.log_id.index) < end);
        self.shared.log.truncate_to(end).map_err(io::Error::other)
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        let start = offset_of(log_id.index);
        let log = &self.shared.log;
        if start < log.end() {
            return log.set_start(start).map_err(io::Error::other);
        }
        // Beyond the end: a snapshot was installed over a log that lacks what it covers.
        self.shared.recent.lock().clear();
        log.reset_to(start.next(), epoch_of(&log_id)).map_err(io::Error::other)
    }
}

/// Term (i32), node (i32), committed (0 or 1), big-endian.
fn encode_vote(vote: &Vote) -> Bytes {
    let mut bytes = Vec::with_capacity(9);
    bytes.extend_from_slice(&vote.leader_id.term.to_be_bytes());
    bytes.extend_from_slice(&vote.leader_id.voted_for.to_be_bytes());
    bytes.push(u8::from(vote.committed));
    bytes.into()
}

fn decode_vote(bytes: &[u8]) -> io::Result<Vote> {
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "the vote on disk has another format");
    let bytes: &[u8; 9] = bytes.try_into().map_err(|_| bad())?;
    let &[a, b, c, d, e, f, g, h, committed] = bytes;
    let term = i32::from_be_bytes([a, b, c, d]);
    let node = i32::from_be_bytes([e, f, g, h]);
    match committed {
        0 => Ok(Vote::new(term, node)),
        1 => Ok(Vote::new_committed(term, node)),
        _ => Err(bad()),
    }
}
