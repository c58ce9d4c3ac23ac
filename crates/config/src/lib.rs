//! Configuration: Kafka's keys, files, environment and overrides.
