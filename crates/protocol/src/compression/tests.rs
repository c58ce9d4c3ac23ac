use proptest::prelude::*;

use super::*;

const COMPRESSED: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

/// Text-like, so that codecs find something, with runs and noise.
fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..2000),
        (any::<u8>(), 0usize..200_000).prop_map(|(byte, count)| vec![byte; count]),
        (proptest::collection::vec(b'a'..b'e', 1..50), 1usize..4000)
            .prop_map(|(word, times)| word.repeat(times)),
    ]
}

fn refused(codec: Codec, bytes: &[u8], max_out: usize) -> DecompressError {
    decompress(codec, bytes, max_out).expect_err("must be refused")
}

#[test]
fn numbers_and_codecs_match() {
    for (id, codec) in Codec::ALL.into_iter().enumerate() {
        assert_eq!(usize::from(codec.id()), id);
        assert_eq!(Codec::from_id(id as u8), Ok(codec));
    }
    assert_eq!(Codec::from_id(5), Err(UnknownCodec(5)));
}

#[test]
fn any_level_is_moved_into_the_range_of_the_codec() {
    let bytes = b"chronik".repeat(100);
    for codec in COMPRESSED {
        for level in [i32::MIN, -1, 0, 1, 9, 19, i32::MAX] {
            let packed = compress(codec, Some(level), &bytes).unwrap();
            assert_eq!(decompress(codec, &packed, bytes.len()).unwrap(), bytes, "{codec} {level}");
        }
    }
}

#[test]
fn the_bound_is_exact() {
    let bytes = vec![7; 100_000];
    for codec in Codec::ALL {
        let packed = compress(codec, None, &bytes).unwrap();
        assert_eq!(decompress(codec, &packed, 100_000).unwrap(), bytes, "{codec}");
        let too_large = DecompressError::TooLarge { limit: 99_999 };
        assert_eq!(refused(codec, &packed, 99_999), too_large, "{codec}");
    }
}

#[test]
fn java_frames_are_written() {
    let bytes = vec![7; 100_000];
    let snappy = compress(Codec::Snappy, None, &bytes).unwrap();
    assert!(snappy.starts_with(b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01"));
    // 100 000 bytes are four blocks of at most 32 KiB.
    let mut blocks = 0;
    let mut rest = &snappy[16..];
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        assert!(snap::raw::decompress_len(&rest[4..4 + length]).unwrap() <= 32 * 1024);
        rest = &rest[4 + length..];
        blocks += 1;
    }
    assert_eq!(blocks, 4);

    let lz4 = compress(Codec::Lz4, None, &bytes).unwrap();
    // Version 1, independent blocks, no checksums, no size; blocks of 64 KiB.
    assert_eq!(lz4[..6], [0x04, 0x22, 0x4D, 0x18, 0x60, 0x40]);
}

#[test]
fn raw_snappy_is_read() {
    let bytes = b"librdkafka ".repeat(1000);
    let raw = snap::raw::Encoder::new().compress_vec(&bytes).unwrap();
    assert_eq!(decompress(Codec::Snappy, &raw, bytes.len()).unwrap(), bytes);
    let limit = bytes.len() - 1;
    assert_eq!(refused(Codec::Snappy, &raw, limit), DecompressError::TooLarge { limit });
}

#[test]
fn streams_written_one_after_the_other_are_one() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Zstd] {
        let mut packed = compress(codec, None, b"one ").unwrap();
        packed.extend(compress(codec, None, b"two").unwrap());
        assert_eq!(decompress(codec, &packed, 7).unwrap(), b"one two", "{codec}");
        assert_eq!(refused(codec, &packed, 6), DecompressError::TooLarge { limit: 6 });
    }
    // Java's reader ends with the first lz4 frame.
    let mut packed = compress(Codec::Lz4, None, b"one ").unwrap();
    packed.extend(compress(Codec::Lz4, None, b"two").unwrap());
    assert_eq!(decompress(Codec::Lz4, &packed, 100).unwrap(), b"one ");
    let mut source = Decompressor::new(Codec::Lz4, &packed, 100).unwrap();
    let mut window = [0; 100];
    for count in [4, 0, 0] {
        assert_eq!(source.read(&mut window).unwrap(), count);
    }
}

#[test]
fn lz4_that_java_cannot_read_is_refused() {
    use lz4_flex::frame::{BlockMode, FrameEncoder, FrameInfo};
    let form = FrameInfo::new().block_mode(BlockMode::Linked);
    let mut encoder = FrameEncoder::with_frame_info(form, Vec::new());
    encoder.write_all(&[7; 200_000]).unwrap();
    let linked = encoder.finish().unwrap();
    assert!(matches!(refused(Codec::Lz4, &linked, 1 << 20), DecompressError::Corrupt { .. }));

    // The legacy format has its own magic, and blocks with their sizes follow at once. This one's
    // size has the flag of independent blocks where a frame has its flags.
    let block = lz4_flex::block::compress(&[7; 22_000]);
    let mut legacy = 0x184C_2102_u32.to_le_bytes().to_vec();
    legacy.extend_from_slice(&(block.len() as u32).to_le_bytes());
    legacy.extend_from_slice(&block);
    assert_ne!(legacy[4] & 0x20, 0);
    assert!(matches!(refused(Codec::Lz4, &legacy, 1 << 20), DecompressError::Corrupt { .. }));

    let mut dictionary = compress(Codec::Lz4, None, b"x").unwrap();
    dictionary[4] |= 1;
    assert!(matches!(refused(Codec::Lz4, &dictionary, 1 << 20), DecompressError::Corrupt { .. }));
}

