//! New journal files: written with zeros and synced before anybody writes to them, so that a sync
//! later has only data to make durable. A thread does it ahead of need, if there is one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chronik_env::{Disk, OpenMode};
use parking_lot::{Condvar, Mutex};

use crate::JournalError;

/// Zeros are written and synced in steps, so that they do not pile up before the journal's own
/// syncs.
const STEP_BYTES: u32 = 4 << 20;

/// Why the writer cannot go on.
pub enum Trouble {
    /// There is no space. Passes.
    Full,
    /// The journal must stop.
    Failed(JournalError),
}

impl Trouble {
    /// A write failed. Want of space is waited out; anything else is final.
    pub fn write(path: &Path, position: u64, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Failed(JournalError::Write {
                path: path.to_path_buf(),
                position,
                error: Arc::new(error),
            }),
        }
    }

    /// A sync failed, for whatever reason.
    pub fn sync(path: &Path, error: io::Error) -> Self {
        Self::Failed(JournalError::Sync { path: path.to_path_buf(), error: Arc::new(error) })
    }
}

/// A file that holds nothing that is needed.
#[derive(Clone, Debug)]
pub struct FreeFile {
    pub path: PathBuf,
    pub bytes: u32,
}

/// Creates a file of zeros under a durable name.
pub fn create(disk: &dyn Disk, path: &Path, bytes: u32) -> Result<FreeFile, Trouble> {
    let result = fill(disk, path, bytes);
    if result.is_err() {
        // Half a file is no use to anybody; a next start removes it if this does not.
        let _ = disk.remove_file(path);
    }
    result
}

fn fill(disk: &dyn Disk, path: &Path, bytes: u32) -> Result<FreeFile, Trouble> {
    let file = disk.open(path, OpenMode::CREATE).map_err(|error| Trouble::write(path, 0, error))?;
    let mut position = 0;
    while position < bytes {
        let end = position.saturating_add(STEP_BYTES).min(bytes);
        file.zero_fill(position.into()..end.into())
            .map_err(|error| Trouble::write(path, position.into(), error))?;
        file.sync_data().map_err(|error| Trouble::sync(path, error))?;
        position = end;
    }
    // Best effort: nobody reads these zeros, and they would only be in the way of direct writes.
    let _ = file.drop_cache();
    let dir = path.parent().unwrap_or(Path::new("."));
    disk.sync_dir(dir).map_err(|error| Trouble::sync(dir, error))?;
    Ok(FreeFile { path: path.to_path_buf(), bytes })
}

#[derive(Default)]
struct State {
    /// Whether a thread does the work.
    running: bool,
    wanted: Option<FreeFile>,
    busy: bool,
    done: Option<Result<FreeFile, Trouble>>,
    stop: bool,
}

/// One file in the making, at most.
#[derive(Default)]
pub struct Preparer {
    state: Mutex<State>,
    changed: Condvar,
}

impl Preparer {
    /// Asks for a file, unless there is no thread or one is asked for already.
    pub fn request(&self, file: impl FnOnce() -> FreeFile) {
        let mut state = self.state.lock();
        if state.running && state.wanted.is_none() && !state.busy && state.done.is_none() {
            state.wanted = Some(file());
            self.changed.notify_all();
        }
    }

    /// The file that was asked for, when it is finished; `None` if none was.
    pub fn take(&self) -> Option<Result<FreeFile, Trouble>> {
        let mut state = self.state.lock();
        while state.running && (state.busy || state.wanted.is_some()) {
            self.changed.wait(&mut state);
        }
        state.done.take()
    }

    /// Says that [`Preparer::run`] is about to be called on a thread.
    #[cfg_attr(chronik_sim, expect(dead_code, reason = "a simulation has no threads"))]
    pub fn announce(&self) {
        self.state.lock().running = true;
    }

    /// Makes files as they are asked for, until [`Preparer::stop`].
    #[cfg_attr(chronik_sim, expect(dead_code, reason = "a simulation has no threads"))]
    pub fn run(&self, disk: &dyn Disk) {
        let mut state = self.state.lock();
        while !state.stop {
            match state.wanted.take() {
                None => self.changed.wait(&mut state),
                Some(file) => {
                    state.busy = true;
                    drop(state);
                    let result = create(disk, &file.path, file.bytes);
                    state = self.state.lock();
                    state.busy = false;
                    state.done = Some(result);
                    self.changed.notify_all();
                }
            }
        }
        state.running = false;
        self.changed.notify_all();
    }

    /// Ends [`Preparer::run`].
    pub fn stop(&self) {
        self.state.lock().stop = true;
        self.changed.notify_all();
    }
}
