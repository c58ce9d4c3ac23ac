//! The project's own checks and helpers: `cargo xtask <command>`.

fn main() {}
