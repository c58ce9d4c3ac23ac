//! A bounded number of open segment and index files, the least recently used closed first.
//!
//! **Invariants**: a path is opened and remembered under one lock, and forgotten after it was
//! unlinked; so nobody is ever handed a file that was unlinked before they asked.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chronik_env::{Disk, DiskFile, OpenMode};
use parking_lot::Mutex;

use crate::error::DiskError;

#[derive(Default)]
struct Files {
    by_path: HashMap<PathBuf, (u64, Arc<dyn DiskFile>)>,
    by_use: BTreeMap<u64, PathBuf>,
    clock: u64,
}

/// See the module.
pub(crate) struct OpenFiles {
    disk: Arc<dyn Disk>,
    files_max: usize,
    files: Mutex<Files>,
}

impl OpenFiles {
    pub(crate) fn new(disk: Arc<dyn Disk>, files_max: usize) -> Self {
        Self { disk, files_max: files_max.max(1), files: Mutex::default() }
    }

    /// The file, opened for reading.
    pub(crate) fn read(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        let mut files = self.files.lock();
        files.clock += 1;
        let now = files.clock;
        if let Some((used, file)) = files.by_path.get_mut(path) {
            let before = std::mem::replace(used, now);
            let file = Arc::clone(file);
            files.by_use.remove(&before);
            files.by_use.insert(now, path.to_owned());
            return Ok(file);
        }
        let file = self.disk.open(path, OpenMode::READ).map_err(DiskError::io(path))?;
        if files.by_path.len() >= self.files_max
            && let Some((_, oldest)) = files.by_use.pop_first()
        {
            files.by_path.remove(&oldest);
        }
        files.by_path.insert(path.to_owned(), (now, Arc::clone(&file)));
        files.by_use.insert(now, path.to_owned());
        Ok(file)
    }

    /// Closes the file: it has been unlinked.
    pub(crate) fn forget(&self, path: &Path) {
        let mut files = self.files.lock();
        if let Some((used, _)) = files.by_path.remove(path) {
            files.by_use.remove(&used);
        }
    }

    /// Closes everything below a directory: it has been renamed.
    pub(crate) fn forget_below(&self, dir: &Path) {
        let mut files = self.files.lock();
        let Files { by_path, by_use, .. } = &mut *files;
        by_path.retain(|path, (used, _)| {
            let keep = !path.starts_with(dir);
            if !keep {
                by_use.remove(used);
            }
            keep
        });
    }
}
