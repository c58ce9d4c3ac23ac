//! Snappy in the two forms Kafka's clients write: Java's stream of blocks (the xerial framing) and
//! one raw block.

use std::io;

use super::{Codec, DecompressError};

const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
/// Version and lowest compatible version, both 1, big-endian.
const VERSIONS: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];
/// What Java's `SnappyOutputStream` takes at a time.
const BLOCK_BYTES: usize = 32 * 1024;
/// No element of a snappy block yields more than 64 bytes for 3, so a block that claims more than
/// this times its size lies, and gets no memory.
const MAX_EXPANSION: usize = 22;

pub(super) fn compress(bytes: &[u8]) -> Result<Vec<u8>, snap::Error> {
    let mut out = Vec::with_capacity(16 + bytes.len() / 2);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSIONS);
    let mut encoder = snap::raw::Encoder::new();
    let mut block = vec![0; snap::raw::max_compress_len(BLOCK_BYTES.min(bytes.len()))];
    for chunk in bytes.chunks(BLOCK_BYTES) {
        let written = encoder.compress(chunk, &mut block)?;
        out.extend_from_slice(&(written as u32).to_be_bytes());
        out.extend_from_slice(block.get(..written).unwrap_or_default());
    }
    Ok(out)
}

/// Yields the blocks one after the other; holds the decompressed form of one.
pub(super) struct Blocks<'a> {
    rest: &'a [u8],
    raw: bool,
    block: Vec<u8>,
    /// How much of `block` has been read.
    taken: usize,
    /// How many bytes the blocks to come may still yield.
    left: usize,
    limit: usize,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(bytes: &'a [u8], limit: usize) -> Result<Self, DecompressError> {
        let (raw, rest) = match bytes.strip_prefix(&MAGIC) {
            None => (true, bytes),
            Some(after) => (false, skip_versions(after)?),
        };
        Ok(Self { rest, raw, block: Vec::new(), taken: 0, left: limit, limit })
    }

    pub(super) fn read(&mut self, out: &mut [u8]) -> Result<usize, DecompressError> {
        loop {
            let ready = self.block.get(self.taken..).unwrap_or_default();
            if !ready.is_empty() {
                let count = ready.len().min(out.len());
                for (to, from) in out.iter_mut().zip(ready) {
                    *to = *from;
                }
                self.taken += count;
                return Ok(count);
            }
            let Some(block) = self.next_block()? else { return Ok(0) };
            self.decompress(block)?;
        }
    }

    fn next_block(&mut self) -> Result<Option<&'a [u8]>, DecompressError> {
        loop {
            if self.rest.is_empty() {
                return Ok(None);
            }
            if self.raw {
                return Ok(Some(std::mem::take(&mut self.rest)));
            }
            // Streams written one after the other repeat the header.
            if let Some(after) = self.rest.strip_prefix(&MAGIC) {
                self.rest = skip_versions(after)?;
                continue;
            }
            let (length, rest) =
                self.rest.split_first_chunk().ok_or_else(|| corrupt("a block is cut short"))?;
            let length = u32::from_be_bytes(*length) as usize;
            let (block, rest) =
                rest.split_at_checked(length).ok_or_else(|| corrupt("a block is cut short"))?;
            self.rest = rest;
            return Ok(Some(block));
        }
    }

    fn decompress(&mut self, block: &[u8]) -> Result<(), DecompressError> {
        let bytes = snap::raw::decompress_len(block).map_err(|e| corrupt(&e.to_string()))?;
        if bytes > block.len().saturating_mul(MAX_EXPANSION) {
            return Err(corrupt("a block claims more than it can hold"));
        }
        self.left =
            self.left.checked_sub(bytes).ok_or(DecompressError::TooLarge { limit: self.limit })?;
        self.taken = 0;
        self.block.clear();
        self.block.resize(bytes, 0);
        snap::raw::Decoder::new()
            .decompress(block, &mut self.block)
            .map_err(|e| corrupt(&e.to_string()))?;
        Ok(())
    }
}

fn skip_versions(bytes: &[u8]) -> Result<&[u8], DecompressError> {
    let (versions, rest) =
        bytes.split_first_chunk::<8>().ok_or_else(|| corrupt("the stream header is cut short"))?;
    if versions.first_chunk() == Some(&[0; 4]) {
        return Err(corrupt("stream version 0"));
    }
    Ok(rest)
}

fn corrupt(why: &str) -> DecompressError {
    DecompressError::Corrupt { codec: Codec::Snappy, why: why.to_owned() }
}

impl From<snap::Error> for DecompressError {
    fn from(error: snap::Error) -> Self {
        corrupt(&io::Error::from(error).to_string())
    }
}
