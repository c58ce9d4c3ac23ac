//! The questions: each scenario is a list of steps against one broker.

use crate::session::{Failure, Session};

mod cluster;
mod configs;
mod describe;
mod fetch;
mod groups;
mod malformed;
mod metadata;
mod offsets;
mod ordinary;
mod positions;
mod produce;
mod setup;
mod topics;

/// A list of steps with a name.
pub struct Scenario {
    /// Also the name of the file with Kafka's answers.
    pub name: &'static str,
    /// Takes the steps.
    pub steps: fn(&mut Session) -> Result<(), Failure>,
}

macro_rules! scenarios {
    ($($module:ident: $($name:ident),+;)+) => {
        /// All scenarios, in the order they must run: later ones see what earlier ones created.
        pub const ALL: &[Scenario] = &[$($(
            Scenario { name: concat!(stringify!($module), "-", stringify!($name)), steps: $module::$name },
        )+)+];
    };
}

scenarios! {
    ordinary: every_api_and_version;
    produce: acks, batches, timestamps, sizes, codecs, idempotence, partitions;
    fetch: positions, limits, sessions, epochs;
    positions: list_offsets, delete_records, leader_epochs;
    metadata: topics, cluster, pages;
    topics: creation, growth, deletion;
    configs: topic_configs, broker_configs, incremental, replacing;
    cluster: elections, reassignments, features, brokers, voters;
    describe: producers, log_dirs, quorum, resources;
    groups: joining, membership, static_members, generations, administration;
    offsets: commits, fetches, deletion;
    malformed: frames, headers, bodies;
}
