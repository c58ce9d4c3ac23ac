//! What stands before every request and response.
//!
//! **Invariants**: the fixed prefix of a request is read before anything that depends on its key
//! or version, so that an unsupported request still has its correlation id.

use std::borrow::Cow;

use bytes::BytesMut;

use crate::api::{self, ApiKey};
use crate::codec::{
    Chunks, Decode, DecodeError, Encode, EncodeError, Reader, Request, Writer, decode_whole,
};

/// The part of a request header that never changes its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestPrefix {
    /// The API's number, served or not.
    pub api_key: i16,
    /// The version of the request and of its response.
    pub api_version: i16,
    /// Comes back in the response.
    pub correlation_id: i32,
}

impl RequestPrefix {
    /// Its length in bytes.
    pub const BYTES: usize = 8;

    /// Reads it from the front of a frame (without the length prefix).
    ///
    /// # Errors
    /// When the frame is shorter than [`RequestPrefix::BYTES`].
    pub fn parse(frame: &[u8]) -> Result<Self, DecodeError> {
        Self::read(&mut Reader::new(frame))
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { api_key: r.i16()?, api_version: r.i16()?, correlation_id: r.i32()? })
    }
}

/// The header of a request that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader<'a> {
    /// The fixed part.
    pub prefix: RequestPrefix,
    /// The API that the prefix names.
    pub key: ApiKey,
    /// The name the client gives itself.
    pub client_id: Option<Cow<'a, str>>,
}

/// A frame's header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The frame is too short to say what it is.
    #[error("the frame is too short for a request header")]
    TooShort,
    /// No such API is served.
    #[error("API key {} is not served", .0.api_key)]
    UnknownApi(RequestPrefix),
    /// The API is served, but not this version. To ApiVersions the answer is its version 0
    /// (KIP-511); any other such request closes the connection.
    #[error("{} version {} is not served", .0.name(), .1.api_version)]
    UnsupportedVersion(ApiKey, RequestPrefix),
    /// The rest of the header is broken.
    #[error("malformed request header: {1}")]
    Malformed(RequestPrefix, #[source] DecodeError),
}

/// Reads the header of a request frame (without the length prefix) and says where in the frame
/// the request itself begins.
///
/// # Errors
/// See [`HeaderError`]; all but one carry the prefix.
pub fn parse_request_header(frame: &[u8]) -> Result<(RequestHeader<'_>, usize), HeaderError> {
    let mut r = Reader::new(frame);
    let prefix = RequestPrefix::read(&mut r).map_err(|_| HeaderError::TooShort)?;
    let key = ApiKey::from_i16(prefix.api_key).ok_or(HeaderError::UnknownApi(prefix))?;
    if !key.api().serves(prefix.api_version) {
        return Err(HeaderError::UnsupportedVersion(key, prefix));
    }
    let client_id = read_client_id(&mut r, api::request_header_version(key, prefix.api_version))
        .map_err(|error| HeaderError::Malformed(prefix, error))?;
    Ok((RequestHeader { prefix, key, client_id }, frame.len() - r.remaining()))
}

/// The client id keeps its two-byte length in every version (KIP-511); header version 2 only adds
/// tagged fields after it.
fn read_client_id<'a>(
    r: &mut Reader<'a>,
    header_version: i16,
) -> Result<Option<Cow<'a, str>>, DecodeError> {
    let client_id = match r.string_length(false)? {
        None => None,
        Some(length) => Some(r.text(length)?),
    };
    if header_version >= 2 {
        r.tagged_fields(&mut |_, _| Ok(false))?;
    }
    Ok(client_id)
}

/// Writes the header of a response to a request of this key and version.
pub fn write_response_header(w: &mut Writer, key: ApiKey, version: i16, correlation_id: i32) {
    w.put(&correlation_id.to_be_bytes());
    if api::response_header_version(key, version) >= 1 {
        w.unsigned_varint(0);
    }
}

/// A response with its header, without the length prefix.
///
/// # Errors
/// As [`Encode::encode`].
pub fn encode_response<M: Encode>(
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    response: &M,
) -> Result<Chunks, EncodeError> {
    let mut w = Writer::with_capacity(256);
    write_response_header(&mut w, key, version, correlation_id);
    response.encode(&mut w, version)?;
    Ok(w.finish())
}

/// A request's body: the message and nothing after it.
///
/// # Errors
/// When the bytes are not the message, or more than it.
pub fn decode_request<'a, M: Request<'a>>(body: &'a [u8], version: i16) -> Result<M, DecodeError> {
    decode_whole(body, version)
}

/// The client's side: a request with length prefix and header, ready to be sent.
///
/// # Errors
/// As [`Encode::encode`]; also when the client id or the whole is too long.
pub fn encode_request<'a, M: Request<'a>>(
    correlation_id: i32,
    client_id: Option<&str>,
    version: i16,
    request: &M,
) -> Result<BytesMut, EncodeError> {
    let mut w = Writer::with_capacity(256);
    w.put(&[0; 4]);
    w.put(&M::KEY.code().to_be_bytes());
    w.put(&version.to_be_bytes());
    w.put(&correlation_id.to_be_bytes());
    w.string_length(client_id.map(str::len), false)?;
    w.put(client_id.unwrap_or_default().as_bytes());
    if api::request_header_version(M::KEY, version) >= 2 {
        w.unsigned_varint(0);
    }
    request.encode(&mut w, version)?;
    let mut frame = w.finish().concat();
    let length = frame.len() - 4;
    let length = i32::try_from(length).map_err(|_| EncodeError::TooLong(length))?;
    if let Some(prefix) = frame.first_chunk_mut() {
        *prefix = length.to_be_bytes();
    }
    Ok(frame)
}

/// The client's side: the correlation id and message of a response frame (without the length
/// prefix) to a request of type `M`, which must fill the frame.
///
/// # Errors
/// When the bytes are not such a response.
pub fn decode_response<'a, M: Request<'a>>(
    frame: &'a [u8],
    version: i16,
) -> Result<(i32, M::Response<'a>), DecodeError> {
    let mut r = Reader::new(frame);
    let correlation_id = r.i32()?;
    if api::response_header_version(M::KEY, version) >= 1 {
        r.tagged_fields(&mut |_, _| Ok(false))?;
    }
    let response = M::Response::decode(&mut r, version)?;
    match r.remaining() {
        0 => Ok((correlation_id, response)),
        left => Err(DecodeError::TrailingBytes(left)),
    }
}

#[cfg(test)]
mod tests;
