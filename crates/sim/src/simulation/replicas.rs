//! The disks at the end: what is on each is opened as the next start would, and replicas are compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use chronik_env::{Clock, CrashKind, Disk as _, Env, ManualClock, Rng};
use chronik_journal::Class;
use chronik_log::{Log, LogConfig, LogListener, Read, ReadLimit, Storage};
use chronik_protocol::batch::batches;
use chronik_types::{BrokerId, DirectoryId, Offset, Timestamp, TopicPartition, Uuid};

use super::history::{History, NodeId};
use super::node::{Machine, host_name};
use super::trace;

const META_BYTES_MAX: u64 = 1 << 16;
const READ_BYTES: usize = 1 << 20;

/// Nobody waits for anything any more.
struct Nobody;

impl LogListener for Nobody {
    fn durable(&self, _durable_end: Offset) {}
}

/// Compares all replicas of what was read to its end, below that end: so many there must be.
pub fn compare(machines: &[Rc<Machine>], history: &History, replication: usize) {
    let mut counts: BTreeMap<TopicPartition, usize> = BTreeMap::new();
    let mut first: BTreeMap<TopicPartition, (NodeId, BTreeMap<i64, u64>)> = BTreeMap::new();
    let ends = history.ends.borrow();
    for machine in machines {
        let logs = match read(machine, history) {
            Ok(logs) => logs,
            Err(why) => {
                trace::violation(format_args!("{}: {why}", host_name(machine.id)));
                continue;
            }
        };
        for (tp, mut found) in logs {
            let Some(end) = ends.get(&tp) else { continue };
            *counts.entry(tp).or_default() += 1;
            found.retain(|offset, _| offset < end);
            trace::count("replicas");
            match first.get(&tp) {
                None => {
                    first.insert(tp, (machine.id, found));
                }
                Some((other, expected)) if *expected != found => {
                    let differ = |(offset, hash): &(&i64, &u64)| found.get(offset) != Some(hash);
                    let at = expected.iter().find(differ).map(|(offset, _)| *offset);
                    let range = |log: &BTreeMap<i64, u64>| {
                        let offset = |entry: Option<(&i64, &u64)>| entry.map(|(offset, _)| *offset);
                        (offset(log.first_key_value()), offset(log.last_key_value()), log.len())
                    };
                    trace::violation(format_args!(
                        "node {} and node {other} have different records of {tp} below {end}, from \
                         {at:?} on (first and last batch and how many: {:?} and {:?})",
                        machine.id,
                        range(&found),
                        range(expected),
                    ));
                }
                Some(_) => {}
            }
        }
    }
    for (tp, _) in ends.iter().filter(|(_, end)| **end > 0) {
        let count = counts.get(tp).copied().unwrap_or(0);
        if count < replication {
            trace::violation(format_args!("{count} of {replication} nodes have a log of {tp}"));
        }
    }
}

/// A hash of each batch of each log of a machine, by its base offset.
fn read(
    machine: &Machine,
    history: &History,
) -> Result<BTreeMap<TopicPartition, BTreeMap<i64, u64>>, String> {
    let disk = machine.disk.borrow().clone();
    disk.crash(CrashKind::Process);
    let meta = disk.read(Path::new("/data/meta.properties"), META_BYTES_MAX);
    let meta = meta.map_err(|error| format!("meta.properties: {error}"))?;
    let meta = String::from_utf8_lossy(&meta).into_owned();
    let uuid = |key: &str| -> Result<Uuid, String> {
        let line = meta.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.and_then(|text| text.parse().ok()).ok_or_else(|| format!("meta.properties: no {key}"))
    };
    let mut journal = chronik_journal::Options::new(
        PathBuf::from("/data/journal"),
        uuid("cluster.id")?,
        BrokerId(machine.id as i32),
        DirectoryId(uuid("directory.id")?),
    );
    let sizes = machine.sizes;
    journal.file_bytes = sizes.journal_file_bytes;
    journal.first_file_bytes = sizes.journal_file_bytes;
    journal.max_bytes = sizes.journal_max_bytes;
    journal.reserve_bytes = sizes.journal_max_bytes / 4;
    journal.free_bytes_floor = 0;
    let options = chronik_log::Options::new(vec![PathBuf::from("/data")], journal);
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp(0)));
    let env = Env { disk: Arc::new(disk), clock, rng: Rng::from_seed(machine.id) };
    let opened = Storage::open_stepped(env, options).map_err(|error| error.to_string())?;
    let (storage, _completions, _report, _core) = opened;
    let mut logs = BTreeMap::new();
    for tp in storage.known_logs() {
        let Some(name) = history.final_names.borrow().get(&tp.topic_id.0).cloned() else {
            continue;
        };
        let config = Arc::new(LogConfig::default());
        let log = storage.open_log(tp, &name, config, Class::Client, Arc::new(Nobody));
        let log = log.map_err(|error| format!("{tp}: {error}"))?;
        logs.insert(tp, hashes(&log).map_err(|why| format!("{tp}: {why}"))?);
    }
    Ok(logs)
}

fn hashes(log: &Arc<Log>) -> Result<BTreeMap<i64, u64>, String> {
    let mut found = BTreeMap::new();
    let mut at = log.start();
    while at < log.end() {
        let limit = ReadLimit { max_bytes: READ_BYTES, end: log.end(), at_least_one: true };
        let fetched = match log.read(at, limit).map_err(|error| error.to_string())? {
            Read::Memory(fetched) => fetched,
            Read::Segment(job) => job.run().map_err(|error| error.to_string())?,
        };
        if fetched.next_offset <= at {
            return Err(format!("cannot be read beyond {at}"));
        }
        for chunk in &fetched.chunks {
            for batch in batches(chunk) {
                let (header, bytes) = batch.map_err(|error| error.to_string())?;
                let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                    (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
                });
                found.insert(header.base_offset.0, hash);
            }
        }
        at = fetched.next_offset;
    }
    Ok(found)
}
