use std::borrow::Cow;

use bytes::Bytes;
use chronik_types::Uuid;

use super::*;

messages! {
    record Sample<'a>, 0-3, Some(2);

    /// One field of every kind.
    struct Sample<'a> {
        name: Option<Cow<'a, str>>, null 1+, default Some("".into());
        old: i32, 0-1, default -1;
        hint: i32, 1+ ignorable;
        blob: Cow<'a, [u8]>;
        ratio: f64;
        part: Option<Part>, 1+;
        records: Records<'a>;
        label: Cow<'a, str>, 2+ ignorable, tag 0;
        limits: Vec<Part>, 3+, tag 5;
    }

    struct Part {
        id: u16;
        uuid: Uuid, 2+ ignorable;
    }
}

fn bytes(message: &Sample<'_>, version: i16) -> Result<Vec<u8>, EncodeError> {
    let mut w = Writer::new();
    message.encode(&mut w, version)?;
    Ok(w.finish().concat().to_vec())
}

fn varint(bytes: &[u8]) -> Result<u32, DecodeError> {
    Reader::new(bytes).unsigned_varint()
}

#[test]
fn the_bytes_of_an_inflexible_version_are_as_the_protocol_says() {
    let sample = Sample {
        name: Some("né".into()),
        old: 7,
        blob: Cow::Borrowed(&[9]),
        ratio: 1.0,
        ..Sample::default()
    };
    let expected = [
        &[0, 3, b'n', 0xC3, 0xA9][..],
        &[0, 0, 0, 7],
        &[0, 0, 0, 1, 9],
        &[0x3F, 0xF0, 0, 0, 0, 0, 0, 0],
        &[0xFF, 0xFF, 0xFF, 0xFF],
    ]
    .concat();
    assert_eq!(bytes(&sample, 0).as_ref(), Ok(&expected));
    assert_eq!(decode_whole::<Sample>(&expected, 0), Ok(sample));
}

#[test]
fn the_bytes_of_a_flexible_version_are_as_the_protocol_says() {
    let part = |id| Part { id, uuid: Uuid([0xAB; 16]) };
    let sample = Sample {
        name: None,
        part: Some(part(258)),
        records: Records::Borrowed(&[1, 2]),
        label: "x".into(),
        limits: vec![part(3)],
        ..Sample::default()
    };
    let expected = [
        &[0][..],          // name: null
        &[0, 0, 0, 0],     // hint
        &[1],              // blob: empty
        &[0; 8],           // ratio
        &[1, 1, 2],        // part: there, id
        &[0xAB; 16],       // its uuid
        &[0],              // its tagged fields: none
        &[3, 1, 2],        // records
        &[2],              // two tagged fields
        &[0, 2, 2, b'x'],  // label
        &[5, 20, 2, 0, 3], // limits: one, id
        &[0xAB; 16],
        &[0],
    ]
    .concat();
    assert_eq!(bytes(&sample, 3).as_ref(), Ok(&expected));
    assert_eq!(decode_whole::<Sample>(&expected, 3), Ok(sample));
}

#[test]
fn decoding_borrows_from_the_frame() {
    let sample =
        Sample { name: Some("name".into()), blob: Cow::Borrowed(b"b"), ..Sample::default() };
    let frame = bytes(&sample, 0).unwrap();
    let decoded: Sample = decode_whole(&frame, 0).unwrap();
    assert!(
        matches!(decoded.name, Some(Cow::Borrowed(name)) if std::ptr::eq(name.as_ptr(), &frame[2]))
    );
    assert!(matches!(decoded.blob, Cow::Borrowed(_)));
}

#[test]
fn a_field_that_the_version_lacks_is_refused_unless_it_is_ignorable() {
    let refused = |field, version| Err(EncodeError::FieldNotInVersion { field, version });
    let old = Sample { old: 0, ..Sample::default() };
    assert_eq!(bytes(&old, 2), refused("Sample.old", 2));
    let part = Sample { part: Some(Part::default()), ..Sample::default() };
    assert_eq!(bytes(&part, 0), refused("Sample.part", 0));
    let tagged = Sample { limits: vec![Part::default()], ..Sample::default() };
    assert_eq!(bytes(&tagged, 2), refused("Sample.limits", 2));
    assert_eq!(bytes(&tagged, 1), refused("Sample.limits", 1));
    let ignorable = Sample { hint: 5, label: "x".into(), ..Sample::default() };
    assert_eq!(bytes(&ignorable, 0), bytes(&Sample::default(), 0));
}

