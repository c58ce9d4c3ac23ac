//! Each rule with the code it answers, their order, and what becomes of a batch that is accepted.

use proptest::prelude::*;

use chronik_types::{Offset, ProducerEpoch, ProducerId};

use super::*;
use crate::batch::tests::{MALFORMED, Plain, any_codec, build, plain_record, read_all, reseal};
use crate::batch::{BatchBuilder, HEADER_BYTES, verify_crc};

const NOW: i64 = 50_000;

/// What a topic without any configuration has.
fn rules() -> BatchRules {
    BatchRules {
        now: Timestamp(NOW),
        timestamp_type: TimestampType::CreateTime,
        before_max_ms: i64::MAX,
        after_max_ms: 3_600_000,
        compression: TopicCompression::Producer,
        max_message_bytes: 1 << 20,
        segment_bytes: 1 << 30,
        compacted: false,
        client: true,
        produce_version: 13,
        max_decompressed_bytes: 1 << 20,
    }
}

fn record(timestamp: i64) -> Plain {
    Plain { timestamp, key: Some(b"k".into()), value: Some(b"value".into()), headers: vec![] }
}

fn keyless(timestamp: i64) -> Plain {
    Plain { key: None, ..record(timestamp) }
}

fn batch_of(records: &[Plain]) -> BytesMut {
    build(BatchBuilder::new(), records)
}

fn three() -> BytesMut {
    batch_of(&[record(100), record(300), record(200)])
}

/// `three`, with bytes replaced and the CRC right.
fn three_with(at: usize, value: &[u8]) -> BytesMut {
    let mut batch = three();
    batch[at..at + value.len()].copy_from_slice(value);
    reseal(&mut batch);
    batch
}

fn error_of(batch: BytesMut, rules: &BatchRules) -> ErrorCode {
    validate_batch(batch, rules).expect_err("must be refused").error
}

/// The batch with its records compressed anew, under the same header.
fn with_records(batch: &[u8], codec: Codec, records: &[u8]) -> BytesMut {
    let packed = match codec {
        Codec::None => records.to_vec(),
        _ => crate::compression::compress(codec, None, records).unwrap(),
    };
    let mut out = BytesMut::from(&batch[..HEADER_BYTES]);
    out.extend_from_slice(&packed);
    let length = out.len() as i32 - 12;
    out[8..12].copy_from_slice(&length.to_be_bytes());
    out[21..23].copy_from_slice(&i16::from(codec.id()).to_be_bytes());
    reseal(&mut out);
    out
}

/// What every accepted batch is.
fn assert_storable(valid: &ValidBatch) {
    verify_crc(&valid.batch).unwrap();
    assert_eq!(BatchHeader::of(&valid.batch).as_ref(), Ok(&valid.header));
    let records = read_all(&valid.batch).unwrap();
    assert!(!records.is_empty());
    assert_eq!(valid.header.record_count as usize, records.len());
    assert_eq!(valid.header.last_offset_delta, valid.header.record_count - 1);
    for (index, (offset, _)) in records.iter().enumerate() {
        assert_eq!(offset.since(valid.header.base_offset), index as i64);
    }
    assert_eq!(valid.max_timestamp.0, valid.header.max_timestamp);
    let greatest = records.iter().map(|(_, r)| r.timestamp).max().unwrap();
    assert_eq!(valid.max_timestamp.0, greatest.max(-1));
    let first = records.iter().position(|(_, r)| r.timestamp == greatest).unwrap() as i32;
    assert_eq!(valid.offset_of_max_timestamp_delta, if greatest > -1 { first } else { -1 });
}

