//! From files to a journal that writes.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use chronik_env::Env;

use crate::core::Core;
use crate::damage::{Damage, LOSSY, Skips};
use crate::files::Files;
use crate::recovery;
use crate::replay::RecoveredLog;
use crate::shared::Shared;
use crate::{DurableSink, LogId, Options};

/// What the journal's files said.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Every log with a record in a live file.
    pub logs: BTreeMap<LogId, RecoveredLog>,
    /// The last vote.
    pub vote: Option<Bytes>,
    /// Whether the journal was sealed by a clean stop, or is new.
    pub clean: bool,
    /// Whether damage was skipped on an operator's order: logs may miss acknowledged records.
    pub lossy: bool,
    /// The next log id to be given out.
    pub next_log: LogId,
    /// Bytes read from journal files.
    pub bytes_read: u64,
}

/// Why a journal could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system refused.
    #[error("{path:?}: {error}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Acknowledged data cannot be read back.
    #[error(
        "the journal is damaged: {path:?}, {damage}: {why}. \
         Look with `chronik-server journal inspect`. If other replicas hold the data, or the loss \
         is accepted, `chronik-server journal skip` goes on without it"
    )]
    Corrupt {
        /// The file, or the directory a file is missing from.
        path: PathBuf,
        /// Where.
        damage: Damage,
        /// What is wrong there.
        why: &'static str,
    },
    /// A file was written by a newer version of this program.
    #[error(
        "the journal file {path:?} has format version {version}; this program knows up to {known}"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// The newest version this program reads.
        known: u32,
    },
    /// The files belong to another cluster, node or directory.
    #[error("the journal file {path:?} belongs to another {what}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// `cluster`, `node` or `data directory`.
        what: &'static str,
    },
    /// The options contradict each other.
    #[error("journal options: {0}")]
    Options(&'static str),
}

/// A journal that has been read and is ready to write.
pub struct Opened {
    shared: Arc<Shared>,
    files: Files,
    vote: Option<Bytes>,
    sealed: bool,
}

/// Reads the journal in `options.dir`, creating it if there is none, and prepares it to write.
///
/// What the [`Recovery`] holds is durable when this returns.
///
/// # Errors
///
/// See [`OpenError`].
pub fn open(env: &Env, options: Options) -> Result<(Recovery, Opened), OpenError> {
    options.check().map_err(OpenError::Options)?;
    let disk = env.disk.as_ref();
    let dir = options.dir.clone();
    let io = |error| OpenError::Io { path: dir.clone(), error };
    disk.create_dir_all_durably(&dir).map_err(io)?;
    let mut skips = Skips::load(disk, &dir).map_err(io)?;
    let mut scan = recovery::scan(disk, &options, &skips)?;
    scan.make_durable(disk, &options)?;
    let found = scan.found(disk)?;
    let is_new = found.live.is_empty();
    if skips.prune(found.live.front().map_or(u64::MAX, |file| file.sequence)) {
        skips.save(disk, &dir).map_err(io)?;
    }
    let table = scan.replay.table;
    let recovery = Recovery {
        next_log: table.next_log(),
        logs: scan.replay.logs,
        vote: scan.replay.vote.clone(),
        clean: is_new || scan.replay.sealed,
        lossy: disk.exists(&dir.join(LOSSY)),
        bytes_read: scan.bytes_read,
    };
    let live: VecDeque<u64> = found.live.iter().map(|file| file.sequence).collect();
    let rng = env.rng.fork(&format!("journal salt {}", env.rng.u64()));
    let files = Files::new(Arc::clone(&env.disk), rng, options.clone(), found);
    let (disk, clock) = (Arc::clone(&env.disk), Arc::clone(&env.clock));
    let shared = Shared::new(options, disk, clock, table, live, files.used());
    let (shared, vote, sealed) = (Arc::new(shared), scan.replay.vote, recovery.clean);
    Ok((recovery, Opened { shared, files, vote, sealed }))
}

impl Opened {
    /// The journal without a thread: nothing moves but by [`Core::step`].
    #[must_use]
    pub fn into_core(self, sink: Box<dyn DurableSink>) -> Core {
        Core::new(self.shared, self.files, self.vote, self.sealed, sink)
    }
}
