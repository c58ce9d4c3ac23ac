//! The storage engine of one broker: its journal, its logs, its directories.
//!
//! ```text
//! admit ─► Log::append ─► journal ─► Completions ─► listeners
//!                └─► tail ─► flush_round ─► segments ─► retention_round
//! ```
//!
//! **Invariants**
//! - One process uses the directories: each is locked while the storage lives.
//! - What the journal knew of a log at the start stays parked, and pins the journal, until the log
//!   is opened, deleted or declared stray. It is never thrown away because nobody asked for it.
//! - After a failed sync nothing is written any more, and [`Storage::stopped`] says why.
//!
//! **Not here:** which partitions exist, who leads them, when background rounds run (`broker`).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use chronik_env::{DiskLock, Env};
use chronik_journal::{
    Class, Core, Flushed, Journal, LogId, Lsn, Record, RecoveredLog, Refused, Reservation,
};
use chronik_types::{Monotonic, Offset, TopicId, TopicPartition};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};

use crate::admission::{Admission, Asked, Permit};
use crate::cache::Cache;
use crate::completions::{self, Completions};
use crate::config::{LogConfig, Options};
use crate::deletion::Deletion;
use crate::dirs::Dirs;
use crate::dirty::DirtyLogs;
use crate::error::{AdmitError, DiskError, LogError, OpenError, Stopped};
use crate::leader_epochs::LeaderEpochs;
use crate::log::{Log, LogListener, State, Written};
use crate::open_files::OpenFiles;
use crate::recovery;
use crate::votes::Votes;

/// What was found at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartReport {
    /// The last run ended with a clean shutdown, or there was none. It only informs.
    pub clean: bool,
    /// Damage was skipped on an operator's order: logs may miss acknowledged records.
    pub lossy: bool,
    /// Bytes of journal that were read.
    pub replayed_bytes: u64,
    /// Logs with durable state.
    pub logs: usize,
}

/// What the storage has done and holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageStats {
    /// The journal's own.
    pub journal: chronik_journal::Stats,
    /// Bytes of batches that no segment has yet, and of permits not used yet. By allocation.
    pub unflushed_bytes: usize,
    /// Bytes of flushed batches kept in memory.
    pub cached_bytes: usize,
    /// Logs that are open.
    pub open_logs: usize,
    /// Logs with records that no flush covers.
    pub dirty_logs: usize,
    /// Logs flushed to segments.
    pub flushed_logs: u64,
    /// Bytes of batches flushed to segments.
    pub flushed_bytes: u64,
    /// Logs whose leftovers were copied to the journal's head.
    pub copied_logs: u64,
    /// Bytes of batches copied to the journal's head.
    pub copied_bytes: u64,
}

/// Counters behind [`StorageStats`].
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) flushed_logs: AtomicU64,
    pub(crate) flushed_bytes: AtomicU64,
    pub(crate) copied_logs: AtomicU64,
    pub(crate) copied_bytes: AtomicU64,
}

/// The logs of this broker.
#[derive(Default)]
pub(crate) struct Tables {
    pub(crate) by_id: HashMap<LogId, Arc<Log>>,
    pub(crate) open: HashMap<TopicPartition, Arc<Log>>,
    /// Known from the journal, not opened yet.
    pub(crate) parked: HashMap<TopicPartition, (LogId, RecoveredLog)>,
    /// One name per topic, however many partitions.
    topics: HashMap<TopicId, Arc<str>>,
}

/// What all parts of the storage share.
pub(crate) struct Shared {
    pub(crate) env: Env,
    pub(crate) options: Options,
    pub(crate) journal: Journal,
    pub(crate) admission: Arc<Admission>,
    pub(crate) files: OpenFiles,
    pub(crate) dirs: Dirs,
    pub(crate) dirty: DirtyLogs,
    pub(crate) cache: Cache,
    pub(crate) votes: Votes,
    pub(crate) tables: RwLock<Tables>,
    pub(crate) deletions: Mutex<Vec<Deletion>>,
    /// Held by whoever writes or removes files of logs: flush, retention, deletion, truncation
    /// below what is flushed.
    pub(crate) maintenance: Mutex<()>,
    pub(crate) counters: Counters,
    current_file: AtomicU64,
    wanted: Notify,
    pub(crate) held: Notify,
    stopping: AtomicBool,
    stopped: watch::Sender<Option<Arc<str>>>,
    locks: Mutex<Vec<Box<dyn DiskLock>>>,
}

