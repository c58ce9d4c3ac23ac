//! chronik-server: assembles a node and runs it.
