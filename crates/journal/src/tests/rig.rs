//! A journal on a simulated disk, stepped by hand.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use chronik_env::{Clock, CrashKind, Env, ManualClock, Rng, SimDisk};
use chronik_types::{
    BrokerId, DirectoryId, LeaderEpoch, Offset, Timestamp, TopicId, TopicPartition, Uuid,
};
use parking_lot::Mutex;

use crate::{
    Class, Core, DurableGroup, DurableSink, Journal, JournalError, LogId, OpenError, Opened,
    Options, Record, Recovery, Step, open,
};

#[derive(Default)]
pub struct Reports {
    pub groups: Vec<DurableGroup>,
    pub freed: u64,
    pub failed: Option<String>,
}

pub struct Sink(pub Arc<Mutex<Reports>>);

impl DurableSink for Sink {
    fn group_durable(&mut self, group: DurableGroup) {
        self.0.lock().groups.push(group);
    }

    fn space_freed(&mut self) {
        self.0.lock().freed += 1;
    }

    fn failed(&mut self, error: &JournalError) {
        self.0.lock().failed = Some(error.to_string());
    }
}

pub struct Rig {
    pub disk: SimDisk,
    pub env: Env,
    pub clock: Arc<ManualClock>,
    pub options: Options,
    pub reports: Arc<Mutex<Reports>>,
    pub core: Core,
    logs: u64,
}

pub fn options(dir: PathBuf) -> Options {
    let mut options = Options::new(dir, Uuid([1; 16]), BrokerId(1), DirectoryId(Uuid([2; 16])));
    options.file_bytes = 64 << 10;
    options.first_file_bytes = 64 << 10;
    options.max_bytes = 256 << 10;
    options.reserve_bytes = 64 << 10;
    options.free_bytes_floor = 0;
    options
}

impl Rig {
    pub fn new(seed: u64) -> Self {
        let disk = SimDisk::new(seed);
        let clock = Arc::new(ManualClock::new(Timestamp(1)));
        let dynamic: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let rng = Rng::from_seed(seed);
        let env = Env { disk: Arc::new(disk.clone()), clock: dynamic, rng };
        let options = options(PathBuf::from("/data/journal"));
        let (_, opened) = open(&env, options.clone()).unwrap();
        let reports = Arc::default();
        let core = opened.into_core(Box::new(Sink(Arc::clone(&reports))));
        Self { disk, env, clock, options, reports, core, logs: 0 }
    }

    pub fn journal(&self) -> Journal {
        self.core.journal()
    }

    pub fn new_log(&mut self) -> LogId {
        self.logs += 1;
        let topic_id = TopicId(Uuid(u128::from(self.logs).to_be_bytes()));
        self.journal().new_log(TopicPartition { topic_id, partition: 0 })
    }

    /// Submits as the metadata log does: never refused.
    pub fn submit(&self, log: LogId, records: Vec<Record>) -> u64 {
        let reservation = self.journal().try_reserve(Class::Metadata, 0).unwrap();
        self.journal().submit(reservation, Class::Metadata, log, records)
    }

    pub fn step(&mut self) {
        assert_eq!(self.core.step(), Step::Durable);
    }

    pub fn shutdown(&mut self) {
        self.journal().shutdown();
        while self.core.step() != Step::Stopped {}
    }

    pub fn try_open(&self) -> Result<(Recovery, Opened), OpenError> {
        open(&self.env, self.options.clone())
    }

    pub fn reopen(&mut self, kind: CrashKind) -> Recovery {
        self.disk.crash(kind);
        let (recovery, opened) = self.try_open().unwrap();
        self.core = opened.into_core(Box::new(Sink(Arc::clone(&self.reports))));
        recovery
    }
}

pub fn batch(offset: i64, bytes: usize) -> Bytes {
    let mut batch = vec![offset as u8; bytes];
    batch.extend_from_slice(&offset.to_le_bytes());
    batch.into()
}

pub fn append(offset: i64, batch: Bytes) -> Record {
    let (base_offset, last_offset) = (Offset(offset), Offset(offset));
    Record::Append { base_offset, last_offset, epoch: LeaderEpoch(0), batch, crc: None }
}
