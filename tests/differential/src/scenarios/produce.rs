//! Produce and InitProducerId: sound batches, and batches with every kind of defect.

use chronik_protocol::api::ApiKey;
use chronik_protocol::batch::BatchBuilder;
use chronik_protocol::codec::Records;
use chronik_protocol::compression::Codec;
use chronik_protocol::messages::*;
use chronik_types::{Timestamp, Uuid};

use super::setup::{ends, produce, produce_request, topic, versions};
use crate::batches::{self, T0, at, records, with, with_body};
use crate::mask::now_ms;
use crate::session::{Failure, Session};

/// Every acknowledgement there is, and some that there are not.
pub fn acks(s: &mut Session) -> Result<(), Failure> {
    topic(s, "acks", 1, &[])?;
    let batch = records(1, Codec::None);
    for acks in [-2, -1, 1, 2, i16::MAX] {
        for version in ends(ApiKey::Produce).into_iter().filter(|v| *v < 13) {
            let request = ProduceRequest { acks, ..produce_request("acks", 0, &batch) };
            s.ask(&format!("acks {acks} v{version}"), version, &request)?;
        }
    }
    // No answer: whether the connection lives shows in the answer to the next request.
    let broken = with(records(1, Codec::None), at::RECORD_COUNT, &9_i32.to_be_bytes());
    for (label, name, partition, batch) in [
        ("sound", "acks", 0, &batch),
        ("to an unknown partition", "acks", 7, &batch),
        ("to an unknown topic", "acks-unknown", 0, &batch),
        ("of a broken batch", "acks", 0, &broken),
    ] {
        let request = ProduceRequest { acks: 0, ..produce_request(name, partition, batch) };
        s.send(0, 9, &request)?;
        let next = MetadataRequest { topics: Some(vec![]), ..Default::default() };
        s.ask(&format!("after acks 0 {label}"), 4, &next)?;
    }
    // Nobody is told when what has no acknowledgement can be seen; what comes after it tells.
    produce(s, "acks", 0, &batch)?;
    stored(s, "acks", "what acks 0 left")
}

/// What a partition holds now, as a consumer sees it.
pub fn stored(s: &mut Session, name: &str, label: &str) -> Result<(), Failure> {
    stored_in(s, name, 1, label)
}

/// What the first `partitions` of a topic hold now.
fn stored_in(s: &mut Session, name: &str, partitions: i32, label: &str) -> Result<(), Failure> {
    let partition = |partition| FetchPartition {
        partition,
        partition_max_bytes: 1 << 26,
        ..Default::default()
    };
    let partitions = (0..partitions).map(partition).collect();
    let topic = FetchTopic { topic: name.into(), topic_id: Uuid::ZERO, partitions };
    let request = FetchRequest { topics: vec![topic], ..Default::default() };
    s.ask(label, 12, &request).map(|_| ())
}

/// The defects a batch may have.
pub fn batches(s: &mut Session) -> Result<(), Failure> {
    // Each defect has a partition of its own, so that what is wrongly taken moves no other offsets.
    let cases = defects();
    let partitions = i32::try_from(cases.len()).unwrap_or(i32::MAX);
    let id = topic(s, "defects", partitions, &[])?;
    topic(s, "compacted", 1, &[("cleanup.policy", "compact")])?;
    for version in [3, 7, 8, 9, 13] {
        for (partition, (label, batch)) in (0..).zip(&cases) {
            let mut request = produce_request("defects", partition, batch);
            if version == 13 {
                request.topic_data[0].topic_id = id;
            }
            s.ask(&format!("{label} v{version}"), version, &request)?;
        }
    }
    for (label, key) in [("no key", None), ("empty key", Some(&b""[..])), ("key", Some(&b"k"[..]))]
    {
        let batch = batches::record(T0, key, Some(b"v"));
        s.ask(&format!("compacted, {label}"), 9, &produce_request("compacted", 0, &batch))?;
        let batch = batches::record(T0, key, None);
        s.ask(
            &format!("compacted, {label}, no value"),
            9,
            &produce_request("compacted", 0, &batch),
        )?;
    }
    stored(s, "compacted", "what is compacted")?;
    stored_in(s, "defects", partitions, "what defects left")
}

