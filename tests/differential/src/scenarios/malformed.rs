//! Frames, headers and bodies that are none: closed, answered, or ignored as Kafka does it.

use std::time::Duration;

use chronik_protocol::api::{ApiKey, SERVED, flexible};
use chronik_protocol::messages::ApiVersionsRequest;

use super::{ordinary, setup};
use crate::session::{CLIENT_ID, CORRELATION_ID, Failure, Session};

/// How long to wait for an answer or the end of the connection; a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long to look whether neither comes.
const SILENCE: Duration = Duration::from_secs(1);

/// Frames whose length is wrong, or that are too short for a header.
pub fn frames(s: &mut Session) -> Result<(), Failure> {
    let oversized = 104_857_601_i32;
    let cases: [(&str, Vec<u8>); 10] = [
        ("length -1", (-1_i32).to_be_bytes().to_vec()),
        ("length minimum", i32::MIN.to_be_bytes().to_vec()),
        ("length maximum", i32::MAX.to_be_bytes().to_vec()),
        ("one byte over the limit", oversized.to_be_bytes().to_vec()),
        ("length 0", frame(&[])),
        ("length 1", frame(&[0])),
        ("length 7", frame(&[0; 7])),
        ("only a prefix", frame(&prefix(18, 0))),
        ("http", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("tls hello", [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 64]].concat()),
    ];
    for (label, bytes) in cases {
        s.throw(label, &bytes, PATIENCE)?;
        s.hang_up(u8::MAX);
    }
    let unfinished = 104_857_600_i32.to_be_bytes();
    for (label, bytes) in
        [("at the limit, unfinished", &unfinished[..]), ("half a length", &[0, 0])]
    {
        s.throw(label, bytes, SILENCE)?;
        s.hang_up(u8::MAX);
    }
    Ok(())
}

/// Requests of APIs and versions that are not served, and broken headers.
pub fn headers(s: &mut Session) -> Result<(), Failure> {
    for key in [-1, 4, 5, 6, 7, 200, i16::MAX] {
        s.throw(&format!("key {key}"), &frame(&header(key, 0, false)), PATIENCE)?;
    }
    for (key, api) in SERVED {
        if *key == ApiKey::ApiVersions {
            continue;
        }
        for version in [-1, api.advertised_min - 1, api.min - 1, api.max + 1, i16::MAX] {
            let bytes = frame(&header(key.code(), version, true));
            s.throw(&format!("{} v{version}", key.name()), &bytes, PATIENCE)?;
        }
    }
    for version in [5, 6, i16::MAX, -1] {
        // Answered in the form of version 0, whatever the request was (KIP-511).
        let bytes = frame(&header(18, version, true));
        s.connection(0)?.send(&bytes);
        s.receive::<ApiVersionsRequest<'_>>(0, &format!("ApiVersions v{version}"), 0)?;
    }
    let null_client = [&prefix(18, 0)[..], &[0xff, 0xff]].concat();
    s.throw("null client id", &frame(&null_client), PATIENCE)?;
    let long_client = [&prefix(18, 0)[..], &[0x7f, 0xff, b'x']].concat();
    s.throw("client id longer than the frame", &frame(&long_client), PATIENCE)?;
    let negative_client = [&prefix(18, 0)[..], &[0xff, 0xfe]].concat();
    s.throw("client id of length -2", &frame(&negative_client), PATIENCE)?;
    let not_text = [&prefix(18, 0)[..], &[0, 2, 0xc3, 0x28]].concat();
    s.throw("client id that is not UTF-8", &frame(&not_text), PATIENCE)?;
    let tagged = [&header(18, 3, false)[..], &[1, 9, 2, b'h', b'i'], &[2, b'a', 2, b'1', 0]];
    s.throw("unknown tagged field in the header", &frame(&tagged.concat()), PATIENCE)?;
    let many_tags = [&header(18, 3, false)[..], &[0xff, 0xff, 0xff, 0xff, 0x07]].concat();
    s.throw("as many tagged fields as can be said", &frame(&many_tags), PATIENCE)?;
    let software = |name: &str| {
        let length = u8::try_from(name.len() + 1).unwrap_or(1);
        frame(&[&header(18, 3, true)[..], &[length], name.as_bytes(), &[2, b'1', 0]].concat())
    };
    for name in ["", "a", "-a", "a-", "a b", "\u{e4}", "a.b-c9"] {
        s.connection(0)?.send(&software(name));
        s.receive::<ApiVersionsRequest<'_>>(0, &format!("software name {name:?}"), 3)?;
    }
    Ok(())
}

/// The ordinary request of every API and version: cut short at several places, with bytes behind
/// it, and with its rest from several places on replaced by bytes that say "huge" or "negative".
pub fn bodies(s: &mut Session) -> Result<(), Failure> {
    let facts = ordinary::prepare(s)?;
    for (key, _) in SERVED {
        for version in setup::versions(*key) {
            let mut ordinary = ordinary::Frame::default();
            ordinary::visit(*key, version, &facts, &mut ordinary)?;
            let start = 4 + header(key.code(), version, flexible(*key, version)).len();
            let request = ordinary.0.split_off(4);
            let name = format!("{} v{version}", key.name());
            mutate(s, &name, &request, start - 4)?;
        }
    }
    Ok(())
}

/// At most so many places of a body are tried.
const PLACES: usize = 10;

fn mutate(s: &mut Session, name: &str, request: &[u8], start: usize) -> Result<(), Failure> {
    let body = request.len() - start;
    let step = body.div_ceil(PLACES).max(1);
    let mut outcomes = Vec::new();
    for cut in (start..request.len()).step_by(step) {
        let outcome = s.outcome_of(&frame(&request[..cut]), PATIENCE)?;
        outcomes.push(format!("{}:{outcome}", cut - start));
    }
    s.note(&format!("{name} cut short"), &outcomes.join(" "));
    for (what, byte) in [("huge", 0x7f), ("negative", 0xff)] {
        let mut outcomes = Vec::new();
        for at in (start..request.len()).step_by(step) {
            let mut bytes = request[..at].to_vec();
            bytes.resize(request.len().max(at + 8), byte);
            let outcome = s.outcome_of(&frame(&bytes), PATIENCE)?;
            outcomes.push(format!("{}:{outcome}", at - start));
        }
        s.note(&format!("{name} {what} from a place on"), &outcomes.join(" "));
    }
    let longer = [request, &[0]].concat();
    s.throw(&format!("{name} and a byte more"), &frame(&longer), PATIENCE)
}

fn frame(bytes: &[u8]) -> Vec<u8> {
    let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
    [&length.to_be_bytes()[..], bytes].concat()
}

fn prefix(key: i16, version: i16) -> Vec<u8> {
    let mut bytes = key.to_be_bytes().to_vec();
    bytes.extend(version.to_be_bytes());
    bytes.extend(CORRELATION_ID.to_be_bytes());
    bytes
}

/// A whole header with the client id; `tags` adds its empty tagged fields.
fn header(key: i16, version: i16, tags: bool) -> Vec<u8> {
    let mut bytes = prefix(key, version);
    bytes.extend(u16::try_from(CLIENT_ID.len()).unwrap_or(0).to_be_bytes());
    bytes.extend(CLIENT_ID.as_bytes());
    if tags {
        bytes.push(0);
    }
    bytes
}
