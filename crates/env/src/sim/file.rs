//! A file of the simulated disk.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::{Call, CallKind, Fault, State};
use crate::{DIRECT_ALIGNMENT, DiskFile};

pub struct SimFile {
    pub state: Arc<Mutex<State>>,
    pub path: PathBuf,
    pub inode: u64,
    pub life: u64,
    pub writable: bool,
    pub direct: bool,
}

impl SimFile {
    fn decide(
        &self,
        kind: CallKind,
        position: u64,
        bytes: u64,
    ) -> io::Result<(MutexGuard<'_, State>, Fault)> {
        let mut state = self.state.lock();
        let call = Call { kind, path: self.path.clone(), position, bytes, index: 0 };
        let fault = state.admit(call)?;
        Ok((state, fault))
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }

    /// What a direct call is asked to do must be.
    fn check_aligned(&self, values: &[u64]) -> io::Result<()> {
        let aligned = |value: &u64| value.is_multiple_of(DIRECT_ALIGNMENT as u64);
        if !self.direct || values.iter().all(aligned) {
            Ok(())
        } else {
            Err(io::ErrorKind::InvalidInput.into())
        }
    }

    fn sync(&self) -> io::Result<()> {
        let (mut state, fault) = self.decide(CallKind::Sync, 0, 0)?;
        let rng = state.rng.clone();
        let content = state.file(self.inode, self.life)?;
        match fault {
            Fault::None => {
                content.sync();
                Ok(())
            }
            Fault::Fail(errno) | Fault::Short { errno, .. } => {
                content.fail_sync(&rng);
                Err(io::Error::from_raw_os_error(errno))
            }
        }
    }
}

/// A file in memory cannot be larger than memory.
fn size(bytes: u64) -> io::Result<usize> {
    usize::try_from(bytes)
        .ok()
        .filter(|bytes| *bytes <= 1 << 40)
        .ok_or_else(|| io::ErrorKind::FileTooLarge.into())
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.check_aligned(&[position, buffer.len() as u64, buffer.as_ptr().addr() as u64])?;
        let (mut state, fault) = self.decide(CallKind::Read, position, buffer.len() as u64)?;
        if let Fault::Fail(errno) | Fault::Short { errno, .. } = fault {
            return Err(io::Error::from_raw_os_error(errno));
        }
        Ok(state.file(self.inode, self.life)?.read(buffer, size(position)?, self.direct))
    }

    fn write_all_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        self.check_writable()?;
        let total: u64 = slices.iter().map(|slice| slice.len() as u64).sum();
        self.check_aligned(&[position, total])?;
        let (mut state, fault) = self.decide(CallKind::Write, position, total)?;
        let (mut allowed, mut result) = match fault {
            Fault::None => (total, Ok(())),
            Fault::Fail(errno) => (0, Err(io::Error::from_raw_os_error(errno))),
            Fault::Short { bytes, errno } => {
                (bytes.min(total), Err(io::Error::from_raw_os_error(errno)))
            }
        };
        let len = state.file(self.inode, self.life)?.len() as u64;
        let grows = position.saturating_add(allowed).saturating_sub(len);
        if grows > 0 && !state.has_room(grows) {
            allowed = allowed.min(len.saturating_sub(position));
            result = Err(io::ErrorKind::StorageFull.into());
        }
        let content = state.file(self.inode, self.life)?;
        let mut at = size(position)?;
        let mut rest = size(allowed)?;
        for slice in slices {
            let part = &slice[..slice.len().min(rest)];
            content.write(part, at, self.direct);
            at += part.len();
            rest -= part.len();
        }
        result
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().file(self.inode, self.life)?.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        let (mut state, fault) = self.decide(CallKind::SetLen, len, 0)?;
        if let Fault::Fail(errno) | Fault::Short { errno, .. } = fault {
            return Err(io::Error::from_raw_os_error(errno));
        }
        state.file(self.inode, self.life)?.set_len(size(len)?);
        Ok(())
    }

    fn zero_fill(&self, range: Range<u64>) -> io::Result<()> {
        let zeros = vec![0; size(range.end.saturating_sub(range.start))?];
        self.write_all_at(&[IoSlice::new(&zeros)], range.start)
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.state.lock().file(self.inode, self.life)?.drop_cache();
        Ok(())
    }

    fn start_writeback(&self, _range: Range<u64>) {}
}
