//! What clients send: frames and requests of every API and version, batches, compressed records.

use bytes::BytesMut;
use chronik_protocol::api::SERVED;
use chronik_protocol::batch::{self, TimestampType};
use chronik_protocol::compression::{Codec, decompress};
use chronik_protocol::header::{RequestPrefix, parse_request_header};
use chronik_protocol::messages::AnyRequest;
use chronik_protocol::validate::{BatchRules, TopicCompression, validate_batch};
use chronik_types::Timestamp;

use crate::take;

/// More than this comes out of nothing here.
const DECOMPRESSED_MAX: usize = 1 << 20;
const NOW: i64 = 1_700_000_000_000;

/// A frame as it comes, then its rest as the body of some API and version.
pub fn requests(mut data: &[u8]) {
    let _ = RequestPrefix::parse(data);
    if let Ok((header, body)) = parse_request_header(data) {
        let version = header.prefix.api_version;
        let _ = AnyRequest::decode(header.key, version, &data[body..]);
    }
    let (key, api) = SERVED[usize::from(take(&mut data)) % SERVED.len()];
    let versions = usize::from(api.max.unsigned_abs()) + 1;
    let version = i16::try_from(usize::from(take(&mut data)) % versions).unwrap_or(0);
    if api.serves(version) {
        let _ = AnyRequest::decode(key, version, data);
    }
}

/// A batch of a producer: as it comes, and with length and CRC that fit, for otherwise nobody
/// looks inside.
pub fn batches(mut data: &[u8]) {
    let choice = take(&mut data);
    let rules = BatchRules {
        now: Timestamp(NOW),
        timestamp_type: match choice & 1 {
            0 => TimestampType::CreateTime,
            _ => TimestampType::LogAppendTime,
        },
        before_max_ms: i64::MAX,
        after_max_ms: 3_600_000,
        compression: match choice >> 4 {
            0..=9 => TopicCompression::Producer,
            n => TopicCompression::Codec { codec: codec(n), level: None },
        },
        max_message_bytes: 1 << 20,
        segment_bytes: 1 << 20,
        compacted: choice & 2 != 0,
        client: choice & 4 == 0,
        produce_version: if choice & 8 == 0 { 9 } else { 3 },
        max_decompressed_bytes: DECOMPRESSED_MAX,
    };
    walk(data);
    let _ = validate_batch(BytesMut::from(data), &rules);
    let sealed = sealed(data);
    if let Ok(valid) = validate_batch(BytesMut::from(&sealed[..]), &rules) {
        storable(&valid.batch);
    }
}

/// What the broker does with a batch of its own log.
fn walk(data: &[u8]) {
    for found in batch::batches(data) {
        let Ok((header, bytes)) = found else { return };
        let _ = (batch::verify_crc(bytes), batch::find_max_timestamp(bytes));
        let _ = batch::find_timestamp(bytes, Timestamp(NOW), header.base_offset);
        let Ok(records) = batch::records(bytes, DECOMPRESSED_MAX) else { continue };
        for record in &records {
            let Ok(record) = record else { break };
            let _ = record.headers.count();
        }
    }
}

/// What was accepted is one whole batch whose records can all be read and are counted right.
fn storable(stored: &[u8]) {
    batch::verify_crc(stored).expect("a stored batch has a good CRC");
    let mut found = batch::batches(stored);
    let (header, bytes) = found.next().expect("one batch").expect("a sound one");
    assert_eq!(bytes.len(), stored.len());
    // Recompressed records may be larger than what came in was allowed to be.
    let records = batch::records(bytes, 2 * DECOMPRESSED_MAX).expect("readable");
    let mut delta = 0;
    for record in &records {
        let record = record.expect("a sound record");
        assert_eq!(record.offset.0, header.base_offset.0 + delta);
        delta += 1;
    }
    assert_eq!(delta, i64::from(header.record_count));
    assert_eq!(delta - 1, i64::from(header.last_offset_delta));
}

fn sealed(data: &[u8]) -> Vec<u8> {
    const LENGTH_AT: usize = 8;
    const MAGIC_AT: usize = 16;
    const CRC_AT: usize = 17;
    const COVERED_FROM: usize = 21;
    let mut batch = data.to_vec();
    if batch.len() < COVERED_FROM {
        return batch;
    }
    let length = u32::try_from(batch.len() - 12).unwrap_or(u32::MAX);
    batch[..LENGTH_AT].fill(0);
    batch[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&length.to_be_bytes());
    batch[MAGIC_AT] = 2;
    let crc = crc_fast::crc32_iscsi(&batch[COVERED_FROM..]);
    batch[CRC_AT..COVERED_FROM].copy_from_slice(&crc.to_be_bytes());
    batch
}

/// Records that claim to be compressed.
pub fn decompression(mut data: &[u8]) {
    let codec = codec(take(&mut data));
    let bound = usize::from(take(&mut data)) << 12;
    if let Ok(plain) = decompress(codec, data, bound) {
        assert!(plain.len() <= bound);
    }
}

fn codec(n: u8) -> Codec {
    Codec::ALL[usize::from(n) % Codec::ALL.len()]
}
