//! `chronik-server journal`: what an operator sees of a journal, and does about damage in it.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use chronik_config::NodeConfig;
use chronik_env::{Disk, RealDisk};
use chronik_types::{DirectoryId, Uuid};

use crate::{
    Exit,
    cli::{JournalCommand, NodeArgs},
    config_command::{self, NoConfig},
};

/// The file of a data directory that says whose it is.
const META: &str = "meta.properties";
const META_BYTES_MAX: u64 = 64 * 1024;
/// The file that a running node holds locked.
const LOCK: &str = ".lock";

#[derive(Debug, thiserror::Error)]
enum JournalError {
    #[error(transparent)]
    Config(#[from] NoConfig),
    #[error("{0}: there is no journal here; `--data-dir` or `--config` says where it is")]
    NoJournal(PathBuf),
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
    #[error("{0}: the node runs; stop it first")]
    Running(PathBuf),
    #[error("{path}: it names no valid {key}; restore the file")]
    Meta { path: PathBuf, key: &'static str },
    #[error(transparent)]
    Journal(#[from] chronik_journal::OpenError),
}

/// Runs one of the journal's commands.
pub(crate) fn run(command: &JournalCommand) -> Exit {
    let done = match command {
        JournalCommand::Inspect(node) => inspect(&RealDisk, node),
        JournalCommand::Skip(node) => skip(&RealDisk, node),
    };
    match done {
        Ok(()) => Exit::Done,
        Err(error) => {
            eprintln!("chronik-server: {error}");
            if matches!(error, JournalError::Config(_)) {
                Exit::Configuration
            } else {
                Exit::NotStarted
            }
        }
    }
}

fn inspect(disk: &dyn Disk, node: &NodeArgs) -> Result<(), JournalError> {
    let (_, dir) = journal(disk, node)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut open = true;
    chronik_journal::inspect(disk, &dir, &mut |sight| {
        // A reader that has seen enough, as `head` does, is no error.
        open = open && writeln!(out, "{sight}").is_ok();
    })?;
    let _ = out.flush();
    Ok(())
}

fn skip(disk: &dyn Disk, node: &NodeArgs) -> Result<(), JournalError> {
    let (config, dir) = journal(disk, node)?;
    let data = data_dir(&config);
    let lock = data.join(LOCK);
    let locked = disk.lock_exclusive(&lock).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => JournalError::Running(lock.clone()),
        _ => JournalError::Io { path: lock.clone(), error },
    })?;
    let meta = Meta::read(disk, &data)?;
    let mut options = chronik_journal::Options::new(
        dir,
        meta.uuid("cluster.id")?,
        config.node_id,
        DirectoryId(meta.uuid("directory.id")?),
    );
    options.file_bytes = config.journal.file_bytes;
    options.max_bytes = config.journal.max_bytes;
    let skipped = chronik_journal::skip(disk, &options)?;
    drop(locked);
    if skipped.is_empty() {
        println!("nothing is damaged; nothing is skipped");
    }
    for damage in skipped {
        println!("skipped: {damage}");
    }
    Ok(())
}

/// The journal that the command line means.
fn journal(disk: &dyn Disk, node: &NodeArgs) -> Result<(NodeConfig, PathBuf), JournalError> {
    let config = config_command::load(node)?;
    let dir = config.journal.dir.clone().unwrap_or_else(|| data_dir(&config).join("journal"));
    if disk.exists(&dir) { Ok((config, dir)) } else { Err(JournalError::NoJournal(dir)) }
}

fn data_dir(config: &NodeConfig) -> PathBuf {
    config.log_dirs.first().cloned().unwrap_or_default()
}

/// Whose a data directory is.
struct Meta {
    path: PathBuf,
    text: String,
}

impl Meta {
    fn read(disk: &dyn Disk, data: &Path) -> Result<Self, JournalError> {
        let path = data.join(META);
        let bytes = disk
            .read(&path, META_BYTES_MAX)
            .map_err(|error| JournalError::Io { path: path.clone(), error })?;
        Ok(Self { path, text: String::from_utf8_lossy(&bytes).into_owned() })
    }

    fn uuid(&self, key: &'static str) -> Result<Uuid, JournalError> {
        let values = self.text.lines().filter_map(|line| line.split_once('='));
        let value =
            values.filter(|(name, _)| name.trim() == key).map(|(_, value)| value).next_back();
        value
            .and_then(|value| value.trim().parse().ok())
            .ok_or_else(|| JournalError::Meta { path: self.path.clone(), key })
    }
}
