//! The records of `__consumer_offsets`, in Kafka's own schemas.
//!
//! Written: OffsetCommit (key 1, value 3, or 1 when an old client set an expiry of its own) and
//! GroupMetadata (key 2, value 3), as Kafka writes them, because tools read this topic. Read: all
//! versions of both.
//!
//! **Invariants:** what is written is read back equal; a stable group comes out of a load as it went in.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronik_protocol::codec::{DecodeError, Encode};
use chronik_protocol::records::{
    ConsumerProtocolSubscription, GroupMetadataKey, GroupMetadataValue, MemberMetadata,
    OffsetCommitKey, OffsetCommitValue, RecordKey, decode_consumer_protocol, decode_versioned,
    encode_versioned,
};
use chronik_types::{PartitionId, Timestamp};

use crate::group::Group;
use crate::member::Member;
use crate::offsets::CommittedOffset;
use crate::{GroupId, MemberId};

const GROUP_METADATA_VALUE: i16 = 3;
const OFFSET_COMMIT_VALUE: i16 = 3;
/// The last version of OffsetCommit values that can carry an expiry.
const OFFSET_COMMIT_VALUE_WITH_EXPIRY: i16 = 1;

/// Why a record cannot be replayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// A record of a kind this coordinator does not keep, such as those of other group types.
    /// It may be skipped: it says nothing about classic groups and committed offsets.
    #[error("record key type {0} is not known")]
    UnknownType(i16),
    /// The key or value is not what its schema says.
    #[error("malformed record: {0}")]
    Malformed(#[from] DecodeError),
    /// A group record whose members contradict each other.
    #[error("group record of {group} with {what}")]
    InconsistentGroup {
        /// The group.
        group: String,
        /// What contradicts.
        what: &'static str,
    },
}

/// What the log says of a group's members.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredGroup {
    pub(crate) protocol_type: Option<Arc<str>>,
    pub(crate) generation: i32,
    pub(crate) protocol: Option<Arc<str>>,
    pub(crate) leader: Option<MemberId>,
    /// When the group entered its state; `None` in records of old schemas.
    pub(crate) state_since: Option<Timestamp>,
    /// Each with the one protocol that was elected.
    pub(crate) members: Vec<Member>,
}

/// A record as the shard sees it; `None` is a tombstone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fact {
    Offset {
        group: GroupId,
        topic: Arc<str>,
        partition: PartitionId,
        value: Option<CommittedOffset>,
    },
    Group {
        group: GroupId,
        value: Option<StoredGroup>,
    },
}

/// Reads a record. Byte fields of the result share `value`'s memory.
pub(crate) fn decode(key: &[u8], value: Option<&Bytes>) -> Result<Fact, ReplayError> {
    match RecordKey::decode(key)? {
        RecordKey::OffsetCommit(key) => {
            let value = value.map(|value| decode_offset(value)).transpose()?;
            let (group, topic) = (key.group.as_ref().into(), key.topic.as_ref().into());
            Ok(Fact::Offset { group, topic, partition: key.partition, value })
        }
        RecordKey::GroupMetadata(key) => {
            let value = value.map(|value| decode_group(&key.group, value)).transpose()?;
            Ok(Fact::Group { group: key.group.as_ref().into(), value })
        }
        RecordKey::Other(kind) => Err(ReplayError::UnknownType(kind)),
    }
}

fn decode_offset(value: &[u8]) -> Result<CommittedOffset, ReplayError> {
    let value: OffsetCommitValue<'_> = decode_versioned(value)?;
    Ok(CommittedOffset {
        offset: value.offset,
        leader_epoch: value.leader_epoch,
        metadata: value.metadata.as_ref().into(),
        committed_at: Timestamp(value.commit_timestamp),
        expires_at: (value.expire_timestamp != -1).then_some(Timestamp(value.expire_timestamp)),
    })
}

fn decode_group(group: &str, bytes: &Bytes) -> Result<StoredGroup, ReplayError> {
    let value: GroupMetadataValue<'_> = decode_versioned(bytes)?;
    let inconsistent = |what| ReplayError::InconsistentGroup { group: group.to_owned(), what };
    let (mut ids, mut instances) = (BTreeSet::new(), BTreeSet::new());
    for member in &value.members {
        if !ids.insert(&member.member_id) {
            return Err(inconsistent("a member twice"));
        }
        if member.group_instance_id.as_ref().is_some_and(|instance| !instances.insert(instance)) {
            return Err(inconsistent("an instance twice"));
        }
    }
    if !value.members.is_empty() && value.protocol.is_none() {
        return Err(inconsistent("members but no protocol"));
    }
    let protocol: Option<Arc<str>> = value.protocol.as_deref().map(Into::into);
    let members = value.members.iter().map(|member| stored_member(member, &protocol, bytes));
    Ok(StoredGroup {
        members: members.collect(),
        protocol_type: non_empty(&value.protocol_type),
        generation: value.generation,
        leader: value.leader.as_deref().map(Into::into),
        state_since: (value.current_state_timestamp != -1)
            .then_some(Timestamp(value.current_state_timestamp)),
        protocol,
    })
}

