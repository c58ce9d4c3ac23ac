//! Kafka's wire protocol: bytes to typed messages and back; pure and synchronous.

pub mod api;
pub mod batch;
pub mod codec;
pub mod compression;
pub mod header;
pub mod messages;
pub mod records;
pub mod validate;
pub mod varint;
