//! The world of one seed: a disk, a clock, a storage, a few logs, and what they should be.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chronik_env::{CrashKind, Env, ManualClock, Rng, SimDisk};
use chronik_journal::{Class, Core};
use chronik_log::{Completions, LogConfig, Options, Storage};
use chronik_types::{BrokerId, DirectoryId, Timestamp, Uuid};

use super::partition::{Partition, partition_id};
use super::reference::State;
use super::seen::Seen;

pub(super) const EIO: i32 = 5;
pub(super) const LOGS: usize = 3;
/// Bytes of the journal: so few that it fills up.
pub(super) const JOURNAL_BYTES: u64 = 384 << 10;

pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) disk: SimDisk,
    pub(super) clock: Arc<ManualClock>,
    pub(super) storage: Option<(Storage, Completions, Core)>,
    pub(super) partitions: Vec<Partition>,
    pub(super) next_value: u64,
    /// Nothing flushes but what this says.
    pub(super) in_crash_loop: bool,
    pub(super) seen: Seen,
}

pub(super) type Outcome = Result<(), String>;

/// Runs a seed; the error says what did not hold.
pub fn run(seed: u64, operations: u64) -> Result<Seen, String> {
    let mut world = World::new(seed);
    world.reopen(false)?;
    for step in 0..operations {
        world.seen.operations += 1;
        world.step().map_err(|what| format!("operation {step}: {what}"))?;
    }
    world.crash(CrashKind::PowerCut);
    world.reopen(false)?;
    Ok(world.seen)
}

/// Crashes so many times in a row that nothing is ever flushed, in a small journal; then one run
/// must empty it. The error says what did not hold.
pub fn crash_loop(seed: u64, crashes: u64) -> Result<Seen, String> {
    let mut world = World::new(seed);
    world.reopen(false)?;
    world.in_crash_loop = true;
    for run in 0..crashes {
        let run_of = |what| format!("run {run}: {what}");
        for _ in 0..world.rng.below(4) {
            world.seen.operations += 1;
            world.hurried_step().map_err(run_of)?;
        }
        world.crash_now();
        world.reopen(true).map_err(run_of)?;
    }
    world.in_crash_loop = false;
    for _ in 0..100 {
        world.flush(false)?;
        world.settle()?;
    }
    let used = world.storage().stats().journal.used_bytes;
    if used > JOURNAL_BYTES / 2 {
        return Err(format!("the journal still has {used} bytes in use"));
    }
    if world.storage().try_admit(Class::Client, 1_000).is_none() {
        return Err("a client is refused".into());
    }
    Ok(world.seen)
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let rng = Rng::from_seed(seed).fork("model");
        let clock = Arc::new(ManualClock::new(Timestamp(100_000)));
        let config = |index: u64| LogConfig {
            segment_bytes: 1_500 + rng.fork("segment").below(6_000) + index,
            index_interval_bytes: rng.fork("index").below(700),
            segment_index_bytes: 400,
            segment_ms: 50_000,
            retention_ms: if index == 1 { 20_000 } else { -1 },
            retention_bytes: [24_000, -1, 9_000][index as usize],
            producer_id_expiration_ms: i64::MAX,
            ..LogConfig::default()
        };
        let partition = |index: usize| Partition {
            id: partition_id(index, 0),
            name: format!("topic-{index}"),
            config: Arc::new(config(index as u64)),
            log: None,
            listener: Arc::default(),
            history: VecDeque::from([(false, State::default())]),
            incarnation: 0,
        };
        Self {
            disk: SimDisk::new(seed),
            clock,
            storage: None,
            partitions: (0..LOGS).map(partition).collect(),
            next_value: 0,
            in_crash_loop: false,
            seen: Seen::default(),
            rng,
        }
    }

    pub(super) fn env(&self) -> Env {
        Env {
            disk: Arc::new(self.disk.clone()),
            clock: Arc::clone(&self.clock) as Arc<dyn chronik_env::Clock>,
            rng: self.rng.fork(&format!("env {}", self.seen.operations)),
        }
    }

    pub(super) fn options() -> Options {
        let cluster = Uuid::from_entropy([1; 16]);
        let directory = DirectoryId(Uuid::from_entropy([2; 16]));
        let mut journal =
            chronik_journal::Options::new("/data/journal".into(), cluster, BrokerId(1), directory);
        journal.file_bytes = 64 << 10;
        journal.first_file_bytes = 64 << 10;
        journal.max_bytes = JOURNAL_BYTES;
        journal.group_bytes_max = 16 << 10;
        journal.reserve_bytes = JOURNAL_BYTES / 4;
        journal.free_bytes_floor = 0;
        let dirs: Vec<PathBuf> = vec!["/data/a".into(), "/data/b".into()];
        let mut options = Options::new(dirs, journal);
        options.unflushed_bytes_max = 64 << 10;
        options.cached_bytes_max = 8 << 10;
        options.flush_small_bytes = 2 << 10;
        options.open_files_max = 8;
        options
    }

    /// What a run may come to between a start and the crash that follows.
    fn hurried_step(&mut self) -> Outcome {
        let at = self.rng.below(LOGS as u64) as usize;
        match self.rng.below(10) {
            0..3 => self.append(at),
            3 => self.begin_epoch(at),
            4 => self.append_transactional(at),
            5 => self.set_start(at),
            6 => self.truncate(at),
            7 => self.settle(),
            _ => self.journal_step(),
        }
    }

    pub(super) fn storage(&self) -> &Storage {
        &self.storage.as_ref().unwrap().0
    }

    pub(super) fn chance(&self, one_in: u64) -> bool {
        self.rng.below(one_in) == 0
    }

    pub(super) fn between(&self, low: i64, high: i64) -> i64 {
        low + self.rng.below((high - low + 1) as u64) as i64
    }

    pub(super) fn step(&mut self) -> Outcome {
        let at = self.rng.below(LOGS as u64) as usize;
        let journal = self.storage().stats().journal.used_bytes;
        // What the broker's flush task would do: a run of crashes alone may fill the journal.
        if journal > JOURNAL_BYTES / 3 * 2 || (journal > JOURNAL_BYTES / 2 && self.chance(8)) {
            self.flush(false)?;
            self.settle()?;
        }
        match self.rng.below(1_000) {
            0..280 => self.append(at),
            280..480 => self.append_idempotent(at),
            480..520 => self.append_transactional(at),
            520..560 => self.append_at(at),
            560..620 => self.journal_step(),
            620..650 => self.settle(),
            650..690 => self.advance(at),
            690..708 => self.truncate(at),
            708..710 => self.reset(at),
            710..718 => self.set_start(at),
            718..730 => self.flush(false),
            730..745 => self.flush(true),
            745..750 => self.retention(),
            750..756 => self.begin_epoch(at),
            756..890 => self.read(at),
            890..930 => self.look_up(at),
            930..950 => self.check_producers(at),
            950..955 => self.flush_with_faults(),
            955..958 => self.delete(at),
            958..968 => {
                self.crash_now();
                self.reopen(true)
            }
            968..974 => self.crash_inside(at),
            974..977 => self.clean_stop(),
            _ => {
                self.clock.advance(Duration::from_millis(self.rng.below(400)));
                Ok(())
            }
        }
    }
}

pub(super) fn same(what: &str, expected: i64, found: i64) -> Outcome {
    if expected == found { Ok(()) } else { Err(format!("{what}: {found}, not {expected}")) }
}

pub(super) fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}
