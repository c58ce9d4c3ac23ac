//! Listeners and connections: framing, pipelining, response order, limits.
//!
//! ```text
//!  accept ─► limits ─► one task per connection:
//!
//!     socket ─► inbound (frames) ─► Service::call, one after the other ─► Reply
//!                   │ charged to                                           │
//!                   ▼ RequestMemory            responses (request order) ◄─┘
//!                                                   │
//!     socket ◄───────── outbound (vectored writes) ◄┘
//! ```
//!
//! A request whose bytes are already here and whose reply is [`Reply::Now`] costs one read, one
//! call and one write on one task: nothing is handed from task to task on the way.
//!
//! On an internal listener a connection whose first frame has the private API key is another
//! node's: [`Service::internal`] gets it, with every byte that was read.
//!
//! **Invariants**
//! - The responses of a connection leave in the order of its requests.
//! - `Service::call` runs for one request of a connection at a time, in the order of arrival; only
//!   the [`Reply::Later`] parts run side by side.
//! - No buffer for request bytes is allocated before [`RequestMemory`] has granted it, and beyond
//!   the first 64 KiB none is allocated before the bytes so far have arrived. What lies outside
//!   the grant is at most one read (32 KiB) per connection.
//! - Whoever waits in here has a deadline: for memory, for the rest of a frame, for a peer that
//!   does not read, for a shutdown.
//!
//! **Not here:** what a frame means (`protocol` and the broker's router), what nodes say to each
//! other (`peer`), TLS and SASL.

mod connection;
mod driver;
mod inbound;
mod limits;
mod listener;
mod memory;
mod metrics;
mod options;
mod outbound;
mod responses;
mod server;
mod service;
mod watch;

#[cfg(test)]
mod tests;

pub use connection::{ClientSoftware, CloseReason, Connection, ListenerInfo};
pub use memory::{MemoryPermit, RequestMemory};
pub use metrics::Metrics;
pub use options::{ListenerOptions, Options};
pub use server::{BindError, Server, serve};
pub use service::{Frame, Later, Reply, Service};
