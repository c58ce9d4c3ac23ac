//! `.timeindex`: up to which offset no record is newer than a time.
//!
//! Entries of 12 bytes, big-endian: the greatest timestamp so far (i64, milliseconds), and the last
//! offset of the batch that has it minus the segment's base offset (i32). Both ascend strictly.

use chronik_env::DiskFile;

/// Bytes of an entry.
pub(crate) const ENTRY_BYTES: usize = 12;

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The greatest timestamp of the segment up to `offset`.
    pub(crate) timestamp: i64,
    /// Last offset of the batch that has it, relative to the base offset.
    pub(crate) offset: i32,
}

impl Entry {
    pub(crate) fn encode(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        let (timestamp, offset) = bytes.split_at_mut(8);
        timestamp.copy_from_slice(&self.timestamp.to_be_bytes());
        offset.copy_from_slice(&self.offset.to_be_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let &[a, b, c, d, e, f, g, h, i, j, k, l] = bytes;
        Self {
            timestamp: i64::from_be_bytes([a, b, c, d, e, f, g, h]),
            offset: i32::from_be_bytes([i, j, k, l]),
        }
    }
}

/// The entries at the front of `bytes` that can belong to a segment that ends at `end` (relative).
pub(crate) fn valid_prefix(bytes: &[u8], end: i64) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for chunk in bytes.chunks_exact(ENTRY_BYTES) {
        let Ok(chunk) = chunk.try_into() else { break };
        let entry = Entry::decode(chunk);
        let ascends = entries.last().map_or(entry.timestamp >= 0 && entry.offset >= 0, |before| {
            entry.timestamp > before.timestamp && entry.offset > before.offset
        });
        if !ascends || i64::from(entry.offset) >= end {
            break;
        }
        entries.push(entry);
    }
    entries
}

/// The last of the first `entries` whose timestamp is below `target`: every record at or after the
/// target lies behind its offset.
pub(crate) fn lookup(
    file: &dyn DiskFile,
    entries: u64,
    target: i64,
) -> std::io::Result<Option<Entry>> {
    let (mut low, mut high) = (0, entries);
    let mut found = None;
    while low < high {
        let middle = low + (high - low) / 2;
        let entry = read(file, middle)?;
        if entry.timestamp < target {
            found = Some(entry);
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(found)
}

/// The entry at `index`.
pub(crate) fn read(file: &dyn DiskFile, index: u64) -> std::io::Result<Entry> {
    let mut bytes = [0; ENTRY_BYTES];
    file.read_exact_at(&mut bytes, index * ENTRY_BYTES as u64)?;
    Ok(Entry::decode(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_kafkas_bytes() {
        let entry = Entry { timestamp: 0x0102_0304, offset: 7 };
        assert_eq!(entry.encode(), [0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 7]);
        assert_eq!(Entry::decode(&entry.encode()), entry);
    }

    #[test]
    fn the_valid_prefix_ascends_and_stays_below_the_end() {
        let entries = [(5, 0), (9, 4), (8, 6), (12, 9)];
        let encode = |&(timestamp, offset): &(i64, i32)| Entry { timestamp, offset }.encode();
        let bytes: Vec<u8> = entries.iter().flat_map(encode).collect();
        assert_eq!(valid_prefix(&bytes, 100).len(), 2);
        assert_eq!(valid_prefix(&bytes, 4).len(), 1);
    }
}
