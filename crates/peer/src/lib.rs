//! The internal protocol between nodes: hello, calls, streams.
//!
//! One framing, on connections that a node's listener hands over when their first frame carries
//! the private API key. Each pair of nodes has, per direction and [`Channel`], one connection for
//! calls, made when it is first needed, and one for each stream.
//!
//! **Not here:** what a message means (its users), listeners (`net`).

mod error;
mod hello;
mod identity;
mod message;
mod options;
mod peers;
mod service;
mod stream;

pub use error::{CallError, Closed, OpenError, Refusal, RefusalCode, TrySendError};
pub use hello::{Hello, Purpose, VERSIONS, VersionRange};
pub use identity::{Identity, IdentityCell};
pub use message::{Channel, Message};
pub use options::Options;
pub use peers::{Address, Peers};
pub use service::{BoxFuture, PeerService};
pub use stream::{PeerStream, StreamReceiver, StreamSender};
