//! Our codec and the `kafka-protocol` crate must agree on every byte.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};

use super::super::*;
use super::{encoded, for_seeds, message};
use crate::api::{self, ApiKey};
use crate::codec::arbitrary::Generator;
use crate::codec::{Encode, EncodeError, Versioned, Writer, decode_whole};

/// `bytes` as the other codec understands them; it must understand all of them.
fn their_reading<K: Decodable>(bytes: &[u8], version: i16) -> K {
    let mut left = Bytes::copy_from_slice(bytes);
    let read = K::decode(&mut left, version).expect("their codec reads what ours writes");
    assert!(left.is_empty(), "their codec leaves {} bytes", left.len());
    read
}

fn their_writing<K: Encodable>(message: &K, version: i16) -> Option<Vec<u8>> {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes, version).ok()?;
    Some(bytes.to_vec())
}

/// Tagged fields that must not be lost in a version without them. Kafka's own codec refuses them
/// there, as ours does; the other one loses them.
const LOST_BY_THEIRS: [&str; 7] = [
    "FetchPartitionData.current_leader",
    "FetchPartitionData.diverging_epoch",
    "FetchPartitionData.snapshot_id",
    "FetchRequest.replica_state",
    "FetchResponse.node_endpoints",
    "PartitionProduceResponse.current_leader",
    "ProduceResponse.node_endpoints",
];

/// ours -> bytes -> theirs -> the same bytes -> ours.
macro_rules! round_trips {
    ($name:ident, $seed:ident) => {
        for version in $name::MIN..=$name::MAX {
            let ours: $name = message(&mut Generator::new($seed), version);
            let bytes = encoded(&ours, version);
            let what = concat!(stringify!($name), " version");
            let read: theirs::$name = their_reading(&bytes, version);
            let written = their_writing(&read, version);
            assert_eq!(written.as_deref(), Some(&bytes[..]), "{what} {version}");
            assert_eq!(decode_whole(&bytes, version), Ok(ours), "{what} {version}");
        }
    };
}

/// What one version said, said in another: shows every default, and that what cannot be said is
/// refused by both.
macro_rules! changes_version {
    ($name:ident, $seed:ident) => {
        for from in $name::MIN..=$name::MAX {
            let mut g = Generator::new($seed);
            let bytes = encoded(&message::<$name>(&mut g, from), from);
            let ours: $name = decode_whole(&bytes, from).unwrap();
            let read: theirs::$name = their_reading(&bytes, from);
            for to in $name::MIN..=$name::MAX {
                let mut w = Writer::new();
                let written = ours.encode(&mut w, to).map(|()| w.finish().concat().to_vec());
                let refused_by_us_alone = match &written {
                    Err(EncodeError::FieldNotInVersion { field, .. }) => {
                        LOST_BY_THEIRS.contains(field)
                    }
                    // The other codec knows only whether some version allows null.
                    Err(EncodeError::NullField { .. }) => true,
                    _ => false,
                };
                if refused_by_us_alone {
                    continue;
                }
                let what = concat!(stringify!($name), " from version");
                let theirs = their_writing(&read, to);
                assert_eq!(written.ok(), theirs, "{what} {from} to {to}: {ours:?}");
            }
        }
    };
}

macro_rules! defaults_agree {
    ($name:ident) => {
        for version in $name::MIN..=$name::MAX {
            let mut w = Writer::new();
            let ours = $name::default().encode(&mut w, version).ok();
            let ours = ours.map(|()| w.finish().concat().to_vec());
            let what = concat!(stringify!($name), " version");
            let theirs = their_writing(&theirs::$name::default(), version);
            assert_eq!(ours, theirs, "{what} {version}");
        }
    };
}

macro_rules! tests {
    ($($api:ident: $request:ident $(<$q:lifetime>)?, $response:ident $(<$s:lifetime>)?;)+) => {
        #[test]
        fn both_codecs_agree_on_every_byte() {
            for_seeds(24, |seed| {
                $(round_trips!($request, seed);)+
                $(round_trips!($response, seed);)+
            });
        }

        #[test]
        fn both_codecs_agree_on_what_another_version_can_say() {
            for_seeds(8, |seed| {
                $(changes_version!($request, seed);)+
                $(changes_version!($response, seed);)+
            });
        }

        #[test]
        fn both_codecs_have_the_same_defaults() {
            $(defaults_agree!($request);)+
            $(defaults_agree!($response);)+
        }

        #[test]
        fn both_codecs_agree_on_headers() {
            $(for version in $request::MIN..=$request::MAX {
                let key = ApiKey::$api;
                assert_eq!(
                    api::request_header_version(key, version),
                    theirs::$request::header_version(version),
                    "{key:?} {version}"
                );
                assert_eq!(
                    api::response_header_version(key, version),
                    theirs::$response::header_version(version),
                    "{key:?} {version}"
                );
                assert_eq!(key.code(), theirs::ApiKey::$api as i16);
            })+
        }
    };
}

each_api!(tests);
