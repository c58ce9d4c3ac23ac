//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// What `version` prints.
pub(crate) const VERSION_LINE: &str = concat!("chronik-server ", env!("CARGO_PKG_VERSION"));

const EXIT_CODES: &str = "\
Configuration: --config, then KAFKA_* variables (KAFKA_LOG_DIRS is log.dirs), then --override.

Exit codes:
  0  stopped in order
  1  could not be started
  2  the command line is wrong
  3  the configuration is wrong
  4  the storage stopped, such as after a failed sync
  5  a second signal ended the node at once";

/// A Kafka-compatible event streaming server.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    node: NodeArgs,
}

/// Which node.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct NodeArgs {
    /// A configuration file in the format of Kafka's server.properties
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where data is kept; short for log.dirs [default: ./data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Sets one key; may be given many times
    #[arg(long = "override", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a node (also without any command)
    Start(NodeArgs),
    /// Print every configuration key with its type, default, effective value and source
    Config {
        /// The node that would be started.
        #[command(flatten)]
        node: NodeArgs,
        /// How to print it
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Ask a running cluster for its state
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Look at the journal of a node that does not run, or go on without what is damaged in it
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Print the version
    Version,
}

/// What to ask a cluster for.
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Print nodes, roles, leader, term, lag and under-replicated partitions
    Status {
        /// Any of its nodes, where clients connect; more of them in case the first is down
        #[arg(long, value_name = "HOST:PORT,…", default_value = "127.0.0.1:9092")]
        bootstrap: String,
        /// How to print it
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

/// What to do with a journal.
#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// Print every file, group and entry; changes nothing
    Inspect(NodeArgs),
    /// Let the node start without what is damaged: acknowledged records in it are lost here
    Skip(NodeArgs),
}

/// A form of output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// For programs.
    Json,
}

impl Cli {
    /// What to do; without a command, to start a node.
    pub(crate) fn into_command(self) -> Command {
        self.command.unwrap_or(Command::Start(self.node))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_node_is_started_with_or_without_the_word() {
        for words in [&["x"][..], &["x", "start"]] {
            for flags in [&[][..], &["--data-dir", "d", "--override", "a=1", "--override", "b=2"]] {
                let cli = Cli::try_parse_from(words.iter().chain(flags)).unwrap();
                let Command::Start(node) = cli.into_command() else { panic!("not start") };
                assert_eq!(node.data_dir.is_some(), !flags.is_empty());
                assert_eq!(node.overrides.len(), flags.len() / 3);
            }
        }
    }

    #[test]
    fn json_is_asked_for_by_name() {
        let cli = Cli::try_parse_from(["x", "config", "--format", "json"]).unwrap();
        assert!(matches!(cli.into_command(), Command::Config { format: Format::Json, .. }));
    }
}
