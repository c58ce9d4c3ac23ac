//! The batch format against itself, known vectors, damage, and a second implementation.

use bytes::{Bytes, BytesMut};
use chronik_types::{BrokerId, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::{Decodable, StrBytes};
use kafka_protocol::records as second;
use proptest::prelude::*;

use super::header::compute_crc;
use super::*;
use crate::compression::Codec;

const NO_BOUND: usize = 1 << 30;

/// A record as tests think of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plain {
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// Bytes that are not one record, which is all the batch announces.
pub(crate) const MALFORMED: [(&str, &[u8]); 12] = [
    ("nothing", &[]),
    ("length longer than the batch", &[0x7E, 0, 0, 0, 1, 1, 0]),
    ("negative length", &[1, 0, 0, 0, 1, 1, 0]),
    ("length 0", &[0]),
    ("key beyond the record", &[12, 0, 0, 0, 20, 1, 0]),
    ("value beyond the record", &[12, 0, 0, 0, 1, 20, 0]),
    ("negative header count", &[12, 0, 0, 0, 1, 1, 1]),
    ("more headers than bytes", &[12, 0, 0, 0, 1, 1, 20]),
    ("negative header key", &[16, 0, 0, 0, 1, 1, 2, 1, 1]),
    ("a byte behind the headers", &[14, 0, 0, 0, 1, 1, 0, 0]),
    ("a number that does not end", &[12, 0, 0x80, 0x80, 0x80, 0x80, 0x80]),
    ("bytes behind the last record", &[12, 0, 0, 0, 1, 1, 0, 0]),
];

fn maybe_bytes(most: usize) -> impl Strategy<Value = Option<Vec<u8>>> {
    proptest::option::of(proptest::collection::vec(any::<u8>(), 0..most))
}

pub(crate) fn plain_record() -> impl Strategy<Value = Plain> {
    let headers = proptest::collection::vec(("[a-c]{0,3}", maybe_bytes(10)), 0..3);
    (prop_oneof![0i64..10_000, 0i64..5], maybe_bytes(20), maybe_bytes(300), headers).prop_map(
        |(timestamp, key, value, headers)| Plain {
            timestamp,
            key,
            value,
            headers: headers.into_iter().map(|(key, value)| (key.into_bytes(), value)).collect(),
        },
    )
}

pub(crate) fn any_codec() -> impl Strategy<Value = Codec> {
    proptest::sample::select(Codec::ALL.to_vec())
}

pub(crate) fn build(mut builder: BatchBuilder, records: &[Plain]) -> BytesMut {
    for record in records {
        let headers: Vec<_> = record
            .headers
            .iter()
            .map(|(key, value)| Header { key, value: value.as_deref() })
            .collect();
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        builder.append(Timestamp(record.timestamp), key, value, &headers).unwrap();
    }
    builder.build().unwrap()
}

fn plain(record: &RecordRef<'_>) -> Plain {
    Plain {
        timestamp: record.timestamp.0,
        key: record.key.map(<[u8]>::to_vec),
        value: record.value.map(<[u8]>::to_vec),
        headers: record
            .headers
            .map(|header| (header.key.to_vec(), header.value.map(<[u8]>::to_vec)))
            .collect(),
    }
}

pub(crate) fn read_all(batch: &[u8]) -> Result<Vec<(Offset, Plain)>, BatchError> {
    records(batch, NO_BOUND)?.iter().map(|r| r.map(|r| (r.offset, plain(&r)))).collect()
}

/// The CRC made right again after a test changed something.
pub(crate) fn reseal(batch: &mut [u8]) {
    let crc = compute_crc(batch);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

fn three_records() -> BytesMut {
    let mut builder = BatchBuilder::new();
    for (timestamp, key) in [(100, "a"), (300, "b"), (200, "c")] {
        builder.append(Timestamp(timestamp), Some(key.as_bytes()), Some(b"value"), &[]).unwrap();
    }
    builder.build().unwrap()
}

#[test]
fn the_checksum_is_castagnoli() {
    // The check value of the catalogue of CRCs, and two of RFC 3720 B.4.
    let crc = |bytes: &[u8]| compute_crc(&[&[0; 21], bytes].concat());
    assert_eq!(crc(b"123456789"), 0xE306_9283);
    assert_eq!(crc(&[0; 32]), 0x8A91_36AA);
    assert_eq!(crc(&[0xFF; 32]), 0x62A8_AB43);
}

#[test]
fn a_batch_byte_by_byte() {
    let mut builder =
        BatchBuilder::new().producer(ProducerId(7), ProducerEpoch(2), 5).transactional();
    let header = Header { key: b"h", value: None };
    builder.append(Timestamp(1000), None, Some(b"v"), &[header]).unwrap();
    let batch = builder.build().unwrap();
    let expected: Vec<u8> = [
        &0i64.to_be_bytes()[..],
        &(batch.len() as i32 - 12).to_be_bytes(),
        &(-1i32).to_be_bytes(),
        &[2],
        &batch[17..21],
        &0x10i16.to_be_bytes(),
        &0i32.to_be_bytes(),
        &1000i64.to_be_bytes(),
        &1000i64.to_be_bytes(),
        &7i64.to_be_bytes(),
        &2i16.to_be_bytes(),
        &5i32.to_be_bytes(),
        &1i32.to_be_bytes(),
        // length 10, attributes, deltas 0, no key, value "v", one header "h" without value
        &[20, 0, 0, 0, 1, 2, b'v', 2, 2, b'h', 1],
    ]
    .concat();
    assert_eq!(batch[..], expected[..]);
}

#[test]
fn stamping_changes_the_place_and_not_the_checksum() {
    let mut batch = three_records();
    stamp(&mut batch, Offset(1 << 40), LeaderEpoch(9));
    verify_crc(&batch).unwrap();
    let header = BatchHeader::of(&batch).unwrap();
    assert_eq!((header.base_offset, header.leader_epoch), (Offset(1 << 40), LeaderEpoch(9)));
    assert_eq!(header.last_offset(), Offset((1 << 40) + 2));
    assert_eq!(header.next_offset(), Offset((1 << 40) + 3));
    stamp(&mut [0; 60], Offset(1), LeaderEpoch(1));
}

#[test]
fn sequences_wrap_to_zero() {
    let last = |base_sequence, last_offset_delta| {
        let header = BatchHeader::of(&three_records()).unwrap();
        BatchHeader { base_sequence, last_offset_delta, ..header }.last_sequence()
    };
    assert_eq!(last(-1, 4), -1);
    assert_eq!(last(5, 4), 9);
    assert_eq!(last(i32::MAX, 0), i32::MAX);
    assert_eq!(last(i32::MAX, 1), 0);
    assert_eq!(last(i32::MAX - 1, 4), 2);
}

#[test]
fn a_header_is_refused_for_what_it_is() {
    let batch = three_records();
    assert_eq!(BatchHeader::parse(&batch[..60]), Err(BatchError::TooShort { have: 60 }));
    BatchHeader::parse(&batch[..61]).unwrap();
    let with = |at: usize, value: &[u8]| {
        let mut changed = batch.clone();
        changed[at..at + value.len()].copy_from_slice(value);
        BatchHeader::parse(&changed).unwrap_err()
    };
    for length in [-1, 0, 48, i32::MIN] {
        assert_eq!(with(8, &length.to_be_bytes()), BatchError::BadLength { length });
    }
    assert_eq!(with(16, &[1]), BatchError::BadMagic(1));
    assert!(matches!(BatchHeader::of(&batch[..62]), Err(BatchError::WrongSlice { .. })));
}

#[test]
fn whole_batches_are_walked_and_a_partial_one_is_left() {
    let batch = three_records();
    let mut bytes = [&batch[..], &batch[..], &batch[..batch.len() - 1]].concat();
    let mut walk = batches(&bytes);
    assert_eq!(walk.by_ref().filter(|b| b.as_ref().unwrap().1 == &batch[..]).count(), 2);
    assert_eq!(walk.rest().len(), batch.len() - 1);

    bytes[batch.len() + 16] = 1;
    let walked: Vec<_> = batches(&bytes).collect();
    assert_eq!(walked.len(), 2);
    assert_eq!(walked[1], Err(BatchError::BadMagic(1)));
}

#[test]
fn append_time_is_the_time_of_every_record() {
    let mut builder = BatchBuilder::new().log_append_time(Timestamp(777));
    builder.append(Timestamp(5), None, None, &[]).unwrap();
    builder.append(Timestamp(9), None, None, &[]).unwrap();
    let batch = builder.build().unwrap();
    assert!(read_all(&batch).unwrap().iter().all(|(_, record)| record.timestamp == 777));
    let first = Some((Offset(0), Timestamp(777)));
    assert_eq!(find_max_timestamp(&batch).unwrap(), first);
    assert_eq!(find_timestamp(&batch, Timestamp(777), Offset(0)).unwrap(), first);
    assert_eq!(find_timestamp(&batch, Timestamp(778), Offset(0)).unwrap(), None);
}

#[test]
fn of_equal_timestamps_the_first_counts() {
    let mut builder = BatchBuilder::new().base_offset(Offset(7));
    for timestamp in [1, 3, 3, 2] {
        builder.append(Timestamp(timestamp), None, None, &[]).unwrap();
    }
    let batch = builder.build().unwrap();
    let second = Some((Offset(8), Timestamp(3)));
    assert_eq!(find_max_timestamp(&batch).unwrap(), second);
    assert_eq!(find_timestamp(&batch, Timestamp(2), Offset(0)).unwrap(), second);
}

#[test]
fn compaction_leaves_gaps_and_empty_batches() {
    let mut builder = BatchBuilder::new().base_offset(Offset(10));
    builder.append_at(3, Timestamp(1), None, None, &[]).unwrap();
    builder.append_at(8, Timestamp(1), None, None, &[]).unwrap();
    assert_eq!(
        builder.append_at(8, Timestamp(1), None, None, &[]),
        Err(BuildError::OffsetDelta(8))
    );
    let batch = builder.build().unwrap();
    let offsets: Vec<_> = read_all(&batch).unwrap().into_iter().map(|(offset, _)| offset).collect();
    assert_eq!(offsets, [Offset(13), Offset(18)]);
    assert_eq!(BatchHeader::of(&batch).unwrap().next_offset(), Offset(19));

    for attributes in 0..=4i16 {
        let mut empty = BytesMut::from(&batch[..61]);
        empty[8..12].copy_from_slice(&49i32.to_be_bytes());
        empty[21..23].copy_from_slice(&attributes.to_be_bytes());
        empty[57..61].copy_from_slice(&0i32.to_be_bytes());
        assert_eq!(read_all(&empty), Ok(vec![]));
        assert_eq!(find_max_timestamp(&empty), Ok(None));
    }
    assert_eq!(BatchBuilder::new().build().unwrap_err(), BuildError::Empty);
}

#[test]
fn timestamps_too_far_apart_are_refused_by_the_builder() {
    let mut builder = BatchBuilder::new();
    builder.append(Timestamp(i64::MIN), None, None, &[]).unwrap();
    let before = builder.batch_bytes();
    let refused = builder.append(Timestamp(1), None, None, &[]);
    assert_eq!(refused, Err(BuildError::TimestampRange));
    assert_eq!((builder.batch_bytes(), builder.record_count()), (before, 1));
}

#[test]
fn markers_read_as_they_were_written() {
    for kind in [MarkerKind::Abort, MarkerKind::Commit] {
        let marker = EndTransactionMarker { kind, coordinator_epoch: 12 };
        let batch =
            end_transaction_marker(marker, ProducerId(4), ProducerEpoch(1), Timestamp(50)).unwrap();
        verify_crc(&batch).unwrap();
        let header = BatchHeader::of(&batch).unwrap();
        assert!(header.attributes.is_control() && header.attributes.is_transactional());
        assert_eq!((header.producer_id, header.base_sequence), (ProducerId(4), -1));
        let records = records(&batch, 0).unwrap();
        let record = records.iter().next().unwrap().unwrap();
        let (key, value) = (record.key.unwrap(), record.value.unwrap());
        assert_eq!(key, [0, 0, 0, u8::from(kind == MarkerKind::Commit)]);
        assert_eq!(value, [0, 0, 0, 0, 0, 12]);
        assert_eq!(EndTransactionMarker::parse(key, value), Some(marker));
        assert_eq!(EndTransactionMarker::parse(key, &value[..5]), None);
        assert_eq!(EndTransactionMarker::parse(&key[..3], value), None);
    }
}

#[test]
fn a_leader_change_reads_elsewhere_as_it_was_meant() {
    use kafka_protocol::messages::LeaderChangeMessage;
    let voters: Vec<_> = (0..200).map(BrokerId).collect();
    let batch =
        leader_change(Offset(3), LeaderEpoch(8), BrokerId(1), &voters, &voters[..2], Timestamp(50))
            .unwrap();
    let records = records(&batch, 0).unwrap();
    let record = records.iter().next().unwrap().unwrap();
    assert_eq!(ControlType::from_key(record.key.unwrap()), Some(ControlType::LeaderChange));
    let mut value = Bytes::copy_from_slice(record.value.unwrap());
    let message = LeaderChangeMessage::decode(&mut value, 0).unwrap();
    assert!(value.is_empty());
    assert_eq!(message.leader_id.0, 1);
    let ids = |voters: &[kafka_protocol::messages::leader_change_message::Voter]| {
        voters.iter().map(|voter| BrokerId(voter.voter_id)).collect::<Vec<_>>()
    };
    assert_eq!(ids(&message.voters), voters);
    assert_eq!(ids(&message.granting_voters), voters[..2]);
}

#[test]
fn every_flipped_bit_is_noticed_or_lies_outside_the_checksum() {
    for codec in Codec::ALL {
        let mut builder = BatchBuilder::new().compression(codec, None);
        builder.append(Timestamp(5), Some(b"key"), Some(&b"value ".repeat(9)), &[]).unwrap();
        let batch = builder.build().unwrap();
        for at in 0..batch.len() {
            for bit in 0..8 {
                let mut flipped = batch.clone();
                flipped[at] ^= 1 << bit;
                let outside = at < 8 || (12..16).contains(&at);
                assert_eq!(verify_crc(&flipped).is_ok(), outside, "{codec} byte {at} bit {bit}");
                let _ = read_all(&flipped);
            }
        }
    }
}

#[test]
fn a_record_whose_parts_lie_is_not_read() {
    for (what, bytes) in MALFORMED {
        let mut batch = BytesMut::from(&three_records()[..61]);
        batch.extend_from_slice(bytes);
        let length = batch.len() as i32 - 12;
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        batch[57..61].copy_from_slice(&1i32.to_be_bytes());
        assert!(read_all(&batch).is_err(), "{what}");
    }
}

/// What the walker makes of a batch, for comparison with what the reader makes of it.
fn walk_all(source: &mut impl Source, count: i32) -> Result<Vec<(i64, i32, bool)>, BatchError> {
    let shapes = (0..count)
        .map(|_| walk_record(source).map(|s| (s.timestamp_delta, s.offset_delta, s.has_key)))
        .collect::<Result<_, _>>()?;
    if source.at_end()? { Ok(shapes) } else { Err(BatchError::TrailingBytes(count)) }
}

/// A record of the second implementation.
fn second_record(offset: i64, record: &Plain) -> second::Record {
    second::Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: 5,
        producer_epoch: 1,
        timestamp_type: second::TimestampType::Creation,
        offset,
        sequence: offset as i32,
        timestamp: record.timestamp,
        key: record.key.clone().map(Bytes::from),
        value: record.value.clone().map(Bytes::from),
        headers: record
            .headers
            .iter()
            .map(|(key, value)| {
                let key = StrBytes::from_string(String::from_utf8(key.clone()).unwrap());
                (key, value.clone().map(Bytes::from))
            })
            .collect::<IndexMap<_, _>>(),
    }
}

fn second_codec(codec: Codec) -> second::Compression {
    match codec {
        Codec::None => second::Compression::None,
        Codec::Gzip => second::Compression::Gzip,
        Codec::Snappy => second::Compression::Snappy,
        Codec::Lz4 => second::Compression::Lz4,
        Codec::Zstd => second::Compression::Zstd,
    }
}

/// The second implementation keeps headers in a map.
fn with_unique_headers(mut records: Vec<Plain>) -> Vec<Plain> {
    for record in &mut records {
        record.headers.sort();
        record.headers.dedup_by(|a, b| a.0 == b.0);
    }
    records
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn records_read_as_they_were_built(
        records in proptest::collection::vec(plain_record(), 1..40),
        codec in any_codec(),
        base in 0i64..1 << 50,
    ) {
        let batch = build(BatchBuilder::new().compression(codec, None).base_offset(Offset(base)), &records);
        verify_crc(&batch).unwrap();
        let header = BatchHeader::of(&batch).unwrap();
        prop_assert_eq!(header.attributes.codec(), Ok(codec));
        prop_assert_eq!(header.record_count as usize, records.len());
        prop_assert_eq!(header.last_offset_delta, header.record_count - 1);
        prop_assert_eq!(Some(header.max_timestamp), records.iter().map(|r| r.timestamp).max());
        let expected: Vec<_> =
            records.into_iter().enumerate().map(|(i, r)| (Offset(base + i as i64), r)).collect();
        prop_assert_eq!(read_all(&batch).unwrap(), expected);
    }

    #[test]
    fn the_second_implementation_reads_what_is_built(
        records in proptest::collection::vec(plain_record(), 1..20).prop_map(with_unique_headers),
        codec in any_codec(),
    ) {
        let builder = BatchBuilder::new()
            .compression(codec, None)
            .producer(ProducerId(5), ProducerEpoch(1), 0);
        let batch = build(builder, &records);
        let set = second::RecordBatchDecoder::decode(&mut batch.freeze()).unwrap();
        let expected: Vec<_> =
            records.iter().enumerate().map(|(i, r)| second_record(i as i64, r)).collect();
        prop_assert_eq!(set.compression, second_codec(codec));
        prop_assert_eq!(set.records, expected);
    }

    #[test]
    fn what_the_second_implementation_writes_is_read(
        records in proptest::collection::vec(plain_record(), 1..20).prop_map(with_unique_headers),
        codec in any_codec(),
    ) {
        let theirs: Vec<_> =
            records.iter().enumerate().map(|(i, r)| second_record(i as i64, r)).collect();
        let mut bytes = BytesMut::new();
        let options = second::RecordEncodeOptions { version: 2, compression: second_codec(codec) };
        second::RecordBatchEncoder::encode(&mut bytes, &theirs, &options).unwrap();
        verify_crc(&bytes).unwrap();
        let read: Vec<_> = read_all(&bytes).unwrap().into_iter().map(|(_, r)| r).collect();
        prop_assert_eq!(read, records);
    }

    #[test]
    fn lookups_find_what_a_scan_finds(
        records in proptest::collection::vec(plain_record(), 1..20),
        codec in any_codec(),
        target in 0i64..11_000,
        from in 0i64..25,
    ) {
        let batch = build(BatchBuilder::new().compression(codec, None), &records);
        let all = read_all(&batch).unwrap();
        let expected = all
            .iter()
            .find(|(offset, record)| offset.0 >= from && record.timestamp >= target)
            .map(|(offset, record)| (*offset, Timestamp(record.timestamp)));
        prop_assert_eq!(find_timestamp(&batch, Timestamp(target), Offset(from)).unwrap(), expected);
        let greatest = all.iter().map(|(_, r)| r.timestamp).max().unwrap();
        let expected = all.iter().find(|(_, r)| r.timestamp == greatest).unwrap().0;
        let expected = Some((expected, Timestamp(greatest)));
        prop_assert_eq!(find_max_timestamp(&batch).unwrap(), expected);
    }

    #[test]
    fn walkers_and_reader_agree_about_damaged_records(
        records in proptest::collection::vec(plain_record(), 1..6),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 1u8..), 0..3),
        codec in any_codec(),
    ) {
        let mut batch = build(BatchBuilder::new(), &records);
        let count = records.len() as i32;
        for (at, bits) in &flips {
            let at = 61 + at.index(batch.len() - 61);
            batch[at] ^= bits;
        }
        let read = read_all(&batch).map(|r| r.len());
        let sliced = walk_all(&mut SliceSource::new(&batch[61..]), count);
        let packed = crate::compression::compress(codec, None, &batch[61..]).unwrap();
        let streamed = walk_all(&mut StreamSource::new(codec, &packed, NO_BOUND).unwrap(), count);
        // Only the reader knows the base that makes a delta overflow.
        if read != Err(BatchError::Record(RecordError::OutOfRange)) {
            prop_assert_eq!(read.is_ok(), sliced.is_ok(), "{:?} {:?}", read, sliced);
        }
        prop_assert_eq!(sliced.is_ok(), streamed.is_ok(), "{:?} {:?}", sliced, streamed);
        if let (Ok(sliced), Ok(streamed)) = (sliced, streamed) {
            prop_assert_eq!(sliced, streamed);
        }
    }

    #[test]
    fn garbage_never_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        attributes in 0i16..128,
        count in prop_oneof![0i32..20, any::<i32>()],
    ) {
        let _ = BatchHeader::parse(&bytes);
        let _ = batches(&bytes).count();
        let _ = read_all(&bytes);
        // As the records of a batch whose header is in order but for the count.
        let mut batch = three_records();
        batch.truncate(61);
        batch.extend_from_slice(&bytes);
        let length = batch.len() as i32 - 12;
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        batch[21..23].copy_from_slice(&attributes.to_be_bytes());
        batch[57..61].copy_from_slice(&count.to_be_bytes());
        let _ = read_all(&batch);
        let _ = find_max_timestamp(&batch);
        let _ = find_timestamp(&batch, Timestamp(0), Offset(0));
    }
}
