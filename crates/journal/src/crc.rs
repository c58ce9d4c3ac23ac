//! CRC-32C, the checksum of Kafka's batches and of the journal.

use crc_fast::{CrcAlgorithm, Digest, checksum_combine, crc32_iscsi};

/// Bytes of a batch before the part its own CRC covers; the CRC is in the last four.
const BATCH_PREFIX_BYTES: usize = 21;
/// Below this, computing is cheaper than combining.
const COMBINE_BYTES_MIN: usize = 64 << 10;

/// CRC-32C of `bytes`.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc32_iscsi(bytes)
}

/// CRC-32C of `bytes` after the eight bytes of `salt`, so that bytes of another use of a file, or
/// bytes a client chose, do not pass.
#[must_use]
pub fn salted(salt: u64, bytes: &[u8]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(&salt.to_le_bytes());
    digest.update(bytes);
    u32::try_from(digest.finalize()).unwrap_or(0)
}

/// CRC-32C of a whole record batch whose own CRC has been verified, derived from that one when that
/// is cheaper than reading the batch again; `None` when it is not.
#[must_use]
pub fn batch_crc(batch: &[u8]) -> Option<u32> {
    if batch.len() < COMBINE_BYTES_MIN {
        return None;
    }
    let (prefix, rest) = batch.split_at_checked(BATCH_PREFIX_BYTES)?;
    let own = prefix.last_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))?;
    let algorithm = CrcAlgorithm::Crc32Iscsi;
    let whole = checksum_combine(algorithm, crc32c(prefix).into(), own.into(), rest.len() as u64);
    u32::try_from(whole).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_answer() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_ne!(salted(1, b"123456789"), salted(2, b"123456789"));
    }

    #[test]
    fn the_crc_of_a_batch_follows_from_its_own() {
        let mut batch: Vec<u8> = (0..100_000u32).map(|n| (n ^ (n >> 7)) as u8).collect();
        let own = crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&own.to_be_bytes());
        assert_eq!(batch_crc(&batch), Some(crc32c(&batch)));
        assert_eq!(batch_crc(&batch[..1_000]), None);
    }
}
