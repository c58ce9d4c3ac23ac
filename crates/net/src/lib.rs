//! Listeners and connections: framing, pipelining, response order, limits.
