//! The journal's files: which are live, which may be used again, and the one being written.
//!
//! ```text
//! created ─► free ─► current ─► live (closed) ─► retired ─► free
//!                                                  until a durable header names a younger
//!                                                  file as the oldest live one
//! ```
//!
//! # Invariants
//!
//! - Live files have consecutive sequences; the current one, if any, is the last.
//! - A file becomes free only after a header with a higher `oldest_live` has been synced.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::path::PathBuf;
use std::sync::Arc;

use chronik_env::{Disk, DiskFile, Rng};

use crate::Options;
use crate::direct::Direct;
use crate::file_header::{FileHeader, HEADER_BYTES, VERSION};
use crate::frame::BLOCK_BYTES;
use crate::group::Group;
use crate::prepare::{FreeFile, Preparer, Trouble, create};

static ZEROS: [u8; BLOCK_BYTES as usize] = [0; BLOCK_BYTES as usize];

/// Where files of this journal are named `<slot>.journal`.
pub const SUFFIX: &str = ".journal";

/// A file that must still be read at recovery.
#[derive(Clone, Debug)]
pub struct LiveFile {
    pub sequence: u64,
    pub path: PathBuf,
    pub bytes: u32,
}

/// The file being written.
pub struct Current {
    pub file: Arc<dyn DiskFile>,
    pub path: PathBuf,
    pub sequence: u64,
    pub salt: u64,
    /// Where the next group begins.
    pub position: u32,
    pub bytes: u32,
}

/// What recovery found, as the start of a [`Files`].
#[derive(Default)]
pub struct Found {
    pub live: VecDeque<LiveFile>,
    pub free: Vec<FreeFile>,
    pub next_slot: u64,
    pub next_sequence: u64,
    pub last_group: u64,
    pub next_group: u64,
}

pub struct Files {
    disk: Arc<dyn Disk>,
    rng: Rng,
    options: Options,
    pub direct: Direct,
    pub preparer: Arc<Preparer>,
    pub live: VecDeque<LiveFile>,
    retired: Vec<FreeFile>,
    free: Vec<FreeFile>,
    next_slot: u64,
    next_sequence: u64,
    pub current: Option<Current>,
    /// The last group written, and the number of the next one.
    last_group: u64,
    pub next_group: u64,
    /// Files taken into use, and how many of them not for the first time.
    pub begun: u64,
    pub recycled: u64,
}

impl Files {
    pub fn new(disk: Arc<dyn Disk>, rng: Rng, options: Options, found: Found) -> Self {
        let mut files = Self {
            direct: Direct::new(Arc::clone(&disk), options.direct),
            disk,
            rng,
            options,
            preparer: Arc::default(),
            live: found.live,
            retired: Vec::new(),
            free: found.free,
            next_slot: found.next_slot,
            next_sequence: found.next_sequence,
            current: None,
            last_group: found.last_group,
            next_group: found.next_group,
            begun: 0,
            recycled: 0,
        };
        files.trim_free();
        files
    }

    /// Bytes of live files in use: closed ones count whole.
    pub fn used(&self) -> u64 {
        let live: u64 = self.live.iter().map(|file| u64::from(file.bytes)).sum();
        let unused = self.current.as_ref().map_or(0, |current| current.bytes - current.position);
        live - u64::from(unused)
    }

    /// Bytes left in the current file.
    pub fn room(&self) -> u32 {
        self.current.as_ref().map_or(0, |current| current.bytes - current.position)
    }

    /// Whether `file` is being written.
    pub fn is_current(&self, file: u64) -> bool {
        self.current.as_ref().is_some_and(|current| current.sequence == file)
    }

    /// The oldest live file holds nothing that is needed.
    pub fn retire_oldest(&mut self) {
        if let Some(LiveFile { path, bytes, .. }) = self.live.pop_front() {
            self.retired.push(FreeFile { path, bytes });
        }
    }

    /// Has a file made ready in the background, if the next one would have to be created.
    pub fn prepare_ahead(&mut self) {
        if self.free.is_empty() {
            let (slot, file) = (self.next_slot, self.new_file());
            let mut asked = false;
            self.preparer.request(|| {
                asked = true;
                file
            });
            if asked {
                self.next_slot = slot + 1;
            }
        }
    }

    /// The next file to create: small at first, so that an empty journal starts fast.
    fn new_file(&self) -> FreeFile {
        let grown = (0..self.next_slot.min(16))
            .try_fold(self.options.first_file_bytes, |bytes, _| bytes.checked_mul(4));
        FreeFile {
            path: self.options.dir.join(format!("{:010}{SUFFIX}", self.next_slot)),
            bytes: grown.unwrap_or(u32::MAX).min(self.options.file_bytes),
        }
    }