#[test]
fn a_batch_in_order_stays_as_it_is_where_it_is() {
    for codec in Codec::ALL {
        let batch = build(
            BatchBuilder::new().compression(codec, None).producer(
                ProducerId(1),
                ProducerEpoch(0),
                0,
            ),
            &[record(100), record(300), record(300)],
        );
        let (copy, place) = (batch.clone(), batch.as_ptr());
        let valid = validate_batch(batch, &rules()).unwrap();
        assert_eq!(valid.batch, copy, "{codec}");
        assert_eq!(valid.batch.as_ptr(), place, "{codec}");
        assert_eq!(valid.max_timestamp, Timestamp(300));
        assert_eq!(valid.offset_of_max_timestamp_delta, 1);
        assert_storable(&valid);
    }
}

#[test]
fn anything_but_one_batch_is_refused_with_the_code_kafka_gives() {
    let batch = three();
    let cut = |at| BytesMut::from(&batch[..at]);
    for at in [0, 11, 12, 16, 17, 60, batch.len() - 1] {
        assert_eq!(error_of(cut(at), &rules()), ErrorCode::InvalidRecord, "cut to {at}");
    }
    let mut two = batch.clone();
    two.extend_from_slice(&batch);
    assert_eq!(error_of(two.clone(), &rules()), ErrorCode::InvalidRecord);
    // A partial batch behind the first is cut off.
    two.truncate(two.len() - 1);
    assert_eq!(validate_batch(two, &rules()).unwrap().batch, batch);

    for length in [-1i32, 0, 13] {
        let garbage = three_with(8, &length.to_be_bytes());
        assert_eq!(error_of(garbage, &rules()), ErrorCode::CorruptMessage, "length {length}");
        let mut behind = batch.clone();
        behind.extend_from_slice(&[0; 8]);
        behind.extend_from_slice(&length.to_be_bytes());
        assert_eq!(error_of(behind, &rules()), ErrorCode::CorruptMessage);
    }
    // At least the oldest format's size, but no header.
    let mut short = three_with(8, &20i32.to_be_bytes());
    short.truncate(32);
    assert_eq!(error_of(short, &rules()), ErrorCode::CorruptMessage);

    for (magic, code) in [
        (0, ErrorCode::InvalidRecord),
        (1, ErrorCode::InvalidRecord),
        (3, ErrorCode::CorruptMessage),
        (0xFF, ErrorCode::CorruptMessage),
    ] {
        assert_eq!(error_of(three_with(16, &[magic]), &rules()), code, "magic {magic}");
    }
}

#[test]
fn each_lie_of_a_header_has_its_code() {
    let transactional = 0x10i16.to_be_bytes();
    let control = 0x20i16.to_be_bytes();
    let cases: [(&str, usize, &[u8], ErrorCode); 13] = [
        ("base offset", 0, &1i64.to_be_bytes(), ErrorCode::InvalidRecord),
        ("codec 5", 21, &5i16.to_be_bytes(), ErrorCode::UnsupportedCompressionType),
        ("not gzip", 21, &1i16.to_be_bytes(), ErrorCode::InvalidRecord),
        ("control", 21, &control, ErrorCode::InvalidRecord),
        ("transactional", 21, &transactional, ErrorCode::InvalidRecord),
        ("last offset delta", 23, &(-1i32).to_be_bytes(), ErrorCode::InvalidRecord),
        ("last offset delta", 23, &3i32.to_be_bytes(), ErrorCode::InvalidRecord),
        ("base timestamp", 27, &i64::MAX.to_be_bytes(), ErrorCode::InvalidRecord),
        (
            "no epoch",
            43,
            &[0, 0, 0, 0, 0, 0, 0, 1, 0xFF, 0xFF, 0, 0, 0, 0],
            ErrorCode::InvalidRecord,
        ),
        ("no sequence", 43, &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0], ErrorCode::InvalidRecord),
        ("count 0", 57, &0i32.to_be_bytes(), ErrorCode::InvalidRecord),
        ("count -1", 57, &(-1i32).to_be_bytes(), ErrorCode::InvalidRecord),
        ("count 4", 57, &4i32.to_be_bytes(), ErrorCode::InvalidRecord),
    ];
    for (what, at, value, code) in cases {
        assert_eq!(error_of(three_with(at, value), &rules()), code, "{what}");
    }
    // The delta and the count lie together: the records are fewer or more.
    for count in [0i32, 2, 4, i32::MAX] {
        let mut batch = three_with(57, &count.to_be_bytes());
        batch[23..27].copy_from_slice(&(count - 1).to_be_bytes());
        reseal(&mut batch);
        assert_eq!(error_of(batch, &rules()), ErrorCode::InvalidRecord, "count {count}");
    }
    // Nothing at all, without a contradiction.
    let mut none = three_with(57, &0i32.to_be_bytes());
    none[23..27].copy_from_slice(&(-1i32).to_be_bytes());
    assert_eq!(error_of(with_records(&none, Codec::None, &[]), &rules()), ErrorCode::InvalidRecord);
    let mut damaged = three();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    assert_eq!(error_of(damaged, &rules()), ErrorCode::CorruptMessage);
}