#[test]
fn lz4_checksums_of_either_kind_are_read_and_checked() {
    use lz4_flex::frame::{FrameEncoder, FrameInfo};
    let form = FrameInfo::new().content_checksum(true).block_checksums(true);
    let mut encoder = FrameEncoder::with_frame_info(form, Vec::new());
    encoder.write_all(b"checked").unwrap();
    let mut packed = encoder.finish().unwrap();
    assert_eq!(decompress(Codec::Lz4, &packed, 7).unwrap(), b"checked");
    *packed.last_mut().unwrap() ^= 1;
    assert!(matches!(refused(Codec::Lz4, &packed, 7), DecompressError::Corrupt { .. }));
}

#[test]
fn a_snappy_block_that_lies_about_its_size_gets_no_memory() {
    // Claims 4 GiB - 1 in six bytes, raw and framed.
    let raw = [0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0x00];
    let mut framed = compress(Codec::Snappy, None, b"").unwrap();
    framed.extend_from_slice(&6u32.to_be_bytes());
    framed.extend_from_slice(&raw);
    for lie in [&raw[..], &framed] {
        let why = "a block claims more than it can hold".to_owned();
        let expected = DecompressError::Corrupt { codec: Codec::Snappy, why };
        assert_eq!(refused(Codec::Snappy, lie, usize::MAX), expected);
    }
}

#[test]
fn a_snappy_stream_of_no_version_is_refused() {
    let mut packed = compress(Codec::Snappy, None, b"x").unwrap();
    packed[11] = 0;
    assert!(matches!(refused(Codec::Snappy, &packed, 1), DecompressError::Corrupt { .. }));
}

#[test]
fn a_zstd_window_beyond_the_limit_is_refused() {
    // A frame header with a window descriptor of 2^(10 + n), then one raw block of one byte.
    let frame = |exponent: u8| {
        [0x28, 0xB5, 0x2F, 0xFD, 0x00, exponent << 3, 0x09, 0x00, 0x00, b'x'].to_vec()
    };
    assert_eq!(decompress(Codec::Zstd, &frame(17), 1).unwrap(), b"x");
    assert!(matches!(refused(Codec::Zstd, &frame(18), 1), DecompressError::Corrupt { .. }));
}

#[test]
fn what_is_cut_short_never_yields_the_whole() {
    let bytes = b"some words that repeat, repeat, repeat. ".repeat(2000);
    for codec in COMPRESSED {
        let packed = compress(codec, None, &bytes).unwrap();
        for cut in [0, 1, 5, packed.len() / 2, packed.len() - 9] {
            let out = decompress(codec, &packed[..cut], 1 << 20);
            assert!(out.is_err() || out.unwrap().len() < bytes.len(), "{codec} cut to {cut}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_codec_round_trips(bytes in content()) {
        for codec in Codec::ALL {
            let packed = compress(codec, None, &bytes).unwrap();
            prop_assert_eq!(&decompress(codec, &packed, bytes.len()).unwrap(), &bytes);
        }
    }

    #[test]
    fn pieces_of_any_size_are_the_whole(bytes in content(), piece in 1usize..5000) {
        for codec in Codec::ALL {
            let packed = compress(codec, None, &bytes).unwrap();
            let mut source = Decompressor::new(codec, &packed, bytes.len()).unwrap();
            let mut out = Vec::new();
            let mut window = vec![0; piece];
            loop {
                let count = source.read(&mut window).unwrap();
                if count == 0 {
                    break;
                }
                out.extend_from_slice(&window[..count]);
            }
            prop_assert_eq!(&out, &bytes);
        }
    }

    #[test]
    fn damage_never_panics_and_never_passes_the_bound(
        bytes in proptest::collection::vec(b'a'..b'f', 1..4000),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4),
    ) {
        for codec in COMPRESSED {
            let mut packed = compress(codec, None, &bytes).unwrap();
            for (at, bits) in &flips {
                let at = at.index(packed.len());
                packed[at] ^= bits;
            }
            if let Ok(out) = decompress(codec, &packed, 10_000) {
                prop_assert!(out.len() <= 10_000);
            }
        }
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
        for codec in COMPRESSED {
            let _ = decompress(codec, &bytes, 10_000);
            // With a front that looks right, the codec's own parser is reached.
            let mut dressed = compress(codec, None, b"").unwrap();
            dressed.truncate(if codec == Codec::Lz4 { 7 } else { 16 });
            dressed.extend_from_slice(&bytes);
            let _ = decompress(codec, &dressed, 10_000);
        }
    }
}
