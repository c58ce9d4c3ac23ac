//! Decoders that are nobody's business but their crate's, for `fuzz` to throw bytes at.

use bytes::{Bytes, BytesMut};

use crate::frame::Header;
use crate::hello_codec;

/// The first bytes of a connection.
pub fn hello(bytes: &Bytes) {
    let mut read = BytesMut::from(&bytes[..]);
    while let Ok(Some(contents)) = hello_codec::take_envelope(&mut read) {
        let _ = hello_codec::decode_hello(contents.clone());
        let _ = hello_codec::decode_answer(contents);
    }
    let _ = hello_codec::decode_hello(bytes.clone());
    let _ = hello_codec::decode_answer(bytes.clone());
}

/// The bytes of a connection that has been opened.
pub fn frames(mut bytes: &[u8]) {
    while let Ok(Some(header)) = Header::read(bytes, 1 << 20) {
        let Some((frame, rest)) = bytes.split_at_checked(header.length) else { return };
        let _ = header.check(frame);
        bytes = rest;
    }
}
