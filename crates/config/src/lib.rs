//! Configuration: Kafka's keys, files, environment and overrides.

pub mod keys;
