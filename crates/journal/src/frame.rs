//! The frame of a group: header, directory of entries, payloads, padding to 4 KiB.
//!
//! ```text
//! 0        64                  64 + directory        bytes          next multiple of 4096
//! | header | entry entry entry | payload payload ... | 0 0 0 0 0 0 0 |
//! ```
//!
//! The CRC in the header covers the header, the directory's covers all entries, and each entry with
//! a payload carries the payload's; so the writer never reads a payload.

use crate::crc::salted;
use crate::fields::Fields;

/// Groups begin at multiples of this and are padded to it.
pub const BLOCK_BYTES: u32 = 4096;
/// Bytes of the header.
pub const FRAME_BYTES: usize = 64;

const MAGIC: [u8; 4] = *b"CGRP";
const VERSION: u32 = 1;

/// The header of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// The salt of this use of the file.
    pub salt: u64,
    /// The number of the group, never given twice.
    pub group: u64,
    /// The sequence of the file.
    pub file: u64,
    /// Where in the file the group begins.
    pub position: u32,
    /// Bytes of header, directory and payloads.
    pub bytes: u32,
    /// Bytes of the directory.
    pub directory_bytes: u32,
    /// Number of entries.
    pub count: u32,
    /// CRC of the directory, salted.
    pub directory_crc: u32,
}

impl FrameHeader {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; FRAME_BYTES] {
        let mut body = Vec::with_capacity(FRAME_BYTES);
        body.extend_from_slice(&VERSION.to_le_bytes());
        body.extend_from_slice(&self.group.to_le_bytes());
        body.extend_from_slice(&self.file.to_le_bytes());
        body.extend_from_slice(&self.position.to_le_bytes());
        body.extend_from_slice(&self.bytes.to_le_bytes());
        body.extend_from_slice(&self.directory_bytes.to_le_bytes());
        body.extend_from_slice(&self.count.to_le_bytes());
        body.extend_from_slice(&self.directory_crc.to_le_bytes());
        body.resize(FRAME_BYTES - 16, 0);
        let mut header = [0; FRAME_BYTES];
        let crc = salted(self.salt, &body).to_le_bytes();
        let salt = self.salt.to_le_bytes();
        let bytes = MAGIC.iter().chain(&crc).chain(&salt).chain(&body);
        for (place, byte) in header.iter_mut().zip(bytes) {
            *place = *byte;
        }
        header
    }

    /// The header at the start of `bytes`, if there is one of this use of this file at this place.
    pub fn decode(bytes: &[u8], salt: u64, file: u64, position: u32) -> Option<Self> {
        let mut fields = Fields(bytes.get(..FRAME_BYTES)?);
        if fields.bytes()? != MAGIC {
            return None;
        }
        let crc = fields.u32()?;
        if fields.u64()? != salt || crc != salted(salt, fields.0) || fields.u32()? != VERSION {
            return None;
        }
        let header = Self {
            salt,
            group: fields.u64()?,
            file: fields.u64()?,
            position: fields.u32()?,
            bytes: fields.u32()?,
            directory_bytes: fields.u32()?,
            count: fields.u32()?,
            directory_crc: fields.u32()?,
        };
        let body = header.bytes.checked_sub(u32::try_from(FRAME_BYTES).ok()?)?;
        let fits = header.directory_bytes <= body && header.count <= header.directory_bytes;
        (header.file == file && header.position == position && fits).then_some(header)
    }

    /// Bytes with padding; saturates, so a length out of range fits in no file.
    pub fn padded(&self) -> u32 {
        padded(self.bytes)
    }
}

/// `bytes` rounded up to whole blocks; saturating.
pub fn padded(bytes: u32) -> u32 {
    bytes.checked_next_multiple_of(BLOCK_BYTES).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> FrameHeader {
        FrameHeader {
            salt: 0xABCD,
            group: 12,
            file: 3,
            position: 8192,
            bytes: 5000,
            directory_bytes: 100,
            count: 2,
            directory_crc: 99,
        }
    }

    #[test]
    fn a_header_counts_only_in_its_place_and_use() {
        let bytes = header().encode();
        assert_eq!(FrameHeader::decode(&bytes, 0xABCD, 3, 8192), Some(header()));
        assert_eq!(FrameHeader::decode(&bytes, 0xABCE, 3, 8192), None);
        assert_eq!(FrameHeader::decode(&bytes, 0xABCD, 4, 8192), None);
        assert_eq!(FrameHeader::decode(&bytes, 0xABCD, 3, 4096), None);
        for at in 0..FRAME_BYTES {
            let mut rotten = bytes;
            rotten[at] ^= 0x10;
            assert_eq!(FrameHeader::decode(&rotten, 0xABCD, 3, 8192), None);
        }
    }

    #[test]
    fn padding_is_whole_blocks_and_never_wraps() {
        assert_eq!((padded(1), padded(4096), padded(4097)), (4096, 4096, 8192));
        assert_eq!(padded(u32::MAX), u32::MAX);
    }
}
