//! A file of the real disk.

use std::fs::File;
use std::io::{self, IoSlice};
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use parking_lot::Mutex;
use rustix::fs::Advice;

use super::direct::Gatherer;
use crate::DiskFile;

/// What Linux accepts in one vectored call.
const IOV_MAX: usize = 1024;

static ZEROS: [u8; 1 << 20] = [0; 1 << 20];

pub struct RealFile {
    file: File,
    /// What makes a direct write of slices, if the file was opened for such.
    direct: Option<Mutex<Gatherer>>,
}

impl RealFile {
    pub fn new(file: File, direct: bool) -> Self {
        Self { file, direct: direct.then(Mutex::default) }
    }

    /// One vectored write, repeated when a signal interrupts it.
    fn write_some(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<u64> {
        let some = slices.get(..slices.len().min(IOV_MAX)).unwrap_or(slices);
        loop {
            match rustix::io::pwritev(&self.file, some, position) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => return Ok(written as u64),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, position.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_all_at(&self, slices: &[IoSlice<'_>], mut position: u64) -> io::Result<()> {
        if let Some(gatherer) = &self.direct {
            return gatherer.lock().write(&self.file, slices, position);
        }
        let mut rest = slices;
        while let Some((first, later)) = rest.split_first() {
            if first.is_empty() {
                rest = later;
                continue;
            }
            let mut written = self.write_some(rest, position)?;
            position = position.saturating_add(written);
            while let Some((first, later)) = rest.split_first() {
                let len = first.len() as u64;
                if written < len {
                    break;
                }
                written -= len;
                rest = later;
            }
            // A short write ended inside a slice: the rest of that slice goes out on its own.
            if let Some((first, later)) = rest.split_first()
                && written > 0
                && let Some(tail) = usize::try_from(written).ok().and_then(|at| first.get(at..))
            {
                self.file.write_all_at(tail, position)?;
                position = position.saturating_add(tail.len() as u64);
                rest = later;
            }
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn zero_fill(&self, range: Range<u64>) -> io::Result<()> {
        let mut position = range.start;
        while position < range.end {
            let len = (range.end - position).min(ZEROS.len() as u64);
            let zeros = usize::try_from(len).ok().and_then(|len| ZEROS.get(..len));
            self.write_all_at(&[IoSlice::new(zeros.unwrap_or(&ZEROS))], position)?;
            position += len;
        }
        Ok(())
    }

    fn drop_cache(&self) -> io::Result<()> {
        Ok(rustix::fs::fadvise(&self.file, 0, None, Advice::DontNeed)?)
    }

    fn start_writeback(&self, range: Range<u64>) {
        // Linux starts writing dirty pages of the range before it looks for clean ones to drop,
        // and never drops a page under writeback. There is no safe binding of sync_file_range.
        let len = NonZeroU64::new(range.end.saturating_sub(range.start));
        if len.is_some() {
            let _ = rustix::fs::fadvise(&self.file, range.start, len, Advice::DontNeed);
        }
    }
}
