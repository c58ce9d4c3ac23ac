//! Decompression piece by piece, with a bound on what comes out.

use std::io::{self, Read as _};

use super::{Codec, DecompressError, lz4, snappy};

/// The largest window a zstd frame may ask for, as a power of two: 128 MiB, which is also where
/// Kafka's clients stop. The window is address space until it is written to, and no more is written
/// to it than comes out.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// What [`decompress`] reads at a time.
const PIECE_BYTES: usize = 32 * 1024;

/// Yields the decompressed form of some bytes piece by piece and refuses to go beyond a limit.
pub struct Decompressor<'a> {
    codec: Codec,
    inner: Inner<'a>,
    /// How many bytes came out. Never more than `limit` without an error.
    yielded: usize,
    limit: usize,
    finished: bool,
}

enum Inner<'a> {
    None(&'a [u8]),
    Gzip(Box<flate2::bufread::MultiGzDecoder<&'a [u8]>>),
    Snappy(snappy::Blocks<'a>),
    Lz4(Box<lz4_flex::frame::FrameDecoder<&'a [u8]>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, &'a [u8]>>),
}

impl<'a> Decompressor<'a> {
    /// Starts to decompress `bytes`; at most `limit` bytes may come out.
    ///
    /// # Errors
    /// [`DecompressError::Corrupt`] when the front of `bytes` already shows it.
    pub fn new(codec: Codec, bytes: &'a [u8], limit: usize) -> Result<Self, DecompressError> {
        let inner = match codec {
            Codec::None => Inner::None(bytes),
            Codec::Gzip => Inner::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(bytes))),
            Codec::Snappy => Inner::Snappy(snappy::Blocks::new(bytes, limit)?),
            Codec::Lz4 => Inner::Lz4(Box::new(lz4::decoder(bytes)?)),
            Codec::Zstd => {
                Inner::Zstd(Box::new(zstd_decoder(bytes).map_err(|e| corrupt(codec, &e))?))
            }
        };
        Ok(Self { codec, inner, yielded: 0, limit, finished: false })
    }

    /// Fills the front of `out` and says how much; 0 only at the end (or for an empty `out`).
    ///
    /// # Errors
    /// [`DecompressError`]; do not read on after one.
    pub fn read(&mut self, out: &mut [u8]) -> Result<usize, DecompressError> {
        if self.finished || out.is_empty() {
            return Ok(0);
        }
        let read = match &mut self.inner {
            Inner::None(bytes) => bytes.read(out),
            Inner::Gzip(decoder) => decoder.read(out),
            Inner::Snappy(blocks) => Ok(blocks.read(out)?),
            Inner::Lz4(decoder) => decoder.read(out),
            Inner::Zstd(decoder) => decoder.read(out),
        };
        let count = read.map_err(|e| corrupt(self.codec, &e))?;
        // An lz4 decoder would go on with a frame that follows; Kafka's clients do not.
        self.finished = count == 0;
        self.yielded = self.yielded.saturating_add(count);
        if self.yielded > self.limit {
            return Err(DecompressError::TooLarge { limit: self.limit });
        }
        Ok(count)
    }
}

impl std::fmt::Debug for Decompressor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decompressor")
            .field("codec", &self.codec)
            .field("yielded", &self.yielded)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// Decompresses `bytes` at once; at most `max_out` bytes may come out.
///
/// # Errors
/// [`DecompressError`].
pub fn decompress(codec: Codec, bytes: &[u8], max_out: usize) -> Result<Vec<u8>, DecompressError> {
    let mut source = Decompressor::new(codec, bytes, max_out)?;
    let mut out = Vec::new();
    let mut filled = 0;
    loop {
        if filled == out.len() {
            // Doubling, so that the memory follows what really came out.
            out.resize(filled.saturating_mul(2).max(PIECE_BYTES), 0);
        }
        let count = source.read(out.get_mut(filled..).unwrap_or_default())?;
        if count == 0 {
            out.truncate(filled);
            return Ok(out);
        }
        filled += count;
    }
}

fn zstd_decoder(bytes: &[u8]) -> io::Result<zstd::stream::read::Decoder<'static, &[u8]>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

fn corrupt(codec: Codec, error: &io::Error) -> DecompressError {
    DecompressError::Corrupt { codec, why: error.to_string() }
}
