//! Tests of whole shards: scenarios as text, random histories, and the rules one by one.

mod bench;
mod property;
mod rules;
mod scenario;
