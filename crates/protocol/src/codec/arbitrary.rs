//! Values of every field type drawn from a seed, for tests of the codec.

use std::borrow::Cow;

use bytes::Bytes;
use chronik_types::Uuid;

use super::{Records, Version};

/// A source of numbers that a seed determines (SplitMix64).
#[derive(Debug)]
pub(crate) struct Generator {
    state: u64,
    /// How many array elements may still be drawn; keeps nested arrays small.
    elements: u64,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self { state: seed, elements: 40 }
    }

    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// An integer whose size in bits varies, so that small ones, and 0 and -1, are common.
    fn integer(&mut self) -> i64 {
        let bits = self.below(65);
        let value = if bits == 0 { 0 } else { self.next() >> (64 - bits) };
        if self.below(2) == 0 { value.cast_signed() } else { !value.cast_signed() }
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = match self.below(10) {
            0 => 0,
            1 => 120 + self.below(20),
            _ => self.below(12),
        };
        (0..length).map(|_| self.next() as u8).collect()
    }

    fn count(&mut self) -> u64 {
        let count = self.below(4).min(self.elements);
        self.elements -= count;
        count
    }
}

/// A type whose values can be drawn, as they can be in version `v`.
pub(crate) trait Arbitrary: Sized {
    fn arbitrary(g: &mut Generator, v: Version) -> Self;
}

macro_rules! integers {
    ($($ty:ty)+) => {$(
        impl Arbitrary for $ty {
            fn arbitrary(g: &mut Generator, _: Version) -> Self {
                g.integer() as Self
            }
        }
    )+};
}

integers!(i8 i16 u16 i32 i64 f64);

impl Arbitrary for bool {
    fn arbitrary(g: &mut Generator, _: Version) -> Self {
        g.below(2) == 0
    }
}

impl Arbitrary for Uuid {
    fn arbitrary(g: &mut Generator, _: Version) -> Self {
        if g.below(4) == 0 { Self::ZERO } else { Self(std::array::from_fn(|_| g.next() as u8)) }
    }
}

impl Arbitrary for Cow<'_, str> {
    fn arbitrary(g: &mut Generator, _: Version) -> Self {
        let letters = ['a', 'Z', '0', '-', '.', 'ß', '字', '🦀'];
        g.bytes().iter().map(|byte| letters[usize::from(*byte) % letters.len()]).collect()
    }
}

impl Arbitrary for Cow<'_, [u8]> {
    fn arbitrary(g: &mut Generator, _: Version) -> Self {
        Cow::Owned(g.bytes())
    }
}

impl Arbitrary for Records<'_> {
    fn arbitrary(g: &mut Generator, _: Version) -> Self {
        match g.below(4) {
            0 => Self::Null,
            1 => Self::EMPTY,
            _ => Self::Chunks((0..g.below(4)).map(|_| Bytes::from(g.bytes())).collect()),
        }
    }
}

impl<T: Arbitrary> Arbitrary for Vec<T> {
    fn arbitrary(g: &mut Generator, v: Version) -> Self {
        (0..g.count()).map(|_| T::arbitrary(g, v)).collect()
    }
}

impl<T: Arbitrary> Arbitrary for Option<T> {
    fn arbitrary(g: &mut Generator, v: Version) -> Self {
        (g.below(4) != 0).then(|| T::arbitrary(g, v))
    }
}
