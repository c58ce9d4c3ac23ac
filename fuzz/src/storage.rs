//! What a node finds on its disk when it starts: the files of a sound run with bytes changed, ends
//! cut off, files gone. It starts or says what is wrong; what it reads then, it reads without fault.

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bytes::BytesMut;
use chronik_env::{CrashKind, Disk, Env, ManualClock, OpenMode, Rng, SimDisk};
use chronik_journal::{Class, Core, Step};
use chronik_log::{Completions, LogConfig, LogListener, Options, Origin, Read, ReadLimit, Storage};
use chronik_protocol::batch::{BatchBuilder, TimestampType};
use chronik_protocol::validate::{BatchRules, TopicCompression, ValidBatch, validate_batch};
use chronik_types::{
    BrokerId, DirectoryId, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, TopicId,
    TopicPartition, Uuid,
};

use crate::take;

const JOURNAL: &str = "/data/journal";
const LOGS: &str = "/data/a";
const TOPIC: &str = "t";
/// The time of the disk's life.
const NOW: i64 = 1_700_000_000_000;
/// Changes that one input may make.
const CHANGES_MAX: usize = 16;

type Files = Vec<(PathBuf, Vec<u8>)>;

/// The journal's files changed.
pub fn journal(data: &[u8]) {
    start(&changed(Path::new(JOURNAL), data));
}

/// The log's files changed: segments, indexes, snapshots of producers, checkpoints.
pub fn log(data: &[u8]) {
    start(&changed(Path::new(LOGS), data));
}

/// The files of a sound run, those below `dir` changed as `data` says.
fn changed(dir: &Path, mut data: &[u8]) -> Files {
    let mut files = sound().clone();
    let mut concerned: Vec<usize> =
        (0..files.len()).filter(|at| files[*at].0.starts_with(dir)).collect();
    for _ in 0..CHANGES_MAX {
        if data.is_empty() || concerned.is_empty() {
            break;
        }
        let chosen = usize::from(take(&mut data)) % concerned.len();
        let at = concerned[chosen];
        let content = &mut files[at].1;
        let position = u32::from_be_bytes([0, take(&mut data), take(&mut data), take(&mut data)]);
        let position = position as usize % content.len().max(1);
        match take(&mut data) {
            kind @ 0..=199 => {
                let (new, rest) = data.split_at((usize::from(kind) % 40).min(data.len()));
                data = rest;
                content.resize(content.len().max(position + new.len()), 0);
                content[position..position + new.len()].copy_from_slice(new);
            }
            200..=229 => content.truncate(position),
            230..=249 => content.extend_from_slice(&data[..data.len().min(64)]),
            _ => {
                files[at].1.clear();
                files[at].0.push("gone");
                concerned.remove(chosen);
            }
        }
    }
    files.retain(|(path, _)| !path.ends_with("gone"));
    files
}

/// A node's life with these files.
fn start(files: &Files) {
    let disk = SimDisk::new(1);
    live(&disk, files);
    // A storage lives as long as its process, which here is many: at least its disk goes.
    disk.crash(CrashKind::Process);
    disk.remove_dir_all(Path::new("/data")).expect("removed");
}

/// Starts with these files; if it starts, everything is read, written on, flushed and read again.
fn live(disk: &SimDisk, files: &Files) {
    for (path, content) in files {
        disk.create_dir_all(path.parent().unwrap_or(path)).expect("a directory");
        let file = disk.open(path, OpenMode::CREATE_NEW).expect("a file");
        file.write_all_at(&[IoSlice::new(content)], 0).expect("its content");
        file.sync_data().expect("on disk");
    }
    let Ok(mut run) = Run::open(disk.clone()) else { return };
    let Ok(log) = run.open_log() else { return };
    read_all(&log);
    for n in 0..3 {
        let Some(mut permit) = run.storage.try_admit(Class::Client, 4096) else { return };
        let epoch = log.leader_epoch().max(LeaderEpoch(0));
        if log.append_as_leader(&mut permit, batch(n, 900), epoch, Origin::Client).is_err() {
            return;
        }
    }
    run.settle();
    let _ = run.storage.flush_all();
    run.settle();
    read_all(&log);
}

fn read_all(log: &Arc<chronik_log::Log>) {
    let (mut at, end) = (log.start(), log.end());
    assert!(at <= end, "a log begins at {at} and ends at {end}");
    while at < end {
        let limit = ReadLimit { max_bytes: 1 << 16, end, at_least_one: true };
        let fetched = match log.read(at, limit) {
            Ok(Read::Memory(fetched)) => fetched,
            Ok(Read::Segment(job)) => match job.run() {
                Ok(fetched) => fetched,
                Err(_) => return,
            },
            Err(_) => return,
        };
        let bytes: Vec<u8> =
            fetched.chunks.iter().flat_map(|chunk| chunk.iter().copied()).collect();
        let mut next = at;
        for found in chronik_protocol::batch::batches(&bytes) {
            let (header, _) = found.expect("what is read is whole");
            assert!(header.last_offset() >= next, "batches go on");
            next = header.next_offset();
        }
        if next == at {
            return;
        }
        at = next;
    }
}