#[test]
fn what_only_clients_may_not_do() {
    let mut control = three_with(0, &8i64.to_be_bytes());
    control[21..23].copy_from_slice(&0x30i16.to_be_bytes());
    control[43..53].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1, 0, 0]);
    reseal(&mut control);
    // Not compressed either, though the topic says so.
    let compression = TopicCompression::Codec { codec: Codec::Zstd, level: None };
    let internal = BatchRules { client: false, compression, ..rules() };
    let valid = validate_batch(control.clone(), &internal).unwrap();
    assert_eq!(valid.batch, control);
    assert_eq!(valid.header.base_offset, Offset(8));
}

#[test]
fn checks_come_in_kafkas_order() {
    let small = BatchRules { max_message_bytes: 61, ..rules() };
    let mut wrong = three_with(0, &1i64.to_be_bytes());
    wrong[57..61].copy_from_slice(&0i32.to_be_bytes());
    // Base offset, size and CRC are all wrong, and the count is 0.
    assert_eq!(error_of(wrong.clone(), &small), ErrorCode::InvalidRecord);
    wrong[..8].copy_from_slice(&0i64.to_be_bytes());
    assert_eq!(error_of(wrong.clone(), &small), ErrorCode::MessageTooLarge);
    assert_eq!(error_of(wrong.clone(), &rules()), ErrorCode::CorruptMessage);
    reseal(&mut wrong);
    assert_eq!(error_of(wrong, &rules()), ErrorCode::InvalidRecord);
    // The segment is looked at last, after the records.
    let tiny = BatchRules { segment_bytes: 61, compacted: true, ..rules() };
    assert_eq!(error_of(batch_of(&[keyless(1)]), &tiny), ErrorCode::InvalidRecord);
    assert_eq!(error_of(three(), &tiny), ErrorCode::RecordListTooLarge);
}

#[test]
fn sizes_are_bounds_and_not_beyond() {
    let bytes = three().len();
    let exact = BatchRules { max_message_bytes: bytes, segment_bytes: bytes, ..rules() };
    validate_batch(three(), &exact).unwrap();
    let less = BatchRules { max_message_bytes: bytes - 1, ..rules() };
    assert_eq!(error_of(three(), &less), ErrorCode::MessageTooLarge);
    let less = BatchRules { segment_bytes: bytes - 1, ..rules() };
    assert_eq!(error_of(three(), &less), ErrorCode::RecordListTooLarge);

    // The size counts again after a change of codec.
    let large = Plain { value: Some(vec![7; 2000]), ..record(1) };
    let packed = build(BatchBuilder::new().compression(Codec::Zstd, None), &[large]);
    let plain = TopicCompression::Codec { codec: Codec::None, level: None };
    let rules = BatchRules { compression: plain, max_message_bytes: 1000, ..rules() };
    assert!(packed.len() < 1000);
    assert_eq!(error_of(packed, &rules), ErrorCode::MessageTooLarge);
}

