//! The journal's threads, on real files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use chronik_env::Env;
use chronik_types::{TopicId, TopicPartition, Uuid};
use parking_lot::{Condvar, Mutex};

use super::rig::{append, batch, options};
use crate::{Class, DurableGroup, DurableSink, Flushed, JournalError, LogId, Lsn, Record, open};

#[derive(Default)]
struct Durable {
    last: BTreeMap<LogId, (u64, Lsn)>,
    freed: u64,
}

#[derive(Clone, Default)]
struct Sink(Arc<(Mutex<Durable>, Condvar)>);

impl DurableSink for Sink {
    fn group_durable(&mut self, group: DurableGroup) {
        let mut durable = self.0.0.lock();
        for record in group.records {
            durable.last.insert(record.log, (record.ticket, record.lsn));
        }
        self.0.1.notify_all();
    }

    fn space_freed(&mut self) {
        self.0.0.lock().freed += 1;
        self.0.1.notify_all();
    }

    fn failed(&mut self, error: &JournalError) {
        panic!("{error}");
    }
}

impl Sink {
    fn wait(&self, log: LogId, ticket: u64) -> Lsn {
        let mut durable = self.0.0.lock();
        loop {
            match durable.last.get(&log) {
                Some((last, lsn)) if *last >= ticket => return *lsn,
                _ => self.0.1.wait(&mut durable),
            }
        }
    }
}

fn directory(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("chronik-journal-{name}-{}", std::process::id()))
}

#[test]
fn threads_write_flush_and_find_everything_again() {
    write_flush_and_find("threads", true);
}

#[test]
fn threads_write_through_the_page_cache_when_they_are_told_to() {
    write_flush_and_find("cached", false);
}

fn write_flush_and_find(name: &str, direct: bool) {
    let dir = directory(name);
    let env = Env::real();
    let _ = env.disk.remove_dir_all(&dir);
    let mut options = options(dir.join("journal"));
    options.max_bytes = 1 << 20;
    options.direct = direct;
    let (recovery, opened) = open(&env, options.clone()).unwrap();
    assert!(recovery.clean && recovery.logs.is_empty());
    let sink = Sink::default();
    let journal = opened.start(Box::new(sink.clone())).unwrap();
    let work = |number: u8| {
        let (journal, sink) = (journal.clone(), sink.clone());
        move || {
            let topic_id = TopicId(Uuid([number; 16]));
            let log = journal.new_log(TopicPartition { topic_id, partition: 0 });
            let mut flushed_to = Lsn::ZERO;
            for offset in 0..150 {
                // Never refused: there is room for all that is not flushed, many times over.
                let reservation = journal.try_reserve(Class::Metadata, 1_000).unwrap();
                let record = append(offset, batch(offset, 1_000));
                let ticket = journal.submit(reservation, Class::Client, log, vec![record]);
                let lsn = sink.wait(log, ticket);
                if offset % 10 == 0 {
                    flushed_to = lsn;
                    let reservation = journal.try_reserve(Class::Metadata, 0).unwrap();
                    let flushed = Flushed { lsn, ..Flushed::default() };
                    let record = Record::Flushed(flushed);
                    let ticket = journal.submit(reservation, Class::Client, log, vec![record]);
                    sink.wait(log, ticket);
                }
            }
            (log, flushed_to)
        }
    };
    let threads: Vec<_> = (1..=8).map(|number| thread::spawn(work(number))).collect();
    let logs: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    journal.shutdown();
    journal.shutdown();
    assert!(journal.stats().files_recycled > 0, "{:?}", journal.stats());
    let (recovery, _) = open(&env, options).unwrap();
    assert!(recovery.clean);
    for (log, flushed_to) in logs {
        let found = &recovery.logs[&log];
        assert_eq!(found.flushed.as_ref().unwrap().lsn, flushed_to);
        assert_eq!(found.records.len(), 9);
    }
    env.disk.remove_dir_all(&dir).unwrap();
}
