//! The properties that the crate's documentation promises, on connections of every kind.

mod connections;
mod deadlines;
mod frames;
mod internal;
mod servers;
mod support;
