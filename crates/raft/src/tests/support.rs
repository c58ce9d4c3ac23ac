//! A store on a simulated disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chronik_env::{Env, ManualClock, Rng, SimDisk};
use chronik_journal::Class;
use chronik_log::{Completions, LogListener, Storage};
use chronik_types::{BrokerId, DirectoryId, Timestamp, TopicPartition, Uuid};
use tokio::task::JoinHandle;

use crate::flushes::Flushes;
use crate::log_store::LogStore;
use crate::member_mark::MemberMark;
use crate::node::{METADATA_TOPIC, log_config};
use crate::snapshot_file::SnapshotFiles;
use crate::state_machine::MetadataState;

pub(crate) fn env(disk: &SimDisk, seed: u64) -> Env {
    Env {
        disk: Arc::new(disk.clone()),
        clock: Arc::new(ManualClock::new(Timestamp(1_000_000))),
        rng: Rng::from_seed(seed),
    }
}

pub(crate) fn storage_options() -> chronik_log::Options {
    let directory = DirectoryId(Uuid([7; 16]));
    let mut journal = chronik_journal::Options::new(
        PathBuf::from("/data/journal"),
        Uuid([1; 16]),
        BrokerId(1),
        directory,
    );
    journal.first_file_bytes = 64 << 10;
    journal.file_bytes = 256 << 10;
    journal.group_bytes_max = 128 << 10;
    journal.max_bytes = 16 << 20;
    journal.reserve_bytes = 512 << 10;
    chronik_log::Options::new(vec![PathBuf::from("/data")], journal)
}

/// The store of an open storage, as a node makes it.
pub(crate) fn store(env: &Env, storage: &Storage) -> LogStore {
    let flushes = Arc::new(Flushes::default());
    let log = storage
        .open_log(
            TopicPartition::METADATA,
            METADATA_TOPIC,
            Arc::new(log_config()),
            Class::Metadata,
            Arc::clone(&flushes) as Arc<dyn LogListener>,
        )
        .unwrap();
    let mark = MemberMark::read(env, Path::new("/data/snapshots"));
    LogStore::new(env.clone(), storage.clone(), log, flushes, mark).unwrap()
}

/// The state machine of a directory.
pub(crate) fn state(env: &Env) -> MetadataState {
    let files = SnapshotFiles::new(PathBuf::from("/data/snapshots"));
    MetadataState::load(env.clone(), files).unwrap().0
}

/// Ends the storage when it is dropped.
pub(crate) struct Running {
    pub storage: Storage,
    task: JoinHandle<()>,
}

impl Running {
    pub fn new(storage: Storage, completions: Completions) -> Self {
        Self { storage, task: tokio::spawn(completions.run()) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.storage.shutdown();
        self.task.abort();
    }
}