    fn obtain(&mut self, bytes_min: u32) -> Result<FreeFile, Trouble> {
        if let Some(at) = self.free.iter().position(|file| file.bytes >= bytes_min) {
            self.recycled += 1;
            return Ok(self.free.remove(at));
        }
        match self.preparer.take() {
            Some(Ok(file)) if file.bytes >= bytes_min => return Ok(file),
            Some(Ok(small)) => self.free.push(small),
            Some(Err(Trouble::Failed(error))) => return Err(Trouble::Failed(error)),
            // Tried again here, where it can be waited for.
            Some(Err(Trouble::Full)) | None => {}
        }
        let mut file = self.new_file();
        file.bytes = file.bytes.max(bytes_min);
        let file = create(self.disk.as_ref(), &file.path, file.bytes)?;
        self.next_slot += 1;
        Ok(file)
    }

    /// Closes the current file and begins the next one, with room for a group of `bytes_min`. When
    /// it fails for want of space, nothing has changed.
    pub fn begin_next(&mut self, bytes_min: u32, next_log: u64) -> Result<(), Trouble> {
        let FreeFile { path, bytes } = self.obtain(bytes_min.saturating_add(HEADER_BYTES))?;
        let sequence = self.next_sequence;
        let header = FileHeader {
            version: VERSION,
            cluster_id: self.options.cluster_id,
            directory_id: self.options.directory_id,
            node_id: self.options.node_id,
            sequence,
            salt: self.rng.u64(),
            first_group: self.next_group,
            previous_last_group: self.last_group,
            oldest_live: self.live.front().map_or(sequence, |file| file.sequence),
            next_log,
            file_bytes: bytes,
        };
        let opened = self.direct.open(&path).and_then(|mut file| {
            self.direct.write(&mut file, &path, &[IoSlice::new(&header.encode())], 0)?;
            Ok(file)
        });
        let file = match opened {
            Ok(file) => file,
            Err(error) => {
                let trouble = Trouble::write(&path, 0, error);
                // First in line for the next try: its header may be half this one already.
                self.free.insert(0, FreeFile { path, bytes });
                return Err(trouble);
            }
        };
        file.sync_data().map_err(|error| Trouble::sync(&path, error))?;
        self.next_sequence += 1;
        self.begun += 1;
        self.live.push_back(LiveFile { sequence, path: path.clone(), bytes });
        let (salt, position) = (header.salt, HEADER_BYTES);
        self.current = Some(Current { file, path, sequence, salt, position, bytes });
        // The header that has just become durable says that these are not read any more.
        self.free.append(&mut self.retired);
        self.trim_free();
        self.prepare_ahead();
        Ok(())
    }

    /// Removes free files that are not worth keeping.
    fn trim_free(&mut self) {
        let live: u64 = self.live.iter().map(|file| u64::from(file.bytes)).sum();
        let mut kept = live;
        let (options, disk) = (&self.options, &self.disk);
        self.free.retain(|file| {
            let fits = kept.saturating_add(file.bytes.into()) <= options.max_bytes;
            let keep = options.recycle && file.bytes == options.file_bytes && fits;
            if keep {
                kept += u64::from(file.bytes);
            } else if let Err(error) = disk.remove_file(&file.path) {
                tracing::warn!(path = %file.path.display(), %error, "an unused journal file stays");
            }
            keep
        });
    }

    /// Writes a group at its place. May be tried again when it failed for want of space.
    pub fn write(&mut self, group: &Group) -> Result<(), Trouble> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let mut slices = Vec::with_capacity(group.payloads.len() + 2);
        slices.push(IoSlice::new(&group.head));
        slices.extend(group.payloads.iter().map(|payload| IoSlice::new(payload)));
        slices.push(IoSlice::new(ZEROS.get(..group.padding).unwrap_or(&ZEROS)));
        let position = u64::from(group.position);
        self.direct
            .write(&mut current.file, &current.path, &slices, position)
            .map_err(|error| Trouble::write(&current.path, position, error))
    }

    /// Makes the written group durable. Never tried again.
    pub fn sync(&mut self, group: &Group) -> Result<(), Trouble> {
        let Some(current) = &mut self.current else { return Ok(()) };
        if !crate::bugs::leave_out_sync() {
            current.file.sync_data().map_err(|error| Trouble::sync(&current.path, error))?;
        }
        current.position += group.padded;
        self.last_group = group.number;
        self.next_group = group.number + 1;
        Ok(())
    }
}