impl Shared {
    /// Nothing becomes durable any more.
    pub(crate) fn stop(&self, reason: String) {
        self.stopping.store(true, Ordering::Release);
        tracing::error!(%reason, "the storage has stopped");
        self.stopped.send_if_modified(|stopped| {
            let first = stopped.is_none();
            if first {
                *stopped = Some(reason.into());
            }
            first
        });
        self.admission.stop();
        self.votes.stop();
        self.wanted.notify_one();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Makes a directory's entries durable, or stops.
    pub(crate) fn sync_dir(&self, dir: &Path) -> Result<(), DiskError> {
        let synced = self.env.disk.sync_dir(dir).map_err(DiskError::io(dir));
        if let Err(error) = &synced {
            self.stop(format!("syncing a directory failed: {error}"));
        }
        synced
    }

    /// Renames a log's directory, durably, so that no log is in it any more.
    pub(crate) fn retire_dir(&self, dir: &Path, suffix: &str) -> Result<PathBuf, DiskError> {
        let renamed = self.dirs.retire(&self.env, dir, suffix)?;
        self.sync_dir(dir.parent().unwrap_or(Path::new(".")))?;
        self.files.forget_below(dir);
        Ok(renamed)
    }

    pub(crate) fn log_by_id(&self, id: LogId) -> Option<Arc<Log>> {
        self.tables.read().by_id.get(&id).map(Arc::clone)
    }

    pub(crate) fn register(&self, id: LogId, log: &Arc<Log>) {
        self.tables.write().by_id.insert(id, Arc::clone(log));
    }

    /// Journals a fact about a log, from the reserve. Not a fact that a flush must cover: it is
    /// either in every FLUSHED or says nothing that a lost one would take back.
    pub(crate) fn submit_fact(
        &self,
        class: Class,
        written: &mut Written,
        record: Record,
    ) -> Result<u64, Refused> {
        self.submit_facts(class, written, vec![record])
    }

    /// Room for FLUSHED.
    pub(crate) fn reserve_fact(&self, fact: &Flushed) -> Result<Reservation, Refused> {
        self.journal.reserve_to_free(flushed_bytes(fact))
    }

    /// Journals that a log is gone.
    pub(crate) fn submit_drop(&self, class: Class, written: &mut Written) -> Result<u64, Refused> {
        let reservation = self.journal.reserve_to_free(fact_bytes(&Record::Drop))?;
        Ok(self.submit(reservation, class, written, vec![Record::Drop]))
    }

    pub(crate) fn submit_facts(
        &self,
        class: Class,
        written: &mut Written,
        records: Vec<Record>,
    ) -> Result<u64, Refused> {
        let bytes = records.iter().map(fact_bytes).sum();
        let reservation = self.journal.try_reserve(Class::Metadata, bytes)?;
        Ok(self.submit(reservation, class, written, records))
    }

    /// Journals what there is room for.
    pub(crate) fn submit(
        &self,
        reservation: Reservation,
        class: Class,
        written: &mut Written,
        records: Vec<Record>,
    ) -> u64 {
        written.submitted_ticket = self.journal.submit(reservation, class, written.id, records);
        written.submitted_ticket
    }

    /// Wakes the flush if memory or the journal fill up, or somebody waits for room: then even
    /// if there is nothing to flush, for the journal may wait for logs to be opened.
    pub(crate) fn feel_pressure(&self) {
        if self.under_pressure() || self.admission.is_contended() {
            self.want_round();
        }
    }

    /// Wakes whoever runs flush rounds.
    pub(crate) fn want_round(&self) {
        self.wanted.notify_one();
    }

    /// The journal file that is being written, as far as is known.
    pub(crate) fn current_file(&self) -> u64 {
        match self.current_file.load(Ordering::Relaxed) {
            // A run begins in a file of its own: all that was recovered is in older ones.
            0 => u64::MAX,
            file => file,
        }
    }

    /// A group is durable up to here.
    pub(crate) fn see_durable(&self, lsn: Lsn) {
        self.current_file.fetch_max(lsn.file, Ordering::Relaxed);
    }
}

/// What a record that holds no batch may take in the journal.
fn fact_bytes(record: &Record) -> usize {
    match record {
        Record::Append { batch, .. } => batch.len(),
        Record::Flushed(fact) => flushed_bytes(fact),
        _ => 64,
    }
}

fn flushed_bytes(fact: &Flushed) -> usize {
    96 + 16 * fact.epochs.len()
}

/// The storage engine. Clones share it.
#[derive(Clone)]
pub struct Storage {
    pub(crate) shared: Arc<Shared>,
}

impl Storage {
    /// Opens the directories: locks them, reads the journal, starts its thread.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(env: Env, options: Options) -> Result<(Self, Completions, StartReport), OpenError> {
        let (sink, pending) = completions::channel();
        let (prepared, opened) = Prepared::read(env, options)?;
        let journal = opened.start(Box::new(sink)).map_err(OpenError::Thread)?;
        let (storage, report) = prepared.into_storage(journal);
        let completions = pending.of(Arc::clone(&storage.shared));
        Ok((storage, completions, report))
    }

