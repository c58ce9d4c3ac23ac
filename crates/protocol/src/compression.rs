//! The compression codecs of record batches, as Kafka's clients write and read them.
//!
//! | codec | written | read |
//! |---|---|---|
//! | gzip | one member | one member or several |
//! | snappy | xerial framing, blocks of 32 KiB, as Java | xerial framing, and raw as librdkafka writes |
//! | lz4 | one frame, independent blocks of 64 KiB, no checksums, as Java | one frame of independent blocks |
//! | zstd | one frame with its content size | frames with a window of at most 128 MiB |
//!
//! What Java's consumers cannot read (lz4 with dependent blocks or dictionaries, larger zstd
//! windows) is refused here, so that a batch that is stored can be read by every client.
//!
//! **Invariants**: decompression never yields a byte beyond its bound, and what it holds at once is
//! bounded by the codec's window and the bytes at hand, not by what the input claims.
//!
//! **Not here**: which codec a topic uses (`validate`).

mod lz4;
mod snappy;
mod stream;
#[cfg(test)]
mod tests;

pub use stream::{Decompressor, decompress};

use std::io::Write as _;

/// How the records of a batch are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Not at all.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy blocks.
    Snappy,
    /// The lz4 frame format.
    Lz4,
    /// Zstandard frames (KIP-110).
    Zstd,
}

/// The attributes of a batch name a codec that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no compression codec has the number {0}")]
pub struct UnknownCodec(pub u8);

/// Why bytes could not be decompressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// The bytes are not what the codec writes.
    #[error("not readable as {codec}: {why}")]
    Corrupt {
        /// The codec that was tried.
        codec: Codec,
        /// In the words of the codec.
        why: String,
    },
    /// More comes out than is allowed.
    #[error("decompresses to more than {limit} bytes")]
    TooLarge {
        /// The bound that was given, in bytes.
        limit: usize,
    },
}

/// The codec failed to compress, which none does on its own account but for want of memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("compression with {codec} failed: {why}")]
pub struct CompressError {
    /// The codec.
    pub codec: Codec,
    /// In the words of the codec.
    pub why: String,
}

impl Codec {
    /// Every codec, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The number in the attributes of a batch.
    #[must_use]
    pub fn id(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The codec with this number.
    ///
    /// # Errors
    /// When there is none.
    pub fn from_id(id: u8) -> Result<Self, UnknownCodec> {
        Self::ALL.get(usize::from(id)).copied().ok_or(UnknownCodec(id))
    }

    /// The name in `compression.type`; `none` for no compression.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl std::fmt::Display for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Compresses `bytes`. `level` is Kafka's `compression.<codec>.level`, `None` the codec's default;
/// what lies outside the codec's range is moved into it. lz4 and snappy know one level only.
///
/// # Errors
/// Only for want of memory.
pub fn compress(codec: Codec, level: Option<i32>, bytes: &[u8]) -> Result<Vec<u8>, CompressError> {
    let failed = |e: &dyn std::fmt::Display| CompressError { codec, why: e.to_string() };
    match codec {
        Codec::None => Ok(bytes.to_vec()),
        Codec::Gzip => gzip(level, bytes).map_err(|e| failed(&e)),
        Codec::Snappy => snappy::compress(bytes).map_err(|e| failed(&e)),
        Codec::Lz4 => lz4::compress(bytes).map_err(|e| failed(&e)),
        Codec::Zstd => {
            let range = zstd::compression_level_range();
            let level = level.map_or(zstd::DEFAULT_COMPRESSION_LEVEL, |level| {
                level.clamp(*range.start(), *range.end())
            });
            zstd::bulk::compress(bytes, level).map_err(|e| failed(&e))
        }
    }
}

fn gzip(level: Option<i32>, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    // -1 is Kafka's word for the default.
    let level = match level {
        None | Some(-1) => flate2::Compression::default(),
        Some(level) => flate2::Compression::new(level.clamp(1, 9).unsigned_abs()),
    };
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(bytes.len() / 2), level);
    encoder.write_all(bytes)?;
    encoder.finish()
}
