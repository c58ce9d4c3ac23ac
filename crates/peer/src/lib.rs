//! The internal protocol between nodes: hello, calls, streams.
//!
//! ```text
//!  call ─► link (queue) ─► caller ─┐                    ┌─► answerer ─► PeerService::call
//!                                  ├─ wire ── TCP ── wire ┤
//!  StreamSender ─► pipe ─► driver ─┘                    └─► driver ─► pipe ─► PeerService::stream
//! ```
//!
//! One framing, on connections that a node's listener hands over when their first frame carries
//! the private API key. Each pair of nodes has, per direction and [`Channel`], one connection for
//! calls, made when it is first needed, and one for each stream: what is small and urgent never
//! waits behind what is bulky. Formats: `docs/formats/internal.md`.
//!
//! On the way from the caller to the socket a call passes from its task to the connection's, and
//! the answer back; on the other side the connection's own task answers it.
//!
//! **Invariants**
//! - [`CallError::NotSent`] is said only of what the peer certainly has not processed, and
//!   [`CallError::Unknown`] only of what was written whole.
//! - What a peer announces is never allocated before it arrives.
//! - Everything that waits is bounded in bytes, and whoever waits has a deadline: a peer that
//!   says nothing for [`Options::mute_after`] is gone, even on a network that tells nobody.
//! - Nothing here reads a clock or draws chance but through tokio's timers and the [`Env`], and
//!   every `select` is biased: the same seed gives the same run.
//!
//! **Not here:** what a message means (its users), listeners (`net`), who may be a member (`raft`
//! and the controller).
//!
//! [`Env`]: chronik_env::Env

mod answerer;
mod caller;
mod dialer;
mod error;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod handshake;
mod hello;
mod hello_codec;
mod identity;
mod inbound;
mod link;
mod message;
mod options;
mod pacing;
mod peers;
mod pipe;
mod pulse;
mod reader;
mod service;
mod stream;
mod stream_driver;
mod wire;
mod writer;

#[cfg(test)]
mod tests;

pub use error::{CallError, Closed, OpenError, Refusal, RefusalCode, TrySendError};
pub use hello::{Hello, Purpose, VERSIONS, VersionRange};
pub use identity::{Identity, IdentityCell};
pub use message::{Channel, Message};
pub use options::Options;
pub use peers::{Address, Peers};
pub use service::{BoxFuture, PeerService};
pub use stream::{PeerStream, StreamReceiver, StreamSender};
