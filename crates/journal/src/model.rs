//! The journal against a model of it, on the simulated disk, with crashes of both kinds between and
//! inside all operations, those of recovery included.
//!
//! What must hold after every crash: everything reported durable is there, in order, at its
//! position; what was submitted and not reported is there as a prefix, submission by submission;
//! nothing else is there; what a flush fact covers is not replayed; facts and votes are not lost.
#![allow(clippy::panic, reason = "a test")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use chronik_env::{CallKind, Clock, CrashKind, Env, Fault, ManualClock, Rng, SimDisk};
use chronik_journal::{
    Class, Completed, Core, DurableGroup, DurableSink, Flushed, JournalError, LogId, Lsn,
    OpenError, Options, Record, RecoveredLog, Recovery, Refused, Step, open,
};
use chronik_types::{
    BrokerId, DirectoryId, LeaderEpoch, Offset, Timestamp, TopicId, TopicPartition, Uuid,
};
use parking_lot::Mutex;

const EIO: i32 = 5;

#[derive(Default)]
struct Reports {
    groups: Vec<DurableGroup>,
    failed: bool,
    freed: u64,
}

struct Sink(Arc<Mutex<Reports>>);

impl DurableSink for Sink {
    fn group_durable(&mut self, group: DurableGroup) {
        self.0.lock().groups.push(group);
    }

    fn space_freed(&mut self) {
        self.0.lock().freed += 1;
    }

    fn failed(&mut self, _error: &JournalError) {
        self.0.lock().failed = true;
    }
}

#[derive(Clone)]
struct Pending {
    ticket: u64,
    records: Vec<Record>,
}

/// One log as the model knows it.
#[derive(Clone, Default)]
struct ModelLog {
    partition: Option<TopicPartition>,
    flushed: Option<Flushed>,
    /// Durable and not covered by `flushed`.
    records: Vec<(Lsn, Record)>,
    pending: Vec<Pending>,
    dropped: bool,
    drop_submitted: bool,
    /// The position of the last record known durable; what a flush may cover.
    last: Lsn,
    next: i64,
    class: u64,
}

impl ModelLog {
    fn apply(&mut self, lsn: Lsn, record: Record) {
        match record {
            Record::Flushed(flushed) => {
                self.records.retain(|(record, _)| *record > flushed.lsn);
                self.flushed = Some(flushed);
            }
            Record::Drop => {
                self.dropped = true;
                self.records.clear();
                self.flushed = None;
            }
            record => {
                self.last = lsn;
                self.records.push((lsn, record));
            }
        }
    }

    /// Whether `found` is this log with the first of its pending submissions; takes them in if so.
    fn adopt(&mut self, found: Option<&RecoveredLog>) -> bool {
        for count in 0..=self.pending.len() {
            let mut candidate = self.clone();
            for pending in self.pending.iter().take(count) {
                for record in &pending.records {
                    candidate.apply(Lsn { file: u64::MAX, position: 0 }, record.clone());
                }
            }
            if candidate.matches(found) {
                if let Some(found) = found {
                    let known = candidate.records.iter_mut().zip(&found.records);
                    known.for_each(|(known, found)| known.0 = found.0);
                }
                candidate.pending.clear();
                candidate.drop_submitted = candidate.dropped;
                candidate.last = candidate
                    .records
                    .last()
                    .map(|record| record.0)
                    .or(candidate.flushed.as_ref().map(|flushed| flushed.lsn))
                    .unwrap_or_default();
                *self = candidate;
                return true;
            }
        }
        false
    }

    fn matches(&self, found: Option<&RecoveredLog>) -> bool {
        let Some(found) = found else {
            return self.dropped || (self.records.is_empty() && self.flushed.is_none());
        };
        let same = |((known, a), (lsn, b)): (&(Lsn, Record), &(Lsn, Record))| {
            (known == lsn || known.file == u64::MAX) && without_crc(a) == *b
        };
        found.dropped == self.dropped
            && Some(found.partition) == self.partition
            && found.flushed == self.flushed
            && found.records.len() == self.records.len()
            && self.records.iter().zip(&found.records).all(same)
    }
}

fn without_crc(record: &Record) -> Record {
    let mut record = record.clone();
    if let Record::Append { crc, .. } = &mut record {
        *crc = None;
    }
    record
}

/// What a run did: a run that did nothing proves nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub operations: u64,
    pub durable: u64,
    pub adopted: u64,
    pub crashes: u64,
    pub crashes_inside: u64,
    pub crashes_in_recovery: u64,
    pub failed_syncs: u64,
    pub full_disks: u64,
    pub refused: u64,
    pub clean_stops: u64,
    pub files_recycled: u64,
    pub facts_repeated: u64,
}

