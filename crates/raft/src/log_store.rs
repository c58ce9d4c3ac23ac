//! openraft's log on the metadata log: an entry's index is its offset, its term the leader epoch.
//!
//! **Invariants**
//! - Vote, append, truncate and purge reach the journal in the order in which openraft calls them:
//!   all go through the one queue of the metadata class. Only `save_vote` waits for the disk.
//! - `append` returns when the entries are readable; whoever waits for them is told when they are
//!   durable here.
//! - The purged entry is the one at the log start offset: it stays in the log, so that a restart
//!   knows its term, and entries are served from the one after it. Where a snapshot replaced the
//!   log, a blank entry stands for it; otherwise the first entry after it would pass for purged.
//!   (That only entry 0 is purged, a restart does not know: keeping one entry does no harm.)
//! - What is committed is written beside the next entry and waits for nobody: a restart knows at
//!   least what was committed when the last entry that survived was written.
//!
//! **Not here:** reading (`log_reader`), when an answer may leave (`gate`), the image
//! (`state_machine`).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use chronik_env::Env;
use chronik_journal::Class;
use chronik_log::{Log, Storage};
use chronik_types::{Monotonic, Offset};
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{EntryPayload, OptionalSend};
use parking_lot::Mutex;

use crate::appended_at::AppendedAt;
use crate::bugs;
use crate::entry_codec;
use crate::flushes::{Flushes, Waiter};
use crate::log_reader::{LogReader, Window};
use crate::member_mark::MemberMark;
use crate::recent::Recent;
use crate::type_config::{Entry, LogId, TypeConfig, Vote, epoch_of, log_id, offset_of};
use crate::vote_codec;

/// How long the metadata log waits for its reserved part of the journal before it gives up. It is
/// far beyond any flush; running into it means that the disk has stopped.
const ADMISSION_PATIENCE: Duration = Duration::from_secs(60);
/// What one append to the log takes, so that a group of the journal stays small; a single entry may
/// be larger.
const APPEND_BYTES: usize = 1 << 20;

/// The metadata log, as openraft sees it. Clones share the log.
#[derive(Clone)]
pub(crate) struct LogStore {
    shared: Arc<Shared>,
}

/// What the store and its readers share.
pub(crate) struct Shared {
    pub env: Env,
    pub log: Arc<Log>,
    pub vote: Mutex<Option<Vote>>,
    pub recent: Mutex<Recent>,
    pub window: Mutex<Window>,
    /// The last purged entry, as far as it was asked for or purged in this run.
    pub purged: Mutex<Option<LogId>>,
    storage: Storage,
    flushes: Arc<Flushes>,
    mark: MemberMark,
    progress: Mutex<Progress>,
}

/// What is known beside the log.
#[derive(Default)]
struct Progress {
    committed_end: Offset,
    backlog: AppendedAt,
    for_followers: AppendedAt,
    counts: VoteCounts,
}

