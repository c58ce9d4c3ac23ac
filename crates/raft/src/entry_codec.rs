//! One Raft entry is one record batch with one record; its value says what kind of entry it is.
//!
//! The value is a protobuf message with exactly one of three fields: blank, changes (a
//! `MetadataBatch`), membership. A kind this version does not know is an error that stops the
//! node: skipping an entry would let its image differ from the others'.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};
use chronik_protocol::batch::{self, BatchBuilder, BuildError};
use chronik_types::{DirectoryId, LeaderEpoch, Offset, Timestamp, Uuid};
use openraft::{EntryPayload, Membership};
use prost::Message;

use crate::type_config::{Entry, Member, Proposal, log_id};

/// An entry on disk that this version cannot read.
#[derive(Debug, thiserror::Error)]
#[error("entry at offset {offset} of the metadata log: {why}")]
pub struct EntryError {
    offset: Offset,
    why: String,
}

#[derive(Clone, PartialEq, Message)]
struct Body {
    #[prost(oneof = "Kind", tags = "1, 2, 3")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(message, tag = "1")]
    Blank(Blank),
    #[prost(bytes = "bytes", tag = "2")]
    Changes(Bytes),
    #[prost(message, tag = "3")]
    Membership(MembershipBody),
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Blank {}

/// A membership as it is written: joint configurations and who the members are.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct MembershipBody {
    #[prost(message, repeated, tag = "1")]
    configs: Vec<Config>,
    #[prost(message, repeated, tag = "2")]
    members: Vec<MemberBody>,
}

#[derive(Clone, PartialEq, Message)]
struct Config {
    #[prost(int32, repeated, tag = "1")]
    voters: Vec<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct MemberBody {
    #[prost(int32, tag = "1")]
    node_id: i32,
    #[prost(bytes = "bytes", tag = "2")]
    directory: Bytes,
    #[prost(string, tag = "3")]
    endpoint: String,
}

impl From<&Membership<i32, Member>> for MembershipBody {
    fn from(membership: &Membership<i32, Member>) -> Self {
        let configs = membership.get_joint_config().iter();
        Self {
            configs: configs.map(|ids| Config { voters: ids.iter().copied().collect() }).collect(),
            members: membership
                .nodes()
                .map(|(&node_id, member)| MemberBody {
                    node_id,
                    directory: Bytes::copy_from_slice(&member.directory.0.0),
                    endpoint: member.endpoint.clone(),
                })
                .collect(),
        }
    }
}

impl TryFrom<MembershipBody> for Membership<i32, Member> {
    type Error = String;

    fn try_from(body: MembershipBody) -> Result<Self, String> {
        let mut nodes = BTreeMap::new();
        for member in body.members {
            let directory = <[u8; 16]>::try_from(&*member.directory)
                .map_err(|_| "a directory id has not 16 bytes".to_owned())?;
            let directory = DirectoryId(Uuid(directory));
            nodes.insert(member.node_id, Member { directory, endpoint: member.endpoint });
        }
        let configs = body.configs.into_iter().map(|c| c.voters.into_iter().collect());
        Self::new(configs.collect::<Vec<BTreeSet<i32>>>(), nodes).map_err(|e| e.to_string())
    }
}

/// The batch of `entry`, stamped with its offset and epoch.
///
/// # Errors
/// When the entry is larger than a batch can be.
pub(crate) fn encode(
    entry: &Entry,
    epoch: LeaderEpoch,
    offset: Offset,
    now: Timestamp,
) -> Result<BytesMut, BuildError> {
    let kind = match &entry.payload {
        EntryPayload::Blank => Kind::Blank(Blank {}),
        EntryPayload::Normal(proposal) => {
            Kind::Changes(chronik_metadata::encode_batch(&proposal.0))
        }
        EntryPayload::Membership(membership) => Kind::Membership(membership.into()),
    };
    let value = Body { kind: Some(kind) }.encode_to_vec();
    let mut builder = BatchBuilder::new().base_offset(offset).leader_epoch(epoch);
    builder.append(now, None, Some(&value), &[])?;
    builder.build()
}

/// The entries in `chunk`, which holds whole batches.
pub(crate) fn decode(chunk: &Bytes) -> Result<Vec<Entry>, EntryError> {
    let mut entries = Vec::new();
    for item in batch::batches(chunk) {
        let fail = |offset, why: String| EntryError { offset, why };
        let (header, bytes) = item.map_err(|e| fail(Offset::UNKNOWN, e.to_string()))?;
        let offset = header.base_offset;
        let records =
            batch::records(bytes, bytes.len()).map_err(|e| fail(offset, e.to_string()))?;
        let record = records
            .iter()
            .next()
            .ok_or_else(|| fail(offset, "its batch holds no record".to_owned()))?
            .map_err(|e| fail(offset, e.to_string()))?;
        let value = record.value.ok_or_else(|| fail(offset, "it has no value".to_owned()))?;
        let payload = decode_payload(value).map_err(|why| fail(offset, why))?;
        entries.push(Entry { log_id: log_id(header.leader_epoch, offset), payload });
    }
    Ok(entries)
}

fn decode_payload(value: &[u8]) -> Result<EntryPayload<Proposal, i32, Member>, String> {
    let body = Body::decode(value).map_err(|e| e.to_string())?;
    match body.kind {
        Some(Kind::Blank(_)) => Ok(EntryPayload::Blank),
        Some(Kind::Changes(bytes)) => {
            let batch = chronik_metadata::decode_batch(&bytes).map_err(|e| e.to_string())?;
            Ok(EntryPayload::Normal(Proposal(batch.into())))
        }
        Some(Kind::Membership(body)) => Ok(EntryPayload::Membership(body.try_into()?)),
        None => Err("it is of a kind that this version does not know; upgrade this node".into()),
    }
}