struct World {
    disk: SimDisk,
    env: Env,
    clock: Arc<ManualClock>,
    rng: Rng,
    options: Options,
    core: Option<Core>,
    reports: Arc<Mutex<Reports>>,
    logs: BTreeMap<LogId, ModelLog>,
    vote: u64,
    votes_pending: Vec<(u64, u64)>,
    last_lsn: Lsn,
    tag: u64,
    seen: Seen,
}

/// Runs `operations` operations of this seed. The error says what did not hold.
pub fn run(seed: u64, operations: u64) -> Result<Seen, String> {
    let mut world = World::new(seed);
    world.reopen(true)?;
    for _ in 0..operations {
        world.operation()?;
        world.seen.operations += 1;
    }
    world.end(CrashKind::PowerCut);
    world.reopen(false)?;
    Ok(world.seen)
}

/// Runs seeds from `first` on until so many operations are done, and panics with the seed of the
/// first one that fails. `CHRONIK_SEED` runs that one alone.
pub fn run_many(first: u64, operations: u64, per_seed: u64) -> Seen {
    let only = chronik_env::env_var("CHRONIK_SEED").and_then(|seed| seed.parse::<u64>().ok());
    let seeds = match only {
        Some(seed) => seed..=seed,
        None => first..=first + operations.div_ceil(per_seed).saturating_sub(1),
    };
    let mut total = Seen::default();
    for seed in seeds {
        match run(seed, per_seed) {
            Ok(seen) => total.add(&seen),
            Err(why) => panic!("CHRONIK_SEED={seed} ({per_seed} operations): {why}"),
        }
    }
    total
}

