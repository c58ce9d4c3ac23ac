//! The variable-length integers inside records: zigzag, least significant group first.
//!
//! **Invariants**: a reader never looks past the slice and takes at most 5 bytes for 32 bits and
//! 10 for 64; what does not fit its type is refused, never cut.
//!
//! **Not here**: the unsigned varints of flexible messages, which belong to the message codec.

use bytes::BufMut;

/// The bytes end inside the number, or say a number too large for its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a variable-length integer is cut short or too long")]
pub struct VarintError;

/// The most bytes a 32-bit number takes.
pub const MAX_VARINT_BYTES: usize = 5;
/// The most bytes a 64-bit number takes.
pub const MAX_VARLONG_BYTES: usize = 10;

/// Reads a zigzag 32-bit number from the front of `bytes` and moves `bytes` behind it.
///
/// # Errors
/// When the bytes end too soon or the number needs more than 32 bits; `bytes` is then unchanged.
#[inline]
pub fn read_varint(bytes: &mut &[u8]) -> Result<i32, VarintError> {
    // Almost every number in a record fits one byte.
    if let Some((&first, rest)) = bytes.split_first()
        && first < 0x80
    {
        *bytes = rest;
        return Ok(zigzag_to_i32(u32::from(first)));
    }
    let (raw, rest) = read_raw(bytes, MAX_VARINT_BYTES)?;
    let raw = u32::try_from(raw).map_err(|_| VarintError)?;
    *bytes = rest;
    Ok(zigzag_to_i32(raw))
}

/// Reads a zigzag 64-bit number from the front of `bytes` and moves `bytes` behind it.
///
/// # Errors
/// When the bytes end too soon or the number needs more than 64 bits; `bytes` is then unchanged.
#[inline]
pub fn read_varlong(bytes: &mut &[u8]) -> Result<i64, VarintError> {
    let (raw, rest) = read_raw(bytes, MAX_VARLONG_BYTES)?;
    *bytes = rest;
    Ok(zigzag_to_i64(raw))
}

/// Writes `value` as a zigzag 32-bit number.
#[inline]
pub fn write_varint(out: &mut impl BufMut, value: i32) {
    write_raw(out, u64::from(zigzag_from_i32(value)));
}

/// Writes `value` as a zigzag 64-bit number.
#[inline]
pub fn write_varlong(out: &mut impl BufMut, value: i64) {
    write_raw(out, zigzag_from_i64(value));
}

/// How many bytes [`write_varint`] takes for `value`.
#[must_use]
pub fn varint_bytes(value: i32) -> usize {
    raw_bytes(u64::from(zigzag_from_i32(value)))
}

/// How many bytes [`write_varlong`] takes for `value`.
#[must_use]
pub fn varlong_bytes(value: i64) -> usize {
    raw_bytes(zigzag_from_i64(value))
}

/// A number that arrives byte by byte, for readers that have no slice of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Accumulator {
    raw: u64,
    shift: u32,
}

impl Accumulator {
    /// Takes the next byte; the unsigned number once it was the last one.
    #[inline]
    pub(crate) fn push(&mut self, byte: u8) -> Result<Option<u64>, VarintError> {
        let group = u64::from(byte & 0x7F);
        // The tenth byte holds the 64th bit alone.
        if self.shift > 63 || (self.shift == 63 && group > 1) {
            return Err(VarintError);
        }
        self.raw |= group << self.shift;
        self.shift += 7;
        Ok((byte < 0x80).then_some(self.raw))
    }
}

#[inline]
fn read_raw(bytes: &[u8], most: usize) -> Result<(u64, &[u8]), VarintError> {
    let mut number = Accumulator::default();
    let mut rest = bytes;
    for _ in 0..most {
        let (&byte, after) = rest.split_first().ok_or(VarintError)?;
        rest = after;
        if let Some(raw) = number.push(byte)? {
            return Ok((raw, rest));
        }
    }
    Err(VarintError)
}

fn write_raw(out: &mut impl BufMut, mut raw: u64) {
    while raw >= 0x80 {
        out.put_u8((raw & 0x7F) as u8 | 0x80);
        raw >>= 7;
    }
    out.put_u8(raw as u8);
}

fn raw_bytes(raw: u64) -> usize {
    let bits = (64 - raw.leading_zeros()).max(1);
    bits.div_ceil(7) as usize
}

#[inline]
pub(crate) fn zigzag_to_i32(raw: u32) -> i32 {
    (raw >> 1) as i32 ^ -((raw & 1) as i32)
}

#[inline]
pub(crate) fn zigzag_to_i64(raw: u64) -> i64 {
    (raw >> 1) as i64 ^ -((raw & 1) as i64)
}

fn zigzag_from_i32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

fn zigzag_from_i64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn varlong(value: i64) -> Vec<u8> {
        let mut out = Vec::new();
        write_varlong(&mut out, value);
        out
    }

    fn varint(value: i32) -> Vec<u8> {
        let mut out = Vec::new();
        write_varint(&mut out, value);
        out
    }

    #[test]
    fn known_encodings() {
        assert_eq!(varint(0), [0]);
        assert_eq!(varint(-1), [1]);
        assert_eq!(varint(63), [0x7E]);
        assert_eq!(varint(-65), [0x81, 0x01]);
        assert_eq!(varint(i32::MAX), [0xFE, 0xFF, 0xFF, 0xFF, 0x0F]);
        assert_eq!(varint(i32::MIN), [0xFF, 0xFF, 0xFF, 0xFF, 0x0F]);
        assert_eq!(varlong(i64::MIN), [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]);
    }

    #[test]
    fn what_does_not_fit_is_refused_and_nothing_is_taken() {
        for bad in [
            &[][..],
            &[0x80],
            &[0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
            &[0xFF, 0xFF, 0xFF, 0xFF, 0x1F],
        ] {
            let mut rest = bad;
            assert_eq!(read_varint(&mut rest), Err(VarintError), "{bad:?}");
            assert_eq!(rest, bad);
        }
        let mut eleven = &[0x80; 11][..];
        assert_eq!(read_varlong(&mut eleven), Err(VarintError));
        let mut sixty_five_bits = &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02][..];
        assert_eq!(read_varlong(&mut sixty_five_bits), Err(VarintError));
    }

    proptest! {
        #[test]
        fn every_number_round_trips(small: i32, large: i64) {
            let bytes = varint(small);
            prop_assert_eq!(bytes.len(), varint_bytes(small));
            let mut rest = &bytes[..];
            prop_assert_eq!(read_varint(&mut rest), Ok(small));
            prop_assert!(rest.is_empty());

            let bytes = varlong(large);
            prop_assert_eq!(bytes.len(), varlong_bytes(large));
            let mut rest = &bytes[..];
            prop_assert_eq!(read_varlong(&mut rest), Ok(large));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..16)) {
            let _ = read_varint(&mut &bytes[..]);
            let _ = read_varlong(&mut &bytes[..]);
        }
    }
}
