//! Walking the batches of a segment file by their headers.

use std::path::Path;
use std::sync::Arc;

use chronik_env::DiskFile;
use chronik_protocol::batch::{BatchHeader, HEADER_BYTES};
use chronik_types::Offset;

use crate::error::DiskError;

/// How much is read at once: about what lies between two index entries.
const READ_BYTES: u64 = 16 << 10;

/// A walk over the headers in `[position, end)` of a file.
pub(crate) struct Scan<'a> {
    file: &'a Arc<dyn DiskFile>,
    path: &'a Path,
    position: u64,
    end: u64,
    /// The offset after the last batch seen.
    passed: Option<Offset>,
    buffer: Vec<u8>,
    buffer_at: u64,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(
        file: &'a Arc<dyn DiskFile>,
        path: &'a Path,
        position: u64,
        end: u64,
    ) -> Self {
        Self { file, path, position, end, passed: None, buffer: Vec::new(), buffer_at: position }
    }

    /// The next batch and where it begins; `None` exactly at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, BatchHeader)>, DiskError> {
        if self.position == self.end {
            return Ok(None);
        }
        let at = self.position;
        if !self.has_header() {
            self.fill()?;
        }
        let skip = usize::try_from(at - self.buffer_at).unwrap_or(usize::MAX);
        let bytes = self.buffer.get(skip..).unwrap_or_default();
        let header = BatchHeader::parse(bytes)
            .map_err(|_| DiskError::corrupt(self.path, at, "there is no batch here"))?;
        let next = at.saturating_add(u64::from(header.batch_bytes));
        if next > self.end {
            return Err(DiskError::corrupt(self.path, at, "the batch here has no end"));
        }
        if self.passed.is_some_and(|passed| header.base_offset < passed) {
            return Err(DiskError::corrupt(self.path, at, "the batch here goes back"));
        }
        self.passed = Some(header.next_offset());
        self.position = next;
        Ok(Some((at, header)))
    }

    /// The whole batch that [`Scan::next`] has found.
    pub(crate) fn batch(&self, at: u64, header: &BatchHeader) -> Result<Vec<u8>, DiskError> {
        let mut bytes = vec![0; header.batch_bytes as usize];
        self.file.read_exact_at(&mut bytes, at).map_err(DiskError::io(self.path))?;
        Ok(bytes)
    }

    fn has_header(&self) -> bool {
        let buffered = self.buffer_at + self.buffer.len() as u64;
        self.position >= self.buffer_at && self.position + HEADER_BYTES as u64 <= buffered
    }

    fn fill(&mut self) -> Result<(), DiskError> {
        let want = (self.end - self.position).min(READ_BYTES);
        self.buffer.resize(usize::try_from(want).unwrap_or(0), 0);
        let read = self.file.read_at(&mut self.buffer, self.position);
        let read = read.map_err(DiskError::io(self.path))?;
        self.buffer.truncate(read);
        self.buffer_at = self.position;
        Ok(())
    }
}
