//! Limits and names of a journal.

use std::path::PathBuf;

use chronik_types::{BrokerId, DirectoryId, Uuid};

use crate::frame::BLOCK_BYTES;

/// How a journal is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory of the journal's files. Nothing else is kept in it.
    pub dir: PathBuf,
    /// The cluster this journal belongs to.
    pub cluster_id: Uuid,
    /// The node this journal belongs to.
    pub node_id: BrokerId,
    /// The data directory this journal belongs to.
    pub directory_id: DirectoryId,
    /// Bytes of a file, 64 KiB to 1 GiB, a multiple of 4 KiB. A submission fits in half of it.
    pub file_bytes: u32,
    /// Bytes of the very first file; the next ones grow by four until `file_bytes`, so that the
    /// first start need not write a whole file of zeros.
    pub first_file_bytes: u32,
    /// Bytes that live files may take; at least four files.
    pub max_bytes: u64,
    /// Bytes of a group, unless one submission alone is larger.
    pub group_bytes_max: u32,
    /// Bytes of `max_bytes` that clients cannot use; half of it only the class `Metadata` can, and
    /// as much again beyond `max_bytes`.
    pub reserve_bytes: u64,
    /// Free bytes of the filesystem below which clients are refused.
    pub free_bytes_floor: u64,
    /// Whether files are used again. Off on copy-on-write filesystems, where it gains nothing.
    pub recycle: bool,
    /// Whether files are written past the page cache, where the filesystem takes that.
    pub direct: bool,
}

impl Options {
    /// The defaults, for a journal of this node in `dir`.
    #[must_use]
    pub fn new(
        dir: PathBuf,
        cluster_id: Uuid,
        node_id: BrokerId,
        directory_id: DirectoryId,
    ) -> Self {
        Self {
            dir,
            cluster_id,
            node_id,
            directory_id,
            file_bytes: 64 << 20,
            first_file_bytes: 4 << 20,
            max_bytes: 1 << 30,
            group_bytes_max: 4 << 20,
            reserve_bytes: 128 << 20,
            free_bytes_floor: 256 << 20,
            recycle: true,
            direct: true,
        }
    }
}

impl Options {
    /// Whether these can be worked with; the error says what is wrong.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if !(64 << 10..=1 << 30).contains(&self.file_bytes)
            || !self.file_bytes.is_multiple_of(BLOCK_BYTES)
        {
            return Err("file_bytes must be a multiple of 4 KiB from 64 KiB to 1 GiB");
        }
        if !(64 << 10..=self.file_bytes).contains(&self.first_file_bytes)
            || !self.first_file_bytes.is_multiple_of(BLOCK_BYTES)
        {
            return Err("first_file_bytes must be a multiple of 4 KiB from 64 KiB to file_bytes");
        }
        if self.max_bytes < u64::from(self.file_bytes) * 4 {
            return Err("max_bytes must have room for four files");
        }
        if self.reserve_bytes > self.max_bytes / 4 {
            return Err("reserve_bytes must be at most a quarter of max_bytes");
        }
        if self.group_bytes_max < BLOCK_BYTES {
            return Err("group_bytes_max must be at least 4 KiB");
        }
        Ok(())
    }
}