/// What the votes that were saved say about elections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VoteCounts {
    /// Elections in which this node stood.
    pub elections: u64,
    /// Times this node saw another leader than before.
    pub leader_changes: u64,
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
        mark: MemberMark,
    ) -> io::Result<Self> {
        let vote = storage.vote().map(|bytes| vote_codec::decode(&bytes)).transpose()?;
        flushes.watch(&log);
        let shared = Shared {
            env,
            log,
            vote: Mutex::new(vote),
            recent: Mutex::default(),
            window: Mutex::default(),
            purged: Mutex::default(),
            storage,
            flushes,
            mark,
            progress: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    fn reader(&self) -> LogReader {
        LogReader::new(Arc::clone(&self.shared))
    }

    /// Whether nothing was ever voted for or appended here.
    pub fn is_empty(&self) -> bool {
        self.shared.vote.lock().is_none() && self.shared.log.end() == Offset::ZERO
    }

    /// Whether this directory has ever known a leader.
    pub fn had_leader(&self) -> bool {
        let voted = self.shared.vote.lock().is_some_and(|vote| vote.committed);
        voted || self.shared.log.end() != Offset::ZERO
    }

    /// The end of what this directory knew to be committed when it was last written.
    ///
    /// # Errors
    /// When the last entry cannot be read.
    pub async fn recovered_committed_end(&self) -> io::Result<Offset> {
        let log = &self.shared.log;
        let (start, end) = (log.start(), log.end());
        if start == end {
            return Ok(start);
        }
        let last = Offset(end.0.saturating_sub(1));
        let read = self.reader().read_disk(last, end).await?;
        Ok(read.last().map_or(start, |read| read.committed_end.max(start)))
    }

    /// How long ago the oldest entry that is not committed was appended.
    pub fn backlog_age(&self, now: Monotonic) -> Duration {
        let progress = self.shared.progress.lock();
        progress.backlog.age(progress.committed_end, now)
    }

    /// How long ago the first entry from `end` on was appended.
    pub fn lag(&self, end: Offset, now: Monotonic) -> Duration {
        self.shared.progress.lock().for_followers.age(end, now)
    }

    /// Every follower has everything below `end`.
    pub fn held_by_followers(&self, end: Offset) {
        self.shared.progress.lock().for_followers.held_by_all(end);
    }

    /// What the votes that were saved say about elections.
    pub fn vote_counts(&self) -> VoteCounts {
        self.shared.progress.lock().counts
    }

    /// The purged entry: the one at the log start offset, unless the log still begins at 0.
    async fn purged(&self) -> io::Result<Option<LogId>> {
        if let Some(purged) = *self.shared.purged.lock() {
            return Ok(Some(purged));
        }
        let log = &self.shared.log;
        let (start, end) = (log.start(), log.end());
        if start == Offset::ZERO {
            return Ok(None);
        }
        if start == end {
            // A crash came between the reset and the entry that stands for what was purged; the
            // snapshot is there, and openraft purges again.
            return Ok(Some(log_id(log.leader_epoch(), Offset(start.0.saturating_sub(1)))));
        }
        let first = self.reader().read_disk(start, start.next()).await?;
        let purged = first.first().map(|read| read.entry.log_id);
        *self.shared.purged.lock() = purged;
        Ok(purged)
    }

    /// Brings the log in line with a snapshot of everything up to `last`: a crash may have come
    /// between the snapshot and the cut of entries that contradict it.
    ///
    /// # Errors
    /// When the log cannot be read or written.
    pub async fn agree_with(&self, last: LogId) -> io::Result<()> {
        let at = offset_of(last.index);
        let log = &self.shared.log;
        if at < log.start() || at >= log.end() {
            return Ok(());
        }
        let read = self.reader().read_disk(at, at.next()).await?;
        if read.first().is_none_or(|read| read.entry.log_id == last) {
            return Ok(());
        }
        self.replace_by(last).await
    }

    /// Drops the log for a snapshot of everything up to `last`.
    async fn replace_by(&self, last: LogId) -> io::Result<()> {
        self.forget_from(Offset::ZERO);
        *self.shared.purged.lock() = Some(last);
        let (start, epoch) = (offset_of(last.index), epoch_of(&last));
        let log = Arc::clone(&self.shared.log);
        let reset = chronik_env::blocking(move || log.reset_to(start, epoch)).await;
        self.shared.window.lock().clear();
        reset.map_err(io::Error::other)?;
        let purged = Entry { log_id: last, payload: EntryPayload::Blank };
        let now = self.shared.env.clock.wall();
        let batch = entry_codec::encode(&purged, epoch, start, now, start.next());
        self.append_batches(batch.map_err(io::Error::other)?).await
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

    fn note_appended(&self, end: Offset) {
        let now = self.shared.env.clock.monotonic();
        let mut progress = self.shared.progress.lock();
        progress.backlog.appended(end, now);
        progress.for_followers.appended(end, now);
    }

    fn forget_from(&self, end: Offset) {
        self.shared.flushes.truncated(end);
        self.shared.recent.lock().truncate(end);
        self.shared.window.lock().clear();
        let mut progress = self.shared.progress.lock();
        progress.backlog.truncated(end);
        progress.for_followers.truncated(end);
    }
}

/// Whom to tell when `entries` are durable: their proposers, then openraft.
fn waiters(entries: &[Entry], callback: IOFlushed<TypeConfig>) -> Vec<(Offset, Waiter)> {
    let mut waiters = Vec::new();
    for entry in entries {
        let offset = offset_of(entry.log_id.index);
        if let EntryPayload::Normal(proposal) = &entry.payload
            && let Some(sender) = proposal.take_synced()
        {
            waiters.push((offset.next(), Waiter::Proposer(offset, sender)));
        }
    }
    let end = entries.last().map_or(Offset::ZERO, |last| offset_of(last.log_id.index).next());
    waiters.push((end, Waiter::Append(callback)));
    waiters
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogReader;

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

    async fn get_log_reader(&mut self) -> LogReader {
        self.reader()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let mut saved = std::pin::pin!(self.shared.storage.save_vote(vote_codec::encode(vote)));
        if bugs::vote_before_disk() {
            let _on_its_way = futures_util::poll!(saved.as_mut());
        } else {
            saved.await.map_err(io::Error::other)?;
        }
        self.shared.mark.set().await?;
        let before = self.shared.vote.lock().replace(*vote);
        let counts = &mut self.shared.progress.lock().counts;
        let known = before.is_some_and(|before| before.leader_id == vote.leader_id);
        match vote.committed {
            true if !before.is_some_and(|before| before.committed) || !known => {
                counts.leader_changes += 1;
            }
            false if !known => counts.elections += 1,
            _ => {}
        }
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let Some(committed) = committed else { return Ok(()) };
        let end = offset_of(committed.index).next();
        self.shared.log.advance_high_watermark(end);
        let mut progress = self.shared.progress.lock();
        progress.committed_end = progress.committed_end.max(end);
        progress.backlog.held_by_all(end);
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let now = self.shared.env.clock.wall();
        let committed_end = self.shared.progress.lock().committed_end;
        let entries: Vec<Entry> = entries.into_iter().collect();
        // Registered before the append: the entries may be durable before this function goes on.
        self.shared.flushes.wait(waiters(&entries, callback));
        // A follower that catches up is sent more than a journal of small files takes at once.
        let bytes_max = APPEND_BYTES.min(self.shared.storage.append_bytes_max() / 2);
        let mut batches = BytesMut::new();
        for entry in &entries {
            let offset = offset_of(entry.log_id().index);
            let epoch = epoch_of(&entry.log_id());
            let batch = entry_codec::encode(entry, epoch, offset, now, committed_end)
                .map_err(io::Error::other)?;
            if !batches.is_empty() && batches.len() + batch.len() > bytes_max {
                self.append_batches(std::mem::take(&mut batches)).await?;
            }
            batches.unsplit(batch);
        }
        if !batches.is_empty() {
            self.append_batches(batches).await?;
        }
        self.note_appended(self.shared.log.end());
        let mut recent = self.shared.recent.lock();
        for entry in entries {
            recent.push(entry);
        }
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        let end = last_log_id.map_or(Offset::ZERO, |id| offset_of(id.index).next());
        self.forget_from(end);
        let log = Arc::clone(&self.shared.log);
        let cut = chronik_env::blocking(move || log.truncate_to(end)).await;
        self.shared.window.lock().clear();
        cut.map_err(io::Error::other)
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        let start = offset_of(log_id.index);
        let log = &self.shared.log;
        self.shared.window.lock().clear();
        *self.shared.purged.lock() = Some(log_id);
        if start < log.end() {
            return log.set_start(start).map_err(io::Error::other);
        }
        // Beyond the end: a snapshot was installed over a log that lacks what it covers.
        self.replace_by(log_id).await
    }
}