fn defects() -> Vec<(&'static str, Vec<u8>)> {
    let good = || records(3, Codec::None);
    let body = || good()[at::RECORDS..].to_vec();
    let mut bad_crc = good();
    bad_crc[at::CRC] ^= 0xff;
    let length = |change: i32| {
        let mut batch = good();
        let now =
            i32::from_be_bytes(batch[at::LENGTH..at::LENGTH + 4].try_into().unwrap_or_default());
        batch[at::LENGTH..at::LENGTH + 4].copy_from_slice(&now.wrapping_add(change).to_be_bytes());
        batch
    };
    let mut cases = vec![
        ("sound", good()),
        ("wrong crc", bad_crc),
        ("length one less", length(-1)),
        ("length one more", length(1)),
        ("length 0", length(-(i32::try_from(good().len()).unwrap_or(0) - 12))),
        ("length negative", length(i32::MIN)),
        ("length 48", with(good(), at::LENGTH, &48_i32.to_be_bytes())),
        ("cut within the header", good()[..40].to_vec()),
        ("cut within the records", good()[..70].to_vec()),
        ("only a header", with_body(&good(), &[])),
        ("two batches", [good(), good()].concat()),
        ("a batch and a half", [good(), good()[..30].to_vec()].concat()),
        ("a byte behind the records", with_body(&good(), &[body(), vec![0]].concat())),
        ("records cut short", with_body(&good(), &body()[..body().len() - 1])),
        ("garbage", vec![0xa5; 100]),
        ("no bytes", vec![]),
    ];
    let magics = [("magic 0", 0), ("magic 1", 1), ("magic 3", 3), ("magic -1", 255)];
    cases.extend(magics.map(|(label, magic)| (label, with(good(), at::MAGIC, &[magic]))));
    cases.extend(header_defects());
    cases.extend(record_defects());
    cases
}

fn header_defects() -> Vec<(&'static str, Vec<u8>)> {
    let good = || records(3, Codec::None);
    let set = |at: usize, bytes: &[u8]| with(good(), at, bytes);
    let both = |delta: i32, count: i32| {
        let batch = set(at::LAST_OFFSET_DELTA, &delta.to_be_bytes());
        with(batch, at::RECORD_COUNT, &count.to_be_bytes())
    };
    vec![
        ("base offset 5", set(at::BASE_OFFSET, &5_i64.to_be_bytes())),
        ("base offset -1", set(at::BASE_OFFSET, &(-1_i64).to_be_bytes())),
        ("leader epoch 9", set(at::LEADER_EPOCH, &9_i32.to_be_bytes())),
        ("count 0", set(at::RECORD_COUNT, &0_i32.to_be_bytes())),
        ("count 2", set(at::RECORD_COUNT, &2_i32.to_be_bytes())),
        ("count 4", set(at::RECORD_COUNT, &4_i32.to_be_bytes())),
        ("count -1", set(at::RECORD_COUNT, &(-1_i32).to_be_bytes())),
        ("count maximum", set(at::RECORD_COUNT, &i32::MAX.to_be_bytes())),
        ("count and delta one too few", both(1, 2)),
        ("count and delta one too many", both(3, 4)),
        ("count and delta far too many", both(i32::MAX - 1, i32::MAX)),
        ("count 0 and delta -1", both(-1, 0)),
        ("last offset delta 5", set(at::LAST_OFFSET_DELTA, &5_i32.to_be_bytes())),
        ("last offset delta -1", set(at::LAST_OFFSET_DELTA, &(-1_i32).to_be_bytes())),
        ("codec 5", set(at::ATTRIBUTES, &5_i16.to_be_bytes())),
        ("codec 7", set(at::ATTRIBUTES, &7_i16.to_be_bytes())),
        ("says gzip and is not", set(at::ATTRIBUTES, &1_i16.to_be_bytes())),
        ("says snappy and is not", set(at::ATTRIBUTES, &2_i16.to_be_bytes())),
        ("says lz4 and is not", set(at::ATTRIBUTES, &3_i16.to_be_bytes())),
        ("says zstd and is not", set(at::ATTRIBUTES, &4_i16.to_be_bytes())),
        ("log append time", set(at::ATTRIBUTES, &8_i16.to_be_bytes())),
        ("control", set(at::ATTRIBUTES, &0x20_i16.to_be_bytes())),
        ("delete horizon", set(at::ATTRIBUTES, &0x40_i16.to_be_bytes())),
        ("unknown attributes", set(at::ATTRIBUTES, &0x7f00_i16.to_be_bytes())),
        ("max timestamp too low", set(at::MAX_TIMESTAMP, &T0.to_be_bytes())),
        ("max timestamp too high", set(at::MAX_TIMESTAMP, &(T0 + 99).to_be_bytes())),
        ("max timestamp -1", set(at::MAX_TIMESTAMP, &(-1_i64).to_be_bytes())),
        ("producer id without sequence", set(at::PRODUCER_ID, &77_i64.to_be_bytes())),
        ("producer epoch without id", set(at::PRODUCER_EPOCH, &3_i16.to_be_bytes())),
        ("sequence without producer", set(at::BASE_SEQUENCE, &3_i32.to_be_bytes())),
        ("sequence -2 without producer", set(at::BASE_SEQUENCE, &(-2_i32).to_be_bytes())),
        ("producer without epoch", batches::idempotent(991, -1, 0, 1)),
        ("producer with sequence -1", batches::idempotent(992, 0, -1, 1)),
        ("producer id -2", batches::idempotent(-2, 0, 0, 1)),
        ("control of a producer", batches::control(993)),
    ]
}

