//! Record batches: sound ones, ones with a chosen defect, and batches as text.

use bytes::BytesMut;
use chronik_protocol::batch::{self, BatchBuilder, Header};
use chronik_protocol::compression::Codec;
use chronik_types::{ProducerEpoch, ProducerId, Timestamp};

/// The time of the first record of every batch here: fixed, so that answers can be compared.
pub const T0: i64 = 1_700_000_000_000;
/// More than any batch of these tests holds.
const DECOMPRESSED_MAX: usize = 64 << 20;

/// Where the fields of a batch header begin.
pub mod at {
    pub const BASE_OFFSET: usize = 0;
    pub const LENGTH: usize = 8;
    pub const LEADER_EPOCH: usize = 12;
    pub const MAGIC: usize = 16;
    pub const CRC: usize = 17;
    pub const ATTRIBUTES: usize = 21;
    pub const LAST_OFFSET_DELTA: usize = 23;
    pub const MAX_TIMESTAMP: usize = 35;
    pub const PRODUCER_ID: usize = 43;
    pub const PRODUCER_EPOCH: usize = 51;
    pub const BASE_SEQUENCE: usize = 53;
    pub const RECORD_COUNT: usize = 57;
    pub const RECORDS: usize = 61;
}

/// `count` records with keys `k0…` and values `v0…`, one millisecond apart from [`T0`] on.
pub fn records(count: i32, codec: Codec) -> Vec<u8> {
    records_at(T0, count, codec)
}

/// As [`records`], from another time on.
pub fn records_at(first: i64, count: i32, codec: Codec) -> Vec<u8> {
    build(fill(BatchBuilder::new().compression(codec, None), first, count))
}

/// As [`records`], of an idempotent producer.
pub fn idempotent(id: i64, epoch: i16, sequence: i32, count: i32) -> Vec<u8> {
    let builder = BatchBuilder::new().producer(ProducerId(id), ProducerEpoch(epoch), sequence);
    build(fill(builder, T0, count))
}

/// One record of this key and value, with duplicate header keys.
pub fn record(timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    let headers = [Header { key: b"h", value: Some(b"1") }, Header { key: b"h", value: None }];
    builder.append(Timestamp(timestamp), key, value, &headers).expect("a record that fits");
    build(builder)
}

/// One record with a value of `bytes` bytes.
pub fn sized(bytes: usize, codec: Codec) -> Vec<u8> {
    let mut builder = BatchBuilder::new().compression(codec, None);
    let value = vec![b'x'; bytes];
    builder.append(Timestamp(T0), Some(b"k"), Some(&value), &[]).expect("a record that fits");
    build(builder)
}

/// A control batch of one record.
pub fn control(producer: i64) -> Vec<u8> {
    let builder = BatchBuilder::new().control();
    let builder = builder.producer(ProducerId(producer), ProducerEpoch(0), 0);
    build(fill(builder, T0, 1))
}

fn fill(mut builder: BatchBuilder, first: i64, count: i32) -> BatchBuilder {
    for n in 0..count {
        let (key, value) = (format!("k{n}"), format!("v{n}"));
        builder
            .append(
                Timestamp(first + i64::from(n)),
                Some(key.as_bytes()),
                Some(value.as_bytes()),
                &[],
            )
            .expect("a record that fits");
    }
    builder
}

/// The finished batch.
pub fn build(builder: BatchBuilder) -> Vec<u8> {
    builder.build().expect("records that fit").to_vec()
}

/// `batch` with `bytes` written at `at`, and a CRC that fits.
pub fn with(mut batch: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    seal(batch)
}

/// `batch` with length field and CRC that fit what it is now.
pub fn seal(mut batch: Vec<u8>) -> Vec<u8> {
    let crc = crc32c(&batch[at::ATTRIBUTES..]);
    batch[at::CRC..at::CRC + 4].copy_from_slice(&crc.to_be_bytes());
    batch
}

/// `batch` with more or other bytes behind its header, length and CRC made to fit.
pub fn with_body(batch: &[u8], body: &[u8]) -> Vec<u8> {
    let mut new = BytesMut::from(&batch[..at::RECORDS]);
    new.extend_from_slice(body);
    let length = u32::try_from(new.len() - 12).expect("a small batch");
    new[at::LENGTH..at::LENGTH + 4].copy_from_slice(&length.to_be_bytes());
    seal(new.to_vec())
}

fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82F6_3B78;
    !bytes.iter().fold(!0, |mut crc, byte| {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
        }
        crc
    })
}

/// Every batch as text: its header but for length and CRC (which depend on the compressor), then
/// its records. `mask` may replace a value, given the name of its field.
pub fn describe(bytes: &[u8], mut mask: impl FnMut(&str, &str) -> String) -> Vec<String> {
    let mut lines = Vec::new();
    let mut batches = batch::batches(bytes);
    for found in &mut batches {
        match found {
            Ok((header, bytes)) => {
                lines.push(describe_header(&header, bytes, &mut mask));
                describe_records(bytes, &mut lines, &mut mask);
            }
            Err(error) => {
                lines.push(format!("broken batch: {error}"));
                return lines;
            }
        }
    }
    if !batches.rest().is_empty() {
        lines.push("an incomplete batch".to_owned());
    }
    lines
}

fn describe_header(
    header: &batch::BatchHeader,
    bytes: &[u8],
    mask: &mut impl FnMut(&str, &str) -> String,
) -> String {
    let crc = if batch::verify_crc(bytes).is_ok() { "good" } else { "BAD" };
    format!(
        "batch {}+{} epoch {} attributes {:#x} times {} {} producer {} {} {} count {} crc {crc}",
        header.base_offset.0,
        header.last_offset_delta,
        header.leader_epoch.0,
        header.attributes.0,
        mask("timestamp", &header.base_timestamp.to_string()),
        mask("timestamp", &header.max_timestamp.to_string()),
        mask("producer_id", &header.producer_id.0.to_string()),
        header.producer_epoch.0,
        header.base_sequence,
        header.record_count,
    )
}

fn describe_records(
    bytes: &[u8],
    lines: &mut Vec<String>,
    mask: &mut impl FnMut(&str, &str) -> String,
) {
    let records = match batch::records(bytes, DECOMPRESSED_MAX) {
        Ok(records) => records,
        Err(error) => return lines.push(format!("records that cannot be read: {error}")),
    };
    for record in &records {
        lines.push(match record {
            Ok(record) => format!(
                "record {} at {} {} {} {:?}",
                record.offset.0,
                mask("timestamp", &record.timestamp.0.to_string()),
                text(record.key),
                text(record.value),
                record.headers.map(|h| (text(Some(h.key)), text(h.value))).collect::<Vec<_>>(),
            ),
            Err(error) => format!("broken record: {error}"),
        });
    }
}

fn text(bytes: Option<&[u8]>) -> String {
    match bytes {
        None => "null".to_owned(),
        Some(bytes) if bytes.len() > 64 => format!("{} bytes", bytes.len()),
        Some(bytes) => bytes.escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_batch_has_a_good_crc_and_shows_the_change() {
        let batch = with(records(2, Codec::None), 27, &7_i64.to_be_bytes());
        let lines = describe(&batch, |_, text| text.to_owned());
        assert_eq!(lines.len(), 3);
        assert!(lines[0].contains("times 7 1700000000001") && lines[0].ends_with("crc good"));
        let broken = describe(&[records(1, Codec::Gzip), vec![0; 20]].concat(), |_, t| t.into());
        assert_eq!(broken.len(), 3, "{broken:?}");
    }
}
