//! A batch that decompresses to far more than is allowed costs no more memory than one that does
//! not. A process of its own, because it looks at the most memory the process ever held.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail")]

use std::io::Write;

use bytes::BytesMut;
use chronik_protocol::batch::{BatchBuilder, TimestampType};
use chronik_protocol::compression::{Codec, compress};
use chronik_protocol::validate::{BatchRules, TopicCompression, validate_batch};
use chronik_types::{ErrorCode, Timestamp};

const BOMB_BYTES: usize = 256 << 20;
const BOUND_BYTES: usize = 4 << 20;
/// The bound once (while it is recompressed: twice, as a vector doubles), a window, a block.
const MOST_BYTES: usize = 24 << 20;

/// The most memory this process ever held.
fn high_water() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// One record with a value of zeros, compressed piece by piece so that it is never held whole.
fn bomb(codec: Codec) -> Vec<u8> {
    match codec {
        Codec::None => Vec::new(),
        Codec::Gzip => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            write_record(&mut out);
            out.finish().unwrap()
        }
        Codec::Lz4 => {
            use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
            let form =
                FrameInfo::new().block_size(BlockSize::Max4MB).block_mode(BlockMode::Independent);
            let mut out = FrameEncoder::with_frame_info(form, Vec::new());
            write_record(&mut out);
            out.finish().unwrap()
        }
        Codec::Zstd => {
            // The largest window that is accepted, of which only what comes out is touched.
            let mut out = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
            out.window_log(27).unwrap();
            write_record(&mut out);
            out.finish().unwrap()
        }
        Codec::Snappy => snappy_bomb(),
    }
}

fn snappy_bomb() -> Vec<u8> {
    let head = [record_head(), vec![0; 32 << 10]].concat();
    let mut out = compress(Codec::Snappy, None, &head).unwrap();
    let piece = compress(Codec::Snappy, None, &vec![0; 1 << 20]).unwrap();
    for _ in 0..BOMB_BYTES >> 20 {
        out.extend_from_slice(&piece);
    }
    out
}

/// One raw block: a zero, and again and again a copy of the last 64 bytes.
fn raw_snappy_bomb() -> Vec<u8> {
    let mut out = Vec::new();
    let mut length = BOMB_BYTES + 1;
    while length >= 0x80 {
        out.push((length & 0x7F) as u8 | 0x80);
        length >>= 7;
    }
    out.extend_from_slice(&[length as u8, 0, 0]);
    for _ in 0..BOMB_BYTES / 64 {
        out.extend_from_slice(&[63 << 2 | 2, 1, 0]);
    }
    out
}

/// A record's bytes up to its value: length, attributes, deltas, no key, value length.
fn record_head() -> Vec<u8> {
    let mut value_length = Vec::new();
    chronik_protocol::varint::write_varint(&mut value_length, BOMB_BYTES as i32);
    let mut head = Vec::new();
    let body = 4 + value_length.len() + BOMB_BYTES + 1;
    chronik_protocol::varint::write_varint(&mut head, body as i32);
    head.extend_from_slice(&[0, 0, 0, 1]);
    head.extend_from_slice(&value_length);
    head
}

fn write_record(out: &mut impl Write) {
    out.write_all(&record_head()).unwrap();
    let zeros = vec![0; 64 << 10];
    for _ in 0..BOMB_BYTES / zeros.len() {
        out.write_all(&zeros).unwrap();
    }
    out.write_all(&[0]).unwrap();
}

/// A batch of one record whose records are these bytes.
fn batch_around(codec: Codec, records: &[u8]) -> BytesMut {
    let mut builder = BatchBuilder::new();
    builder.append(Timestamp(0), None, None, &[]).unwrap();
    let mut batch = builder.build().unwrap();
    batch.truncate(61);
    batch.extend_from_slice(records);
    let length = batch.len() as i32 - 12;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[21..23].copy_from_slice(&i16::from(codec.id()).to_be_bytes());
    let crc = crc_fast::crc32_iscsi(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

fn rules(compression: TopicCompression) -> BatchRules {
    BatchRules {
        now: Timestamp(0),
        timestamp_type: TimestampType::CreateTime,
        before_max_ms: i64::MAX,
        after_max_ms: i64::MAX,
        compression,
        max_message_bytes: usize::MAX,
        segment_bytes: usize::MAX,
        compacted: false,
        client: true,
        produce_version: 13,
        max_decompressed_bytes: BOUND_BYTES,
    }
}

#[test]
fn bombs_are_refused_within_bounded_memory() {
    let bombs = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd].map(|c| (c, bomb(c)));
    let raw = (Codec::Snappy, raw_snappy_bomb());
    for (codec, records) in bombs.into_iter().chain([raw]) {
        let batch = batch_around(codec, &records);
        let recompress = TopicCompression::Codec { codec: Codec::None, level: None };
        for compression in [TopicCompression::Producer, recompress] {
            let copy = batch.clone();
            let before = high_water();
            let refused = validate_batch(copy, &rules(compression)).unwrap_err();
            let grown = high_water() - before;
            assert_eq!(refused.error, ErrorCode::MessageTooLarge, "{codec}");
            assert!(grown <= MOST_BYTES, "{codec}: {grown} bytes more");
        }
    }
}
