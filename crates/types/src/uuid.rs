//! Sixteen bytes that name something, written as Kafka writes them.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Sixteen bytes, shown as 22 characters of URL-safe base64 without padding, as Kafka does.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// All zeros: the wire's word for "none".
    pub const ZERO: Self = Self([0; 16]);

    /// A version 4 (random) uuid from `entropy`. Kafka redraws ids whose text starts with a dash,
    /// because command lines mistake them for options; so callers should redraw on
    /// [`Uuid::starts_with_dash`].
    #[must_use]
    pub fn from_entropy(entropy: [u8; 16]) -> Self {
        let mut n = u128::from_be_bytes(entropy);
        n = (n & !(0xF000 << 64)) | (0x4000 << 64);
        n = (n & !(0b11 << 62)) | (0b10 << 62);
        Self(n.to_be_bytes())
    }

    /// Whether the text form starts with `-`.
    #[must_use]
    pub fn starts_with_dash(&self) -> bool {
        // The first base64 digit holds the first six bits; '-' stands for 62.
        self.0[0] >> 2 == 62
    }
}

/// In the order of the bytes, as one number: ids are keys of the largest maps there are.
impl Ord for Uuid {
    #[inline]
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        u128::from_be_bytes(self.0).cmp(&u128::from_be_bytes(other.0))
    }
}

impl PartialOrd for Uuid {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not the 22 characters of a Kafka uuid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a uuid in Kafka's form (22 characters of URL-safe base64)")]
pub struct ParseUuidError;

impl FromStr for Uuid {
    type Err = ParseUuidError;

    fn from_str(text: &str) -> Result<Self, ParseUuidError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| ParseUuidError)?;
        bytes.try_into().map(Self).map_err(|_| ParseUuidError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_is_22_characters() {
        let uuid = Uuid::from_entropy([0xAB; 16]);
        assert_eq!(uuid.to_string().len(), 22);
        assert_eq!(uuid.to_string().parse(), Ok(uuid));
        assert_eq!(Uuid::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!("short".parse::<Uuid>(), Err(ParseUuidError));
    }

    #[test]
    fn random_uuids_carry_version_and_variant() {
        let uuid = Uuid::from_entropy([0xFF; 16]);
        assert_eq!(uuid.0[6] >> 4, 4);
        assert_eq!(uuid.0[8] >> 6, 0b10);
    }

    proptest::proptest! {
        #[test]
        fn uuids_are_in_the_order_of_their_bytes(a: [u8; 16], b: [u8; 16], shared in 0usize..=16) {
            let mut b = b;
            b[..shared].copy_from_slice(&a[..shared]);
            assert_eq!(Uuid(a).cmp(&Uuid(b)), a.cmp(&b));
        }
    }

    #[test]
    fn a_leading_dash_is_seen_from_the_first_byte() {
        for first in 0..=255u8 {
            let mut bytes = [0; 16];
            bytes[0] = first;
            let uuid = Uuid(bytes);
            assert_eq!(uuid.starts_with_dash(), uuid.to_string().starts_with('-'));
        }
    }
}
