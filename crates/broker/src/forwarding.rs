//! Requests to the controller that travel from the node that took them to the one that leads.
//!
//! **Invariants**
//! - What cannot be read is refused whole, never read in part: a field or a kind of request that
//!   this version does not know means something.
//! - An answer says of each request whether it was carried out, certainly was not, or may have
//!   been.
//!
//! **Not here:** whom to ask and when to ask again (`controller_runtime`); connections
//! (`chronik-peer`).

mod request;
mod response;
mod wire;

use std::time::Duration;

use chronik_controller::{Request, Response};
use chronik_peer::Message;
use chronik_types::Offset;
use prost::Message as _;

/// The kind of a request that is passed on.
pub(crate) const FORWARD: u16 = 0x0201;
/// The kind of its answer.
const FORWARDED: u16 = 0x0202;

/// Bytes that this version cannot read as what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of another version, or none at all")]
pub(crate) struct NotUnderstood;

/// What became of a request that was passed on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fate {
    /// The controller's answer.
    Answered {
        /// What it said.
        response: Response,
        /// The end of the committed image that shows it.
        visible_at: Offset,
    },
    /// Certainly not carried out: the node asked is not the controller.
    NotController,
    /// Carried out perhaps.
    Unknown,
    /// Not carried out, because not understood.
    NotUnderstood,
}

/// The message that passes `request` on.
pub(crate) fn encode_request(request: &Request, timeout: Duration) -> Message {
    let forward = wire::Forward {
        timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
        request: Some(request::to_wire(request)),
    };
    Message::new(FORWARD, forward.encode_to_vec())
}

/// The request that a message passes on, and how long its answer may take.
///
/// # Errors
/// When it is not one, or has something that this version does not know.
pub(crate) fn decode_request(message: &Message) -> Result<(Request, Duration), NotUnderstood> {
    let forward = wire::Forward::decode(message.head.clone()).map_err(|_| NotUnderstood)?;
    // Known fields are encoded in one way only, so a difference in length is an unknown field.
    if message.kind != FORWARD || forward.encoded_len() != message.head.len() {
        return Err(NotUnderstood);
    }
    let request = request::from_wire(forward.request.ok_or(NotUnderstood)?)?;
    Ok((request, Duration::from_millis(forward.timeout_ms)))
}

/// The message that says what became of a request.
pub(crate) fn encode_fate(fate: &Fate) -> Message {
    let nothing = wire::Nothing {};
    let fate = match fate {
        Fate::Answered { response, visible_at } => wire::Fate::Answered(wire::Answered {
            visible_at: visible_at.0,
            response: Some(response::to_wire(response)),
        }),
        Fate::NotController => wire::Fate::NotController(nothing),
        Fate::Unknown => wire::Fate::Unknown(nothing),
        Fate::NotUnderstood => wire::Fate::NotUnderstood(nothing),
    };
    Message::new(FORWARDED, wire::Forwarded { fate: Some(fate) }.encode_to_vec())
}

/// What a message says became of a request. One that cannot be read says nothing: the request may
/// have been carried out.
pub(crate) fn decode_fate(message: &Message) -> Fate {
    read_fate(message).unwrap_or(Fate::Unknown)
}

fn read_fate(message: &Message) -> Result<Fate, NotUnderstood> {
    if message.kind != FORWARDED {
        return Err(NotUnderstood);
    }
    let forwarded = wire::Forwarded::decode(message.head.clone()).map_err(|_| NotUnderstood)?;
    Ok(match forwarded.fate.ok_or(NotUnderstood)? {
        wire::Fate::Answered(answered) => Fate::Answered {
            response: response::from_wire(answered.response.ok_or(NotUnderstood)?)?,
            visible_at: Offset(answered.visible_at),
        },
        wire::Fate::NotController(_) => Fate::NotController,
        wire::Fate::Unknown(_) => Fate::Unknown,
        wire::Fate::NotUnderstood(_) => Fate::NotUnderstood,
    })
}

#[cfg(test)]
mod tests;
