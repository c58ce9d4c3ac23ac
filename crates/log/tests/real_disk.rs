//! The storage on real files, with the journal's own thread and many tasks.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test, whose helpers clippy does not know as such"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chronik_env::Env;
use chronik_journal::Class;
use chronik_log::{
    FlushError, Log, LogConfig, LogListener, OpenError, Options, Origin, Read, ReadLimit, Storage,
};
use chronik_protocol::batch::{
    BatchBuilder, BatchHeader, EndTransactionMarker, MarkerKind, batches, end_transaction_marker,
};
use chronik_protocol::validate::ValidBatch;
use chronik_types::{
    BrokerId, DirectoryId, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, TopicId,
    TopicPartition, Uuid,
};
use tokio::sync::watch;

struct Durable(watch::Sender<Offset>);

impl LogListener for Durable {
    fn durable(&self, durable_end: Offset) {
        self.0.send_if_modified(|end| {
            let moved = durable_end > *end;
            *end = durable_end.max(*end);
            moved
        });
    }
}

fn options(root: &Path) -> Options {
    let (cluster, node) = (Uuid::from_entropy([1; 16]), BrokerId(1));
    let directory = DirectoryId(Uuid::from_entropy([2; 16]));
    let mut journal = chronik_journal::Options::new(root.join("journal"), cluster, node, directory);
    journal.file_bytes = 1 << 20;
    journal.first_file_bytes = 1 << 20;
    journal.max_bytes = 8 << 20;
    journal.reserve_bytes = 2 << 20;
    journal.free_bytes_floor = 0;
    let mut options = Options::new(vec![root.join("data")], journal);
    options.unflushed_bytes_max = 2 << 20;
    options.cached_bytes_max = 256 << 10;
    options
}

/// An empty directory of this test's own.
fn root(name: &str) -> PathBuf {
    let root = match chronik_env::env_var("CHRONIK_KEEP") {
        Some(keep) => PathBuf::from(keep).join(name),
        None => Path::new(env!("CARGO_TARGET_TMPDIR")).join(name),
    };
    let disk = Env::real().disk;
    if disk.exists(&root) {
        disk.remove_dir_all(&root).unwrap();
    }
    disk.create_dir_all(&root).unwrap();
    root
}

fn partition(index: i32) -> TopicPartition {
    TopicPartition { topic_id: TopicId(Uuid::from_entropy([9; 16])), partition: index }
}

fn open(
    storage: &Storage,
    index: i32,
    config: &Arc<LogConfig>,
) -> (Arc<Log>, watch::Receiver<Offset>) {
    let (sender, receiver) = watch::channel(Offset::ZERO);
    let listener = Arc::new(Durable(sender));
    let config = Arc::clone(config);
    let log = storage.open_log(partition(index), "orders", config, Class::Client, listener);
    (log.unwrap(), receiver)
}

fn valid(bytes: bytes::BytesMut) -> ValidBatch {
    let header = BatchHeader::parse(&bytes).unwrap();
    ValidBatch {
        batch: bytes,
        header,
        max_timestamp: Timestamp(header.max_timestamp),
        offset_of_max_timestamp_delta: 0,
    }
}

async fn append(storage: &Storage, log: &Arc<Log>, batch: ValidBatch, origin: Origin) -> Offset {
    let deadline = Env::real().clock.monotonic().after(Duration::from_secs(60));
    let bytes = batch.batch.len();
    let mut permit = storage.admit(Class::Client, bytes, deadline).await.unwrap();
    log.append_as_leader(&mut permit, batch, LeaderEpoch(0), origin).unwrap().last_offset
}

async fn fill(storage: Storage, log: Arc<Log>, mut durable: watch::Receiver<Offset>, id: i64) {
    for sequence in 0..300 {
        let mut builder = BatchBuilder::new().producer(ProducerId(id), ProducerEpoch(0), sequence);
        let time = Timestamp(1_700_000_000_000 + i64::from(sequence));
        let value = vec![sequence as u8; 500 + (sequence as usize * 37) % 3_000];
        builder.append(time, Some(b"key"), Some(&value), &[]).unwrap();
        let batch = valid(builder.build().unwrap());
        let last = append(&storage, &log, batch, Origin::Client).await;
        durable.wait_for(|end| *end > last).await.unwrap();
        log.advance_high_watermark(log.durable_end());
    }
}

/// Everything, read in small pieces, as sequences by producer.
fn read_all(log: &Arc<Log>) -> Vec<(i64, i32)> {
    let (mut from, end) = (log.start(), log.end());
    let mut found = Vec::new();
    while from < end {
        let limit = ReadLimit { max_bytes: 10_000, end, at_least_one: true };
        let fetched = match log.read(from, limit).unwrap() {
            Read::Memory(fetched) => fetched,
            Read::Segment(job) => job.run().unwrap(),
        };
        assert!(fetched.next_offset > from, "something is there");
        for batch in fetched.chunks.iter().flat_map(|chunk| batches(chunk)) {
            let (header, bytes) = batch.unwrap();
            chronik_protocol::batch::verify_crc(bytes).unwrap();
            found.push((header.producer_id.0, header.base_sequence));
        }
        from = fetched.next_offset;
    }
    found
}