fn stored_member(
    member: &MemberMetadata<'_>,
    protocol: &Option<Arc<str>>,
    bytes: &Bytes,
) -> Member {
    let session_timeout = millis(member.session_timeout);
    let metadata = share(bytes, &member.subscription);
    Member {
        id: member.member_id.as_ref().into(),
        instance: member.group_instance_id.as_deref().map(Into::into),
        client_id: member.client_id.as_ref().into(),
        client_host: member.client_host.as_ref().into(),
        rebalance_timeout: match member.rebalance_timeout {
            // The oldest schema has no rebalance timeout.
            -1 => session_timeout,
            timeout => millis(timeout),
        },
        session_timeout,
        protocols: protocol.iter().map(|name| (Arc::clone(name), metadata.clone())).collect(),
        assignment: share(bytes, &member.assignment),
        parked: None,
        is_new: false,
    }
}

/// A committed offset as key and value.
pub(crate) fn encode_offset(
    group: &str,
    topic: &str,
    partition: PartitionId,
    offset: Option<&CommittedOffset>,
) -> (Bytes, Option<Bytes>) {
    let key = OffsetCommitKey { group: group.into(), topic: topic.into(), partition };
    let value = offset.map(|offset| {
        let mut value = OffsetCommitValue {
            offset: offset.offset,
            metadata: Cow::Borrowed(&offset.metadata),
            commit_timestamp: offset.committed_at.0,
            ..OffsetCommitValue::default()
        };
        match offset.expires_at {
            None => {
                value.leader_epoch = offset.leader_epoch;
                encode(&value, OFFSET_COMMIT_VALUE)
            }
            Some(expires_at) => {
                value.expire_timestamp = expires_at.0;
                encode(&value, OFFSET_COMMIT_VALUE_WITH_EXPIRY)
            }
        }
    });
    (encode(&key, RecordKey::OFFSET_COMMIT), value)
}

/// The members and generation of the group as key and value.
pub(crate) fn encode_group(group: &Group) -> (Bytes, Option<Bytes>) {
    let members = group.members().map(|member| MemberMetadata {
        member_id: Cow::Borrowed(&member.id),
        group_instance_id: member.instance.as_deref().map(Cow::Borrowed),
        client_id: Cow::Borrowed(&member.client_id),
        client_host: Cow::Borrowed(&member.client_host),
        rebalance_timeout: to_millis(member.rebalance_timeout),
        session_timeout: to_millis(member.session_timeout),
        subscription: Cow::Borrowed(
            group
                .protocol
                .as_deref()
                .and_then(|protocol| member.metadata(protocol))
                .map_or(&[][..], |metadata| metadata),
        ),
        assignment: Cow::Borrowed(&member.assignment),
    });
    let value = GroupMetadataValue {
        protocol_type: Cow::Borrowed(group.protocol_type.as_deref().unwrap_or_default()),
        generation: group.generation,
        protocol: group.protocol.as_deref().map(Cow::Borrowed),
        leader: group.leader.as_deref().map(Cow::Borrowed),
        current_state_timestamp: group.state_since().map_or(-1, |since| since.0),
        members: members.collect(),
    };
    (encode_group_key(&group.id), Some(encode(&value, GROUP_METADATA_VALUE)))
}

/// The key of the group's record.
pub(crate) fn encode_group_key(group: &str) -> Bytes {
    encode(&GroupMetadataKey { group: group.into() }, RecordKey::GROUP_METADATA)
}

/// The topics in the metadata of a member of the consumer protocol; `None` if it is not readable.
pub(crate) fn subscribed_topics(metadata: &[u8]) -> Option<Vec<Arc<str>>> {
    let subscription: ConsumerProtocolSubscription<'_> = decode_consumer_protocol(metadata).ok()?;
    Some(subscription.topics.iter().map(|topic| topic.as_ref().into()).collect())
}

/// A duration that came as milliseconds of the wire; negative ones count as zero.
pub(crate) fn millis(timeout_ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0))
}

fn to_millis(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
}

fn non_empty(text: &str) -> Option<Arc<str>> {
    (!text.is_empty()).then(|| text.into())
}

fn share(whole: &Bytes, part: &[u8]) -> Bytes {
    if part.is_empty() { Bytes::new() } else { whole.slice_ref(part) }
}

fn encode(message: &impl Encode, version: i16) -> Bytes {
    // Strings come from requests, whose length fields are no longer than these, and member ids
    // are bounded when they are made.
    let encoded = encode_versioned(message, version);
    assert!(encoded.is_ok(), "a record of ours can be written: {encoded:?}");
    encoded.unwrap_or_default()
}
