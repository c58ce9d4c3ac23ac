//! The entries of a segment's offset index that can be relied on.
//!
//! **Invariants**: the last one leads to the batch it names. A flush that never counted may have left
//! entries that are torn and yet look possible; what stands before the last one that a batch bears
//! out was written earlier, by a flush that counted.

use std::path::Path;

use chronik_types::Offset;

use crate::error::DiskError;
use crate::open_files::OpenFiles;
use crate::segment::active::read_index;
use crate::segment::offset_index::{ENTRY_BYTES, Entry, valid_prefix};
use crate::segment::scan::Scan;
use crate::segment::{Segment, path_of};

/// How many entries of `segment` lie below `end`, and the last of them.
pub(crate) fn below(
    files: &OpenFiles,
    dir: &Path,
    segment: &Segment,
    end: Offset,
) -> Result<(u64, Option<Entry>), DiskError> {
    let bytes = read_index(files, &path_of(dir, segment.base, "index"))?;
    let relative_end = end.since(segment.base).max(0);
    let mut index = bytes.as_slice();
    loop {
        let (count, last) = valid_prefix(index, segment.bytes, relative_end);
        let Some(entry) = last else { return Ok((0, None)) };
        if is_borne_out(files, dir, segment, &entry)? {
            return Ok((count, last));
        }
        let before = usize::try_from(count.saturating_sub(1)).unwrap_or(0) * ENTRY_BYTES;
        index = index.get(..before).unwrap_or_default();
    }
}

/// Whether the batch that the entry names is where it says.
fn is_borne_out(
    files: &OpenFiles,
    dir: &Path,
    segment: &Segment,
    entry: &Entry,
) -> Result<bool, DiskError> {
    let path = path_of(dir, segment.base, "log");
    let file = files.read(&path)?;
    let at = u64::try_from(entry.position).unwrap_or(0);
    match Scan::new(&file, &path, at, segment.bytes).next() {
        Ok(found) => Ok(found.is_some_and(|(_, header)| {
            header.last_offset().since(segment.base) == i64::from(entry.offset)
        })),
        Err(DiskError::Corrupt(_)) => Ok(false),
        Err(error) => Err(error),
    }
}
