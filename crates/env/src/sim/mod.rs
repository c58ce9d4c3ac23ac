//! The simulated disk: it forgets what was not synced, as badly as the contract allows.
//!
//! Every file has two views. The *cached* one is what a process sees. The *device* one is what a
//! power cut leaves: each sector written since the last sync keeps its old content or any of the
//! contents written since, independently of all others; lengths and directory entries likewise.
//! A failed sync hands each dirty sector to the device or not, by chance, and then calls all of
//! them clean: the cached view goes on showing what may be gone.
//!
//! # Invariants
//!
//! - The same seed and the same calls give the same disk, call by call.
//! - A crash makes every handle and lock of the time before it useless, as the end of a process
//!   does.
//! - [`CrashKind::Process`] changes no view.
//!
//! Time: a call takes effect at once, and what it would have taken is added up (see
//! [`disk_time_passed`]).
#![allow(clippy::indexing_slicing, reason = "runs in tests only, on ranges cut to the length")]

mod content;
mod faults;
mod file;
pub(crate) mod latency;
mod tree;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use self::content::Content;
use self::faults::Faults;
pub use self::faults::{Call, CallKind, Fault};
use self::file::SimFile;
pub use self::latency::{Latency, disk_time_passed};
use self::tree::{Node, Tree};
use crate::{Access, DirEntry, Disk, DiskFile, DiskLock, OpenMode, Rng};

/// How the world ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashKind {
    /// The process dies; the machine and its page cache live on.
    Process,
    /// The machine loses power.
    PowerCut,
}

/// A disk in memory, by seed. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

pub(crate) struct State {
    rng: Rng,
    latency_rng: Rng,
    tree: Tree,
    faults: Faults,
    /// How often the world has ended; handles of an earlier life are refused.
    life: u64,
    capacity: u64,
    locks: Vec<u64>,
    latency: Latency,
    /// Without power every call fails and changes nothing, until the crash.
    power: Power,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    On,
    /// So many more calls that change something are made.
    Until(u64),
    Off,
}

impl State {
    /// Takes note of a call that is about to be made, and says what becomes of it.
    ///
    /// # Errors
    ///
    /// When there is no power.
    fn admit(&mut self, call: Call) -> io::Result<Fault> {
        if call.kind.changes() {
            self.power = match self.power {
                Power::On => Power::On,
                Power::Until(0) | Power::Off => Power::Off,
                Power::Until(calls) => Power::Until(calls - 1),
            };
        }
        if self.power == Power::Off {
            return Err(io::Error::other("the machine has no power"));
        }
        self.latency.spend(&self.latency_rng, &call);
        Ok(self.faults.decide(call))
    }

