//! The file being written, past the page cache for as long as the filesystem takes that.
//!
//! A group is written once and read only at recovery: the page cache would copy it, hold it and hand
//! it on at the sync, all for nothing.
//!
//! # Invariants
//!
//! - All writes to a file from its header on are made in the same way, unless that was refused.
//! - What was refused once is not tried again, and has been said.
//! - A write that was refused has been made through the page cache when its sync begins.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use chronik_env::{Disk, DiskFile, OpenMode};

/// How journal files are opened and written.
pub struct Direct {
    disk: Arc<dyn Disk>,
    /// Whether the page cache is bypassed.
    pub on: bool,
}

impl Direct {
    pub fn new(disk: Arc<dyn Disk>, wanted: bool) -> Self {
        Self { disk, on: wanted }
    }

    /// Opens an existing file for [`Direct::write`].
    pub fn open(&mut self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        if self.on {
            match self.disk.open(path, OpenMode::READ_WRITE_DIRECT) {
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    self.give_up(path, &error);
                }
                other => return other,
            }
        }
        self.disk.open(path, OpenMode::READ_WRITE)
    }

    /// Writes whole blocks. A filesystem may let a file be opened and then take no such write:
    /// `file` is then another handle of the same file, and the same bytes go through the page
    /// cache. Nothing of them counts before the sync that follows, which covers either.
    pub fn write(
        &mut self,
        file: &mut Arc<dyn DiskFile>,
        path: &Path,
        slices: &[IoSlice<'_>],
        position: u64,
    ) -> io::Result<()> {
        match file.write_all_at(slices, position) {
            Err(error) if self.on && error.kind() == io::ErrorKind::InvalidInput => {
                self.give_up(path, &error);
                *file = self.disk.open(path, OpenMode::READ_WRITE)?;
                file.write_all_at(slices, position)
            }
            other => other,
        }
    }

    fn give_up(&mut self, path: &Path, error: &io::Error) {
        self.on = false;
        let path = path.display();
        tracing::info!(%path, %error, "no direct writes here: the journal goes through the page cache");
    }
}
