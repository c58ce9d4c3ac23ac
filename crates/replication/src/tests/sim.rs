//! A few replicas of one partition, a controller and a network, all in memory, one random step
//! after the other; and what must never happen.

mod broker;
mod checks;
mod cluster;
mod controller;
mod log;
mod runs;
