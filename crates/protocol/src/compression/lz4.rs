//! lz4 frames as Java's client writes them, and a check that a frame is one it can read.

use std::io::Write as _;

use lz4_flex::frame::{BlockMode, BlockSize, Error, FrameDecoder, FrameEncoder, FrameInfo};

use super::{Codec, DecompressError};

const MAGIC: [u8; 4] = 0x184D_2204_u32.to_le_bytes();
const BLOCKS_INDEPENDENT: u8 = 0b0010_0000;
const DICTIONARY: u8 = 0b0000_0001;

pub(super) fn compress(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let form = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(form, Vec::with_capacity(bytes.len() / 2));
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// A decoder of the frame at the front of `bytes`. It holds one block, at most 4 MiB, twice.
pub(super) fn decoder(bytes: &[u8]) -> Result<FrameDecoder<&[u8]>, DecompressError> {
    let refuse = |why: &str| DecompressError::Corrupt { codec: Codec::Lz4, why: why.to_owned() };
    let Some((magic, [flags, ..])) = bytes.split_first_chunk::<4>() else {
        return Err(refuse("shorter than a frame header"));
    };
    if *magic != MAGIC {
        return Err(refuse("not a frame"));
    }
    if flags & BLOCKS_INDEPENDENT == 0 || flags & DICTIONARY != 0 {
        return Err(refuse("dependent blocks and dictionaries cannot be read by Kafka's clients"));
    }
    Ok(FrameDecoder::new(bytes))
}