#[test]
fn null_is_refused_where_the_version_has_none() {
    let null = Sample { name: None, ..Sample::default() };
    let field = "Sample.name";
    assert_eq!(bytes(&null, 0), Err(EncodeError::NullField { field, version: 0 }));
    let frame = [&[0xFF, 0xFF][..], &[0; 20]].concat();
    let decoded = decode_whole::<Sample>(&frame, 0);
    assert_eq!(decoded, Err(DecodeError::NullField { field, version: 0 }));
    // A null array or blob is refused by its type.
    let blob = [&[0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF][..], &[0; 12]].concat();
    assert_eq!(decode_whole::<Sample>(&blob, 0), Err(DecodeError::UnexpectedNull));
}

#[test]
fn versions_outside_the_schema_are_refused() {
    for version in [-1, 4, i16::MAX, i16::MIN] {
        assert_eq!(
            bytes(&Sample::default(), version),
            Err(EncodeError::UnsupportedVersion(version))
        );
        assert_eq!(
            decode_whole::<Sample>(&[0; 64], version),
            Err(DecodeError::UnsupportedVersion(version))
        );
    }
}

#[test]
fn varints_take_five_bytes_at_most_and_32_bits_at_most() {
    for n in [0, 1, 127, 128, 300, 16_383, 16_384, u32::MAX / 2, u32::MAX] {
        let mut w = Writer::new();
        w.unsigned_varint(n);
        assert_eq!(varint(&w.finish().concat()), Ok(n));
    }
    assert_eq!(varint(&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F]), Ok(u32::MAX));
    assert_eq!(varint(&[0xFF, 0xFF, 0xFF, 0xFF, 0x1F]), Err(DecodeError::VarintTooLong));
    assert_eq!(varint(&[0x80, 0x80, 0x80, 0x80, 0x80, 0]), Err(DecodeError::VarintTooLong));
    assert!(matches!(varint(&[0x80, 0x80]), Err(DecodeError::UnexpectedEnd { .. })));
}

#[test]
fn lengths_below_minus_one_and_strings_beyond_kafkas_cap_are_refused() {
    let string = |bytes: &[u8], flexible| Reader::new(bytes).string_length(flexible);
    assert_eq!(string(&[0xFF, 0xFE], false), Ok(None));
    assert_eq!(string(&[0xFF, 0xFF], false), Ok(None));
    assert_eq!(string(&[0x80, 0x80, 0x02], true), Ok(Some(0x7FFF)));
    assert_eq!(string(&[0x81, 0x80, 0x02], true), Err(DecodeError::InvalidLength(0x8000)));
    let length = |bytes: &[u8], flexible| Reader::new(bytes).length(flexible);
    assert_eq!(length(&[0xFF, 0xFF, 0xFF, 0xFE], false), Ok(None));
    assert_eq!(length(&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F], true), Ok(None));
    assert_eq!(length(&[0x80, 0x80, 0x80, 0x80, 0x08], true), Ok(Some(0x7FFF_FFFF)));

    let long = "x".repeat(0x8000);
    let sample = Sample { name: Some(long.into()), ..Sample::default() };
    assert_eq!(bytes(&sample, 0), Err(EncodeError::TooLong(0x8000)));
    assert_eq!(bytes(&sample, 2), Err(EncodeError::TooLong(0x8000)));
}

#[test]
fn what_is_not_utf8_in_a_string_is_replaced() {
    let text = |bytes: &[u8]| Reader::new(bytes).text(bytes.len()).map(Cow::into_owned);
    assert_eq!(text(&[b'a', 0xFF, 0xC3, b'b']), Ok("a\u{FFFD}\u{FFFD}b".to_owned()));
}

