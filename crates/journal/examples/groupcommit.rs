//! What group commit costs above a write and a sync: run with a directory on the disk in question.
//!
//! `cargo run --release -p chronik-journal --example groupcommit -- DIR [SECONDS]`
//!
//! First the floor: 4 KiB written over and synced in a prepared file, by one thread. Then, through
//! the journal, threads that each submit 1 KiB and wait until it is durable, one at a time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a tool")]

use std::collections::HashMap;
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use bytes::Bytes;
use chronik_env::{Env, OpenMode};
use chronik_journal::{
    Class, DurableGroup, DurableSink, Flushed, Journal, JournalError, LogId, Lsn, Options, Record,
    open,
};
use chronik_types::{
    BrokerId, DirectoryId, LeaderEpoch, Monotonic, Offset, TopicId, TopicPartition, Uuid,
};
use parking_lot::Mutex;

/// Per log: the last durable ticket, and who waits for it.
#[derive(Default)]
struct Waiter {
    durable: AtomicU64,
    file: AtomicU64,
    position: AtomicU64,
}

type Waiters = HashMap<LogId, (Arc<Waiter>, Option<Thread>)>;

#[derive(Clone, Default)]
struct Sink {
    waiters: Arc<Mutex<Waiters>>,
}

impl DurableSink for Sink {
    fn group_durable(&mut self, group: DurableGroup) {
        let waiters = self.waiters.lock();
        for record in group.records {
            let Some((waiter, thread)) = waiters.get(&record.log) else { continue };
            waiter.file.store(record.lsn.file, Ordering::Relaxed);
            waiter.position.store(record.lsn.position.into(), Ordering::Relaxed);
            waiter.durable.store(record.ticket, Ordering::Release);
            if let Some(thread) = thread {
                thread.unpark();
            }
        }
    }

    fn space_freed(&mut self) {}

