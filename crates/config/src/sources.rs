//! Where configuration comes from, gathered into one list of settings.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use chronik_env::{Disk, env_vars};

use crate::{
    ConfigError, Origin, environment,
    keys::{broker_key, broker_keys, topic_key},
    properties,
};

/// A configuration file larger than this is none.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A configuration file that has been read.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// As it was named.
    pub path: PathBuf,
    /// What it holds.
    pub text: String,
}

/// A configuration file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableConfig {
    /// The system refuses.
    #[error("cannot read {path}: {error}; `--config` names Kafka's server.properties")]
    Io {
        /// As it was named.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It is not text.
    #[error("{path} is not UTF-8 text; `--config` names Kafka's server.properties")]
    NotText {
        /// As it was named.
        path: PathBuf,
    },
}

impl ConfigFile {
    /// Reads the file.
    ///
    /// # Errors
    /// [`UnreadableConfig`], with what to do.
    pub fn read(disk: &dyn Disk, path: &Path) -> Result<Self, UnreadableConfig> {
        let io = |error| UnreadableConfig::Io { path: path.to_owned(), error };
        let bytes = disk.read(path, FILE_BYTES_MAX).map_err(io)?;
        let text = String::from_utf8(bytes).ok();
        let text = text.ok_or_else(|| UnreadableConfig::NotText { path: path.to_owned() })?;
        Ok(Self { path: path.to_owned(), text })
    }
}

/// What the machine is like, as far as defaults follow from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Bytes of memory that this process may use.
    pub memory_bytes: u64,
    /// The machine's name, advertised when `listeners` names no host.
    pub host_name: Option<String>,
}

impl Default for Machine {
    fn default() -> Self {
        Self { memory_bytes: 4 << 30, host_name: None }
    }
}

/// Everything that configures a node; the later wins.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--config`.
    pub file: Option<ConfigFile>,
    /// The environment; only `KAFKA_*` is looked at.
    pub environment: Vec<(String, String)>,
    /// `--override`, each `key=value`.
    pub overrides: Vec<String>,
    /// `--data-dir`, which is `log.dirs`.
    pub data_dir: Option<String>,
    /// What defaults follow from.
    pub machine: Machine,
}

impl Sources {
    /// No file and no overrides, but the environment of this process.
    #[must_use]
    pub fn from_environment() -> Self {
        Self { environment: env_vars(), ..Self::default() }
    }
}

/// One value and where it was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) value: String,
    pub(crate) origin: Origin,
}

/// The value of each key that is set. Faults go to `errors`.
pub(crate) fn gather(
    sources: &Sources,
    errors: &mut Vec<ConfigError>,
) -> BTreeMap<String, Setting> {
    let mut settings = BTreeMap::new();
    let mut set = |key: String, value: String, origin: Origin, errors: &mut Vec<ConfigError>| {
        check(&key, &value, &origin, errors);
        settings.insert(key, Setting { value, origin });
    };
    if let Some(file) = &sources.file {
        for entry in properties::parse(&file.text) {
            let origin = |line| Origin::File { path: file.path.clone(), line };
            match entry {
                Ok(entry) => set(entry.key, entry.value, origin(entry.line), errors),
                Err(error) => errors
                    .push(ConfigError::Syntax { origin: origin(error.line), reason: error.reason }),
            }
        }
    }
    for (variable, value) in &sources.environment {
        if let Some(key) = environment::key(variable) {
            set(key, value.clone(), Origin::Environment { variable: variable.clone() }, errors);
        }
    }
    for text in &sources.overrides {
        match text.split_once('=') {
            Some((key, value)) => {
                set(key.trim().to_owned(), value.trim().to_owned(), Origin::Override, errors);
            }
            None => errors.push(ConfigError::Syntax {
                origin: Origin::Override,
                reason: format!("`{text}` is not of the form key=value"),
            }),
        }
    }
    if let Some(dir) = &sources.data_dir {
        set("log.dirs".to_owned(), dir.clone(), Origin::DataDir, errors);
    }
    settings
}

/// Checks one value by its key's own rule.
fn check(key: &str, value: &str, origin: &Origin, errors: &mut Vec<ConfigError>) {
    let origin = origin.clone();
    match broker_key(key).map(|known| known.parse(value)) {
        Some(Ok(_)) => {}
        Some(Err(error)) => errors.push(ConfigError::Value { origin, error }),
        None => {
            errors.push(ConfigError::Unknown {
                origin,
                key: key.to_owned(),
                nearest: nearest(key),
            });
        }
    }
}

/// The key that was probably meant: the broker's key of a topic's, or one spelt much the same.
fn nearest(key: &str) -> Option<String> {
    if let Some(synonym) = topic_key(key).and_then(|topic| topic.synonyms.first()) {
        return Some(synonym.name.to_owned());
    }
    let lowered = key.to_lowercase().replace(['_', '-'], ".");
    let tolerated = (key.len() / 4).max(2);
    // The distance is at least the difference in length; a file that is no configuration may have
    // millions of "keys", or one of millions of letters, and is refused in no time all the same.
    let length = lowered.chars().count();
    let comparable = |name: &&str| name.len().abs_diff(length) <= tolerated;
    let distance = |name: &'static str| (strsim::osa_distance(&lowered, name), name);
    let best = broker_keys().map(|known| known.name).filter(comparable).map(distance).min()?;
    (best.0 <= tolerated).then(|| best.1.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_configuration_is_refused_in_no_time() {
        assert_eq!(nearest(&"x".repeat(4 << 20)), None);
    }

    #[test]
    fn the_nearest_key_is_the_one_that_was_meant() {
        for (written, meant) in [
            ("log.dir", Some("log.dir")),
            ("listner", Some("listeners")),
            ("LOG_DIRS", Some("log.dirs")),
            ("retention.ms", Some("log.retention.ms")),
            ("num.partition", Some("num.partitions")),
            ("zookeeper.connect", None),
        ] {
            assert_eq!(nearest(written).as_deref(), meant, "{written}");
        }
    }
}