#[test]
fn zstd_needs_the_version_that_brought_it() {
    let batch = build(BatchBuilder::new().compression(Codec::Zstd, None), &[record(1)]);
    let at = |produce_version, client| BatchRules { produce_version, client, ..rules() };
    assert_eq!(error_of(batch.clone(), &at(6, true)), ErrorCode::UnsupportedCompressionType);
    validate_batch(batch.clone(), &at(7, true)).unwrap();
    validate_batch(batch, &at(0, false)).unwrap();
}

#[test]
fn every_record_of_a_compacted_topic_needs_a_key() {
    for codec in Codec::ALL {
        let records = [record(1), keyless(2), record(3), keyless(4)];
        let batch = || build(BatchBuilder::new().compression(codec, None), &records);
        validate_batch(batch(), &rules()).unwrap();
        let compacted = BatchRules { compacted: true, ..rules() };
        let refused = validate_batch(batch(), &compacted).unwrap_err();
        assert_eq!(refused.error, ErrorCode::InvalidRecord);
        let at: Vec<_> = refused.record_errors.iter().map(|r| r.batch_index).collect();
        assert_eq!(at, [1, 3], "{codec}");

        let old = BatchRules { produce_version: 7, ..compacted };
        let refused = validate_batch(batch(), &old).unwrap_err();
        assert_eq!((refused.error, refused.record_errors), (ErrorCode::InvalidRecord, vec![]));
    }
    // An empty key is a key.
    let empty = Plain { key: Some(vec![]), ..record(1) };
    validate_batch(batch_of(&[empty]), &BatchRules { compacted: true, ..rules() }).unwrap();
}

#[test]
fn an_answer_names_only_so_many_records() {
    let many: Vec<_> = (0..1000).map(keyless).collect();
    let refused =
        validate_batch(batch_of(&many), &BatchRules { compacted: true, ..rules() }).unwrap_err();
    assert_eq!(refused.record_errors.len(), MAX_RECORD_ERRORS);
    assert!(refused.message.contains("1000"));
}

#[test]
fn create_times_lie_within_the_bounds() {
    let bounded = BatchRules { before_max_ms: 100, after_max_ms: 10, ..rules() };
    for (timestamp, ok) in [
        (NOW - 100, true),
        (NOW - 101, false),
        (NOW + 10, true),
        (NOW + 11, false),
        (-1, true),
        (-2, false),
        (i64::MIN, false),
        (i64::MAX, false),
    ] {
        let result = validate_batch(batch_of(&[record(timestamp)]), &bounded);
        assert_eq!(result.is_ok(), ok, "{timestamp}");
        if let Err(refused) = result {
            assert_eq!(refused.error, ErrorCode::InvalidTimestamp);
            assert_eq!(refused.record_errors.len(), 1);
        }
        let append_time = BatchRules { timestamp_type: TimestampType::LogAppendTime, ..bounded };
        validate_batch(batch_of(&[record(timestamp)]), &append_time).unwrap();
    }
    // One bad timestamp outweighs a missing key, and a missing key hides its record's timestamp.
    let compacted = BatchRules { compacted: true, ..bounded };
    for mixed in [[keyless(NOW), record(0)], [record(0), keyless(NOW)]] {
        assert_eq!(error_of(batch_of(&mixed), &compacted), ErrorCode::InvalidTimestamp);
    }
    assert_eq!(error_of(batch_of(&[keyless(0)]), &compacted), ErrorCode::InvalidRecord);
}