    fn failed(&mut self, error: &JournalError) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn report(what: &str, latencies: &mut [u64], took: Duration) {
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    println!(
        "{what:<34} {:>8.0}/s  p50 {:>5} us  p99 {:>6} us  p99.9 {:>6} us",
        latencies.len() as f64 / took.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(0.999),
    );
}

fn floor(env: &Env, dir: &Path, seconds: u64) {
    let path = dir.join("floor");
    let file = env.disk.open(&path, OpenMode::CREATE).unwrap();
    file.zero_fill(0..64 << 20).unwrap();
    file.sync_all().unwrap();
    let block = [7; 4096];
    let begin = env.clock.monotonic();
    let mut latencies = Vec::new();
    let mut position = 0;
    while env.clock.monotonic().since(begin) < Duration::from_secs(seconds) {
        let before = env.clock.monotonic();
        file.write_all_at(&[IoSlice::new(&block)], position).unwrap();
        file.sync_data().unwrap();
        latencies.push(micros(env, before));
        position = (position + 4096) % (64 << 20);
    }
    report("write 4 KiB + fdatasync", &mut latencies, env.clock.monotonic().since(begin));
    env.disk.remove_file(&path).unwrap();
}

fn micros(env: &Env, since: Monotonic) -> u64 {
    u64::try_from(env.clock.monotonic().since(since).as_micros()).unwrap()
}

fn client(env: &Env, journal: &Journal, sink: &Sink, logs: usize, seconds: u64) -> Vec<u64> {
    let waiter = Arc::new(Waiter::default());
    let batch = Bytes::from(vec![7; 1024]);
    let ids: Vec<LogId> = (0..logs)
        .map(|_| {
            let topic_id = TopicId(Uuid(env.rng.bytes()));
            journal.new_log(TopicPartition { topic_id, partition: 0 })
        })
        .collect();
    for id in &ids {
        sink.waiters.lock().insert(*id, (Arc::clone(&waiter), Some(thread::current())));
    }
    let mut latencies = Vec::new();
    let begin = env.clock.monotonic();
    let mut offset = 0;
    while offset == 0 || env.clock.monotonic().since(begin) < Duration::from_secs(seconds) {
        let before = env.clock.monotonic();
        let Ok(reservation) = journal.try_reserve(Class::Client, 1024) else {
            flush(journal, &waiter, &ids);
            thread::park_timeout(Duration::from_millis(1));
            continue;
        };
        let log = ids[offset % ids.len()];
        let base_offset = Offset(offset as i64);
        let append = Record::Append {
            base_offset,
            last_offset: base_offset,
            epoch: LeaderEpoch(0),
            batch: batch.clone(),
            crc: None,
        };
        let ticket = journal.submit(reservation, Class::Client, log, vec![append]);
        while waiter.durable.load(Ordering::Acquire) < ticket {
            thread::park();
        }
        latencies.push(micros(env, before));
        offset += 1;
        if offset.is_multiple_of(1_000) {
            flush(journal, &waiter, &ids);
        }
    }
    flush(journal, &waiter, &ids);
    latencies
}

/// Says that all that is durable of these logs is in segments.
fn flush(journal: &Journal, waiter: &Waiter, ids: &[LogId]) {
    let lsn = Lsn {
        file: waiter.file.load(Ordering::Relaxed),
        position: u32::try_from(waiter.position.load(Ordering::Relaxed)).unwrap(),
    };
    for id in ids {
        let Ok(reservation) = journal.try_reserve(Class::Metadata, 0) else { return };
        let flushed = Flushed { lsn, ..Flushed::default() };
        journal.submit(reservation, Class::Metadata, *id, vec![Record::Flushed(flushed)]);
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().unwrap_or_else(|| ".".into())).join("groupcommit");
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(3);
    let env = Env::real();
    let _ = env.disk.remove_dir_all(&dir);
    env.disk.create_dir_all_durably(&dir).unwrap();
    floor(&env, &dir, seconds);
    let options =
        Options::new(dir.join("journal"), Uuid([1; 16]), BrokerId(1), DirectoryId(Uuid([2; 16])));
    let begin = env.clock.monotonic();
    let (_, opened) = open(&env, options.clone()).unwrap();
    let sink = Sink::default();
    let journal = opened.start(Box::new(sink.clone())).unwrap();
    println!("opened in {} us", micros(&env, begin));
    let mut first = client(&env, &journal, &sink, 1, 0);
    report("the first record", &mut first, env.clock.monotonic().since(begin));
    println!("first record durable {} us after opening began", micros(&env, begin));
    for (threads, logs) in [(1, 1), (1, 1000), (10, 1), (64, 1), (64, 16)] {
        let before = journal.stats();
        let begin = env.clock.monotonic();
        let running: Vec<_> = (0..threads)
            .map(|_| {
                let (env, journal, sink) = (env.clone(), journal.clone(), sink.clone());
                thread::spawn(move || client(&env, &journal, &sink, logs, seconds))
            })
            .collect();
        let mut latencies: Vec<u64> =
            running.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        let took = env.clock.monotonic().since(begin);
        report(&format!("{threads} threads, {logs} logs each"), &mut latencies, took);
        let after = journal.stats();
        let groups = (after.groups - before.groups).max(1);
        println!(
            "{:<34} {groups:>8} groups, {:.1} records each; write {} us, sync {} us on average",
            "",
            (after.records - before.records) as f64 / groups as f64,
            (after.write_micros - before.write_micros) / groups,
            (after.sync_micros - before.sync_micros) / groups,
        );
    }
    journal.shutdown();
    println!("{:?}", journal.stats());
    let begin = env.clock.monotonic();
    let (recovery, _) = open(&env, options.clone()).unwrap();
    println!("{} MiB read back in {} us", recovery.bytes_read >> 20, micros(&env, begin));
    recover(&env, &dir, options);
    env.disk.remove_dir_all(&dir).unwrap();
}

/// The time to read back a journal of 1 GiB that nobody has flushed, after the process dies.
fn recover(env: &Env, dir: &Path, options: Options) {
    let options = Options { dir: dir.join("full"), max_bytes: 2 << 30, ..options };
    let (_, opened) = open(env, options.clone()).unwrap();
    let sink = Sink::default();
    let journal = opened.start(Box::new(sink.clone())).unwrap();
    let id = journal.new_log(TopicPartition { topic_id: TopicId(Uuid([9; 16])), partition: 0 });
    let waiter = Arc::new(Waiter::default());
    sink.waiters.lock().insert(id, (Arc::clone(&waiter), Some(thread::current())));
    let batch = Bytes::from(vec![9; 64 << 10]);
    let mut last = 0;
    for offset in (0..16_384).map(Offset) {
        let reservation = journal.try_reserve(Class::Client, batch.len()).unwrap();
        let epoch = LeaderEpoch(0);
        let (base_offset, last_offset, batch) = (offset, offset, batch.clone());
        let append = Record::Append { base_offset, last_offset, epoch, batch, crc: None };
        last = journal.submit(reservation, Class::Client, id, vec![append]);
    }
    while waiter.durable.load(Ordering::Acquire) < last {
        thread::park();
    }
    journal.shutdown();
    let begin = env.clock.monotonic();
    let (recovery, _) = open(env, options).unwrap();
    let took = micros(env, begin);
    println!("{} MiB unflushed read back in {took} us", recovery.bytes_read >> 20);
}