struct Run {
    storage: Storage,
    completions: Completions,
    core: Core,
}

struct Nobody;

impl LogListener for Nobody {
    fn durable(&self, _: Offset) {}
}

impl Run {
    fn open(disk: SimDisk) -> Result<Self, chronik_log::OpenError> {
        let env = Env {
            disk: Arc::new(disk),
            clock: Arc::new(ManualClock::new(Timestamp(NOW))),
            rng: Rng::from_seed(1),
        };
        let (storage, completions, _, core) = Storage::open_stepped(env, options())?;
        Ok(Self { storage, completions, core })
    }

    fn open_log(&mut self) -> Result<Arc<chronik_log::Log>, chronik_log::LogError> {
        let config = LogConfig {
            segment_bytes: 1_200,
            index_interval_bytes: 200,
            segment_index_bytes: 400,
            ..LogConfig::default()
        };
        let partition = TopicPartition { topic_id: TopicId(Uuid([7; 16])), partition: 0 };
        let listener = Arc::new(Nobody);
        self.storage.open_log(partition, TOPIC, Arc::new(config), Class::Client, listener)
    }

    fn settle(&mut self) {
        while self.core.step() == Step::Durable {
            self.completions.drain();
        }
        self.completions.drain();
    }
}

fn options() -> Options {
    let directory = DirectoryId(Uuid([2; 16]));
    let cluster = Uuid([1; 16]);
    let mut journal =
        chronik_journal::Options::new(JOURNAL.into(), cluster, BrokerId(1), directory);
    journal.file_bytes = 64 << 10;
    journal.first_file_bytes = 64 << 10;
    journal.max_bytes = 512 << 10;
    journal.group_bytes_max = 16 << 10;
    journal.reserve_bytes = 64 << 10;
    journal.free_bytes_floor = 0;
    Options::new(vec![LOGS.into()], journal)
}

/// A batch of two records, of an idempotent producer, or of none for an odd `n`.
fn batch(n: i32, producer: i64) -> ValidBatch {
    let mut builder = BatchBuilder::new();
    if n % 2 == 0 {
        builder = builder.producer(ProducerId(producer), ProducerEpoch(0), n);
    }
    for record in 0..2 {
        let (key, value) = ([b'k', record], [b'v'; 100]);
        builder.append(Timestamp(NOW), Some(&key), Some(&value), &[]).expect("it fits");
    }
    let rules = BatchRules {
        now: Timestamp(NOW),
        timestamp_type: TimestampType::CreateTime,
        before_max_ms: i64::MAX,
        after_max_ms: i64::MAX,
        compression: TopicCompression::Producer,
        max_message_bytes: 1 << 20,
        segment_bytes: 1 << 20,
        compacted: false,
        client: true,
        produce_version: 9,
        max_decompressed_bytes: 1 << 20,
    };
    let bytes: BytesMut = builder.build().expect("it fits");
    validate_batch(bytes, &rules).expect("a sound batch")
}

/// What a sound run leaves: several segments, and batches that only the journal has.
fn sound() -> &'static Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES.get_or_init(|| {
        let disk = SimDisk::new(1);
        let mut run = Run::open(disk.clone()).expect("an empty disk");
        let log = run.open_log().expect("a new log");
        for n in 0..24 {
            let mut permit = run.storage.try_admit(Class::Client, 4096).expect("room");
            let epoch = LeaderEpoch(n / 8);
            log.append_as_leader(&mut permit, batch(n, i64::from(n)), epoch, Origin::Client)
                .expect("appended");
            run.settle();
            if n == 15 {
                log.advance_high_watermark(log.end());
                run.storage.flush_all().expect("flushed");
                run.settle();
            }
        }
        let mut files = Files::new();
        collect(&disk, Path::new("/data"), &mut files);
        files.sort();
        files
    })
}

fn collect(disk: &SimDisk, dir: &Path, files: &mut Files) {
    for entry in disk.read_dir(dir).expect("a directory") {
        let path = dir.join(&entry.name);
        if entry.is_dir {
            collect(disk, &path, files);
            continue;
        }
        let file = disk.open(&path, OpenMode::READ).expect("a file");
        let length = usize::try_from(file.len().expect("its length")).expect("a small one");
        let mut content = vec![0; length];
        file.read_exact_at(&mut content, 0).expect("its content");
        files.push((path, content));
    }
}
