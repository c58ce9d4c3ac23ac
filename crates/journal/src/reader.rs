//! Reads one journal file group by group, in large direct reads.
//!
//! Nothing here comes from the page cache: what a failed sync dropped is not seen.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use chronik_env::{DIRECT_ALIGNMENT, Disk, DiskFile, OpenMode};

use crate::crc::{crc32c, salted};
use crate::entry::{self, Entry, Payload};
use crate::fields::Fields;
use crate::file_header::{FileHeader, HEADER_BYTES};
use crate::frame::{BLOCK_BYTES, FRAME_BYTES, FrameHeader};

/// Bytes of one read.
const READ_BYTES: usize = 4 << 20;

/// An entry with the position of its record and its payload, if it has one.
pub struct Located {
    pub position: u32,
    pub entry: Entry,
    pub payload: Bytes,
}

/// A whole, valid group.
pub struct ReadGroup {
    pub header: FrameHeader,
    pub entries: Vec<Located>,
    /// All of it, with padding.
    pub bytes: Bytes,
}

/// Opens a file so that reads come from the device; where the filesystem has no direct reads, its
/// clean cached pages are dropped first.
pub fn open_uncached(disk: &dyn Disk, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
    if crate::bugs::trust_the_page_cache() {
        return disk.open(path, OpenMode::READ);
    }
    match disk.open(path, OpenMode::READ_DIRECT) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            let file = disk.open(path, OpenMode::READ)?;
            file.drop_cache()?;
            Ok(file)
        }
        other => other,
    }
}

/// Reads `bytes` (whole blocks) into an aligned buffer that begins with `carried`.
fn read_aligned(
    file: &dyn DiskFile,
    carried: &[u8],
    position: u64,
    bytes: usize,
) -> io::Result<Bytes> {
    let total = carried.len() + bytes;
    let mut memory = vec![0; total + DIRECT_ALIGNMENT];
    let start = memory.as_ptr().align_offset(DIRECT_ALIGNMENT).min(DIRECT_ALIGNMENT);
    let mut filled = 0;
    if let Some(view) = memory.get_mut(start..start + total) {
        let (head, rest) = view.split_at_mut(carried.len());
        head.copy_from_slice(carried);
        filled = file.read_at(rest, position)?;
    }
    Ok(Bytes::from(memory).slice(start..start + carried.len() + filled))
}

/// The first block of a file.
pub fn read_first_block(disk: &dyn Disk, path: &Path) -> io::Result<Bytes> {
    read_aligned(open_uncached(disk, path)?.as_ref(), &[], 0, HEADER_BYTES as usize)
}

/// A file being read from its first group on.
pub struct FileReader {
    file: Arc<dyn DiskFile>,
    header: FileHeader,
    /// Where the file ends, in whole blocks.
    end: u32,
    window: Bytes,
    /// The file position of the window's first byte.
    window_at: u32,
    pub bytes_read: u64,
}

impl FileReader {
    pub fn open(disk: &dyn Disk, path: &Path, header: FileHeader) -> io::Result<Self> {
        let file = open_uncached(disk, path)?;
        let len = u32::try_from(file.len()?).unwrap_or(u32::MAX).min(header.file_bytes);
        let end = len / BLOCK_BYTES * BLOCK_BYTES;
        let window_at = HEADER_BYTES;
        Ok(Self { file, header, end, window: Bytes::new(), window_at, bytes_read: 0 })
    }

    /// Bytes from `position` on, at least `bytes` if the file has them.
    fn view(&mut self, position: u32, bytes: u32) -> io::Result<Bytes> {
        let missing = |window: &Bytes, at: u32| {
            let have = (at as usize + window.len()).saturating_sub(position as usize);
            position < at || have < bytes as usize
        };
        if missing(&self.window, self.window_at) && position < self.end {
            // What was already read of this group is carried over, not read again.
            let offset = (position as usize).checked_sub(self.window_at as usize);
            let carried = offset.and_then(|at| self.window.get(at..)).unwrap_or_default();
            let from = position as usize + carried.len();
            let wanted = (bytes as usize).saturating_sub(carried.len()).max(READ_BYTES);
            let wanted = wanted.min((self.end as usize).saturating_sub(from));
            let window = read_aligned(self.file.as_ref(), carried, from as u64, wanted)?;
            self.bytes_read += (window.len() - carried.len()) as u64;
            (self.window, self.window_at) = (window, position);
        }
        let at = (position as usize).saturating_sub(self.window_at as usize);
        let at = at.min(self.window.len());
        let end = (at + bytes as usize).min(self.window.len());
        Ok(self.window.slice(at..end))
    }

    /// The group at `position`, if a whole one with this number is there.
    pub fn group(&mut self, position: u32, number: u64) -> io::Result<Option<ReadGroup>> {
        let Some(header) = self.frame(position)?.filter(|header| header.group == number) else {
            return Ok(None);
        };
        if self.end - position < header.padded() {
            return Ok(None);
        }
        let bytes = self.view(position, header.padded())?;
        if bytes.len() < header.padded() as usize {
            return Ok(None);
        }
        let entries = decode(&header, &bytes);
        Ok(entries.map(|entries| ReadGroup { header, entries, bytes }))
    }

    fn frame(&mut self, position: u32) -> io::Result<Option<FrameHeader>> {
        if position >= self.end {
            return Ok(None);
        }
        let block = self.view(position, BLOCK_BYTES)?;
        Ok(FrameHeader::decode(&block, self.header.salt, self.header.sequence, position))
    }

    /// The first group above `number` that begins after `position`: its position and number.
    pub fn later_group(&mut self, position: u32, number: u64) -> io::Result<Option<(u32, u64)>> {
        let mut at = position.saturating_add(BLOCK_BYTES);
        while at < self.end {
            match self.frame(at)? {
                Some(header) if header.group > number => return Ok(Some((at, header.group))),
                _ => at += BLOCK_BYTES,
            }
        }
        Ok(None)
    }
}

/// The entries of a group whose every CRC is right.
fn decode(header: &FrameHeader, bytes: &Bytes) -> Option<Vec<Located>> {
    let directory_end = FRAME_BYTES + header.directory_bytes as usize;
    let directory = bytes.get(FRAME_BYTES..directory_end)?;
    if salted(header.salt, directory) != header.directory_crc {
        return None;
    }
    let mut fields = Fields(directory);
    let mut payload_at = directory_end;
    let mut entries = Vec::with_capacity(header.count as usize);
    for _ in 0..header.count {
        let offset = u32::try_from(directory_end - fields.0.len()).ok()?;
        let entry = entry::read(&mut fields)?;
        let payload = match entry {
            Entry::Append { payload, .. } | Entry::Vote { payload } => {
                take_payload(header, bytes, &mut payload_at, payload)?
            }
            _ => Bytes::new(),
        };
        entries.push(Located { position: header.position + offset, entry, payload });
    }
    (fields.0.is_empty() && payload_at == header.bytes as usize).then_some(entries)
}

fn take_payload(
    header: &FrameHeader,
    bytes: &Bytes,
    at: &mut usize,
    payload: Payload,
) -> Option<Bytes> {
    let end = at.checked_add(payload.bytes as usize)?;
    if end > header.bytes as usize || end > bytes.len() {
        return None;
    }
    let slice = bytes.slice(*at..end);
    *at = end;
    (crc32c(&slice) == payload.crc).then_some(slice)
}