fn record_defects() -> Vec<(&'static str, Vec<u8>)> {
    let good = records(1, Codec::None);
    let body = |bytes: &[u8]| with_body(&good, bytes);
    let packed = |codec: Codec| {
        // A record that is broken inside, packed well.
        let broken = records(1, codec);
        let inner = chronik_protocol::compression::compress(codec, None, &[10, 0, 0, 0])
            .unwrap_or_default();
        with_body(&broken, &inner)
    };
    vec![
        // length, attributes, time delta, offset delta, key length, key, value length, value, headers
        ("bare record", body(&[14, 0, 0, 0, 1, 2, b'v', 0])),
        ("null value", body(&[12, 0, 0, 0, 1, 1, 0])),
        ("record attributes 1", body(&[14, 1, 0, 0, 1, 2, b'v', 0])),
        ("record length too great", body(&[16, 0, 0, 0, 1, 2, b'v', 0])),
        ("record length too small", body(&[12, 0, 0, 0, 1, 2, b'v', 0])),
        ("record length negative", body(&[1, 0, 0, 0, 1, 2, b'v', 0])),
        ("record length 0", body(&[0])),
        ("record length endless", body(&[0xff; 10])),
        ("offset delta 1 first", body(&[14, 0, 0, 2, 1, 2, b'v', 0])),
        ("offset delta negative", body(&[14, 0, 0, 1, 1, 2, b'v', 0])),
        ("key length -2", body(&[14, 0, 0, 0, 3, 2, b'v', 0])),
        ("key longer than the record", body(&[14, 0, 0, 0, 100, 2, b'v', 0])),
        ("value length -2", body(&[12, 0, 0, 0, 1, 3, 0])),
        ("value longer than the record", body(&[14, 0, 0, 0, 1, 100, b'v', 0])),
        ("header count -1", body(&[14, 0, 0, 0, 1, 2, b'v', 1])),
        ("header count 9", body(&[14, 0, 0, 0, 1, 2, b'v', 18])),
        ("header key null", body(&[18, 0, 0, 0, 1, 2, b'v', 2, 1, 1])),
        ("header key not text", body(&[20, 0, 0, 0, 1, 2, b'v', 2, 2, 0xff, 1])),
        ("gzip with a broken record", packed(Codec::Gzip)),
        ("snappy with a broken record", packed(Codec::Snappy)),
        ("lz4 with a broken record", packed(Codec::Lz4)),
        ("zstd with a broken record", packed(Codec::Zstd)),
    ]
}