#[test]
fn a_producer_cannot_claim_the_append_time() {
    let claims = build(BatchBuilder::new().log_append_time(Timestamp(NOW)), &[record(NOW)]);
    let append_time = BatchRules { timestamp_type: TimestampType::LogAppendTime, ..rules() };
    assert_eq!(error_of(claims.clone(), &append_time), ErrorCode::InvalidTimestamp);
    // Where its own times count anyway, as in Kafka, the claim is dropped.
    let create_time = BatchRules { timestamp_type: TimestampType::CreateTime, ..rules() };
    let valid = validate_batch(claims, &create_time).unwrap();
    assert_eq!(valid.header.attributes.timestamp_type(), TimestampType::CreateTime);
}

#[test]
fn the_append_time_is_stamped_in_place() {
    let rules = BatchRules { timestamp_type: TimestampType::LogAppendTime, ..rules() };
    let batch = three();
    let place = batch.as_ptr();
    let valid = validate_batch(batch, &rules).unwrap();
    assert_eq!(valid.batch.as_ptr(), place);
    assert_eq!(valid.max_timestamp, Timestamp(NOW));
    assert_eq!(valid.offset_of_max_timestamp_delta, 0);
    assert!(read_all(&valid.batch).unwrap().iter().all(|(_, r)| r.timestamp == NOW));
    assert_storable(&valid);
}

#[test]
fn a_wrong_max_timestamp_and_a_delete_horizon_are_put_right_in_place() {
    for batch in [three_with(35, &9i64.to_be_bytes()), three_with(21, &0x40i16.to_be_bytes())] {
        let place = batch.as_ptr();
        let valid = validate_batch(batch, &rules()).unwrap();
        assert_eq!(valid.batch, three());
        assert_eq!(valid.batch.as_ptr(), place);
    }
    let timeless = validate_batch(batch_of(&[record(-1), record(-1)]), &rules()).unwrap();
    assert_eq!(timeless.offset_of_max_timestamp_delta, -1);
    assert_storable(&timeless);
}

#[test]
fn offset_deltas_that_are_not_consecutive_are_put_right() {
    let mut builder = BatchBuilder::new();
    for delta in [0, 300, 301] {
        builder.append_at(delta, Timestamp(5), Some(b"k"), Some(b"v"), &[]).unwrap();
    }
    let gaps = builder.build().unwrap();
    let records = gaps[HEADER_BYTES..].to_vec();
    let mut header = gaps;
    header[23..27].copy_from_slice(&2i32.to_be_bytes());
    for codec in Codec::ALL {
        for target in Codec::ALL {
            let batch = with_records(&header, codec, &records);
            let compression = TopicCompression::Codec { codec: target, level: None };
            let valid = validate_batch(batch, &BatchRules { compression, ..rules() }).unwrap();
            assert_storable(&valid);
            assert_eq!(valid.header.attributes.codec(), Ok(target));
        }
        let valid = validate_batch(with_records(&header, codec, &records), &rules()).unwrap();
        assert_storable(&valid);
        assert_eq!(valid.header.attributes.codec(), Ok(codec));
    }
}

#[test]
fn a_record_whose_parts_lie_is_refused_compressed_or_not() {
    let mut header = three();
    header[23..27].copy_from_slice(&0i32.to_be_bytes());
    header[57..61].copy_from_slice(&1i32.to_be_bytes());
    for codec in Codec::ALL {
        for (what, records) in MALFORMED {
            let batch = with_records(&header, codec, records);
            assert_eq!(error_of(batch, &rules()), ErrorCode::InvalidRecord, "{codec} {what}");
            let other = if codec == Codec::Gzip { Codec::None } else { Codec::Gzip };
            let compression = TopicCompression::Codec { codec: other, level: None };
            let rules = BatchRules { compression, ..rules() };
            let batch = with_records(&header, codec, records);
            assert_eq!(error_of(batch, &rules), ErrorCode::InvalidRecord, "{codec} {what}");
        }
        let batch = with_records(&header, codec, &[12, 0, 0, 0, 1, 1, 0]);
        validate_batch(batch, &rules()).unwrap();
    }
}

