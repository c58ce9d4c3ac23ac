//! The disk seam: what the system above asks of files and directories.
//!
//! # The contract
//!
//! 1. A write is visible to every buffered read of the same machine at once, and durable only after
//!    a sync of the file returned `Ok`.
//! 2. An unsynced write may reach the device wholly, not at all, or in part; the unit is a sector
//!    of 512 bytes, each on its own and in any order.
//! 3. `sync_data` makes the file's content and length durable; it does not make its name durable.
//! 4. Creating, renaming and removing are durable only after a sync of every directory they
//!    changed. A rename is all or nothing.
//! 5. After a sync that failed, the file's unsynced content may be lost although a later sync
//!    succeeds. Nobody may go on after a failed sync.
//! 6. A direct read shows what the device would show after all dirty pages in the range were handed
//!    to it. That is not durability: the device may keep them in a volatile cache. What a failed
//!    sync dropped is not shown, while a buffered read may still show it.
//! 7. Positions of direct reads, their lengths and the address of their buffers are multiples of
//!    [`DIRECT_ALIGNMENT`]; so are the positions of direct writes and the lengths of their slices
//!    taken together.
//! 8. A direct write obeys the rules above as any other: what it leaves in the page cache is gone or
//!    the same, and the device may keep it in a volatile cache until a sync. Only after a sync that
//!    failed it differs from 6: the device may go on showing what it has not kept.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a file may be used once it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read an existing file.
    Read,
    /// Read and write an existing file.
    ReadWrite,
    /// Read and write; the file is created empty if it is missing.
    Create,
    /// Read and write a file that must not exist yet.
    CreateNew,
}

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenMode {
    /// What may be done with it.
    pub access: Access,
    /// Whether reads and writes bypass the page cache (`O_DIRECT`). Writes are gathered in memory of
    /// the file's own, of at most 1 MiB, and exclude one another.
    pub direct: bool,
}

impl OpenMode {
    /// Read an existing file.
    pub const READ: Self = Self { access: Access::Read, direct: false };
    /// Read an existing file from the device, not from the page cache.
    pub const READ_DIRECT: Self = Self { access: Access::Read, direct: true };
    /// Read and write an existing file.
    pub const READ_WRITE: Self = Self { access: Access::ReadWrite, direct: false };
    /// Read and write an existing file past the page cache.
    pub const READ_WRITE_DIRECT: Self = Self { access: Access::ReadWrite, direct: true };
    /// Read and write, created if missing.
    pub const CREATE: Self = Self { access: Access::Create, direct: false };
    /// Read and write a new file.
    pub const CREATE_NEW: Self = Self { access: Access::CreateNew, direct: false };
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name within the directory.
    pub name: String,
    /// Whether it is a directory itself.
    pub is_dir: bool,
    /// Length in bytes; 0 for a directory.
    pub len: u64,
}

/// An exclusive lock on a file, held until dropped.
pub trait DiskLock: Send + Sync {}

/// Files and directories. The module's contract says what survives.
pub trait Disk: Send + Sync {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// `NotFound` and `AlreadyExists` as the access says; `InvalidInput` when the filesystem has no
    /// direct access; whatever the system says otherwise.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;

    /// Creates a directory and its missing parents. Existing ones are no error.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// The entries of a directory, sorted by name. Names that are not Unicode are left out.
    ///
    /// # Errors
    ///
    /// `NotFound`, or what the system says.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>>;

    /// Renames a file or directory; a file at `to` is replaced.
    ///
    /// # Errors
    ///
    /// `NotFound`, or what the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// `NotFound`, or what the system says.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory with everything in it.
    ///
    /// # Errors
    ///
    /// `NotFound`, or what the system says.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Makes the entries of a directory durable.
    ///
    /// # Errors
    ///
    /// What the system says; after a failure nothing about its unsynced entries is known.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Whether something has this name.
    fn exists(&self, path: &Path) -> bool;

    /// Bytes an unprivileged process could still write to the filesystem of `path`.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;

    /// Bytes the filesystem of `path` has in all.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn total_bytes(&self, path: &Path) -> io::Result<u64>;