#[test]
fn tagged_fields_rise_and_are_read_to_their_end_or_skipped() {
    let mut bytes = [&[1, 0, 0, 0, 0, 1][..], &[0; 8], &[0xFF, 0][..]].concat();
    let front = bytes.len();
    let mut decode = |tags: &[u8]| {
        bytes.truncate(front);
        bytes.extend(tags);
        decode_whole::<Sample>(&bytes, 2).map(|sample| sample.label.into_owned())
    };
    assert_eq!(decode(&[0]), Ok(String::new()));
    assert_eq!(decode(&[2, 0, 2, 2, b'x', 9, 3, 1, 2, 3]), Ok("x".into()));
    assert_eq!(decode(&[2, 9, 1, 1, 0, 2, 2, b'x']), Err(DecodeError::TagOrder(0)));
    assert_eq!(decode(&[2, 9, 0, 9, 0]), Err(DecodeError::TagOrder(9)));
    assert_eq!(decode(&[1, 0, 3, 2, b'x', 0]), Err(DecodeError::TagSize { tag: 0, left: 1 }));
    // The content cannot reach beyond its own size.
    let beyond = decode(&[1, 0, 1, 2, b'x']);
    assert_eq!(beyond, Err(DecodeError::UnexpectedEnd { wanted: 1, left: 0 }));
    let endless = decode(&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F]);
    assert!(matches!(endless, Err(DecodeError::UnexpectedEnd { .. })));
    // A known tag in a version that lacks it is as good as unknown.
    assert_eq!(decode(&[1, 5, 1, 0x7F]), Ok(String::new()));
}

#[test]
fn shared_records_are_sent_as_they_are() {
    let batches = vec![Bytes::from_static(b"first"), Bytes::new(), Bytes::from_static(b"second")];
    let records = Records::Chunks(batches.clone());
    let mut w = Writer::new();
    Sample { records, ..Sample::default() }.encode(&mut w, 0).unwrap();
    w.put(&[1]);
    let chunks = w.finish();
    let sent: Vec<_> = chunks.iter().map(|chunk| chunk.as_ptr()).collect();
    assert!(sent.contains(&batches[0].as_ptr()) && sent.contains(&batches[2].as_ptr()));
    assert!(chunks.iter().all(|chunk| !chunk.is_empty()));
    assert_eq!(chunks.iter().count(), 4);
    assert_eq!(chunks.total_bytes(), chunks.concat().len());
    assert!(chunks.concat().ends_with(&[
        0, 0, 0, 11, b'f', b'i', b'r', b's', b't', b's', b'e', b'c', b'o', b'n', b'd', 1
    ]));
}

#[test]
fn records_are_equal_by_their_bytes() {
    let chunks = |parts: &[&'static [u8]]| {
        Records::Chunks(parts.iter().map(|part| Bytes::from_static(part)).collect())
    };
    assert_eq!(chunks(&[b"ab", b"c"]), Records::Borrowed(b"abc"));
    assert_eq!(chunks(&[b"ab", b"c"]), chunks(&[b"a", b"bc"]));
    assert_ne!(chunks(&[b"ab"]), chunks(&[b"ba"]));
    assert_eq!(chunks(&[]), Records::EMPTY);
    assert_ne!(Records::Null, Records::EMPTY);
}

#[test]
fn a_count_is_held_against_the_bytes_left_and_the_memory_they_justify() {
    let bytes = [0; 100];
    let admit = |count, wire, memory| Reader::new(&bytes).admit_elements(count, wire, memory);
    assert_eq!(admit(50, 2, 8), Ok(100 / 8 + 1));
    assert_eq!(admit(5, 2, 8), Ok(5));
    assert_eq!(admit(51, 2, 8), Err(DecodeError::CountTooLarge { count: 51, left: 100 }));
    assert_eq!(
        admit(usize::MAX, 0, 8),
        Err(DecodeError::CountTooLarge { count: usize::MAX, left: 100 })
    );
    assert_eq!(admit(100, 1, usize::MAX / 50), Err(DecodeError::TooManyElements));

    // Nested arrays share what a message may take.
    let memory = Reader::MEMORY_FREE + 100 * Reader::MEMORY_PER_BYTE;
    let mut r = Reader::new(&bytes);
    assert!(r.admit_elements(1, 1, memory - 10).is_ok());
    assert!(r.admit_elements(1, 1, 10).is_ok());
    assert_eq!(r.admit_elements(1, 1, 1), Err(DecodeError::TooManyElements));
}