impl Seen {
    fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.durable += other.durable;
        self.adopted += other.adopted;
        self.crashes += other.crashes;
        self.crashes_inside += other.crashes_inside;
        self.crashes_in_recovery += other.crashes_in_recovery;
        self.failed_syncs += other.failed_syncs;
        self.full_disks += other.full_disks;
        self.refused += other.refused;
        self.clean_stops += other.clean_stops;
        self.files_recycled += other.files_recycled;
        self.facts_repeated += other.facts_repeated;
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let rng = Rng::from_seed(seed);
        let disk = SimDisk::new(rng.fork("disk").u64());
        let clock = Arc::new(ManualClock::new(Timestamp(1)));
        let dynamic: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let env =
            Env { disk: Arc::new(disk.clone()), clock: dynamic, rng: rng.fork("environment") };
        let dir = PathBuf::from("/data/journal");
        let directory_id = DirectoryId(Uuid([2; 16]));
        let mut options = Options::new(dir, Uuid([1; 16]), BrokerId(1), directory_id);
        options.file_bytes = 64 << 10;
        options.first_file_bytes = 64 << 10;
        options.max_bytes = (64 << 10) * (4 + rng.below(4));
        options.reserve_bytes = 32 << 10;
        options.group_bytes_max = 8 << 10;
        options.free_bytes_floor = 0;
        options.recycle = rng.chance(0.9);
        options.direct = rng.fork("direct").chance(0.7);
        Self {
            disk,
            env,
            clock,
            rng: rng.fork("operations"),
            options,
            core: None,
            reports: Arc::default(),
            logs: BTreeMap::new(),
            vote: 0,
            votes_pending: Vec::new(),
            last_lsn: Lsn::ZERO,
            tag: 0,
            seen: Seen::default(),
        }
    }

    fn operation(&mut self) -> Result<(), String> {
        match self.rng.below(1000) {
            0..450 => self.submit()?,
            450..800 => self.step()?,
            800..900 => self.flush(),
            900..930 => self.relieve(),
            930..945 => self.vote(),
            945..955 => self.drop_log(),
            955..960 => self.full_disk()?,
            960..968 => self.crash()?,
            968..978 => self.crash_inside()?,
            978..980 => self.fail_sync()?,
            980..982 => self.stop_cleanly()?,
            _ => self.clock.advance(std::time::Duration::from_millis(300)),
        }
        Ok(())
    }

    fn core(&mut self) -> Result<&mut Core, String> {
        self.core.as_mut().ok_or_else(|| "the journal is not open".into())
    }

    fn pick(&self) -> Option<LogId> {
        let open: Vec<LogId> = self
            .logs
            .iter()
            .filter(|(_, log)| !log.drop_submitted && !log.dropped)
            .map(|(id, _)| *id)
            .collect();
        open.get(usize::try_from(self.rng.below(open.len() as u64)).unwrap_or(0)).copied()
    }

    fn class(number: u64) -> Class {
        match number % 4 {
            0 => Class::Metadata,
            1 => Class::Internal,
            2 => Class::Replica,
            _ => Class::Client,
        }
    }

    fn new_log(&mut self) -> Result<LogId, String> {
        let partition = TopicPartition {
            topic_id: TopicId(Uuid(self.rng.bytes())),
            partition: i32::try_from(self.rng.below(100)).unwrap_or(0),
        };
        let id = self.core()?.journal().new_log(partition);
        if let Some(known) = self.logs.get(&id)
            && (known.flushed.is_some() || !known.records.is_empty() || known.dropped)
        {
            return Err(format!("log id {id} was given out twice"));
        }
        let class = self.rng.below(12);
        self.logs.insert(id, ModelLog { partition: Some(partition), class, ..ModelLog::default() });
        Ok(id)
    }

    fn submit(&mut self) -> Result<(), String> {
        let known = self.pick().filter(|_| self.logs.len() > 20 || self.rng.chance(0.95));
        let id = match known {
            Some(id) => id,
            None => self.new_log()?,
        };
        let count = 1 + self.rng.below(3);
        let records: Vec<Record> = (0..count).map(|_| self.record(id)).collect();
        self.send(id, records);
        Ok(())
    }

    fn record(&mut self, id: LogId) -> Record {
        self.tag += 1;
        let tag = i64::try_from(self.tag).unwrap_or(0);
        let next = self.logs.get(&id).map_or(0, |log| log.next);
        let epoch = LeaderEpoch(3);
        match self.rng.below(12) {
            0 => Record::TruncateTo { end: Offset(tag) },
            1 => Record::ResetTo { start: Offset(tag), epoch },
            2 => Record::StartOffset { start: Offset(tag) },
            3 => Record::EpochStart { epoch, start: Offset(tag) },
            _ => {
                let large = if self.rng.chance(0.02) { 9_000 } else { 600 };
                let len = usize::try_from(self.rng.below(large)).unwrap_or(0);
                let mut batch = vec![self.rng.u64() as u8; len];
                batch.extend_from_slice(&tag.to_le_bytes());
                if let Some(log) = self.logs.get_mut(&id) {
                    log.next = next + 3;
                }
                Record::Append {
                    base_offset: Offset(next),
                    last_offset: Offset(next + 2),
                    epoch,
                    batch: Bytes::from(batch),
                    crc: None,
                }
            }
        }
    }

    /// Submits, unless there is no space.
    fn send(&mut self, id: LogId, records: Vec<Record>) {
        let (Some(core), Some(log)) = (&self.core, self.logs.get_mut(&id)) else { return };
        let class = Self::class(log.class);
        let journal = core.journal();
        let bytes: usize = records
            .iter()
            .map(|record| match record {
                Record::Append { batch, .. } => batch.len(),
                _ => 0,
            })
            .sum();
        match journal.try_reserve(class, bytes) {
            Ok(reservation) => {
                let ticket = journal.submit(reservation, class, id, records.clone());
                log.drop_submitted |= records.contains(&Record::Drop);
                log.pending.push(Pending { ticket, records });
            }
            Err(Refused::JournalFull | Refused::DiskFull) => {
                self.seen.refused += 1;
                self.relieve();
            }
            Err(Refused::TooLarge | Refused::Stopped) => {}
        }
    }

    /// A flush of one log, of some of what is durable.
    fn flush(&mut self) {
        let Some(id) = self.pick() else { return };
        let Some(log) = self.logs.get(&id) else { return };
        let at = usize::try_from(self.rng.below(log.records.len() as u64 + 1)).unwrap_or(0);
        let covered = log.records.get(at).map_or(log.last, |record| record.0);
        self.flush_to(id, covered);
    }

    fn flush_to(&mut self, id: LogId, lsn: Lsn) {
        self.tag += 1;
        let Some(log) = self.logs.get(&id) else { return };
        // Facts are written in order: what one covers, the next covers too.
        let pending = log.pending.iter().flat_map(|pending| &pending.records);
        let floor = pending.filter_map(|record| match record {
            Record::Flushed(flushed) => Some(flushed.lsn),
            _ => None,
        });
        let floor = floor.chain(log.flushed.as_ref().map(|flushed| flushed.lsn)).max();
        let flushed = Flushed {
            lsn: lsn.max(floor.unwrap_or_default()),
            start: Offset(1),
            end: Offset(log.next),
            epochs: vec![(LeaderEpoch(1), Offset(self.rng.below(9).cast_signed()))],
            active_segment: self.rng.chance(0.5).then_some((Offset(1), self.tag)),
            high_watermark: Offset(self.tag.cast_signed()),
        };
        let Some(core) = &self.core else { return };
        let journal = core.journal();
        // In the log's own class here, so that the model knows the order.
        let class = Self::class(log.class);
        let mut records = vec![Record::Flushed(flushed)];
        if self.rng.chance(0.1) {
            records.push(self.record(id));
        }
        if let Ok(reservation) = journal.try_reserve(Class::Metadata, 0)
            && let Some(log) = self.logs.get_mut(&id)
        {
            let ticket = journal.submit(reservation, class, id, records.clone());
            log.pending.push(Pending { ticket, records });
        }
    }

    /// What a flusher does when the journal is full.
    fn relieve(&mut self) {
        let pinned = self.core.as_ref().and_then(|core| core.journal().oldest_unrecyclable());
        for id in pinned.map(|(_, logs)| logs).unwrap_or_default() {
            if let Some(log) = self.logs.get(&id)
                && !log.drop_submitted
            {
                let last = log.last;
                self.flush_to(id, last);
            }
        }
    }

    fn vote(&mut self) {
        self.tag += 1;
        if let Some(core) = &self.core {
            let ticket = core.journal().save_vote(Bytes::copy_from_slice(&self.tag.to_le_bytes()));
            self.votes_pending.push((ticket, self.tag));
        }
    }

    fn drop_log(&mut self) {
        if let Some(id) = self.pick() {
            self.send(id, vec![Record::Drop]);
        }
    }

    fn step(&mut self) -> Result<(), String> {
        let step = self.core()?.step();
        self.take_reports()?;
        match step {
            Step::Stopped => Err("the journal stopped without a reason".into()),
            Step::WaitingForSpace => Err("the journal waits for space on an empty disk".into()),
            Step::Durable | Step::Idle => Ok(()),
        }
    }

    fn take_reports(&mut self) -> Result<(), String> {
        let groups = std::mem::take(&mut self.reports.lock().groups);
        for group in groups {
            let last = group.records.last().map(|record| record.lsn);
            if last != Some(group.lsn) {
                return Err(format!("group {} does not end with its last record", group.lsn));
            }
            for completed in group.records {
                self.completed(completed)?;
            }
        }
        Ok(())
    }

    fn completed(&mut self, completed: Completed) -> Result<(), String> {
        let Completed { log: id, lsn, end, ticket } = completed;
        if lsn <= self.last_lsn {
            return Err(format!("{lsn} comes after {}", self.last_lsn));
        }
        self.last_lsn = lsn;
        self.seen.durable += 1;
        if id == LogId::JOURNAL {
            if self.votes_pending.is_empty() {
                return Err("a vote nobody cast".into());
            }
            let (expected, vote) = self.votes_pending.remove(0);
            self.vote = vote;
            return if expected == ticket { Ok(()) } else { Err("votes out of order".into()) };
        }
        let log = self.logs.get_mut(&id).ok_or("a record of no log")?;
        let pending = log.pending.first_mut().ok_or("a record nobody submitted")?;
        if pending.ticket != ticket {
            return Err(format!("log {id}: ticket {ticket} before {}", pending.ticket));
        }
        let record = pending.records.remove(0);
        if pending.records.is_empty() {
            log.pending.remove(0);
        }
        let expected = match &record {
            Record::Append { last_offset, .. } => Some(last_offset.next()),
            _ => None,
        };
        if end != expected {
            return Err(format!("log {id}: end {end:?}, not {expected:?}"));
        }
        log.apply(lsn, record);
        Ok(())
    }

    fn full_disk(&mut self) -> Result<(), String> {
        self.seen.full_disks += 1;
        self.disk.set_capacity(0);
        for _ in 0..self.rng.below(5) {
            self.submit()?;
            if self.core()?.step() == Step::Stopped {
                return Err("a full disk stopped the journal".into());
            }
            self.take_reports()?;
        }
        self.disk.set_capacity(u64::MAX);
        self.step()
    }

    fn fail_sync(&mut self) -> Result<(), String> {
        self.submit()?;
        self.disk.fault_nth(CallKind::Sync, 1, Fault::Fail(EIO));
        let step = self.core()?.step();
        self.take_reports()?;
        self.disk.clear_faults();
        if step == Step::Stopped {
            self.seen.failed_syncs += 1;
            if !self.reports.lock().failed {
                return Err("the journal stopped and did not say so".into());
            }
            let refused = self.core()?.journal().try_reserve(Class::Metadata, 1);
            if refused.err() != Some(Refused::Stopped) {
                return Err("a stopped journal grants space".into());
            }
            self.end(self.either());
            return self.reopen(false);
        }
        Ok(())
    }

    fn stop_cleanly(&mut self) -> Result<(), String> {
        self.core()?.journal().shutdown();
        while self.core()?.step() != Step::Stopped {}
        self.take_reports()?;
        let idle = self.logs.values().all(|log| log.pending.is_empty());
        if !idle || !self.votes_pending.is_empty() {
            return Err("a clean stop left submissions unwritten".into());
        }
        self.seen.clean_stops += 1;
        self.end(self.either());
        self.reopen(true)
    }

    fn either(&self) -> CrashKind {
        if self.rng.chance(0.5) { CrashKind::Process } else { CrashKind::PowerCut }
    }

    fn end(&mut self, kind: CrashKind) {
        if let Some(core) = self.core.take() {
            let stats = core.journal().stats();
            self.seen.files_recycled += stats.files_recycled;
            self.seen.facts_repeated += stats.facts_repeated;
        }
        self.disk.crash(kind);
        *self.reports.lock() = Reports::default();
    }

    fn crash(&mut self) -> Result<(), String> {
        self.seen.crashes += 1;
        self.end(self.either());
        self.reopen(false)
    }

    /// From some disk call on, the machine is dead.
    fn die_soon(&self) {
        let (rng, calls) = (self.rng.clone(), self.rng.below(8));
        let mut left = calls;
        self.disk.set_hook(move |call| {
            if left > 0 {
                left -= 1;
                return Fault::None;
            }
            Fault::Short { bytes: rng.below(call.bytes + 1), errno: EIO }
        });
    }

    fn crash_inside(&mut self) -> Result<(), String> {
        for _ in 0..self.rng.below(4) {
            self.submit()?;
        }
        self.die_soon();
        for _ in 0..self.rng.below(3) {
            self.core()?.step();
            self.take_reports()?;
        }
        self.disk.clear_faults();
        self.seen.crashes_inside += 1;
        self.end(self.either());
        self.reopen(false)
    }

    /// Opens the journal, dying on the way now and then, and compares.
    fn reopen(&mut self, clean: bool) -> Result<(), String> {
        while self.rng.chance(0.3) {
            self.seen.crashes_in_recovery += 1;
            self.die_soon();
            let result = open(&self.env, self.options.clone());
            self.disk.clear_faults();
            match result {
                Ok((recovery, opened)) => {
                    self.compare(&recovery, clean)?;
                    drop(opened);
                }
                Err(OpenError::Io { .. }) => {}
                Err(error) => return Err(format!("recovery under faults: {error}")),
            }
            self.disk.crash(self.either());
        }
        let (recovery, opened) =
            open(&self.env, self.options.clone()).map_err(|error| error.to_string())?;
        self.compare(&recovery, clean)?;
        self.core = Some(opened.into_core(Box::new(Sink(Arc::clone(&self.reports)))));
        Ok(())
    }

    fn compare(&mut self, recovery: &Recovery, clean: bool) -> Result<(), String> {
        if clean && !recovery.clean {
            return Err("a clean stop is not seen".into());
        }
        if let Some(id) = recovery.logs.keys().find(|id| !self.logs.contains_key(id)) {
            return Err(format!("log {id} was invented"));
        }
        for (id, log) in &mut self.logs {
            let had = log.pending.len();
            let before = (log.records.len(), log.flushed.clone(), log.dropped);
            if !log.adopt(recovery.logs.get(id)) {
                let found = recovery.logs.get(id);
                return Err(format!("log {id}: known {before:?}, {had} pending, found {found:?}"));
            }
            self.seen.adopted += had as u64;
            if *id >= recovery.next_log && (!log.records.is_empty() || log.flushed.is_some()) {
                return Err(format!("log {id} could be given out again"));
            }
        }
        // A dropped log is known as long as the file with its drop; an empty one was never written.
        self.logs.retain(|id, _| recovery.logs.contains_key(id));
        let found = recovery.vote.as_ref().and_then(|vote| vote.as_ref().try_into().ok());
        let found = found.map_or(0, u64::from_le_bytes);
        let pending = self.votes_pending.drain(..).map(|(_, vote)| vote);
        if found != self.vote && !pending.into_iter().any(|vote| vote == found) {
            return Err(format!("vote {found} instead of {}", self.vote));
        }
        self.vote = found;
        self.last_lsn = self.last_lsn.max(
            recovery
                .logs
                .values()
                .filter_map(|log| log.records.last())
                .map(|r| r.0)
                .max()
                .unwrap_or_default(),
        );
        Ok(())
    }
}