    /// As [`Storage::open`], with a journal that moves only when stepped: for tests and
    /// simulations. Apply what a step reports with [`Completions::drain`].
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_stepped(
        env: Env,
        options: Options,
    ) -> Result<(Self, Completions, StartReport, Core), OpenError> {
        let (sink, pending) = completions::channel();
        let (prepared, opened) = Prepared::read(env, options)?;
        let core = opened.into_core(Box::new(sink));
        let (storage, report) = prepared.into_storage(core.journal());
        let completions = pending.of(Arc::clone(&storage.shared));
        Ok((storage, completions, report, core))
    }

    /// The partitions with durable state here: parked from the last run, or written since.
    #[must_use]
    pub fn known_logs(&self) -> Vec<TopicPartition> {
        let tables = self.shared.tables.read();
        let written = tables.by_id.values().map(|log| log.partition);
        let mut known: Vec<_> = tables.parked.keys().copied().chain(written).collect();
        known.sort_unstable();
        known.dedup();
        known
    }

    /// Opens the log of a partition. Costs no file for one that was never written; reads a
    /// directory and perhaps an index for one that was flushed.
    ///
    /// # Errors
    /// See [`LogError`]. A damaged log stays parked.
    pub fn open_log(
        &self,
        partition: TopicPartition,
        topic_name: &str,
        config: Arc<LogConfig>,
        class: Class,
        listener: Arc<dyn LogListener>,
    ) -> Result<Arc<Log>, LogError> {
        let shared = &self.shared;
        if shared.is_stopped() {
            return Err(Stopped.into());
        }
        let (topic, parked) = {
            let mut tables = shared.tables.write();
            if tables.open.contains_key(&partition) {
                return Err(LogError::AlreadyOpen(partition));
            }
            let known = tables.topics.entry(partition.topic_id);
            let known = known.or_insert_with(|| topic_name.into());
            // A stray's topic may have had to be named by its id; the next one knows better.
            if **known != *topic_name {
                *known = topic_name.into();
            }
            (Arc::clone(known), tables.parked.remove(&partition))
        };
        let (state, id) = match &parked {
            None => (new_state(config), None),
            Some((id, recovered)) => {
                match recovery::recover(shared, *id, recovered, &topic, config) {
                    Ok(state) => (state, Some(*id)),
                    Err(error) => {
                        shared.tables.write().parked.extend(parked.map(|log| (partition, log)));
                        return Err(error);
                    }
                }
            }
        };
        let oldest = state.written.as_ref().and_then(|written| written.oldest_unflushed);
        let log = Log::new(Arc::clone(shared), partition, topic, class, listener, state);
        let log = Arc::new(log);
        let mut tables = shared.tables.write();
        tables.open.insert(partition, Arc::clone(&log));
        if let Some(id) = id {
            tables.by_id.insert(id, Arc::clone(&log));
        }
        drop(tables);
        if let (Some(lsn), Some(id)) = (oldest, id) {
            shared.dirty.insert(lsn, id, &log);
            // Every run begins in a journal file of its own; after many short ones it is time.
            shared.feel_pressure();
        }
        Ok(log)
    }

    /// Whether this partition has a log here, written or only open.
    #[must_use]
    pub fn has_log(&self, partition: TopicPartition) -> bool {
        let tables = self.shared.tables.read();
        tables.open.contains_key(&partition) || tables.parked.contains_key(&partition)
    }

    /// Whether there is anything durable of this partition here, or will be.
    #[must_use]
    pub fn is_written(&self, partition: TopicPartition) -> bool {
        let tables = self.shared.tables.read();
        if tables.parked.contains_key(&partition) {
            return true;
        }
        let open = tables.open.get(&partition).map(Arc::clone);
        drop(tables);
        open.is_some_and(|log| log.lock().written.is_some())
    }

    /// The log of a partition, if it is open.
    #[must_use]
    pub fn log(&self, partition: TopicPartition) -> Option<Arc<Log>> {
        self.shared.tables.read().open.get(&partition).map(Arc::clone)
    }

    /// The most bytes of batches that can be appended at once; more is never admitted.
    #[must_use]
    pub fn append_bytes_max(&self) -> usize {
        self.shared.journal.batch_bytes_max()
    }

