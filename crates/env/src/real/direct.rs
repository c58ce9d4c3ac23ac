//! Writes past the page cache: slices of any shape, gathered in aligned memory.
//!
//! # Invariants
//!
//! - What is handed to the system is aligned: its address, its position and its length.
//! - The memory is as large as the largest write so far, and never larger than a chunk.

use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::os::unix::fs::FileExt as _;

use crate::DIRECT_ALIGNMENT;

/// Bytes of one write. A larger one goes out in several.
const CHUNK_BYTES: usize = 1 << 20;

/// Turns slices into aligned writes.
#[derive(Default)]
pub struct Gatherer {
    /// Longer by one alignment than what is used of it.
    memory: Vec<u8>,
}

impl Gatherer {
    /// Writes all slices from `position`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when position or length are not aligned, or what the system says.
    pub fn write(
        &mut self,
        file: &File,
        slices: &[IoSlice<'_>],
        mut position: u64,
    ) -> io::Result<()> {
        let mut rest: usize = slices.iter().map(|slice| slice.len()).sum();
        if !rest.is_multiple_of(DIRECT_ALIGNMENT)
            || !position.is_multiple_of(DIRECT_ALIGNMENT as u64)
        {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut slices = slices.iter();
        let mut slice: &[u8] = &[];
        while rest > 0 {
            let chunk = self.memory(rest.min(CHUNK_BYTES));
            let mut room = &mut *chunk;
            while !room.is_empty() {
                if slice.is_empty() {
                    let Some(next) = slices.next() else { break };
                    slice = next;
                }
                let taken = room.write(slice)?;
                slice = slice.get(taken..).unwrap_or_default();
            }
            write_blocks(file, chunk, position)?;
            position = position.saturating_add(chunk.len() as u64);
            rest -= chunk.len();
        }
        Ok(())
    }

    /// Aligned memory of `bytes`, with whatever is in it.
    fn memory(&mut self, bytes: usize) -> &mut [u8] {
        if self.memory.len() < bytes + DIRECT_ALIGNMENT {
            // The old memory goes first: nothing in it is needed.
            self.memory = Vec::new();
            self.memory = vec![0; bytes.next_power_of_two() + DIRECT_ALIGNMENT];
        }
        let start = self.memory.as_ptr().align_offset(DIRECT_ALIGNMENT).min(DIRECT_ALIGNMENT);
        self.memory.get_mut(start..start + bytes).unwrap_or_default()
    }
}

/// Writes whole blocks, carrying on behind the last whole one after a short write.
fn write_blocks(file: &File, mut blocks: &[u8], mut position: u64) -> io::Result<()> {
    while !blocks.is_empty() {
        let written = match file.write_at(blocks, position) {
            Ok(written) => written / DIRECT_ALIGNMENT * DIRECT_ALIGNMENT,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        blocks = blocks.get(written..).unwrap_or_default();
        position = position.saturating_add(written as u64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_aligned_grows_on_demand_and_stays() {
        let mut gatherer = Gatherer::default();
        for (bytes, held) in [(4_096, 4_096), (12_288, 16_384), (4_096, 16_384)] {
            let memory = gatherer.memory(bytes);
            assert_eq!((memory.len(), memory.as_ptr().addr() % DIRECT_ALIGNMENT), (bytes, 0));
            assert_eq!(gatherer.memory.len(), held + DIRECT_ALIGNMENT);
        }
    }
}
