//! Damaged files of a log: what is read from them is an error that names the file. And logs that
//! are nobody's, which may be damaged too: they must not hold up the journal.

#![allow(clippy::unwrap_used, reason = "a test, whose helpers clippy does not know as such")]

use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use chronik_env::{
    CallKind, CrashKind, Disk as _, Env, Fault, ManualClock, OpenMode, Rng, SimDisk,
};
use chronik_journal::{Class, Core, Step};
use chronik_log::{
    Completions, Log, LogConfig, LogListener, Options, Origin, Read, ReadLimit, Storage,
};
use chronik_protocol::batch::{BatchBuilder, TimestampType};
use chronik_protocol::validate::{BatchRules, TopicCompression, ValidBatch, validate_batch};
use chronik_types::{
    BrokerId, DirectoryId, LeaderEpoch, Monotonic, Offset, Timestamp, TopicId, TopicPartition, Uuid,
};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

const EIO: i32 = 5;

struct Nobody;

impl LogListener for Nobody {
    fn durable(&self, _: Offset) {}
}

struct Run {
    storage: Storage,
    completions: Completions,
    core: Core,
    log: Arc<Log>,
}

impl Run {
    fn open(disk: SimDisk) -> Self {
        Self::open_with(disk, partition(0))
    }

    /// With the log of this partition open, and what was there of others parked.
    fn open_with(disk: SimDisk, opened: TopicPartition) -> Self {
        Self::open_flushing(disk, opened, 64 << 10)
    }

    /// As [`Run::open_with`]; less than `small` bytes of a log are copied rather than flushed.
    fn open_flushing(disk: SimDisk, opened: TopicPartition, small: usize) -> Self {
        let env = Env {
            disk: Arc::new(disk),
            clock: Arc::new(ManualClock::new(NOW)),
            rng: Rng::from_seed(1),
        };
        let mut options = Options::new(vec!["/data/a".into()], journal_options());
        options.flush_small_bytes = small;
        let (storage, completions, _, core) = Storage::open_stepped(env, options).unwrap();
        let log = open_log(&storage, opened);
        Self { storage, completions, core, log }
    }

    fn settle(&mut self) {
        while self.core.step() == Step::Durable {
            self.completions.drain();
        }
        self.completions.drain();
    }

    fn append(&mut self) {
        let log = Arc::clone(&self.log);
        self.append_to(&log);
    }

    fn append_to(&mut self, log: &Arc<Log>) {
        let mut permit = self.storage.try_admit(Class::Client, 4096).unwrap();
        log.append_as_leader(&mut permit, batch(), LeaderEpoch(0), Origin::Client).unwrap();
        self.settle();
    }

    /// Writes three times what the journal takes: it must let go of what is older.
    fn fill_the_journal(&mut self) {
        let begun = self.storage.stats().journal.files_begun;
        while self.storage.stats().journal.files_begun < begun + 24 {
            self.append();
            self.storage.flush_round();
            self.settle();
        }
    }

    /// Writes until the journal is more than half full, and so late that only what nobody flushes
    /// can be what holds it.
    fn fill_half(&mut self) {
        while self.storage.stats().journal.used_bytes <= (512 << 10) / 2 + (64 << 10) {
            self.append();
            self.storage.flush_round();
            self.settle();
        }
    }

    /// Whether the storage tells that logs which are not open hold the journal.
    fn is_told(&self) -> bool {
        is_ready(self.storage.journal_held())
    }

    /// The offset after what is read.
    fn read(&self, from: Offset) -> Result<Offset, String> {
        let limit = ReadLimit { max_bytes: 1 << 16, end: self.log.end(), at_least_one: true };
        match self.log.read(from, limit).map_err(|error| error.to_string())? {
            Read::Memory(fetched) => Ok(fetched.next_offset),
            Read::Segment(job) => {
                job.run().map(|fetched| fetched.next_offset).map_err(|error| error.to_string())
            }
        }
    }
}

fn journal_options() -> chronik_journal::Options {
    let ids = (Uuid([1; 16]), BrokerId(1), DirectoryId(Uuid([2; 16])));
    let mut journal = chronik_journal::Options::new("/data/journal".into(), ids.0, ids.1, ids.2);
    journal.file_bytes = 64 << 10;
    journal.first_file_bytes = 64 << 10;
    journal.max_bytes = 512 << 10;
    journal.group_bytes_max = 16 << 10;
    journal.reserve_bytes = 64 << 10;
    journal.free_bytes_floor = 0;
    journal
}