    fn file(&mut self, inode: u64, life: u64) -> io::Result<&mut Content> {
        if life != self.life {
            return Err(io::Error::other("this handle did not survive the crash"));
        }
        match self.tree.node_mut(inode) {
            Some(Node::File(content)) => Ok(content),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Whether growing by `bytes` fits; files removed but still open do not count.
    fn has_room(&self, bytes: u64) -> bool {
        self.capacity == u64::MAX || self.tree.used_bytes().saturating_add(bytes) <= self.capacity
    }
}

impl SimDisk {
    /// An empty disk without faults and without a bound.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let rng = Rng::from_seed(seed);
        let state = State {
            faults: Faults::new(rng.fork("faults")),
            rng: rng.fork("crash"),
            latency_rng: rng.fork("latency"),
            tree: Tree::new(),
            life: 0,
            capacity: u64::MAX,
            locks: Vec::new(),
            latency: Latency::default(),
            power: Power::On,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Ends all handles and locks; a power cut also decides what of the unsynced is left.
    pub fn crash(&self, kind: CrashKind) {
        let mut state = self.state.lock();
        state.life += 1;
        state.locks.clear();
        state.power = Power::On;
        if kind == CrashKind::PowerCut {
            let rng = state.rng.clone();
            state.tree.power_cut(&rng);
        }
        state.tree.forget_unreachable();
    }

    /// Takes the power away after so many more calls that change something. From then on every call
    /// fails and changes nothing; [`SimDisk::crash`] ends that.
    pub fn cut_power_after(&self, calls: u64) {
        self.state.lock().power = Power::Until(calls);
    }

    /// Takes back [`SimDisk::cut_power_after`], unless the power is gone already.
    pub fn keep_power(&self) {
        let mut state = self.state.lock();
        if state.power != Power::Off {
            state.power = Power::On;
        }
    }

    /// Whether the power is on; see [`SimDisk::cut_power_after`].
    #[must_use]
    pub fn has_power(&self) -> bool {
        self.state.lock().power != Power::Off
    }

    /// How long calls take from now on.
    pub fn set_latency(&self, latency: Latency) {
        self.state.lock().latency = latency;
    }

    /// Bytes all files together may take from now on.
    pub fn set_capacity(&self, bytes: u64) {
        self.state.lock().capacity = bytes;
    }

    /// Asks `hook` before every call what shall become of it, instead of the hook before. The
    /// hook must not use this disk.
    pub fn set_hook(&self, hook: impl FnMut(&Call) -> Fault + Send + 'static) {
        self.state.lock().faults.set_hook(Box::new(hook));
    }

    /// Gives the `nth` call of this kind from now (1 is the next one) this fault, once.
    pub fn fault_nth(&self, kind: CallKind, nth: u64, fault: Fault) {
        self.state.lock().faults.nth(kind, nth, fault);
    }

    /// Gives every call of this kind this fault with this probability.
    pub fn fault_chance(&self, kind: CallKind, probability: f64, fault: Fault) {
        self.state.lock().faults.chance(kind, probability, fault);
    }

    /// Takes back all faults and the hook.
    pub fn clear_faults(&self) {
        self.state.lock().faults.clear();
    }

    /// How many calls of this kind there were.
    #[must_use]
    pub fn calls(&self, kind: CallKind) -> u64 {
        self.state.lock().faults.calls(kind)
    }

    /// Bit rot: changes the byte at `position` by `mask` in both views.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such file or byte.
    pub fn rot(&self, path: &Path, position: u64, mask: u8) -> io::Result<()> {
        let mut state = self.state.lock();
        let inode = state.tree.lookup(path)?;
        let rotten = match state.tree.node_mut(inode) {
            Some(Node::File(content)) => content.rot(position, mask),
            _ => false,
        };
        if rotten { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    /// A number that differs when anything visible or durable differs: two runs of one seed end
    /// with the same one.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.state.lock().tree.digest()
    }

    fn before(&self, kind: CallKind, path: &Path) -> io::Result<()> {
        let call = Call { kind, path: path.to_path_buf(), position: 0, bytes: 0, index: 0 };
        match self.state.lock().admit(call)? {
            Fault::None => Ok(()),
            Fault::Fail(errno) | Fault::Short { errno, .. } => {
                Err(io::Error::from_raw_os_error(errno))
            }
        }
    }
}

struct SimLock {
    state: Arc<Mutex<State>>,
    inode: u64,
    life: u64,
}

impl DiskLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        if state.life == self.life {
            state.locks.retain(|inode| *inode != self.inode);
        }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.before(CallKind::Open, path)?;
        let mut state = self.state.lock();
        let found = match state.tree.lookup(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            other => Some(other?),
        };
        let inode = match (found, mode.access) {
            (Some(_), Access::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(inode), _) => inode,
            (None, Access::Create | Access::CreateNew) => {
                state.tree.create(path, Node::File(Content::default()))?
            }
            (None, _) => return Err(io::ErrorKind::NotFound.into()),
        };
        if !matches!(state.tree.node_mut(inode), Some(Node::File(_))) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(Arc::new(SimFile {
            state: Arc::clone(&self.state),
            path: path.to_path_buf(),
            inode,
            life: state.life,
            writable: mode.access != Access::Read,
            direct: mode.direct,
        }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.before(CallKind::CreateDir, path)?;
        let mut state = self.state.lock();
        let mut sofar = PathBuf::new();
        for part in path.components() {
            sofar.push(part);
            match state.tree.lookup(&sofar) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    state.tree.create(&sofar, Node::directory())?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.before(CallKind::ReadDir, path)?;
        self.state.lock().tree.list(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.before(CallKind::Rename, from)?;
        self.state.lock().tree.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.before(CallKind::Remove, path)?;
        self.state.lock().tree.remove(path, false)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.before(CallKind::Remove, path)?;
        self.state.lock().tree.remove(path, true)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.before(CallKind::SyncDir, path)?;
        let mut state = self.state.lock();
        let inode = state.tree.lookup(path)?;
        state.tree.sync_dir(inode)
    }

    fn exists(&self, path: &Path) -> bool {
        self.state.lock().tree.lookup(path).is_ok()
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.before(CallKind::FreeBytes, path)?;
        let state = self.state.lock();
        Ok(state.capacity.saturating_sub(state.tree.used_bytes()))
    }

    fn total_bytes(&self, path: &Path) -> io::Result<u64> {
        self.before(CallKind::FreeBytes, path)?;
        Ok(self.state.lock().capacity)
    }

    fn lock_exclusive(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        self.open(path, OpenMode::CREATE)?;
        let mut state = self.state.lock();
        let inode = state.tree.lookup(path)?;
        if state.locks.contains(&inode) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.locks.push(inode);
        Ok(Box::new(SimLock { state: Arc::clone(&self.state), inode, life: state.life }))
    }
}

#[cfg(test)]
mod tests;
