//! The properties that the crate's documentation promises, over sockets and in-memory streams.

mod calls;
mod fates;
mod frames;
mod hellos;
mod liveness;
mod reconnecting;
mod streams;
pub(crate) mod support;
