//! What is asked and answered: who are you, and what do you hold?

use std::collections::BTreeSet;

use bytes::Bytes;
use chronik_peer::Message;
use chronik_types::{BrokerId, DirectoryId, Uuid};

use super::decide::{Local, Said};
use crate::network::messages::{Malformed, directory, head, kind, message, read_directory};

/// Question and answer alike: the asking side says who it is, too.
#[derive(Clone, PartialEq, prost::Message)]
struct ProbeHead {
    #[prost(enumeration = "State", tag = "1")]
    state: i32,
    #[prost(bytes = "bytes", tag = "2")]
    cluster_id: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    directory: Bytes,
    #[prost(sint32, repeated, tag = "4")]
    voters: Vec<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
enum State {
    Empty = 0,
    Formatted = 1,
    Member = 2,
}

fn encode(local: Local, own: DirectoryId, voters: &BTreeSet<BrokerId>) -> ProbeHead {
    let (state, cluster_id) = match local {
        Local::Empty => (State::Empty, None),
        Local::Formatted(id) => (State::Formatted, Some(id)),
        Local::Member(id) => (State::Member, Some(id)),
    };
    ProbeHead {
        state: state.into(),
        cluster_id: cluster_id.map(|id| Bytes::copy_from_slice(&id.0)).unwrap_or_default(),
        directory: directory(own),
        voters: voters.iter().map(|voter| voter.0).collect(),
    }
}

/// The question.
pub(crate) fn probe() -> Message {
    Message::new(kind::PROBE, Vec::new())
}

/// The answer.
pub(crate) fn probed(local: Local, own: DirectoryId, voters: &BTreeSet<BrokerId>) -> Message {
    message(kind::PROBED, &encode(local, own, voters))
}

/// What an answer says.
pub(crate) fn read_probed(answer: &Message) -> Result<Said, Malformed> {
    let answer: ProbeHead = head(answer, kind::PROBED)?;
    let cluster = || {
        let bytes: [u8; 16] = (*answer.cluster_id).try_into().ok()?;
        Some(Uuid(bytes))
    };
    let cluster = || cluster().ok_or_else(|| Malformed("a cluster id has not 16 bytes".to_owned()));
    let local = match State::try_from(answer.state) {
        Ok(State::Empty) => Local::Empty,
        Ok(State::Formatted) => Local::Formatted(cluster()?),
        Ok(State::Member) => Local::Member(cluster()?),
        Err(_) => return Err(Malformed("a state is not known".to_owned())),
    };
    Ok(Said {
        local,
        directory: read_directory(&answer.directory)?,
        voters: answer.voters.into_iter().map(BrokerId).collect(),
    })
}
