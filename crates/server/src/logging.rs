//! This process' own log lines: their form, and which are written.

use std::io::{self, IsTerminal};

use chronik_config::LogFormat;
use tracing_subscriber::{
    EnvFilter, Layer, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

/// Changes which lines are written while the process runs.
#[derive(Clone)]
pub struct LogLevel(reload::Handle<EnvFilter, Registry>);

/// A level that is none.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{level}` is no log level: error, warn, info, debug, trace, or a filter such as \
     `info,chronik_net=debug`"
)]
pub(crate) struct InvalidLevel {
    level: String,
}

impl LogLevel {
    /// Sends log lines to standard error from now on. `level` must be valid.
    pub(crate) fn install(format: LogFormat, level: &str) -> Result<Self, InvalidLevel> {
        let (filter, handle) = reload::Layer::new(filter(level)?);
        let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
        let lines = match format {
            LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        // Only a test could have installed another one before.
        let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
        Ok(Self(handle))
    }

    /// The level that applies.
    pub(crate) fn get(&self) -> String {
        self.0.with_current(ToString::to_string).unwrap_or_default()
    }

    /// Applies another level.
    pub(crate) fn set(&self, level: &str) -> Result<(), InvalidLevel> {
        let filter = filter(level)?;
        self.0.reload(filter).map_err(|_| InvalidLevel { level: level.to_owned() })
    }
}

/// The filter that `level` stands for. The Raft library gives an account of every step of an
/// election, and warns of every heartbeat to a node that is down; that is for those who ask for it
/// by name, or look closely.
fn filter(level: &str) -> Result<EnvFilter, InvalidLevel> {
    let level = level.trim();
    let silent = level.eq_ignore_ascii_case("error") || level.eq_ignore_ascii_case("off");
    let is_close = ["debug", "trace"].iter().any(|close| level.eq_ignore_ascii_case(close));
    let quieter = match is_close {
        _ if silent || level.contains("openraft") => "",
        true => ",openraft=warn",
        false => ",openraft=error",
    };
    let text = format!("{level}{quieter}");
    EnvFilter::builder().parse(text).map_err(|_| InvalidLevel { level: level.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_word_is_about_this_server() {
        let shown = |level: &str| filter(level).unwrap().to_string();
        assert!(shown("info").contains("openraft=error"));
        assert!(shown("debug").contains("openraft=warn"));
        assert_eq!(shown("error"), "error");
        assert!(!shown("info,openraft=debug").contains("warn"));
    }

    #[test]
    fn levels_and_filters_are_understood_and_nonsense_is_not() {
        for level in ["info", "WARN", "info,chronik_net=debug"] {
            assert!(filter(level).is_ok(), "{level}");
        }
        for level in ["loud=very", "info,=,"] {
            assert!(filter(level).is_err(), "{level}");
        }
    }
}
