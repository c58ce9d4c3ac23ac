//! Hellos and their answers as bytes: one frame that looks like a Kafka request, so that a listener
//! can tell it from one, with a magic and a checksum of its own. Format: `docs/formats/internal.md`.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use chronik_protocol::api::INTERNAL_API_KEY;
use chronik_types::{BrokerId, DirectoryId, Uuid};
use crc_fast::crc32_iscsi;
use prost::Message as _;

use crate::{Channel, Hello, Identity, Purpose, Refusal, RefusalCode, VersionRange};

/// Bytes of the largest hello or answer, its length not included.
const ENVELOPE_BYTES_MAX: usize = 4096;
/// API key, API version, correlation id, magic, checksum.
const ENVELOPE_BYTES_MIN: usize = 2 + 2 + 4 + MAGIC.len() + 4;
const MAGIC: &[u8; 8] = b"CHRONIKP";
/// Stands where a Kafka request has its API version. The envelope will not change; what is in it
/// grows by tagged fields.
const ENVELOPE_VERSION: i16 = 1;
/// A refusal's text is cut after this many bytes.
const TEXT_BYTES_MAX: usize = 1024;

/// Why bytes are no hello.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HelloError {
    #[error("it does not speak the protocol between nodes")]
    NotOurs,
    #[error("its hello is damaged")]
    Checksum,
    #[error("its hello does not say {0}")]
    Lacks(&'static str),
    #[error("its hello cannot be read: {0}")]
    Prost(#[from] prost::DecodeError),
}

/// The answer to a hello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Welcome(Welcome),
    Refused(Refusal),
}

/// What the side that was connected to says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Welcome {
    pub identity: Identity,
    /// The version that both speak from now on.
    pub version: u32,
    /// After which silence it takes its peer for gone.
    pub mute_after: Duration,
}

