//! The header of a journal file: which use of the file this is, and what lives before it.
//!
//! The first 4 KiB block holds two copies, each within one sector, so that a crash while a file is
//! headed anew leaves the old header or the new one, and one rotten sector leaves the other copy.

use chronik_types::{BrokerId, DirectoryId, Uuid};

use crate::crc::crc32c;
use crate::fields::Fields;

/// The block of the header; groups begin after it.
pub const HEADER_BYTES: u32 = 4096;
/// The newest format this program reads, and the one it writes.
pub const VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"CHRONIKJ";
const COPY_BYTES: usize = 512;
/// Magic, CRC and the fields below.
const SECOND_COPY_AT: usize = 2048;

/// What a file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// Format version.
    pub version: u32,
    /// The cluster the journal belongs to.
    pub cluster_id: Uuid,
    /// The directory it belongs to.
    pub directory_id: DirectoryId,
    /// The node it belongs to.
    pub node_id: BrokerId,
    /// The place of this use of the file in the order of all, from 1.
    pub sequence: u64,
    /// Drawn anew for each use; seeds the CRCs of its groups.
    pub salt: u64,
    /// The number of the first group in this file.
    pub first_group: u64,
    /// The number of the last group before this file: where the file before it ends. 0 if none.
    pub previous_last_group: u64,
    /// The sequence of the oldest file that must still be read.
    pub oldest_live: u64,
    /// Above every log id used in files before this one.
    pub next_log: u64,
    /// Bytes of the file.
    pub file_bytes: u32,
}

/// What the first block of a file shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderBlock {
    /// Zeros or nothing: prepared, never used.
    Blank,
    /// A header.
    Valid(FileHeader),
    /// A header in a format newer than this program.
    Newer(u32),
    /// Neither copy can be read.
    Damaged,
}

impl FileHeader {
    /// The whole first block.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(COPY_BYTES);
        body.extend_from_slice(&self.version.to_le_bytes());
        body.extend_from_slice(&self.cluster_id.0);
        body.extend_from_slice(&self.directory_id.0.0);
        body.extend_from_slice(&self.node_id.0.to_le_bytes());
        body.extend_from_slice(&self.sequence.to_le_bytes());
        body.extend_from_slice(&self.salt.to_le_bytes());
        body.extend_from_slice(&self.first_group.to_le_bytes());
        body.extend_from_slice(&self.previous_last_group.to_le_bytes());
        body.extend_from_slice(&self.oldest_live.to_le_bytes());
        body.extend_from_slice(&self.next_log.to_le_bytes());
        body.extend_from_slice(&self.file_bytes.to_le_bytes());
        body.resize(COPY_BYTES - 12, 0);
        let mut copy = Vec::with_capacity(HEADER_BYTES as usize);
        copy.extend_from_slice(&MAGIC);
        copy.extend_from_slice(&crc32c(&body).to_le_bytes());
        copy.extend_from_slice(&body);
        let mut block = copy.clone();
        block.resize(SECOND_COPY_AT, 0);
        block.extend_from_slice(&copy);
        block.resize(HEADER_BYTES as usize, 0);
        block
    }

    fn decode(copy: &[u8]) -> HeaderBlock {
        let mut fields = Fields(copy);
        let magic = fields.bytes::<8>();
        let crc = fields.u32();
        if copy.iter().all(|byte| *byte == 0) {
            return HeaderBlock::Blank;
        }
        if magic != Some(MAGIC) || crc != Some(crc32c(fields.0)) {
            return HeaderBlock::Damaged;
        }
        match Self::decode_body(fields) {
            Some(header) if header.version > VERSION => HeaderBlock::Newer(header.version),
            Some(header) => HeaderBlock::Valid(header),
            None => HeaderBlock::Damaged,
        }
    }

    fn decode_body(mut fields: Fields<'_>) -> Option<Self> {
        Some(Self {
            version: fields.u32()?,
            cluster_id: Uuid(fields.bytes()?),
            directory_id: DirectoryId(Uuid(fields.bytes()?)),
            node_id: BrokerId(fields.i32()?),
            sequence: fields.u64()?,
            salt: fields.u64()?,
            first_group: fields.u64()?,
            previous_last_group: fields.u64()?,
            oldest_live: fields.u64()?,
            next_log: fields.u64()?,
            file_bytes: fields.u32()?,
        })
    }
}

/// Reads the first block of a file, or as much of it as there is. Of two headers the newer counts.
pub fn read_block(block: &[u8]) -> HeaderBlock {
    let copy =
        |at: usize| block.get(at..at + COPY_BYTES).map_or(HeaderBlock::Blank, FileHeader::decode);
    match (copy(0), copy(SECOND_COPY_AT)) {
        (HeaderBlock::Newer(version), _) | (_, HeaderBlock::Newer(version)) => {
            HeaderBlock::Newer(version)
        }
        (HeaderBlock::Valid(a), HeaderBlock::Valid(b)) => {
            HeaderBlock::Valid(if a.sequence >= b.sequence { a } else { b })
        }
        (HeaderBlock::Valid(header), _) | (_, HeaderBlock::Valid(header)) => {
            HeaderBlock::Valid(header)
        }
        // One copy begun and the other never written: a first heading that was cut short.
        (HeaderBlock::Blank, _) | (_, HeaderBlock::Blank) => HeaderBlock::Blank,
        (HeaderBlock::Damaged, HeaderBlock::Damaged) => HeaderBlock::Damaged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(sequence: u64) -> FileHeader {
        FileHeader {
            version: VERSION,
            cluster_id: Uuid([1; 16]),
            directory_id: DirectoryId(Uuid([2; 16])),
            node_id: BrokerId(3),
            sequence,
            salt: 5,
            first_group: 6,
            previous_last_group: 4,
            oldest_live: 2,
            next_log: 9,
            file_bytes: 1 << 20,
        }
    }

    #[test]
    fn one_rotten_copy_is_survived_and_two_are_seen() {
        let mut block = header(7).encode();
        assert_eq!(block.len(), 4096);
        assert_eq!(read_block(&block), HeaderBlock::Valid(header(7)));
        block[40] ^= 1;
        assert_eq!(read_block(&block), HeaderBlock::Valid(header(7)));
        block[SECOND_COPY_AT + 3] ^= 1;
        assert_eq!(read_block(&block), HeaderBlock::Damaged);
    }

    #[test]
    fn a_torn_new_header_shows_the_old_one_or_the_new_one() {
        let (old, new) = (header(7).encode(), header(8).encode());
        let mut torn = old.clone();
        torn[..512].copy_from_slice(&new[..512]);
        assert_eq!(read_block(&torn), HeaderBlock::Valid(header(8)));
    }

    #[test]
    fn a_first_heading_cut_short_is_blank() {
        let block = header(1).encode();
        for cut in 0..512 {
            let mut torn = vec![0; 4096];
            torn[..cut].copy_from_slice(&block[..cut]);
            // The last bytes of a copy are zeros: from some length on it is whole.
            assert_ne!(read_block(&torn), HeaderBlock::Damaged);
        }
    }

    #[test]
    fn blank_short_and_newer_blocks_are_named() {
        assert_eq!(read_block(&[0; 4096]), HeaderBlock::Blank);
        assert_eq!(read_block(&[]), HeaderBlock::Blank);
        let newer = FileHeader { version: 2, ..header(1) };
        assert_eq!(read_block(&newer.encode()), HeaderBlock::Newer(2));
    }
}
