//! Configuration: Kafka's keys, files, environment and overrides.
//!
//! ```text
//!  server.properties ─┐
//!  KAFKA_* variables ─┼─► Sources ─► settings (key, value, origin) ─► NodeConfig
//!  --override k=v ────┘   the later wins        keys: each by its own rule    rules between keys
//! ```
//!
//! **Invariants**
//! - A [`NodeConfig`] exists only if every key is known, every value obeys its key's rule and the
//!   rules between keys hold; otherwise all faults are reported together, each with its origin.
//! - What was set is never dropped in silence: a key is used, accepted for compatibility (the key
//!   table says so), reported as a notice, or refused.
//!
//! **Not here:** what is changed at run time (`metadata`), the crates' own options (`server`
//! builds them from a [`NodeConfig`]).

mod environment;
mod error;
pub mod keys;
mod node;
mod properties;
mod show;
mod sources;

pub use error::{ConfigError, Origin};
pub use node::{
    Cluster, Groups, HostPort, Journal, LeaderRebalance, Listener, LogFormat, Memory, Network,
    NodeConfig, Quorum, Roles, Voter, parse,
};
pub use show::{Row, rows};
pub use sources::{ConfigFile, Machine, Sources, UnreadableConfig};
