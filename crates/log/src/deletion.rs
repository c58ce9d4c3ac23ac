//! Deleting logs: DROP durable, then rename, then a directory sync, and only then unlink.
//!
//! **Invariants**
//! - A log's directory keeps its name until the journal durably says that the log is dropped; so a
//!   crash before that finds the log whole, and a crash after it finishes the deletion.
//! - A stray log is renamed, never deleted: an operator may want it back.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chronik_journal::Class;
use chronik_types::TopicPartition;

use crate::dirs::{DELETE_SUFFIX, STRAY_SUFFIX};
use crate::error::{DiskError, FlushError, LogError, Stopped};
use crate::log::{Log, LogListener, Written};
use crate::storage::{Shared, Storage, new_state};

/// A deletion that is under way.
pub(crate) enum Deletion {
    /// DROP was submitted with this ticket; the directory goes when it is durable.
    Dropping { log: Arc<Log>, ticket: u64, dir: Option<Arc<Path>> },
    /// DROP is durable: rename.
    Retire(Arc<Path>),
    /// Renamed: unlink.
    Unlink(PathBuf),
}

impl Deletion {
    pub(crate) fn retire(dir: Arc<Path>) -> Self {
        Self::Retire(dir)
    }

    pub(crate) fn unlink(path: PathBuf) -> Self {
        Self::Unlink(path)
    }

    fn is_ready(&self) -> bool {
        match self {
            Self::Dropping { log, ticket, .. } => {
                let state = log.lock();
                state.written.as_ref().is_none_or(|written| written.durable_ticket >= *ticket)
            }
            Self::Retire(_) | Self::Unlink(_) => true,
        }
    }
}

struct NoListener;

impl LogListener for NoListener {
    fn durable(&self, _: chronik_types::Offset) {}
}

impl Storage {
    /// Deletes a log, open or not: it is gone at once for whoever holds it, and durably when the
    /// journal has it; its files follow in the background. A new log of the same name can be opened
    /// right away.
    ///
    /// # Errors
    /// [`LogError::Unknown`] if there is nothing to delete; see [`LogError`].
    pub fn delete_log(&self, partition: TopicPartition) -> Result<(), LogError> {
        let shared = &self.shared;
        if shared.is_stopped() {
            return Err(Stopped.into());
        }
        let log = self.take_for_removal(partition)?;
        let mut state = log.lock();
        if state.written.is_none() {
            state.gone = true;
            drop(state);
            shared.tables.write().open.remove(&partition);
            return Ok(());
        }
        let Some(written) = &mut state.written else { return Ok(()) };
        let id = written.id;
        let ticket = shared.submit_drop(log.class, written).map_err(LogError::NoRoom)?;
        let dir = written.segments.dir.clone();
        if let Some(oldest) = written.oldest_unflushed.take() {
            shared.dirty.remove(oldest, id);
        }
        written.bump_generation();
        written.tail.clear();
        written.memory.resize(0);
        state.gone = true;
        drop(state);
        shared.deletions.lock().push(Deletion::Dropping { log: Arc::clone(&log), ticket, dir });
        shared.tables.write().open.remove(&partition);
        shared.admission.pump();
        Ok(())
    }

    /// Declares a log of this broker to be nobody's: what the journal has of it is flushed, its
    /// directory gets the suffix `-stray`, and the journal forgets it. Of a damaged log only the
    /// directory is kept, as it is: while the journal remembers it, no file of the journal from
    /// then on can go. What failed may be tried again. Blocks.
    ///
    /// # Errors
    /// [`LogError::Unknown`] if nothing durable is known of it; see [`LogError`].
    pub fn set_stray(&self, partition: TopicPartition) -> Result<(), LogError> {
        let shared = &self.shared;
        let log = match self.flush_stray(partition) {
            Err(error) if error.is_damage() => {
                tracing::error!(
                    %partition, %error,
                    "a log that is nobody's is damaged; what only the journal has of it is dropped"
                );
                let log = self.take_for_removal(partition)?;
                // Where the next try finds it, should this one fail halfway.
                shared.tables.write().open.insert(partition, Arc::clone(&log));
                log
            }
            flushed => flushed?,
        };
        let _maintenance = shared.maintenance.lock();
        let mut state = log.lock();
        state.gone = true;
        let Some(written) = &mut state.written else {
            drop(state);
            shared.tables.write().open.remove(&partition);
            return Ok(());
        };
        let id = written.id;
        if let Some(oldest) = written.oldest_unflushed.take() {
            shared.dirty.remove(oldest, id);
        }
        if let Some(dir) = &written.segments.dir {
            shared.retire_dir(dir, STRAY_SUFFIX)?;
            written.segments.dir = None;
        }
        let ticket = shared.submit_drop(log.class, written).map_err(LogError::NoRoom)?;
        written.tail.clear();
        written.memory.resize(0);
        drop(state);
        let dropping = Deletion::Dropping { log: Arc::clone(&log), ticket, dir: None };
        shared.deletions.lock().push(dropping);
        shared.tables.write().open.remove(&partition);
        Ok(())
    }