/// Partitions of the topics below: one for each case.
const TIMES: i32 = 14;

/// Timestamps in and out of the range that a topic allows.
pub fn timestamps(s: &mut Session) -> Result<(), Failure> {
    topic(s, "times", TIMES, &[])?;
    topic(s, "append-time", TIMES, &[("message.timestamp.type", "LogAppendTime")])?;
    let hour = "3600000";
    let narrow =
        [("message.timestamp.before.max.ms", hour), ("message.timestamp.after.max.ms", hour)];
    topic(s, "narrow-times", TIMES, &narrow)?;
    let now = now_ms();
    let times = [
        ("-1", -1),
        ("-2", -2),
        ("minimum", i64::MIN + 1),
        ("0", 0),
        ("2023", T0),
        ("now", now),
        ("in half an hour", now + 1_800_000),
        ("in two hours", now + 7_200_000),
        ("half an hour ago", now - 1_800_000),
        ("two hours ago", now - 7_200_000),
        ("maximum", i64::MAX),
    ];
    for name in ["times", "append-time", "narrow-times"] {
        for (partition, (label, time)) in (0..).zip(times) {
            let batch = batches::record(time, Some(b"k"), Some(b"v"));
            for version in [3, 8, 12] {
                let label = format!("{name} {label} v{version}");
                s.ask(&label, version, &produce_request(name, partition, &batch))?;
            }
        }
        let mut builder = BatchBuilder::new();
        for time in [now, now + 7_200_000, now - 7_200_000, now, now + 7_200_000] {
            // Only times close to each other fit one batch of the builder.
            let _ = builder.append(Timestamp(time), Some(b"k"), Some(b"v"), &[]);
        }
        let batch = batches::build(builder);
        s.ask(&format!("{name} several"), 9, &produce_request(name, TIMES - 3, &batch))?;
        let stamped = with(records(2, Codec::None), at::ATTRIBUTES, &8_i16.to_be_bytes());
        s.ask(&format!("{name} stamped"), 9, &produce_request(name, TIMES - 2, &stamped))?;
        let batch = records(2, Codec::Gzip);
        s.ask(&format!("{name} compressed"), 9, &produce_request(name, TIMES - 1, &batch))?;
    }
    stored_in(s, "append-time", TIMES, "what has append times")
}

/// Batches around the limits of size.
pub fn sizes(s: &mut Session) -> Result<(), Failure> {
    topic(s, "small-messages", 1, &[("max.message.bytes", "1000")])?;
    topic(s, "no-messages", 1, &[("max.message.bytes", "0")])?;
    let segments = [("segment.bytes", "1048576"), ("max.message.bytes", "4000000")];
    topic(s, "small-segments", 1, &segments)?;
    topic(s, "default-sizes", 1, &[])?;
    let overhead = batches::sized(900, Codec::None).len() - 900;
    for bytes in [999, 1000, 1001] {
        let batch = batches::sized(bytes - overhead, Codec::None);
        for version in [3, 9] {
            let label = format!("{} of at most 1000 bytes v{version}", batch.len());
            s.ask(&label, version, &produce_request("small-messages", 0, &batch))?;
        }
    }
    let squeezed = batches::sized(100_000, Codec::Zstd);
    s.ask("fits compressed", 9, &produce_request("small-messages", 0, &squeezed))?;
    s.ask("no message fits", 9, &produce_request("no-messages", 0, &records(1, Codec::None)))?;
    for bytes in [1_000_000, 1_048_576 - 70, 1_048_577, 1_100_000] {
        let batch = batches::sized(bytes, Codec::None);
        s.ask(
            &format!("{bytes} in small segments"),
            9,
            &produce_request("small-segments", 0, &batch),
        )?;
    }
    for bytes in [1_048_500, 1_048_588, 1_100_000] {
        let batch = batches::sized(bytes, Codec::None);
        s.ask(&format!("{bytes} by default"), 9, &produce_request("default-sizes", 0, &batch))?;
    }
    Ok(())
}