#[derive(Clone, PartialEq, prost::Message)]
struct IdentityFields {
    #[prost(bytes = "bytes", optional, tag = "1")]
    cluster_id: Option<Bytes>,
    #[prost(int32, tag = "2")]
    node_id: i32,
    #[prost(bytes = "bytes", tag = "3")]
    directory_id: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    incarnation: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HelloFields {
    #[prost(message, optional, tag = "1")]
    identity: Option<IdentityFields>,
    #[prost(uint32, tag = "2")]
    version_min: u32,
    #[prost(uint32, tag = "3")]
    version_max: u32,
    #[prost(uint32, tag = "4")]
    channel: u32,
    #[prost(uint32, tag = "5")]
    purpose: u32,
    #[prost(int32, optional, tag = "6")]
    expects_node: Option<i32>,
    #[prost(bytes = "bytes", optional, tag = "7")]
    expects_directory: Option<Bytes>,
    #[prost(uint32, tag = "8")]
    mute_after_ms: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AnswerFields {
    #[prost(oneof = "AnswerField", tags = "1, 2")]
    answer: Option<AnswerField>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum AnswerField {
    #[prost(message, tag = "1")]
    Welcome(WelcomeFields),
    #[prost(message, tag = "2")]
    Refused(RefusedFields),
}

#[derive(Clone, PartialEq, prost::Message)]
struct WelcomeFields {
    #[prost(message, optional, tag = "1")]
    identity: Option<IdentityFields>,
    #[prost(uint32, tag = "2")]
    version: u32,
    #[prost(uint32, tag = "3")]
    mute_after_ms: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RefusedFields {
    #[prost(uint32, tag = "1")]
    code: u32,
    #[prost(string, tag = "2")]
    text: String,
}

pub(crate) fn encode_hello(hello: &Hello) -> Bytes {
    envelope(&HelloFields {
        identity: Some(identity_fields(&hello.identity)),
        version_min: hello.versions.min,
        version_max: hello.versions.max,
        channel: hello.channel.on_wire(),
        purpose: hello.purpose.on_wire(),
        expects_node: hello.expects_node.map(|node| node.0),
        expects_directory: hello.expects_directory.map(|id| uuid_field(id.0)),
        mute_after_ms: millis(hello.mute_after),
    })
}

pub(crate) fn decode_hello(contents: Bytes) -> Result<Hello, HelloError> {
    let fields = HelloFields::decode(contents)?;
    let channel = Channel::from_wire(fields.channel);
    let purpose = Purpose::from_wire(fields.purpose);
    Ok(Hello {
        identity: identity(fields.identity)?,
        versions: VersionRange { min: fields.version_min, max: fields.version_max },
        channel: channel.ok_or(HelloError::Lacks("a channel known here"))?,
        purpose: purpose.ok_or(HelloError::Lacks("a purpose known here"))?,
        expects_node: fields.expects_node.map(BrokerId),
        expects_directory: optional_uuid(fields.expects_directory)?.map(DirectoryId),
        mute_after: Duration::from_millis(fields.mute_after_ms.into()),
    })
}

pub(crate) fn encode_answer(answer: &Answer) -> Bytes {
    let field = match answer {
        Answer::Welcome(welcome) => AnswerField::Welcome(WelcomeFields {
            identity: Some(identity_fields(&welcome.identity)),
            version: welcome.version,
            mute_after_ms: millis(welcome.mute_after),
        }),
        Answer::Refused(refusal) => {
            let end = refusal.text.floor_char_boundary(TEXT_BYTES_MAX);
            let text = refusal.text.get(..end).unwrap_or_default().to_owned();
            AnswerField::Refused(RefusedFields { code: refusal.code.on_wire(), text })
        }
    };
    envelope(&AnswerFields { answer: Some(field) })
}

pub(crate) fn decode_answer(contents: Bytes) -> Result<Answer, HelloError> {
    match AnswerFields::decode(contents)?.answer {
        Some(AnswerField::Welcome(welcome)) => Ok(Answer::Welcome(Welcome {
            identity: identity(welcome.identity)?,
            version: welcome.version,
            mute_after: Duration::from_millis(welcome.mute_after_ms.into()),
        })),
        Some(AnswerField::Refused(RefusedFields { code, text })) => {
            Ok(Answer::Refused(Refusal { code: RefusalCode::from_wire(code), text }))
        }
        None => Err(HelloError::Lacks("yes or no")),
    }
}

fn envelope(fields: &impl prost::Message) -> Bytes {
    let contents = fields.encode_to_vec();
    let length = ENVELOPE_BYTES_MIN + contents.len();
    assert!(length <= ENVELOPE_BYTES_MAX, "a hello has no long fields");
    let mut bytes = BytesMut::with_capacity(4 + length);
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    bytes.put_i16(INTERNAL_API_KEY);
    bytes.put_i16(ENVELOPE_VERSION);
    bytes.put_u32(0);
    bytes.put_slice(MAGIC);
    bytes.put_u32(crc32_iscsi(&contents));
    bytes.put_slice(&contents);
    bytes.freeze()
}

/// Takes one envelope from the front of `read` and returns what is in it; `None` if it is not
/// there whole. Tells after the first bytes that these are none.
pub(crate) fn take_envelope(read: &mut BytesMut) -> Result<Option<Bytes>, HelloError> {
    let mut bytes = read.as_ref();
    let Ok(length) = bytes.try_get_u32() else { return Ok(None) };
    let length = usize::try_from(length)
        .ok()
        .filter(|length| (ENVELOPE_BYTES_MIN..=ENVELOPE_BYTES_MAX).contains(length))
        .ok_or(HelloError::NotOurs)?;
    let Some(mut bytes) = bytes.get(..length) else { return Ok(None) };
    let key = bytes.try_get_i16().unwrap_or_default();
    let version = bytes.try_get_i16().unwrap_or_default();
    let _correlation_id = bytes.try_get_u32();
    let magic = bytes.split_off(..MAGIC.len()).unwrap_or_default();
    if (key, version, magic) != (INTERNAL_API_KEY, ENVELOPE_VERSION, MAGIC) {
        return Err(HelloError::NotOurs);
    }
    let crc = bytes.try_get_u32().unwrap_or_default();
    if crc != crc32_iscsi(bytes) {
        return Err(HelloError::Checksum);
    }
    let contents = Bytes::copy_from_slice(bytes);
    read.advance(4 + length);
    Ok(Some(contents))
}

fn identity_fields(identity: &Identity) -> IdentityFields {
    IdentityFields {
        cluster_id: identity.cluster_id.map(uuid_field),
        node_id: identity.node_id.0,
        directory_id: uuid_field(identity.directory_id.0),
        incarnation: uuid_field(identity.incarnation),
    }
}

fn identity(fields: Option<IdentityFields>) -> Result<Identity, HelloError> {
    let fields = fields.ok_or(HelloError::Lacks("who it is"))?;
    Ok(Identity {
        cluster_id: optional_uuid(fields.cluster_id)?,
        node_id: BrokerId(fields.node_id),
        directory_id: DirectoryId(uuid(&fields.directory_id)?),
        incarnation: uuid(&fields.incarnation)?,
    })
}

fn uuid_field(uuid: Uuid) -> Bytes {
    Bytes::copy_from_slice(&uuid.0)
}

fn uuid(field: &Bytes) -> Result<Uuid, HelloError> {
    field.as_ref().try_into().map(Uuid).map_err(|_| HelloError::Lacks("an id of sixteen bytes"))
}

fn optional_uuid(field: Option<Bytes>) -> Result<Option<Uuid>, HelloError> {
    field.map(|bytes| uuid(&bytes)).transpose()
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