    /// The log as something to be deleted, without reading anything of it.
    fn take_for_removal(&self, partition: TopicPartition) -> Result<Arc<Log>, LogError> {
        let shared = &self.shared;
        let mut tables = shared.tables.write();
        if let Some(log) = tables.open.get(&partition) {
            return Ok(Arc::clone(log));
        }
        let (id, recovered) =
            tables.parked.remove(&partition).ok_or(LogError::Unknown(partition))?;
        let mut state = new_state(Arc::default());
        let mut written = Written::new(id, shared.admission.recovered(0), state.start);
        // A log that was never flushed has no directory, or none that counts.
        if recovered.flushed.is_some() {
            written.segments.dir = shared.dirs.find_partition(&shared.env, partition);
        }
        state.written = Some(Box::new(written));
        let log = Log::new(
            Arc::clone(shared),
            partition,
            "".into(),
            Class::Client,
            Arc::new(NoListener),
            state,
        );
        let log = Arc::new(log);
        tables.by_id.insert(id, Arc::clone(&log));
        Ok(log)
    }

    /// The log with everything it has in segments: only then may the journal forget it.
    fn flush_stray(&self, partition: TopicPartition) -> Result<Arc<Log>, LogError> {
        let log = self.open_for_stray(partition)?;
        self.flush_log(&log).map_err(|error| match error {
            FlushError::Disk(error) => LogError::Disk(error),
            FlushError::NoRoom(refused) => LogError::NoRoom(refused),
            FlushError::Stopped(stopped) => LogError::Stopped(stopped),
        })?;
        Ok(log)
    }

    fn open_for_stray(&self, partition: TopicPartition) -> Result<Arc<Log>, LogError> {
        if let Some(log) = self.log(partition) {
            return Ok(log);
        }
        let shared = &self.shared;
        if !shared.tables.read().parked.contains_key(&partition) {
            return Err(LogError::Unknown(partition));
        }
        // Its topic's name is in no journal; the directory has it, and without one the id must do.
        let dir = shared.dirs.find_partition(&shared.env, partition);
        let name = dir.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
        let topic = name.and_then(|name| name.rsplit_once('-')).map(|(topic, _)| topic.to_owned());
        let topic = topic.unwrap_or_else(|| partition.topic_id.to_string());
        self.open_log(partition, &topic, Arc::default(), Class::Client, Arc::new(NoListener))
    }
}

impl Shared {
    /// Goes on with deletions as far as they can go. The caller holds the maintenance lock.
    pub(crate) fn removal_round(&self) -> Result<(), DiskError> {
        let (ready, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut *self.deletions.lock()).into_iter().partition(Deletion::is_ready);
        self.deletions.lock().extend(waiting);
        let mut ready = ready.into_iter();
        while let Some(deletion) = ready.next() {
            if let Err(error) = self.go_on(&deletion) {
                let mut deletions = self.deletions.lock();
                deletions.push(deletion);
                deletions.extend(ready);
                return Err(error);
            }
        }
        Ok(())
    }

    fn go_on(&self, deletion: &Deletion) -> Result<(), DiskError> {
        match deletion {
            Deletion::Dropping { log, dir, .. } => {
                if let Some(dir) = dir {
                    self.retire(dir)?;
                }
                forget_id(self, log);
            }
            Deletion::Retire(dir) => self.retire(dir)?,
            Deletion::Unlink(path) => self.unlink(path)?,
        }
        Ok(())
    }

    /// Renames the directory of a deleted log, if this is one: its name is needed again. Its DROP
    /// is durable, or what needs the name could not be.
    pub(crate) fn retire_deleted(&self, dir: &Path) -> Result<bool, DiskError> {
        let mut deletions = self.deletions.lock();
        let of_it = |deletion: &&mut Deletion| match deletion {
            Deletion::Dropping { dir: of, .. } => of.as_deref() == Some(dir),
            Deletion::Retire(of) => **of == *dir,
            Deletion::Unlink(_) => false,
        };
        let Some(deletion) = deletions.iter_mut().find(of_it) else { return Ok(false) };
        let renamed = self.retire_dir(dir, DELETE_SUFFIX)?;
        if let Deletion::Dropping { dir, .. } = deletion {
            *dir = None;
            deletions.push(Deletion::Unlink(renamed));
        } else {
            *deletion = Deletion::Unlink(renamed);
        }
        Ok(true)
    }

    fn retire(&self, dir: &Arc<Path>) -> Result<(), DiskError> {
        match self.retire_dir(dir, DELETE_SUFFIX) {
            Ok(renamed) => self.unlink(&renamed),
            // It went in an earlier attempt, or was never there.
            Err(error) if error.is_not_found() => {
                self.dirs.forget(dir);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn unlink(&self, path: &Path) -> Result<(), DiskError> {
        match self.env.disk.remove_dir_all(path).map_err(DiskError::io(path)) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

fn forget_id(shared: &Shared, log: &Arc<Log>) {
    let id = log.lock().written.as_ref().map(|written| written.id);
    if let Some(id) = id {
        shared.tables.write().by_id.remove(&id);
    }
}
