//! The properties that the crate's documentation promises, over sockets and in-memory streams.

mod calls;
pub(crate) mod support;
