//! `chronik-server config`: every key with its type, default, effective value and source.

use std::io::{self, Write};

use chronik_config::{ConfigError, NodeConfig, Row, Sources, UnreadableConfig, rows};
use chronik_env::{Disk, RealDisk};
use serde_json::json;

use crate::{
    Exit,
    cli::{Format, NodeArgs},
    columns, machine,
};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoConfig {
    #[error(transparent)]
    Unreadable(#[from] UnreadableConfig),
    #[error("--data-dir {0:?} is not Unicode")]
    DataDir(std::path::PathBuf),
    #[error("{}", list(.0))]
    Wrong(Vec<ConfigError>),
}

fn list(errors: &[ConfigError]) -> String {
    let mut text = String::from("the configuration is wrong:");
    for error in errors {
        text.push_str("\n  ");
        text.push_str(&error.to_string());
    }
    text.push_str("\n`chronik-server config` lists every key");
    text
}

/// The configuration of the node that the command line means.
pub(crate) fn load(args: &NodeArgs) -> Result<NodeConfig, NoConfig> {
    let disk: &dyn Disk = &RealDisk;
    let data_dir = match &args.data_dir {
        Some(dir) => {
            let text = dir.to_str().ok_or_else(|| NoConfig::DataDir(dir.clone()))?;
            Some(text.to_owned())
        }
        None => None,
    };
    let file = match &args.config {
        Some(path) => Some(chronik_config::ConfigFile::read(disk, path)?),
        None => None,
    };
    let sources = Sources {
        file,
        overrides: args.overrides.clone(),
        data_dir,
        machine: machine::look(disk),
        ..Sources::from_environment()
    };
    chronik_config::parse(&sources).map_err(NoConfig::Wrong)
}

/// Prints the configuration.
pub(crate) fn run(args: &NodeArgs, format: Format) -> Exit {
    let config = match load(args) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("chronik-server: {error}");
            return Exit::Configuration;
        }
    };
    let rows = rows(&config);
    let text = match format {
        Format::Table => table(&rows),
        Format::Json => json_text(&rows),
    };
    // A reader that has seen enough, as `head` does, is no error.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    Exit::Done
}

fn json_text(rows: &[Row]) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "key": row.key,
                "type": row.kind,
                "default": row.default,
                "value": row.value,
                "source": row.source,
                "doc": row.doc,
            })
        })
        .collect();
    format!("{:#}\n", serde_json::Value::Array(rows))
}

fn table(rows: &[Row]) -> String {
    let head = ["KEY", "TYPE", "DEFAULT", "VALUE", "SOURCE"].map(str::to_owned);
    let cells = rows.iter().map(|row| {
        let default = row.default.unwrap_or("-");
        let value = row.value.as_deref().unwrap_or("-");
        [row.key, row.kind, default, value, &row.source].map(|text| match text {
            "" => "\"\"".to_owned(),
            text => text.to_owned(),
        })
    });
    columns::align(std::iter::once(head).chain(cells))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: Option<&str>) -> Row {
        Row {
            key: "a.key",
            kind: "STRING",
            default: None,
            value: value.map(str::to_owned),
            source: "default".into(),
            doc: "It is.",
        }
    }

    #[test]
    fn columns_line_up_and_nothing_is_told_from_empty() {
        let shown = table(&[row(None), row(Some("")), row(Some("a long value"))]);
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(lines[0], "KEY    TYPE    DEFAULT  VALUE         SOURCE");
        assert_eq!(lines[1], "a.key  STRING  -        -             default");
        assert_eq!(lines[2], "a.key  STRING  -        \"\"            default");
        assert_eq!(lines[3], "a.key  STRING  -        a long value  default");
    }

    #[test]
    fn json_keeps_null_apart_from_empty() {
        let shown: serde_json::Value = serde_json::from_str(&json_text(&[row(None)])).unwrap();
        assert_eq!(shown[0]["value"], serde_json::Value::Null);
        assert_eq!(shown[0]["key"], "a.key");
    }
}
