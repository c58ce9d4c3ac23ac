//! Flushes, and copies within the journal, one property at a time.

use std::sync::Arc;

use chronik_env::{CrashKind, Env, ManualClock, Rng, SimDisk};
use chronik_journal::{Class, Core, Step};
use chronik_protocol::batch::{BatchBuilder, stamp};
use chronik_types::{
    BrokerId, DirectoryId, LeaderEpoch, Offset, Timestamp, TopicId, TopicPartition, Uuid,
};

use crate::{Completions, FlushError, Log, LogConfig, LogListener, Options, Storage};

struct Listener;

impl LogListener for Listener {
    fn durable(&self, _durable_end: Offset) {}
}

/// A storage with one log, its journal stepped by hand.
struct Rig {
    disk: SimDisk,
    storage: Storage,
    completions: Completions,
    core: Core,
    log: Arc<Log>,
}

impl Rig {
    fn open(disk: SimDisk) -> Self {
        let env = Env {
            disk: Arc::new(disk.clone()),
            clock: Arc::new(ManualClock::new(Timestamp(1))),
            rng: Rng::from_seed(1),
        };
        let directory = DirectoryId(Uuid([2; 16]));
        let dir = "/data/journal".into();
        let mut journal = chronik_journal::Options::new(dir, Uuid([1; 16]), BrokerId(1), directory);
        journal.file_bytes = 64 << 10;
        journal.first_file_bytes = 64 << 10;
        journal.max_bytes = 256 << 10;
        journal.reserve_bytes = 64 << 10;
        journal.free_bytes_floor = 0;
        let options = Options::new(vec!["/data/a".into()], journal);
        let (storage, completions, _, core) = Storage::open_stepped(env, options).unwrap();
        let id = TopicPartition { topic_id: TopicId(Uuid([7; 16])), partition: 0 };
        let config = Arc::new(LogConfig::default());
        let log = storage.open_log(id, "topic", config, Class::Client, Arc::new(Listener));
        Self { disk, log: log.unwrap(), storage, completions, core }
    }

    fn append(&self, epoch: i32) {
        let mut builder = BatchBuilder::new();
        builder.append(Timestamp(1), None, Some(b"value"), &[]).unwrap();
        let mut bytes = builder.build().unwrap();
        stamp(&mut bytes, self.log.end(), LeaderEpoch(epoch));
        let mut permit = self.storage.try_admit(Class::Client, bytes.len()).unwrap();
        self.log.append_at(&mut permit, bytes).unwrap();
    }

    fn settle(&mut self) {
        while self.core.step() == Step::Durable {}
        self.completions.drain();
    }

    fn copy(&self) -> Option<usize> {
        self.storage.shared.copy_forward(&self.log, usize::MAX)
    }

    fn crash(self) -> Self {
        let Self { disk, storage, completions, core, log } = self;
        disk.crash(CrashKind::PowerCut);
        drop((storage, completions, core, log));
        Self::open(disk)
    }
}

#[test]
fn a_copy_waits_for_what_is_on_its_way() {
    let mut rig = Rig::open(SimDisk::new(1));
    rig.append(1);
    rig.append(2);
    rig.settle();
    rig.log.begin_epoch(LeaderEpoch(4)).unwrap();
    assert_eq!(rig.copy(), None, "the epoch would come before the batches of earlier ones");
    rig.settle();
    assert!(rig.copy().is_some());
    rig.settle();
    let rig = rig.crash();
    assert_eq!(rig.log.end(), Offset(2));
    for (epoch, end) in [(1, 1), (2, 2), (4, 2)] {
        let expected = (LeaderEpoch(epoch), Offset(end));
        assert_eq!(rig.log.end_offset_for_epoch(LeaderEpoch(epoch)), expected);
    }
}

#[test]
fn a_flush_that_a_stop_overtakes_says_so() {
    let mut rig = Rig::open(SimDisk::new(1));
    rig.append(1);
    rig.settle();
    // The journal goes first; the storage has not said yet that it stops.
    rig.storage.shared.journal.shutdown();
    let flushed = rig.storage.flush_all();
    assert!(matches!(flushed, Err(FlushError::Stopped(_))), "{flushed:?}");
}