fn is_ready(future: impl Future) -> bool {
    std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

fn partition(partition: i32) -> TopicPartition {
    TopicPartition { topic_id: TopicId(Uuid([7; 16])), partition }
}

fn another_topic() -> TopicPartition {
    TopicPartition { topic_id: TopicId(Uuid([8; 16])), partition: 0 }
}

fn open_log(storage: &Storage, partition: TopicPartition) -> Arc<Log> {
    open_log_as(Class::Client, storage, partition)
}

fn open_log_as(class: Class, storage: &Storage, partition: TopicPartition) -> Arc<Log> {
    let config = LogConfig {
        segment_bytes: 1_200,
        index_interval_bytes: 200,
        segment_index_bytes: 400,
        ..LogConfig::default()
    };
    let listener = Arc::new(Nobody);
    let topic = if partition == another_topic() { "u" } else { "t" };
    storage.open_log(partition, topic, Arc::new(config), class, listener).unwrap()
}

fn batch() -> ValidBatch {
    let mut builder = BatchBuilder::new();
    builder.append(NOW, Some(b"k"), Some(&[b'v'; 100]), &[]).unwrap();
    let rules = BatchRules {
        now: NOW,
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
    validate_batch(builder.build().unwrap(), &rules).unwrap()
}

/// A log with several segments, its first index entry or batch overwritten.
fn damaged(extension: &str, position: u64, with: &[u8]) -> Run {
    let disk = SimDisk::new(1);
    let mut run = Run::open(disk.clone());
    for _ in 0..24 {
        run.append();
    }
    run.log.advance_high_watermark(run.log.end());
    run.storage.flush_all().unwrap();
    run.settle();
    disk.crash(CrashKind::Process);

    let entries = disk.read_dir(Path::new("/data/a")).unwrap();
    let dir = &entries.iter().find(|entry| entry.is_dir).unwrap().name;
    let path = Path::new("/data/a").join(dir).join(format!("{:020}.{extension}", 0));
    let file = disk.open(&path, OpenMode::READ_WRITE).unwrap();
    file.write_all_at(&[IoSlice::new(with)], position).unwrap();
    file.sync_data().unwrap();
    Run::open(disk)
}

#[test]
fn an_index_entry_behind_the_segment_is_an_error_that_names_the_index() {
    // The first offset, at the end of a segment as large as can be.
    let entry = [0i32.to_be_bytes(), i32::MAX.to_be_bytes()].concat();
    let run = damaged("index", 0, &entry);
    let error = run.read(Offset(0)).unwrap_err();
    assert!(error.contains(".index"), "{error}");
    assert!(run.read(Offset(20)).is_ok());
}

#[test]
fn a_batch_whose_offset_goes_back_is_not_served() {
    // The base offset of the second batch; no checksum covers it.
    let length = batch().batch.len() as u64;
    let run = damaged("log", length, &0i64.to_be_bytes());
    assert_eq!(run.read(Offset(0)), Ok(Offset(1)));
    let error = run.read(Offset(1)).unwrap_err();
    assert!(error.contains("goes back"), "{error}");
}

/// The logs of partitions 1 and 2, which nobody asks for after the restart: the first was never
/// flushed and has no directory, both have records that are only in the journal.
fn strays() -> SimDisk {
    let disk = SimDisk::new(1);
    let mut run = Run::open_with(disk.clone(), partition(2));
    run.append();
    run.storage.flush_all().unwrap();
    run.settle();
    run.append();
    let unflushed = open_log(&run.storage, partition(1));
    run.append_to(&unflushed);
    disk.crash(CrashKind::Process);
    disk
}

fn directories(disk: &SimDisk) -> Vec<String> {
    let entries = disk.read_dir(Path::new("/data/a")).unwrap();
    let mut names: Vec<_> =
        entries.into_iter().filter(|entry| entry.is_dir).map(|entry| entry.name).collect();
    names.sort();
    names
}

fn set_aside(disk: &SimDisk) -> Run {
    let mut run = Run::open_with(disk.clone(), another_topic());
    run.storage.set_stray(partition(1)).unwrap();
    run.storage.set_stray(partition(2)).unwrap();
    run.settle();
    run.fill_the_journal();
    run.settle();
    assert_eq!(run.storage.known_logs(), [another_topic()]);
    run
}

#[test]
fn strays_of_one_topic_are_set_aside_though_the_first_has_no_directory() {
    let disk = strays();
    drop(set_aside(&disk));
    let names = directories(&disk);
    let stray = |prefix: &str| {
        names.iter().any(|name| name.starts_with(prefix) && name.ends_with("-stray"))
    };
    assert!(stray("t-2.") && !names.contains(&"t-2".to_owned()), "{names:?}");
}

#[test]
fn a_stray_whose_directory_is_missing_does_not_hold_the_journal() {
    // As after a crash between the renaming and the journal's hearing of it.
    let disk = strays();
    disk.rename(Path::new("/data/a/t-2"), Path::new("/data/a/t-2.0-stray")).unwrap();
    disk.sync_dir(Path::new("/data/a")).unwrap();
    drop(set_aside(&disk));
    assert!(directories(&disk).contains(&"t-2.0-stray".to_owned()));
}

#[test]
fn a_stray_that_is_damaged_keeps_its_directory_and_does_not_hold_the_journal() {
    let disk = strays();
    let segment = Path::new("/data/a/t-2").join(format!("{:020}.log", 0));
    disk.open(&segment, OpenMode::READ_WRITE).unwrap().set_len(10).unwrap();
    drop(set_aside(&disk));
    let names = directories(&disk);
    assert!(names.iter().any(|name| name.starts_with("t-2.") && name.ends_with("-stray")));
}

#[test]
fn a_damaged_log_that_is_deleted_begins_again_empty() {
    let disk = strays();
    disk.remove_dir_all(Path::new("/data/a/t-2")).unwrap();
    let mut run = Run::open_with(disk.clone(), another_topic());
    let opened =
        run.storage.open_log(partition(2), "t", Arc::default(), Class::Client, Arc::new(Nobody));
    let error = opened.map(|log| log.end()).unwrap_err().to_string();
    assert!(error.contains("reassign"), "{error}");
    run.storage.delete_log(partition(2)).unwrap();
    run.settle();
    run.storage.flush_round();
    assert_eq!(open_log(&run.storage, partition(2)).end(), Offset(0));
}

/// Partition 2, which nobody has opened, has filled half the journal.
fn held(disk: &SimDisk) -> Run {
    let mut run = Run::open_with(disk.clone(), another_topic());
    // Of no account: it is in the journal, but holds nothing that partition 2 does not.
    run.storage.delete_log(partition(1)).unwrap();
    run.settle();
    run.storage.flush_round();
    assert_eq!(run.storage.journal_holders(), [], "the journal is nearly empty");
    assert!(!run.is_told());
    run.fill_half();
    assert_eq!(run.storage.journal_holders(), [partition(2)]);
    assert!(run.is_told());
    run
}

#[test]
fn a_log_that_nobody_has_opened_is_named_as_what_holds_the_journal_until_it_is_opened() {
    let mut run = held(&strays());
    let idle = open_log(&run.storage, partition(2));
    assert_eq!(run.storage.journal_holders(), []);
    run.fill_the_journal();
    assert_eq!(idle.end(), Offset(2));
}

/// Logs that have filled the journal, one after the other, beyond what is for clients.
fn idle_logs_and_no_room() -> SimDisk {
    let disk = SimDisk::new(1);
    let mut run = Run::open(disk.clone());
    for at in 1.. {
        let class = Class::Metadata;
        let log = open_log_as(class, &run.storage, partition(at));
        for _ in 0..16 {
            let Some(mut permit) = run.storage.try_admit(class, 4_096) else {
                disk.crash(CrashKind::Process);
                return disk;
            };
            log.append_as_leader(&mut permit, batch(), LeaderEpoch(0), Origin::Client).unwrap();
            run.settle();
        }
    }
    disk
}

#[tokio::test]
async fn for_whoever_waits_one_idle_log_after_the_other_is_opened() {
    // What is copied stays to be flushed, and that alone wakes the next round.
    let mut run = Run::open_flushing(idle_logs_and_no_room(), another_topic(), 0);
    let storage = run.storage.clone();
    let deadline = Monotonic::default().after(Duration::from_secs(3_600));
    let mut admitted = std::pin::pin!(storage.admit(Class::Client, 4_096, deadline));
    let mut opened = 0;
    while !is_ready(admitted.as_mut()) {
        assert!(is_ready(storage.flush_wanted()), "nobody looks for room after {opened} logs");
        storage.flush_round();
        if run.is_told() {
            for partition in storage.journal_holders() {
                open_log(&storage, partition);
                opened += 1;
            }
        }
        run.settle();
    }
    assert!(opened > 1, "{opened} was enough");
}

#[test]
fn a_damaged_log_holds_the_journal_until_it_is_deleted() {
    let disk = strays();
    disk.remove_dir_all(Path::new("/data/a/t-2")).unwrap();
    let mut run = held(&disk);
    let again = || {
        let (config, listener) = (Arc::default(), Arc::new(Nobody));
        run.storage.open_log(partition(2), "t", config, Class::Client, listener)
    };
    assert!(again().is_err());
    assert_eq!(run.storage.journal_holders(), [partition(2)], "it is kept");
    run.storage.delete_log(partition(2)).unwrap();
    run.settle();
    assert_eq!(run.storage.journal_holders(), []);
    run.fill_the_journal();
}

#[test]
fn a_stray_that_could_not_be_renamed_is_set_aside_by_another_try() {
    for damaged in [false, true] {
        let disk = strays();
        if damaged {
            let segment = Path::new("/data/a/t-2").join(format!("{:020}.log", 0));
            disk.open(&segment, OpenMode::READ_WRITE).unwrap().set_len(10).unwrap();
        }
        let mut run = Run::open_with(disk.clone(), another_topic());
        disk.fault_nth(CallKind::Rename, 1, Fault::Fail(EIO));
        run.storage.set_stray(partition(2)).unwrap_err();
        assert!(directories(&disk).contains(&"t-2".to_owned()), "damaged: {damaged}");
        run.storage.set_stray(partition(2)).unwrap();
        run.storage.set_stray(partition(1)).unwrap();
        run.settle();
        run.fill_the_journal();
        let names = directories(&disk);
        let is_stray = |name: &String| name.starts_with("t-2.") && name.ends_with("-stray");
        assert!(names.iter().any(is_stray), "damaged: {damaged}, {names:?}");
        assert!(!names.contains(&"t-2".to_owned()), "damaged: {damaged}, {names:?}");
        assert_eq!(run.storage.known_logs(), [another_topic()]);
    }
}
