//! `.index`: at which position of the segment a batch begins, for about every 4 KiB.
//!
//! Entries of 8 bytes, big-endian: the batch's last offset minus the segment's base offset (i32),
//! its position (i32). Both ascend strictly.

use chronik_env::DiskFile;

/// Bytes of an entry.
pub(crate) const ENTRY_BYTES: usize = 8;

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Last offset of the batch, relative to the base offset.
    pub(crate) offset: i32,
    /// Where the batch begins.
    pub(crate) position: i32,
}

impl Entry {
    pub(crate) fn encode(self) -> [u8; ENTRY_BYTES] {
        let ([a, b, c, d], [e, f, g, h]) = (self.offset.to_be_bytes(), self.position.to_be_bytes());
        [a, b, c, d, e, f, g, h]
    }

    pub(crate) fn decode(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let &[a, b, c, d, e, f, g, h] = bytes;
        Self {
            offset: i32::from_be_bytes([a, b, c, d]),
            position: i32::from_be_bytes([e, f, g, h]),
        }
    }
}

/// How many entries at the front of `bytes` belong to a segment of `segment_bytes` that ends at
/// `end` (relative), and the last of them. What follows was written by a flush that never counted.
pub(crate) fn valid_prefix(bytes: &[u8], segment_bytes: u64, end: i64) -> (u64, Option<Entry>) {
    let mut last: Option<Entry> = None;
    let mut count = 0;
    for chunk in bytes.chunks_exact(ENTRY_BYTES) {
        let Ok(chunk) = chunk.try_into() else { break };
        let entry = Entry::decode(chunk);
        let ascends = match last {
            Some(before) => entry.offset > before.offset && entry.position > before.position,
            None => entry.offset >= 0 && entry.position >= 0,
        };
        let within = u64::try_from(entry.position).is_ok_and(|at| at < segment_bytes)
            && i64::from(entry.offset) < end;
        if !ascends || !within {
            break;
        }
        last = Some(entry);
        count += 1;
    }
    (count, last)
}

/// A position at or before the batch that holds `target` (relative), among the first `entries`.
pub(crate) fn lookup(file: &dyn DiskFile, entries: u64, target: i64) -> std::io::Result<u64> {
    let (mut low, mut high) = (0, entries);
    let mut position = 0;
    while low < high {
        let middle = low + (high - low) / 2;
        let mut bytes = [0; ENTRY_BYTES];
        file.read_exact_at(&mut bytes, middle * ENTRY_BYTES as u64)?;
        let entry = Entry::decode(&bytes);
        if i64::from(entry.offset) <= target {
            position = u64::try_from(entry.position).unwrap_or(0);
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_kafkas_bytes() {
        let entry = Entry { offset: 0x0102, position: 0x0A0B0C };
        assert_eq!(entry.encode(), [0, 0, 1, 2, 0, 0x0A, 0x0B, 0x0C]);
        assert_eq!(Entry::decode(&entry.encode()), entry);
    }

    #[test]
    fn what_does_not_ascend_or_lies_beyond_the_segment_does_not_count() {
        let encode = |entries: &[(i32, i32)]| -> Vec<u8> {
            let entry = |&(offset, position): &(i32, i32)| Entry { offset, position }.encode();
            entries.iter().flat_map(entry).collect()
        };
        let bytes = encode(&[(3, 100), (9, 200), (9, 300)]);
        assert_eq!(valid_prefix(&bytes, 1_000, 50).0, 2);
        assert_eq!(valid_prefix(&bytes, 200, 50).0, 1);
        assert_eq!(valid_prefix(&bytes, 1_000, 9).0, 1);
        let bytes = encode(&[(3, 100), (0, 0)]);
        assert_eq!(valid_prefix(&bytes, 1_000, 50), (1, Some(Entry { offset: 3, position: 100 })));
    }
}
