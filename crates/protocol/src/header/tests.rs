use super::*;
use crate::messages::{
    ApiVersionsRequest, ApiVersionsResponse, HeartbeatRequest, HeartbeatResponse, MetadataRequest,
    MetadataResponse,
};

fn prefix(api_key: i16, api_version: i16) -> RequestPrefix {
    RequestPrefix { api_key, api_version, correlation_id: 7 }
}

#[test]
fn a_request_travels_with_its_header_in_both_forms() {
    for (version, client_id) in [(8, Some("me")), (9, Some("me")), (8, None), (9, None)] {
        let request = MetadataRequest { topics: None, ..Default::default() };
        let frame = encode_request(7, client_id, version, &request).unwrap();
        let length = i32::from_be_bytes(*frame.first_chunk().unwrap());
        assert_eq!(usize::try_from(length).unwrap(), frame.len() - 4);
        let frame = &frame[4..];
        assert_eq!(RequestPrefix::parse(frame), Ok(prefix(3, version)));
        let (header, body) = parse_request_header(frame).unwrap();
        let key = ApiKey::Metadata;
        let client_id = client_id.map(Cow::Borrowed);
        assert_eq!(header, RequestHeader { prefix: prefix(3, version), key, client_id });
        assert_eq!(decode_request(&frame[body..], version), Ok(request));
    }
}

#[test]
fn the_bytes_of_a_request_header_are_as_the_protocol_says() {
    let frame = encode_request(258, Some("id"), 4, &HeartbeatRequest::default()).unwrap();
    let header = [0, 0, 0, 21, 0, 12, 0, 4, 0, 0, 1, 2, 0, 2, b'i', b'd', 0];
    assert_eq!(&frame[..header.len()], &header);
    assert_eq!(frame.len(), 4 + 21);
}

#[test]
fn a_response_travels_with_its_header_in_both_forms() {
    for version in [8, 9] {
        let response = MetadataResponse { controller_id: 3, ..Default::default() };
        let frame = encode_response(ApiKey::Metadata, version, 7, &response).unwrap().concat();
        let decoded = decode_response::<MetadataRequest>(&frame, version);
        assert_eq!(decoded, Ok((7, response)));
    }
    let heartbeat = HeartbeatResponse { throttle_time_ms: 1, error_code: 2 };
    let frame = encode_response(ApiKey::Heartbeat, 4, 258, &heartbeat).unwrap().concat();
    assert_eq!(&frame[..], [0, 0, 1, 2, 0, 0, 0, 0, 1, 0, 2, 0]);
}

#[test]
fn the_answer_to_api_versions_has_no_tagged_fields_in_its_header() {
    let response = ApiVersionsResponse { error_code: 35, ..Default::default() };
    let frame = encode_response(ApiKey::ApiVersions, 3, 7, &response).unwrap().concat();
    assert_eq!(&frame[..6], [0, 0, 0, 7, 0, 35]);
    assert_eq!(decode_response::<ApiVersionsRequest>(&frame, 3), Ok((7, response)));
}

#[test]
fn what_is_not_served_still_has_its_correlation_id() {
    let frame = |key: i16, version: i16| {
        [&key.to_be_bytes()[..], &version.to_be_bytes(), &7i32.to_be_bytes(), &[0xFF; 9]].concat()
    };
    assert_eq!(parse_request_header(&frame(4, 0)), Err(HeaderError::UnknownApi(prefix(4, 0))));
    assert_eq!(
        parse_request_header(&frame(18, 5)),
        Err(HeaderError::UnsupportedVersion(ApiKey::ApiVersions, prefix(18, 5)))
    );
    // Advertised for librdkafka's sake, but not served.
    assert_eq!(
        parse_request_header(&frame(0, 2)),
        Err(HeaderError::UnsupportedVersion(ApiKey::Produce, prefix(0, 2)))
    );
}

#[test]
fn broken_headers_are_errors() {
    for length in 0..RequestPrefix::BYTES {
        assert_eq!(parse_request_header(&[0; 8][..length]), Err(HeaderError::TooShort));
    }
    let frame = [0, 3, 0, 8, 0, 0, 0, 7];
    let malformed = |error| Err(HeaderError::Malformed(prefix(3, 8), error));
    let end = |wanted, left| DecodeError::UnexpectedEnd { wanted, left };
    assert_eq!(parse_request_header(&frame), malformed(end(2, 0)));
    let cut = [&frame[..], &[0, 9, b'x']].concat();
    assert_eq!(parse_request_header(&cut), malformed(end(9, 1)));
}

#[test]
fn a_client_may_call_itself_anything() {
    let client_id = |bytes: &[u8]| {
        let frame = [&[0, 3, 0, 8, 0, 0, 0, 7], bytes].concat();
        parse_request_header(&frame).unwrap().0.client_id.map(Cow::into_owned)
    };
    assert_eq!(client_id(&[0, 2, b'a', 0xFF]).as_deref(), Some("a\u{FFFD}"));
    assert_eq!(client_id(&[0xFF, 0xF0]), None);
}

#[test]
fn bytes_behind_a_message_are_an_error() {
    let frame = encode_request(7, None, 8, &MetadataRequest::default()).unwrap();
    let (_, body) = parse_request_header(&frame[4..]).unwrap();
    let body = [&frame[4 + body..], &[0]].concat();
    let decoded = decode_request::<MetadataRequest>(&body, 8);
    assert_eq!(decoded, Err(DecodeError::TrailingBytes(1)));
}