#[test]
fn what_decompresses_beyond_the_bound_is_refused() {
    let large = Plain { value: Some(vec![0; 3 << 20]), ..record(1) };
    let bytes = batch_of(std::slice::from_ref(&large)).len() - HEADER_BYTES;
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let batch =
            || build(BatchBuilder::new().compression(codec, None), std::slice::from_ref(&large));
        for compression in [
            TopicCompression::Producer,
            TopicCompression::Codec { codec: Codec::Gzip, level: None },
        ] {
            let exact = BatchRules { max_decompressed_bytes: bytes, compression, ..rules() };
            validate_batch(batch(), &exact).unwrap();
            let less = BatchRules { max_decompressed_bytes: bytes - 1, ..exact };
            assert_eq!(error_of(batch(), &less), ErrorCode::MessageTooLarge, "{codec}");
        }
    }
}

fn any_rules() -> impl Strategy<Value = BatchRules> {
    let compression = prop_oneof![
        Just(TopicCompression::Producer),
        any_codec().prop_map(|codec| TopicCompression::Codec { codec, level: None }),
    ];
    (compression, any::<bool>(), any::<bool>()).prop_map(|(compression, append, client)| {
        let timestamp_type =
            if append { TimestampType::LogAppendTime } else { TimestampType::CreateTime };
        BatchRules { compression, timestamp_type, client, ..rules() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_accepted_keeps_its_records(
        records in proptest::collection::vec(plain_record(), 1..20),
        codec in any_codec(),
        rules in any_rules(),
    ) {
        let batch = build(BatchBuilder::new().compression(codec, None), &records);
        let valid = validate_batch(batch, &rules).unwrap();
        let expected = match rules.compression {
            TopicCompression::Producer => codec,
            TopicCompression::Codec { codec, .. } => codec,
        };
        prop_assert_eq!(valid.header.attributes.codec(), Ok(expected));
        prop_assert_eq!(valid.header.attributes.timestamp_type(), rules.timestamp_type);
        let stored: Vec<_> = read_all(&valid.batch).unwrap().into_iter().map(|(_, r)| r).collect();
        let append_time = rules.timestamp_type == TimestampType::LogAppendTime;
        let expected: Vec<_> = records
            .into_iter()
            .map(|r| if append_time { Plain { timestamp: NOW, ..r } } else { r })
            .collect();
        prop_assert_eq!(stored, expected);
        if !append_time {
            assert_storable(&valid);
        }
    }

    /// Damage with the CRC made right again, as a client could send it: refused, or stored as a
    /// batch in which everything is in order.
    #[test]
    fn damage_is_refused_or_harmless(
        records in proptest::collection::vec(plain_record(), 1..5),
        codec in any_codec(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4),
        inside in any::<bool>(),
        rules in any_rules(),
    ) {
        let rules = BatchRules { timestamp_type: TimestampType::CreateTime, ..rules };
        let mut batch = build(BatchBuilder::new(), &records);
        let flip = |bytes: &mut [u8]| for (at, bits) in &flips {
            let at = at.index(bytes.len());
            bytes[at] ^= bits;
        };
        // Inside the compressed records, or anywhere in the batch as it travels.
        let mut plain = batch[HEADER_BYTES..].to_vec();
        if inside {
            flip(&mut plain);
        }
        batch = with_records(&batch, codec, &plain);
        if !inside {
            flip(&mut batch);
            reseal(&mut batch);
        }
        if let Ok(valid) = validate_batch(batch, &rules) {
            assert_storable(&valid);
        }
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), rules in any_rules()) {
        let _ = validate_batch(BytesMut::from(&bytes[..]), &rules);
        // Behind a header in order.
        for codec in Codec::ALL {
            let mut batch = with_records(&three(), Codec::None, &bytes);
            batch[21..23].copy_from_slice(&i16::from(codec.id()).to_be_bytes());
            reseal(&mut batch);
            let _ = validate_batch(batch, &rules);
        }
    }
}
