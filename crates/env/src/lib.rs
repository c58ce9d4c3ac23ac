//! The seams to the outside: disk, network, clock, randomness; a real and a simulated side of each.