/// Every codec, and topics that ask for one of their own.
pub fn codecs(s: &mut Session) -> Result<(), Failure> {
    let codecs = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
    for kind in ["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"] {
        let name = format!("codec-{kind}");
        topic(s, &name, 1, &[("compression.type", kind)])?;
        for codec in codecs {
            for version in [3, 6, 7, 12] {
                let batch = records(20, codec);
                let label = format!("{} to {kind} v{version}", codec.name());
                s.ask(&label, version, &produce_request(&name, 0, &batch))?;
            }
        }
        stored(s, &name, &format!("what {kind} keeps"))?;
    }
    // Raw snappy, as producers that are not Java's write it.
    let plain = records(1, Codec::None);
    let body = &plain[at::RECORDS..];
    // The length of what is packed, then all of it as one literal.
    let length = u8::try_from(body.len()).unwrap_or(0);
    let raw = [&[length, (length - 1) << 2][..], body].concat();
    let snappy = with(with_body(&plain, &raw), at::ATTRIBUTES, &2_i16.to_be_bytes());
    s.ask("raw snappy", 9, &produce_request("codec-producer", 0, &snappy))?;
    s.ask("raw snappy to gzip", 9, &produce_request("codec-gzip", 0, &snappy)).map(|_| ())
}

/// Sequences of idempotent producers.
pub fn idempotence(s: &mut Session) -> Result<(), Failure> {
    topic(s, "sequences", 2, &[])?;
    init_producers(s)?;
    let p = |id: i64, epoch: i16, sequence: i32, count: i32| {
        batches::idempotent(id, epoch, sequence, count)
    };
    let steps = [
        ("first", p(5000, 0, 0, 2)),
        ("next", p(5000, 0, 2, 3)),
        ("duplicate of the last", p(5000, 0, 2, 3)),
        ("duplicate of the first", p(5000, 0, 0, 2)),
        ("overlaps the last", p(5000, 0, 3, 3)),
        ("part of the last", p(5000, 0, 2, 2)),
        ("gap", p(5000, 0, 9, 1)),
        ("goes on", p(5000, 0, 5, 1)),
        ("goes on 2", p(5000, 0, 6, 1)),
        ("goes on 3", p(5000, 0, 7, 1)),
        ("goes on 4", p(5000, 0, 8, 1)),
        ("duplicate that is forgotten", p(5000, 0, 0, 2)),
        ("duplicate that is just remembered", p(5000, 0, 2, 3)),
        ("new epoch, not from 0", p(5000, 1, 9, 1)),
        ("new epoch from 0", p(5000, 1, 0, 1)),
        ("old epoch", p(5000, 0, 9, 1)),
        ("old epoch, duplicate", p(5000, 0, 8, 1)),
        ("epoch jumps", p(5000, 7, 0, 1)),
        ("without state, not from 0", p(6000, 0, 41, 2)),
        ("and its next", p(6000, 0, 43, 1)),
        ("and again from 0", p(6000, 0, 0, 1)),
        ("without state, later epoch", p(6001, 5, 3, 1)),
        ("up to the last sequence", p(7000, 0, i32::MAX - 1, 2)),
        ("wraps to 0", p(7000, 0, 0, 1)),
        ("across the end", p(7001, 0, i32::MAX - 1, 4)),
        ("behind the end", p(7001, 0, 2, 1)),
        ("across the end, duplicate", p(7001, 0, i32::MAX - 1, 4)),
    ];
    for (label, batch) in steps {
        for acks in [-1, 1] {
            let request = ProduceRequest { acks, ..produce_request("sequences", 0, &batch) };
            // The second time is a duplicate, or the same error again.
            s.ask(&format!("{label}, acks {acks}"), 9, &request)?;
        }
    }
    let other = batches::idempotent(5000, 0, 5, 1);
    s.ask("old epoch elsewhere", 9, &produce_request("sequences", 1, &other))?;
    stored(s, "sequences", "what idempotent producers left")
}

