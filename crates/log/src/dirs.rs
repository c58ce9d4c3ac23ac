//! The data directories: locking them, finding a log's directory, placing a new one.
//!
//! **Invariants**
//! - A directory's name is `<topic>-<partition>`, as Kafka names it; whose it is, `partition.metadata`
//!   in it says.
//! - Only directories of logs that were flushed exist.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chronik_env::{DiskLock, Env};
use chronik_types::{PartitionId, TopicPartition};
use parking_lot::Mutex;

use crate::checkpoint;
use crate::error::{DiskError, OpenError};

/// The lock file of a data directory, as Kafka names it.
const LOCK_FILE: &str = ".lock";
/// Ends the name of a directory that is about to be removed.
pub(crate) const DELETE_SUFFIX: &str = "-delete";
/// Ends the name of a directory that no partition of this broker owns.
pub(crate) const STRAY_SUFFIX: &str = "-stray";

struct Place {
    path: PathBuf,
    logs: usize,
}

struct Known {
    places: Vec<Place>,
    /// Directory name to index in `places`.
    by_name: HashMap<String, usize>,
    /// Names of directories whose making was begun and in which nothing counts yet.
    unfinished: HashSet<String>,
    leftovers: Vec<PathBuf>,
}

/// See the module.
pub(crate) struct Dirs {
    known: Mutex<Known>,
}

/// Kafka's name for the directory of a log.
pub(crate) fn dir_name(topic: &str, partition: PartitionId) -> String {
    format!("{topic}-{partition}")
}

impl Dirs {
    /// Creates what is missing, locks all, and lists the logs in them.
    pub(crate) fn open(
        env: &Env,
        paths: &[PathBuf],
    ) -> Result<(Self, Vec<Box<dyn DiskLock>>), OpenError> {
        if paths.is_empty() {
            return Err(OpenError::NoLogDirs);
        }
        let mut locks = Vec::new();
        let mut known = Known {
            places: Vec::new(),
            by_name: HashMap::new(),
            unfinished: HashSet::new(),
            leftovers: Vec::new(),
        };
        for path in paths {
            env.disk.create_dir_all_durably(path).map_err(DiskError::io(path))?;
            let lock = path.join(LOCK_FILE);
            match env.disk.lock_exclusive(&lock) {
                Ok(held) => locks.push(held),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    return Err(OpenError::Locked { path: lock });
                }
                Err(error) => return Err(DiskError::io(&lock)(error).into()),
            }
            // A crash may have left names in the page cache only, or their removal: what is listed
            // here must be what a power cut leaves.
            env.disk.sync_dir(path).map_err(DiskError::io(path))?;
            let place = known.places.len();
            let mut logs = 0;
            for entry in env.disk.read_dir(path).map_err(DiskError::io(path))? {
                if entry.is_dir && entry.name.ends_with(DELETE_SUFFIX) {
                    known.leftovers.push(path.join(&entry.name));
                } else if entry.is_dir && is_log_name(&entry.name) {
                    known.by_name.entry(entry.name).or_insert(place);
                    logs += 1;
                }
            }
            known.places.push(Place { path: path.clone(), logs });
        }
        Ok((Self { known: Mutex::new(known) }, locks))
    }

    /// Directories whose removal a crash has interrupted.
    pub(crate) fn leftovers(&self) -> Vec<PathBuf> {
        self.known.lock().leftovers.clone()
    }

    /// The directory of this name, if there is one.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<Path>> {
        let known = self.known.lock();
        let place = known.places.get(*known.by_name.get(name)?)?;
        Some(place.path.join(name).into())
    }

    /// Where a directory that is missing should be; any of the places would do.
    pub(crate) fn expected(&self, name: &str) -> PathBuf {
        let known = self.known.lock();
        known.places.first().map_or_else(|| PathBuf::from(name), |place| place.path.join(name))
    }

    /// The directory whose `partition.metadata` names this partition. Reads every directory's.
    pub(crate) fn find_partition(&self, env: &Env, partition: TopicPartition) -> Option<Arc<Path>> {
        let names: Vec<String> = self.known.lock().by_name.keys().cloned().collect();
        let ends = format!("-{}", partition.partition);
        let candidates = names.iter().filter(|name| name.ends_with(&ends));
        candidates
            .filter_map(|name| self.find(name))
            .find(|dir| checkpoint::read_partition_metadata(env, dir) == Some(partition.topic_id))
    }

    /// A place for a new directory of this name: where the fewest logs are.
    pub(crate) fn place(&self, name: &str) -> Arc<Path> {
        let mut known = self.known.lock();
        let fewest = known.places.iter().enumerate().min_by_key(|(_, place)| place.logs);
        let index = fewest.map_or(0, |(index, _)| index);
        let path = match known.places.get_mut(index) {
            Some(place) => {
                place.logs += 1;
                place.path.join(name)
            }
            None => PathBuf::from(name),
        };
        known.by_name.insert(name.to_owned(), index);
        known.unfinished.insert(name.to_owned());
        path.into()
    }

    /// Nothing in this directory counts: a crash interrupted its first flush.
    pub(crate) fn set_unfinished(&self, name: &str) {
        self.known.lock().unfinished.insert(name.to_owned());
    }

    /// A flush into this directory has begun to count.
    pub(crate) fn set_finished(&self, name: &str) {
        self.known.lock().unfinished.remove(name);
    }

    pub(crate) fn is_unfinished(&self, name: &str) -> bool {
        self.known.lock().unfinished.contains(name)
    }

    /// The directory is gone, or has another name.
    pub(crate) fn forget(&self, dir: &Path) {
        let Some(name) = dir.file_name().and_then(|name| name.to_str()) else { return };
        let mut known = self.known.lock();
        known.unfinished.remove(name);
        if let Some(index) = known.by_name.remove(name)
            && let Some(place) = known.places.get_mut(index)
        {
            place.logs = place.logs.saturating_sub(1);
        }
    }

    /// Renames a log's directory: from then on no log is in it. The caller syncs the parent.
    pub(crate) fn retire(&self, env: &Env, dir: &Path, suffix: &str) -> Result<PathBuf, DiskError> {
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        // A random part, so that several incarnations can wait for their removal at once.
        let to = dir.with_file_name(format!("{name}.{:016x}{suffix}", env.rng.u64()));
        env.disk.rename(dir, &to).map_err(DiskError::io(dir))?;
        self.forget(dir);
        Ok(to)
    }
}

fn is_log_name(name: &str) -> bool {
    let digits = name.rsplit_once('-').map(|(_, digits)| digits);
    !name.ends_with(STRAY_SUFFIX) && digits.is_some_and(|d| d.parse::<PartitionId>().is_ok())
}
