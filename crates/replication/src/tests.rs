//! Tests of the crate as a whole: the encodings, and the simulation.

mod encoding;
mod following;
mod sim;
