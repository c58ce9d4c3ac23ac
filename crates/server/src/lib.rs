//! chronik-server: assembles a node and runs it.
//!
//! ```text
//!  command line ─► configuration ─► sockets bound ─► node started ─► ready line ─► serving
//!                       │ 3              │ 1             │ 1                       │  │
//!                       ▼                ▼               ▼           first signal ◄┘  └► storage
//!                    exit codes, see [`Exit`]          drained, stopped: 0              failed: 4
//! ```
//!
//! **Invariants**
//! - Standard output carries what a command was asked for, and for `start` exactly one line,
//!   written when clients can connect. Everything else goes to standard error.
//! - Sockets are bound before the storage is opened, so that a port in use costs no recovery.
//! - After a failed sync nothing is tried any more: the process ends at once.
//!
//! **Not here:** what a node is made of (`broker`), the meaning of keys (`config`).

mod cli;
mod cluster_command;
mod columns;
mod config_command;
mod exit;
mod http;
mod journal_command;
mod kafka_client;
mod logging;
mod machine;
mod net_metrics;
mod options;
mod quorum_discovery;
mod running;
mod start;

use std::process::ExitCode;

use clap::Parser;

pub use exit::Exit;
pub use http::AdminBindError;
pub use logging::LogLevel;
pub use running::{Running, StartError};

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let exit = match cli::Cli::parse().into_command() {
        cli::Command::Start(node) => start::run(&node),
        cli::Command::Config { node, format } => config_command::run(&node, format),
        cli::Command::Cluster(command) => cluster_command::run(&command),
        cli::Command::Journal(command) => journal_command::run(&command),
        cli::Command::Version => {
            println!("{}", cli::VERSION_LINE);
            Exit::Done
        }
    };
    ExitCode::from(exit as u8)
}