fn init_producers(s: &mut Session) -> Result<(), Failure> {
    for version in versions(ApiKey::InitProducerId) {
        let base = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: 60_000,
            ..Default::default()
        };
        s.ask(&format!("init v{version}"), version, &base)?;
        for timeout in [0, -1, i32::MAX] {
            let request = InitProducerIdRequest { transaction_timeout_ms: timeout, ..base.clone() };
            s.ask(&format!("init with timeout {timeout} v{version}"), version, &request)?;
        }
        if version >= 3 {
            for (id, epoch) in [(5, 3), (5, -1), (-1, 3), (-2, -2), (5, i16::MAX)] {
                let request = InitProducerIdRequest {
                    producer_id: id,
                    producer_epoch: epoch,
                    ..base.clone()
                };
                s.ask(&format!("init with {id} {epoch} v{version}"), version, &request)?;
            }
        }
        let empty = InitProducerIdRequest { transactional_id: Some("".into()), ..base };
        s.ask(&format!("init with an empty transactional id v{version}"), version, &empty)?;
    }
    Ok(())
}

/// Requests about several partitions, and about ones that there are not.
pub fn partitions(s: &mut Session) -> Result<(), Failure> {
    let id = topic(s, "several", 3, &[])?;
    super::setup::coordinator(s, "several")?;
    let batch = records(1, Codec::None);
    let data = |index: i32| PartitionProduceData { index, records: Records::Borrowed(&batch) };
    let of = |name: &'static str, id: Uuid, partition_data| TopicProduceData {
        name: name.into(),
        topic_id: id,
        partition_data,
    };
    for version in versions(ApiKey::Produce) {
        let ask = |s: &mut Session, label: &str, topic_data: Vec<TopicProduceData<'_>>| {
            let request =
                ProduceRequest { transactional_id: None, acks: -1, timeout_ms: 5000, topic_data };
            s.ask(&format!("{label} v{version}"), version, &request).map(|_| ())
        };
        let (several, unknown, zero) = match version {
            13.. => (id, Uuid([7; 16]), Uuid::ZERO),
            _ => (Uuid::ZERO, Uuid::ZERO, Uuid::ZERO),
        };
        ask(s, "all", vec![of("several", several, vec![data(2), data(0), data(1)])])?;
        ask(s, "unknown partition", vec![of("several", several, vec![data(3), data(0)])])?;
        ask(s, "partition -1", vec![of("several", several, vec![data(-1)])])?;
        ask(s, "unknown topic", vec![of("nowhere", unknown, vec![data(0)])])?;
        ask(s, "no topic name", vec![of("", zero, vec![data(0)])])?;
        ask(s, "no partitions", vec![of("several", several, vec![])])?;
        ask(s, "no topics", vec![])?;
        if version < 13 {
            ask(s, "invalid name", vec![of("a/b", zero, vec![data(0)])])?;
            ask(s, "internal", vec![of("__consumer_offsets", zero, vec![data(0)])])?;
        }
        let empty = PartitionProduceData { index: 0, records: Records::EMPTY };
        ask(s, "empty records", vec![of("several", several, vec![empty])])?;
    }
    let request = ProduceRequest { timeout_ms: -1, ..produce_request("several", 0, &batch) };
    s.ask("timeout -1", 9, &request)?;
    let mut null = produce_request("several", 0, &batch);
    null.topic_data[0].partition_data[0].records = Records::Null;
    s.ask_briefly("null records", 9, &null)?;
    let twice = [
        ("partition twice", vec![of("several", Uuid::ZERO, vec![data(0), data(0)])]),
        (
            "topic twice",
            vec![
                of("several", Uuid::ZERO, vec![data(1)]),
                of("several", Uuid::ZERO, vec![data(2)]),
            ],
        ),
    ];
    for (label, topic_data) in twice {
        let request =
            ProduceRequest { transactional_id: None, acks: -1, timeout_ms: 5000, topic_data };
        s.ask(label, 9, &request)?;
    }
    Ok(())
}
