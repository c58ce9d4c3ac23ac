//! Requests that only the node that leads the metadata quorum can answer: who votes, and how far
//! everybody is. Any other node passes on the bytes of request and answer as they are.
//!
//! **Invariants**
//! - A request travels one hop.
//! - One that certainly was not carried out is passed on again, to whoever leads by then; one that
//!   may have been is not.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronik_peer::{CallError, Channel, Message};
use chronik_protocol::api::ApiKey;
use chronik_protocol::codec::{Decode, Encode, EncodeError, Reader, Writer};
use chronik_types::Monotonic;
use prost::Message as _;

use crate::Broker;
use crate::api::context::Context;
use crate::api::{describe_quorum, raft_voters};

/// The kind of a request that is passed on.
pub(crate) const RELAY: u16 = 0x0203;
/// The kind of its answer.
const RELAYED: u16 = 0x0204;
/// How long to wait for another leader before the same one is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// What a relayed request is.
#[derive(Clone, Copy, PartialEq, Eq, ::prost::Message)]
struct RelayHead {
    /// Kafka's number of the API.
    #[prost(int32, tag = "1")]
    api_key: i32,
    #[prost(int32, tag = "2")]
    version: i32,
}

/// Whether there is an answer in the payload.
#[derive(Clone, Copy, PartialEq, Eq, ::prost::Message)]
struct RelayedHead {
    /// The node asked leads, and has answered.
    #[prost(bool, tag = "1")]
    answered: bool,
}

/// An answer that was made here, or the body of one that another node has written.
pub(crate) enum Answer<M> {
    Here(M),
    Relayed(Bytes),
}

impl<M: Encode> Encode for Answer<M> {
    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        match self {
            Self::Here(message) => message.encode(w, version),
            Self::Relayed(body) => {
                w.put(body);
                Ok(())
            }
        }
    }
}

/// Asks the leader of the quorum, another node, until `deadline`. `None` when there is no answer:
/// the request may have been carried out all the same.
pub(crate) async fn ask(
    broker: &Broker,
    ctx: &Context,
    body: &[u8],
    deadline: Monotonic,
) -> Option<Bytes> {
    let body = Bytes::copy_from_slice(body);
    let head = RelayHead { api_key: ctx.api_key.code().into(), version: ctx.version.into() };
    let left = deadline.since(broker.env.clock.monotonic());
    let answer = async {
        loop {
            let seen = broker.metadata.leadership();
            if let Some(leader) = seen.leader.filter(|_| !broker.metadata.leads(seen)) {
                let message = Message::new(RELAY, head.encode_to_vec());
                let message = message.with_payload(vec![body.clone()]);
                match broker.peers.call(leader, Channel::Control, message, deadline).await {
                    Ok(answer) if has_answer(&answer) => return Some(answer.body()),
                    Err(CallError::Unknown(_)) => return None,
                    Ok(_) | Err(_) => {}
                }
            }
            let changed = broker.metadata.leadership_changed(seen);
            match tokio::time::timeout(ASK_AGAIN, changed).await {
                // The quorum on this node has stopped.
                Ok(now) if now == seen => return None,
                // Whether it has changed or not, the next look tells.
                Ok(_) | Err(_) => {}
            }
        }
    };
    tokio::time::timeout(left, answer).await.unwrap_or(None)
}

fn has_answer(message: &Message) -> bool {
    let head = RelayedHead::decode(message.head.clone());
    message.kind == RELAYED && head.is_ok_and(|head| head.answered)
}

/// Answers a request that another node has passed on.
pub(crate) async fn serve(broker: &Arc<Broker>, request: &Message) -> Message {
    let answer = match RelayHead::decode(request.head.clone()) {
        Ok(head) if broker.metadata.leads(broker.metadata.leadership()) => {
            answer(broker, head, &request.body()).await
        }
        _ => None,
    };
    let head = RelayedHead { answered: answer.is_some() };
    Message::new(RELAYED, head.encode_to_vec()).with_payload(answer.into_iter().collect())
}

/// `None` for what this version does not serve.
async fn answer(broker: &Arc<Broker>, head: RelayHead, body: &[u8]) -> Option<Bytes> {
    let key = ApiKey::from_i16(head.api_key.try_into().ok()?)?;
    let version = head.version.try_into().ok()?;
    if !key.api().serves(version) {
        return None;
    }
    match key {
        ApiKey::AddRaftVoter => {
            encode(&raft_voters::add_here(broker, decode(body, version)?).await, version)
        }
        ApiKey::RemoveRaftVoter => {
            encode(&raft_voters::remove_here(broker, decode(body, version)?).await, version)
        }
        ApiKey::DescribeQuorum => {
            encode(&describe_quorum::here(broker, version, decode(body, version)?), version)
        }
        _ => None,
    }
}

fn decode<'b, M: Decode<'b>>(body: &'b [u8], version: i16) -> Option<M> {
    M::decode(&mut Reader::new(body), version).ok()
}

fn encode(message: &impl Encode, version: i16) -> Option<Bytes> {
    let mut w = Writer::new();
    message.encode(&mut w, version).ok()?;
    Some(w.finish().concat().freeze())
}