    /// Takes the exclusive lock of a file, creating it if it is missing.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when somebody else holds it.
    fn lock_exclusive(&self, path: &Path) -> io::Result<Box<dyn DiskLock>>;

    /// The whole of a file of at most `bytes_max` bytes.
    ///
    /// # Errors
    ///
    /// `FileTooLarge` beyond the bound, `NotFound`, or what the system says.
    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
        let file = self.open(path, OpenMode::READ)?;
        let len = file.len()?;
        if len > bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut bytes = vec![0; usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Creates a directory and its missing parents under durable names. Each is synced before the
    /// next one is created, so that what exists stands on what is durable; the deepest one that
    /// exists is synced again, since the process that created it may have died before it did.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn create_dir_all_durably(&self, path: &Path) -> io::Result<()> {
        let mut missing: Vec<&Path> = path.ancestors().collect();
        missing.retain(|path| !path.as_os_str().is_empty());
        let existing = missing.iter().position(|path| self.exists(path));
        // The root and the working directory are nobody's entry.
        missing.truncate(existing.map_or(missing.len(), |existing| existing + 1));
        for path in missing.into_iter().rev() {
            self.create_dir_all(path)?;
            if let Some(parent) = path.parent() {
                let here = parent.as_os_str().is_empty();
                match self.sync_dir(if here { Path::new(".") } else { parent }) {
                    // A directory above that may not be read is the operator's, and durable.
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                    other => other?,
                }
            }
        }
        Ok(())
    }

    /// Replaces a file by `bytes`, durably: a crash leaves the old content or the new, whole.
    /// Writes `<path>.tmp` beside it; two callers must not replace the same file at once.
    ///
    /// # Errors
    ///
    /// What the system says; the old content then stays, or the new one is there undurably.
    fn write_atomically(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut temp = path.as_os_str().to_owned();
        temp.push(".tmp");
        let temp = PathBuf::from(temp);
        let file = self.open(&temp, OpenMode::CREATE)?;
        file.set_len(0)?;
        file.write_all_at(&[IoSlice::new(bytes)], 0)?;
        file.sync_all()?;
        self.rename(&temp, path)?;
        self.sync_dir(path.parent().unwrap_or(Path::new(".")))
    }
}

/// An open file. All methods are positional and may be called from several threads.
pub trait DiskFile: Send + Sync {
    /// Reads at `position` until the buffer is full or the file ends, and says how much it read.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;

    /// Fills the buffer from `position`.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when the file ends before, or what the system says.
    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        if self.read_at(buffer, position)? == buffer.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Writes all slices, one after the other, from `position`; the file grows as needed. Any
    /// number of slices is fine, and short writes are carried on.
    ///
    /// # Errors
    ///
    /// What the system says; a part may have been written. `StorageFull` leaves the file usable:
    /// the same write may be tried again. `InvalidInput` for a direct write that is not aligned, or
    /// that the filesystem does not take although it let the file be opened.
    fn write_all_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()>;

    /// Makes content and length durable (`fdatasync`).
    ///
    /// # Errors
    ///
    /// Any error means that what was not durable before may be lost; it must not be tried again.
    fn sync_data(&self) -> io::Result<()>;

    /// As [`DiskFile::sync_data`], with all metadata of the file (`fsync`).
    ///
    /// # Errors
    ///
    /// As for [`DiskFile::sync_data`].
    fn sync_all(&self) -> io::Result<()>;

    /// Length in bytes.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no content.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|len| len == 0)
    }

    /// Cuts the file, or extends it with zeros.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Writes zeros over the range, so that its blocks are allocated; the file grows as needed.
    ///
    /// # Errors
    ///
    /// As for [`DiskFile::write_all_at`].
    fn zero_fill(&self, range: Range<u64>) -> io::Result<()>;

    /// Asks the system to forget the clean cached pages of this file.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn drop_cache(&self) -> io::Result<()>;

    /// Asks the system to start writing the dirty pages of the range. Best effort, no promise.
    fn start_writeback(&self, range: Range<u64>);
}

/// What the address, position and length of a direct read, and the position and length of a direct
/// write, must be multiples of.
pub const DIRECT_ALIGNMENT: usize = 4096;