fn flush_task(storage: &Storage) -> tokio::task::JoinHandle<()> {
    let storage = storage.clone();
    tokio::spawn(async move {
        let mut stopped = storage.stopped();
        loop {
            tokio::select! {
                () = storage.flush_wanted() => {}
                _ = stopped.changed() => return,
            }
            let round = storage.clone();
            let report = chronik_env::blocking(move || round.flush_round()).await;
            // The shutdown at the end may overtake a round.
            let overtaken = |error: &FlushError| matches!(error, FlushError::Stopped(_));
            assert!(report.errors.iter().all(overtaken), "{:?}", report.errors);
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_producers_share_a_small_budget_and_everything_is_there_afterwards() {
    let root = root("many_producers");
    let config =
        Arc::new(LogConfig { segment_bytes: 200_000, retention_ms: -1, ..LogConfig::default() });
    for run in 0..3 {
        let (storage, completions, report) = Storage::open(Env::real(), options(&root)).unwrap();
        assert!(report.clean, "every run is shut down");
        assert!(matches!(
            Storage::open(Env::real(), options(&root)),
            Err(OpenError::Locked { .. })
        ));
        let completions = tokio::spawn(completions.run());
        let flush = flush_task(&storage);
        let logs: Vec<_> = (0..4).map(|index| open(&storage, index, &config)).collect();
        let mut tasks = Vec::new();
        for (index, (log, durable)) in logs.iter().enumerate() {
            let expected = 300 * run as usize;
            assert_eq!(read_all(log).len(), expected, "partition {index}, run {run}");
            let id = 100 * run as i64 + index as i64;
            tasks.push(tokio::spawn(fill(storage.clone(), Arc::clone(log), durable.clone(), id)));
        }
        for task in tasks {
            task.await.unwrap();
        }
        for (index, (log, _)) in logs.iter().enumerate() {
            let found = read_all(log);
            let id = 100 * run as i64 + index as i64;
            let own: Vec<i32> =
                found.iter().filter(|(by, _)| *by == id).map(|(_, sequence)| *sequence).collect();
            assert_eq!(own, (0..300).collect::<Vec<_>>());
        }
        assert!(storage.stats().flushed_bytes > 0, "the budget is smaller than the data");
        storage.shutdown();
        flush.await.unwrap();
        completions.abort();
    }
}

/// With `CHRONIK_KEEP=dir` the files stay there, for `kafka-dump-log` to read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_files_of_a_log_are_named_and_laid_out_as_kafkas() {
    let root = root("files");
    let config =
        Arc::new(LogConfig { segment_bytes: 60_000, retention_ms: -1, ..LogConfig::default() });
    let (storage, completions, _) = Storage::open(Env::real(), options(&root)).unwrap();
    let completions = tokio::spawn(completions.run());
    let (log, mut durable) = open(&storage, 0, &config);
    fill(storage.clone(), Arc::clone(&log), durable.clone(), 7).await;
    let transactional =
        BatchBuilder::new().producer(ProducerId(8), ProducerEpoch(0), 0).transactional();
    let mut builder = transactional;
    builder.append(Timestamp(1_700_000_001_000), None, Some(b"never mind"), &[]).unwrap();
    append(&storage, &log, valid(builder.build().unwrap()), Origin::Client).await;
    let marker = EndTransactionMarker { kind: MarkerKind::Abort, coordinator_epoch: 3 };
    let (id, epoch) = (ProducerId(8), ProducerEpoch(0));
    let marker = end_transaction_marker(marker, id, epoch, Timestamp(1_700_000_001_001)).unwrap();
    let last = append(&storage, &log, valid(marker), Origin::Coordinator).await;
    durable.wait_for(|end| *end > last).await.unwrap();
    let flusher = storage.clone();
    chronik_env::blocking(move || flusher.flush_all()).await.unwrap();

    let dir = root.join("data").join("orders-0");
    let disk = Env::real().disk;
    let names: Vec<String> =
        disk.read_dir(&dir).unwrap().into_iter().map(|entry| entry.name).collect();
    let count = |suffix: &str| names.iter().filter(|name| name.ends_with(suffix)).count();
    assert!(count(".log") > 5, "{names:?}");
    assert_eq!(count(".index"), count(".log"), "{names:?}");
    assert_eq!(count(".timeindex"), count(".log"), "{names:?}");
    assert_eq!(count(".txnindex"), 1, "{names:?}");
    assert!(count(".snapshot") > 0 && names.contains(&"00000000000000000000.log".to_owned()));
    let read = |name: &str| String::from_utf8(disk.read(&dir.join(name), 1_000).unwrap()).unwrap();
    assert_eq!(read("leader-epoch-checkpoint"), "0\n1\n0 0\n");
    let topic = partition(0).topic_id;
    assert_eq!(read("partition.metadata"), format!("version: 0\ntopic_id: {topic}\n"));
    storage.shutdown();
    completions.abort();
}
