//! One Raft entry is one record batch with one record; its value says what kind of entry it is.
//!
//! The value is a protobuf message with exactly one of three fields: blank, changes (a
//! `MetadataBatch`), membership. A kind this version does not know is an error that stops the
//! node: skipping an entry would let its image differ from the others'. Beside it stands how much of
//! the log was known to be committed when the entry was written, which a restart reads back.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};
use chronik_protocol::batch::{self, BatchBuilder, BuildError};
use chronik_types::{BrokerId, DirectoryId, LeaderEpoch, Offset, Timestamp, Uuid};
use openraft::{EntryPayload, Membership};
use prost::Message;

use crate::proposal::Proposal;
use crate::type_config::{Entry, Member, broker_of, log_id, node_of};

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
    /// The end of what was known to be committed.
    #[prost(int64, tag = "4")]
    committed_end: i64,
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
    #[prost(bool, tag = "4")]
    stands: bool,
}

impl From<&Membership<u64, Member>> for MembershipBody {
    fn from(membership: &Membership<u64, Member>) -> Self {
        let configs = membership.get_joint_config().iter();
        let voters = |ids: &BTreeSet<u64>| ids.iter().map(|&id| broker_of(id).0).collect();
        Self {
            configs: configs.map(|ids| Config { voters: voters(ids) }).collect(),
            members: membership
                .nodes()
                .map(|(&node_id, member)| MemberBody {
                    node_id: broker_of(node_id).0,
                    directory: Bytes::copy_from_slice(&member.directory.0.0),
                    endpoint: member.endpoint.clone(),
                    stands: member.stands,
                })
                .collect(),
        }
    }
}

impl TryFrom<MembershipBody> for Membership<u64, Member> {
    type Error = String;

    fn try_from(body: MembershipBody) -> Result<Self, String> {
        let mut nodes = BTreeMap::new();
        for member in body.members {
            let directory = <[u8; 16]>::try_from(&*member.directory)
                .map_err(|_| "a directory id has not 16 bytes".to_owned())?;
            let directory = DirectoryId(Uuid(directory));
            let node = node_of(BrokerId(member.node_id));
            let (endpoint, stands) = (member.endpoint, member.stands);
            nodes.insert(node, Member { directory, endpoint, stands });
        }
        let voters = |config: Config| {
            config.voters.into_iter().map(|id| node_of(BrokerId(id))).collect::<BTreeSet<u64>>()
        };
        let configs: Vec<_> = body.configs.into_iter().map(voters).collect();
        Self::new(configs, nodes).map_err(|e| e.to_string())
    }
}

/// The batch of `entry`, stamped with its offset and epoch; `committed_end` as of now.
///
/// # Errors
/// When the entry is larger than a batch can be.
pub(crate) fn encode(
    entry: &Entry,
    epoch: LeaderEpoch,
    offset: Offset,
    now: Timestamp,
    committed_end: Offset,
) -> Result<BytesMut, BuildError> {
    let kind = match &entry.payload {
        EntryPayload::Blank => Kind::Blank(Blank {}),
        EntryPayload::Normal(proposal) => Kind::Changes(proposal.encoded().clone()),
        EntryPayload::Membership(membership) => Kind::Membership(membership.into()),
    };
    let value = Body { kind: Some(kind), committed_end: committed_end.0 }.encode_to_vec();
    let mut builder = BatchBuilder::new().base_offset(offset).leader_epoch(epoch);
    builder.append(now, None, Some(&value), &[])?;
    builder.build()
}

/// An entry as it was read, and what was known to be committed when it was written.
pub(crate) struct ReadEntry {
    pub entry: Entry,
    pub committed_end: Offset,
}

/// The entries in `chunk`, which holds whole batches.
pub(crate) fn decode(chunk: &Bytes) -> Result<Vec<ReadEntry>, EntryError> {
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
        let body = Body::decode(value).map_err(|e| fail(offset, e.to_string()))?;
        let committed_end = Offset(body.committed_end);
        let payload = payload(body).map_err(|why| fail(offset, why))?;
        let entry = Entry { log_id: log_id(header.leader_epoch, offset), payload };
        entries.push(ReadEntry { entry, committed_end });
    }
    Ok(entries)
}

fn payload(body: Body) -> Result<EntryPayload<Proposal, u64, Member>, String> {
    match body.kind {
        Some(Kind::Blank(_)) => Ok(EntryPayload::Blank),
        Some(Kind::Changes(bytes)) => Ok(EntryPayload::Normal(Proposal::from_encoded(bytes))),
        Some(Kind::Membership(body)) => Ok(EntryPayload::Membership(body.try_into()?)),
        None => Err("it is of a kind that this version does not know; upgrade this node".into()),
    }
}
