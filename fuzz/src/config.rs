//! What a user writes into `server.properties`.

use std::path::PathBuf;

use chronik_config::{ConfigFile, Sources};

/// A configuration file, which is read or refused with its faults.
pub fn properties(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    let file = Some(ConfigFile { path: PathBuf::from("server.properties"), text });
    let sources = Sources { file, ..Sources::default() };
    if let Err(errors) = chronik_config::parse(&sources) {
        assert!(!errors.is_empty(), "refused, and nothing is wrong with it");
        for error in errors {
            assert!(!error.to_string().is_empty());
        }
    }
}
