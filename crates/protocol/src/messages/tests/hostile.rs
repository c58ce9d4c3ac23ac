//! Bytes that are no message: no panic, no memory beyond what they justify, no misreading.

use std::fmt::Debug;

use super::super::*;
use super::{encoded, for_seeds, message};
use crate::codec::allocations::peak_bytes;
use crate::codec::arbitrary::Generator;
use crate::codec::{Decode, DecodeError, Encode, Reader, Versioned, decode_whole};

/// Decodes under the allocation bound. While a vector grows, its old and new memory exist at
/// once, and the new is twice the old.
fn decode_bounded<'a, M: Decode<'a>>(bytes: &'a [u8], version: i16) -> Result<M, DecodeError> {
    let (decoded, peak) = peak_bytes(|| decode_whole::<M>(bytes, version));
    let bound = 3 * (Reader::MEMORY_FREE + Reader::MEMORY_PER_BYTE * bytes.len());
    assert!(peak <= bound, "{peak} bytes allocated for {} received", bytes.len());
    decoded
}

/// What decodes although it was damaged is a message like any other.
fn must_survive<'a, M>(bytes: &'a [u8], version: i16)
where
    M: Decode<'a> + Encode + PartialEq + Debug + Clone,
{
    if let Ok(decoded) = decode_bounded::<M>(bytes, version) {
        assert!(!encoded(&decoded, version).is_empty() || bytes.is_empty());
    }
}

fn damaged(bytes: &[u8], g: &mut Generator) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=g.below(3) {
        let at = g.below(bytes.len().max(1) as u64) as usize;
        match g.below(4) {
            0 => bytes.insert(at, g.next() as u8),
            _ if bytes.is_empty() => bytes.push(g.next() as u8),
            1 => drop(bytes.remove(at)),
            2 => bytes[at] = [0x00, 0x7F, 0x80, 0xFF][g.below(4) as usize],
            _ => bytes[at] ^= 1 << g.below(8),
        }
    }
    bytes
}

macro_rules! survives {
    ($name:ident, $seed:ident) => {
        for version in $name::MIN..=$name::MAX {
            let mut g = Generator::new($seed);
            let whole = encoded(&message::<$name>(&mut g, version), version);
            for _ in 0..4 {
                must_survive::<$name>(&damaged(&whole, &mut g), version);
            }
            let length = g.below(64);
            let noise: Vec<u8> = (0..length).map(|_| g.next() as u8).collect();
            must_survive::<$name>(&noise, version);
        }
    };
}

macro_rules! notices_length {
    ($name:ident, $seed:ident) => {
        for version in $name::MIN..=$name::MAX {
            let mut g = Generator::new($seed);
            let mut whole = encoded(&message::<$name>(&mut g, version), version);
            for end in (0..whole.len()).step_by(1 + whole.len() / 40) {
                let cut = decode_bounded::<$name>(&whole[..end], version);
                assert!(cut.is_err(), "{} {version} cut at {end}: {cut:?}", stringify!($name));
            }
            whole.push(0);
            let longer = decode_bounded::<$name>(&whole, version);
            assert_eq!(
                longer,
                Err(DecodeError::TrailingBytes(1)),
                "{} {version}",
                stringify!($name)
            );
        }
    };
}

/// A count of two thousand million in every place where the first bytes may be one.
macro_rules! reserves_little {
    ($name:ident) => {
        for version in $name::MIN..=$name::MAX {
            for zeros in 0..24 {
                for count in [&[0x7F, 0xFF, 0xFF, 0xFF][..], &[0xFF, 0xFF, 0xFF, 0xFF, 0x07][..]] {
                    let bytes = [&vec![0; zeros][..], count, &[0; 16][..]].concat();
                    let (_, peak) = peak_bytes(|| decode_whole::<$name>(&bytes, version).is_ok());
                    assert!(peak < 2048, "{} {version}: {peak}", stringify!($name));
                }
            }
        }
    };
}

macro_rules! tests {
    ($($api:ident: $request:ident $(<$q:lifetime>)?, $response:ident $(<$s:lifetime>)?;)+) => {
        #[test]
        fn damaged_messages_and_noise_are_survived() {
            for_seeds(48, |seed| {
                $(survives!($request, seed);)+
                $(survives!($response, seed);)+
            });
        }

        #[test]
        fn a_message_cut_short_or_too_long_is_refused() {
            for_seeds(6, |seed| {
                $(notices_length!($request, seed);)+
                $(notices_length!($response, seed);)+
            });
        }

        #[test]
        fn a_count_reserves_no_memory() {
            $(reserves_little!($request);)+
            $(reserves_little!($response);)+
        }

        #[test]
        fn any_request_reads_what_the_request_reads() {
            for_seeds(2, |seed| {
                $({
                    let version = $request::MAX;
                    let request: $request = message(&mut Generator::new(seed), version);
                    let bytes = encoded(&request, version);
                    let any = AnyRequest::decode(crate::api::ApiKey::$api, version, &bytes);
                    assert_eq!(any, Ok(AnyRequest::$api(request)));
                    assert_eq!(any.unwrap().key(), crate::api::ApiKey::$api);
                })+
            });
        }
    };
}

each_api!(tests);

#[test]
fn a_flood_of_empty_elements_is_refused_before_it_takes_memory() {
    // DeleteTopics v5: a million names of one byte each, which is the length of an empty string.
    let mut flood = vec![0xC1, 0x84, 0x3D];
    flood.resize(flood.len() + 1_000_000, 1);
    flood.extend([0, 0, 0, 0, 0]);
    let (decoded, peak) = peak_bytes(|| decode_whole::<DeleteTopicsRequest>(&flood, 5));
    assert_eq!(decoded, Err(DecodeError::TooManyElements));
    assert_eq!(peak, 0);
}