    /// Room for `bytes` of batches: in the order of asking, until the deadline.
    ///
    /// # Errors
    /// See [`AdmitError`]; nothing has been written then.
    pub async fn admit(
        &self,
        class: Class,
        bytes: usize,
        deadline: Monotonic,
    ) -> Result<Permit, AdmitError> {
        let granted = match self.shared.admission.ask(class, bytes)? {
            Asked::Granted(permit) => return Ok(permit),
            Asked::Queued(granted) => granted,
        };
        self.shared.wanted.notify_one();
        let patience = deadline.since(self.shared.env.clock.monotonic());
        match tokio::time::timeout(patience, granted).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Stopped.into()),
            Err(_) => {
                // Those behind may fit where this one did not.
                self.shared.admission.pump();
                Err(AdmitError::Expired)
            }
        }
    }

    /// As [`Storage::admit`], without waiting.
    #[must_use]
    pub fn try_admit(&self, class: Class, bytes: usize) -> Option<Permit> {
        self.shared.admission.ask_once(class, bytes)
    }

    /// Saves the Raft vote; returns when it is durable.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn save_vote(&self, vote: Bytes) -> Result<(), Stopped> {
        self.shared.votes.save(&self.shared.journal, vote).await
    }

    /// The last vote that is durable.
    #[must_use]
    pub fn vote(&self) -> Option<Bytes> {
        self.shared.votes.durable_vote()
    }

    /// Completes when a flush round has something to do.
    pub async fn flush_wanted(&self) {
        self.shared.wanted.notified().await;
    }

    /// Says why the storage stopped, once it did: a shutdown is the reason "shutdown", everything
    /// else means that the broker must exit.
    #[must_use]
    pub fn stopped(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.shared.stopped.subscribe()
    }

    /// What the storage has done and holds.
    #[must_use]
    pub fn stats(&self) -> StorageStats {
        let shared = &self.shared;
        StorageStats {
            journal: shared.journal.stats(),
            unflushed_bytes: shared.admission.used(),
            cached_bytes: shared.cache.bytes(),
            open_logs: shared.tables.read().open.len(),
            dirty_logs: shared.dirty.len(),
            flushed_logs: shared.counters.flushed_logs.load(Ordering::Relaxed),
            flushed_bytes: shared.counters.flushed_bytes.load(Ordering::Relaxed),
            copied_logs: shared.counters.copied_logs.load(Ordering::Relaxed),
            copied_bytes: shared.counters.copied_bytes.load(Ordering::Relaxed),
        }
    }

    /// Ends the run: what is queued becomes durable, the journal is sealed, the directories are
    /// unlocked. Nothing is flushed that need not be: the next start reads the journal.
    pub fn shutdown(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.journal.shutdown();
        self.shared.admission.stop();
        self.shared.votes.stop();
        self.shared.stopped.send_if_modified(|stopped| {
            let first = stopped.is_none();
            stopped.get_or_insert_with(|| "shutdown".into());
            first
        });
        // Waits for a running round to end; later ones see that the storage has stopped.
        drop(self.shared.maintenance.lock());
        *self.shared.tables.write() = Tables::default();
        self.shared.dirty.clear();
        self.shared.locks.lock().clear();
    }
}

pub(crate) fn new_state(config: Arc<LogConfig>) -> State {
    State {
        config,
        start: Offset::ZERO,
        end: Offset::ZERO,
        durable: Offset::ZERO,
        high_watermark: Offset::ZERO,
        epochs: LeaderEpochs::default(),
        gone: false,
        written: None,
    }
}

/// A storage whose journal has been read and does not write yet.
struct Prepared {
    env: Env,
    options: Options,
    dirs: Dirs,
    locks: Vec<Box<dyn DiskLock>>,
    recovery: chronik_journal::Recovery,
}

impl Prepared {
    fn read(env: Env, options: Options) -> Result<(Self, chronik_journal::Opened), OpenError> {
        let (dirs, locks) = Dirs::open(&env, &options.log_dirs)?;
        let (recovery, opened) = chronik_journal::open(&env, options.journal.clone())?;
        Ok((Self { env, options, dirs, locks, recovery }, opened))
    }

    fn into_storage(self, journal: Journal) -> (Storage, StartReport) {
        let Self { env, options, dirs, locks, recovery } = self;
        let (parked, deletions) = recovery::park(recovery.logs, &env, &dirs);
        let report = StartReport {
            clean: recovery.clean,
            lossy: recovery.lossy,
            replayed_bytes: recovery.bytes_read,
            logs: parked.len(),
        };
        let admission = Admission::new(journal.clone(), options.unflushed_bytes_max);
        let shared = Shared {
            files: OpenFiles::new(Arc::clone(&env.disk), options.open_files_max),
            cache: Cache::new(options.cached_bytes_max),
            env,
            options,
            journal,
            admission,
            dirs,
            dirty: DirtyLogs::default(),
            votes: Votes::new(recovery.vote),
            tables: RwLock::new(Tables { parked, ..Tables::default() }),
            deletions: Mutex::new(deletions),
            maintenance: Mutex::default(),
            counters: Counters::default(),
            current_file: AtomicU64::new(0),
            wanted: Notify::new(),
            held: Notify::new(),
            stopping: AtomicBool::new(false),
            stopped: watch::channel(None).0,
            locks: Mutex::new(locks),
        };
        (Storage { shared: Arc::new(shared) }, report)
    }
}
