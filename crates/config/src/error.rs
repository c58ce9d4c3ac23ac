//! What can be wrong with a configuration, and where it was said.

use std::{fmt, path::PathBuf};

use crate::keys::InvalidValue;

/// Where a value was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A configuration file.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// A `KAFKA_*` variable.
    Environment {
        /// Its name.
        variable: String,
    },
    /// `--override`.
    Override,
    /// `--data-dir`.
    DataDir,
    /// Nowhere: the key's default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment { variable } => write!(f, "environment {variable}"),
            Self::Override => f.write_str("--override"),
            Self::DataDir => f.write_str("--data-dir"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One fault of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The text is not what a source of this kind holds.
    #[error("{origin}: {reason}")]
    Syntax {
        /// Where.
        origin: Origin,
        /// What is wrong.
        reason: String,
    },
    /// No key has this name.
    #[error("{origin}: unknown key `{key}`{}", hint(nearest.as_deref()))]
    Unknown {
        /// Where.
        origin: Origin,
        /// The name as it was written.
        key: String,
        /// What was probably meant.
        nearest: Option<String>,
    },
    /// A value breaks its key's own rule.
    #[error("{origin}: {error}")]
    Value {
        /// Where.
        origin: Origin,
        /// The fault in Kafka's words.
        error: InvalidValue,
    },
    /// Values of several keys do not fit together, or ask for what this node cannot do.
    #[error("{origin}: `{key}`: {reason}")]
    Rule {
        /// Where.
        origin: Origin,
        /// The key to change.
        key: &'static str,
        /// What is wrong and what to set.
        reason: String,
    },
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"))
}
