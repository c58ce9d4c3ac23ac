//! The world of one seed: a disk, a clock, a storage, a few logs, and what they should be.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chronik_env::{CallKind, CrashKind, Env, Fault, ManualClock, Rng, SimDisk};
use chronik_journal::{Class, Core, Step};
use chronik_log::{
    AppendError, Completions, CutError, FlushError, Log, LogConfig, LogError, LogListener, Options,
    Origin, Read, ReadError, ReadLimit, RetentionError, Storage,
};
use chronik_protocol::batch::{
    BatchBuilder, BatchHeader, EndTransactionMarker, MarkerKind, end_transaction_marker, stamp,
};
use chronik_protocol::validate::ValidBatch;
use chronik_types::{
    BrokerId, DirectoryId, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, TopicId,
    TopicPartition, Uuid,
};
use parking_lot::Mutex;

use super::reference::{Batch, State};

const EIO: i32 = 5;
const LOGS: usize = 3;

/// How much of what a run is for it has seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub operations: u64,
    pub appends: u64,
    pub duplicates: u64,
    pub refused_sequences: u64,
    pub crashes: u64,
    pub crashes_inside: u64,
    pub crashes_in_recovery: u64,
    pub clean_stops: u64,
    pub lost_unacknowledged: u64,
    pub flushes: u64,
    pub flushed_bytes: u64,
    pub copies: u64,
    pub failed_writes: u64,
    pub failed_syncs: u64,
    pub truncations: u64,
    pub truncations_in_files: u64,
    pub resets: u64,
    pub starts_moved: u64,
    pub retention_moves: u64,
    pub segments_removed: u64,
    pub segment_reads: u64,
    pub memory_reads: u64,
    pub lookups: u64,
    pub deletions: u64,
    pub transactions: u64,
    pub refused_admissions: u64,
}

impl Seen {
    pub fn add(&mut self, more: &Self) {
        self.operations += more.operations;
        self.appends += more.appends;
        self.duplicates += more.duplicates;
        self.refused_sequences += more.refused_sequences;
        self.crashes += more.crashes;
        self.crashes_inside += more.crashes_inside;
        self.crashes_in_recovery += more.crashes_in_recovery;
        self.clean_stops += more.clean_stops;
        self.lost_unacknowledged += more.lost_unacknowledged;
        self.flushes += more.flushes;
        self.flushed_bytes += more.flushed_bytes;
        self.copies += more.copies;
        self.failed_writes += more.failed_writes;
        self.failed_syncs += more.failed_syncs;
        self.truncations += more.truncations;
        self.truncations_in_files += more.truncations_in_files;
        self.resets += more.resets;
        self.starts_moved += more.starts_moved;
        self.retention_moves += more.retention_moves;
        self.segments_removed += more.segments_removed;
        self.segment_reads += more.segment_reads;
        self.memory_reads += more.memory_reads;
        self.lookups += more.lookups;
        self.deletions += more.deletions;
        self.transactions += more.transactions;
        self.refused_admissions += more.refused_admissions;
    }
}

#[derive(Default)]
struct Listener {
    told: Mutex<i64>,
}

impl LogListener for Listener {
    fn durable(&self, durable_end: Offset) {
        let mut told = self.told.lock();
        *told = (*told).max(durable_end.0);
    }
}

/// One partition: the log, and the states it may be found in after a crash.
struct Partition {
    id: TopicPartition,
    name: String,
    config: Arc<LogConfig>,
    log: Option<Arc<Log>>,
    listener: Arc<Listener>,
    /// The first is known durable; each later one is after one more submission. `true` marks an
    /// append.
    history: VecDeque<(bool, State)>,
    high_watermark: i64,
    incarnation: u8,
}

impl Partition {
    fn now(&self) -> &State {
        &self.history.back().unwrap().1
    }

    fn log(&self) -> &Arc<Log> {
        self.log.as_ref().unwrap()
    }

    fn submitted(&mut self, is_append: bool, state: State) {
        self.history.push_back((is_append, state));
    }

    /// Everything submitted is durable.
    fn all_durable(&mut self) {
        let last = self.history.pop_back().unwrap();
        self.history.clear();
        self.history.push_back(last);
    }

    /// Appends up to the durable end are durable, if nothing was cut after them.
    fn learn_durable(&mut self) {
        let durable = self.log().durable_end().0;
        let mut known = 0;
        for (index, (is_append, state)) in self.history.iter().enumerate().rev() {
            if index == 0 || !is_append {
                break;
            }
            if state.end <= durable {
                known = index;
                break;
            }
        }
        self.history.drain(..known);
    }
}

struct World {
    rng: Rng,
    disk: SimDisk,
    clock: Arc<ManualClock>,
    storage: Option<(Storage, Completions, Core)>,
    partitions: Vec<Partition>,
    next_value: u64,
    seen: Seen,
}

type Outcome = Result<(), String>;

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

impl World {
    fn new(seed: u64) -> Self {
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
            high_watermark: 0,
            incarnation: 0,
        };
        Self {
            disk: SimDisk::new(seed),
            clock,
            storage: None,
            partitions: (0..LOGS).map(partition).collect(),
            next_value: 0,
            seen: Seen::default(),
            rng,
        }
    }

    fn env(&self) -> Env {
        Env {
            disk: Arc::new(self.disk.clone()),
            clock: Arc::clone(&self.clock) as Arc<dyn chronik_env::Clock>,
            rng: self.rng.fork(&format!("env {}", self.seen.operations)),
        }
    }

    fn options() -> Options {
        let cluster = Uuid::from_entropy([1; 16]);
        let directory = DirectoryId(Uuid::from_entropy([2; 16]));
        let mut journal =
            chronik_journal::Options::new("/data/journal".into(), cluster, BrokerId(1), directory);
        journal.file_bytes = 64 << 10;
        journal.first_file_bytes = 64 << 10;
        journal.max_bytes = 1_536 << 10;
        journal.group_bytes_max = 16 << 10;
        journal.reserve_bytes = 128 << 10;
        journal.free_bytes_floor = 0;
        let dirs: Vec<PathBuf> = vec!["/data/a".into(), "/data/b".into()];
        let mut options = Options::new(dirs, journal);
        options.unflushed_bytes_max = 64 << 10;
        options.cached_bytes_max = 8 << 10;
        options.flush_small_bytes = 2 << 10;
        options.open_files_max = 8;
        options
    }

    fn storage(&self) -> &Storage {
        &self.storage.as_ref().unwrap().0
    }

    fn chance(&self, one_in: u64) -> bool {
        self.rng.below(one_in) == 0
    }

    fn between(&self, low: i64, high: i64) -> i64 {
        low + self.rng.below((high - low + 1) as u64) as i64
    }

    fn step(&mut self) -> Outcome {
        let at = self.rng.below(LOGS as u64) as usize;
        let journal = self.storage().stats().journal.used_bytes;
        // What the broker's flush task would do: a run of crashes alone may fill the journal.
        if journal > 1_024 << 10 || (journal > 768 << 10 && self.chance(8)) {
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

    // Appending.

    fn timestamps(&self, count: usize) -> Vec<i64> {
        let now = chronik_env::Clock::wall(&*self.clock).0;
        (0..count).map(|_| now - self.rng.below(2_000) as i64).collect()
    }

    fn build(&mut self, builder: BatchBuilder, timestamps: &[i64]) -> BytesMut {
        let mut builder = builder;
        for timestamp in timestamps {
            self.next_value += 1;
            let len = if self.chance(40) { 3_000 } else { self.rng.below(120) as usize };
            let mut value = vec![self.next_value as u8; len];
            value.extend_from_slice(&self.next_value.to_be_bytes());
            builder.append(Timestamp(*timestamp), None, Some(&value), &[]).unwrap();
        }
        builder.build().unwrap()
    }

    fn epoch(&self, at: usize) -> LeaderEpoch {
        let latest = self.partitions[at].now().latest_epoch();
        LeaderEpoch(if self.chance(60) { latest + 1 } else { latest.max(0) })
    }

    /// Appends as a leader would, and tells the model.
    fn lead(
        &mut self,
        at: usize,
        bytes: BytesMut,
        timestamps: Vec<i64>,
        origin: Origin,
        commits: Option<bool>,
    ) -> Result<Option<chronik_log::Appended>, AppendError> {
        let epoch = self.epoch(at);
        let header = BatchHeader::parse(&bytes).unwrap();
        let class = Class::Client;
        let Some(mut permit) =
            self.storage().try_admit(class, bytes.len() * (1 + usize::from(self.chance(2)) * 2))
        else {
            self.seen.refused_admissions += 1;
            if self.chance(3) {
                // As the broker's flush task would.
                let _ = self.settle();
                self.storage().flush_round();
            }
            return Ok(None);
        };
        let mut expected = bytes.clone();
        let valid = ValidBatch {
            batch: bytes,
            header,
            max_timestamp: Timestamp(header.max_timestamp),
            offset_of_max_timestamp_delta: 0,
        };
        let partition = &mut self.partitions[at];
        let appended = partition.log().append_as_leader(&mut permit, valid, epoch, origin)?;
        if appended.duplicate {
            return Ok(Some(appended));
        }
        let mut state = partition.now().clone();
        stamp(&mut expected, Offset(state.end), epoch);
        let header = BatchHeader::parse(&expected).unwrap();
        assert_eq!(appended.base_offset.0, state.end, "offsets are dense");
        assert_eq!(appended.last_offset, header.last_offset());
        state.append(Batch {
            base: state.end,
            last: header.last_offset().0,
            bytes: expected.freeze(),
            header,
            timestamps,
            commits,
        });
        partition.submitted(true, state);
        self.seen.appends += 1;
        Ok(Some(appended))
    }

    fn append(&mut self, at: usize) -> Outcome {
        let timestamps = self.timestamps(1 + self.rng.below(4) as usize);
        let bytes = self.build(BatchBuilder::new(), &timestamps);
        self.lead(at, bytes, timestamps, Origin::Client, None).map(drop).map_err(said)
    }

    fn append_idempotent(&mut self, at: usize) -> Outcome {
        let id = 1 + self.rng.below(3) as i64;
        let (producers, _) = self.partitions[at].now().producers();
        let known = producers.get(&id).cloned();
        let epoch = known.as_ref().map_or(0, |producer| producer.epoch);
        let last = known.as_ref().and_then(|producer| producer.batches.last()).copied();
        let next = last.map_or(0, |(_, last, ..)| if last == i32::MAX { 0 } else { last + 1 });
        let count = 1 + self.rng.below(3) as usize;
        let timestamps = self.timestamps(count);
        let choice = self.rng.below(20);
        let (epoch, sequence, count, expect) = match (choice, known.as_ref(), last) {
            // A retry of one of the batches that are remembered.
            (0..4, Some(producer), Some(_)) => {
                let index = self.rng.below(producer.batches.len() as u64) as usize;
                let (first, last, base, _) = producer.batches[index];
                let records = (i64::from(last) - i64::from(first)).rem_euclid(1 << 31) + 1;
                (epoch, first, records as usize, Expect::Duplicate(base))
            }
            (4, Some(_), Some(_)) => {
                (epoch, next.wrapping_add(7) & i32::MAX, count, Expect::OutOfOrder)
            }
            (5, Some(_), _) if epoch > 0 => (epoch - 1, 0, count, Expect::Fenced),
            (6, Some(_), _) => (epoch + 1, 0, count, Expect::Appended),
            (7, Some(_), _) => (epoch + 1, 3, count, Expect::OutOfOrder),
            // Nobody knows this producer: it may begin anywhere, also just before the wrap.
            (_, None, _) if choice < 10 => (0, i32::MAX - 2, count, Expect::Appended),
            _ => (epoch, next, count, Expect::Appended),
        };
        let timestamps =
            if count == timestamps.len() { timestamps } else { self.timestamps(count) };
        let builder = BatchBuilder::new().producer(ProducerId(id), ProducerEpoch(epoch), sequence);
        let bytes = self.build(builder, &timestamps);
        let done = self.lead(at, bytes, timestamps, Origin::Client, None);
        match (expect, done) {
            (_, Ok(None)) => Ok(()),
            (Expect::Appended, Ok(Some(appended))) if !appended.duplicate => Ok(()),
            (Expect::Duplicate(base), Ok(Some(appended)))
                if appended.duplicate && appended.base_offset.0 == base =>
            {
                self.seen.duplicates += 1;
                Ok(())
            }
            (Expect::OutOfOrder, Err(AppendError::OutOfOrderSequence { .. }))
            | (Expect::Fenced, Err(AppendError::InvalidProducerEpoch { .. })) => {
                self.seen.refused_sequences += 1;
                Ok(())
            }
            (expect, done) => Err(format!("expected {expect:?}, got {done:?}")),
        }
    }

    fn append_transactional(&mut self, at: usize) -> Outcome {
        let id = 20 + self.rng.below(2) as i64;
        let (producers, _) = self.partitions[at].now().producers();
        let known = producers.get(&id).cloned().unwrap_or_default();
        if known.open.is_some() && self.chance(2) {
            let commit = self.chance(2);
            let kind = if commit { MarkerKind::Commit } else { MarkerKind::Abort };
            let marker = EndTransactionMarker { kind, coordinator_epoch: 1 };
            let now = chronik_env::Clock::wall(&*self.clock);
            let epoch = ProducerEpoch(known.epoch);
            let bytes = end_transaction_marker(marker, ProducerId(id), epoch, now).unwrap();
            self.seen.transactions += 1;
            let lead = self.lead(at, bytes, vec![now.0], Origin::Coordinator, Some(commit));
            return lead.map(drop).map_err(said);
        }
        let sequence = known.batches.last().map_or(0, |(_, last, ..)| last + 1);
        let timestamps = self.timestamps(1);
        let builder = BatchBuilder::new()
            .producer(ProducerId(id), ProducerEpoch(known.epoch), sequence)
            .transactional();
        let bytes = self.build(builder, &timestamps);
        self.lead(at, bytes, timestamps, Origin::Client, None).map(drop).map_err(said)
    }

    fn append_at(&mut self, at: usize) -> Outcome {
        let mut state = self.partitions[at].now().clone();
        let epoch = self.epoch(at);
        let mut all = BytesMut::new();
        for _ in 0..=self.rng.below(2) {
            let timestamps = self.timestamps(1 + self.rng.below(2) as usize);
            let mut bytes = self.build(BatchBuilder::new(), &timestamps);
            stamp(&mut bytes, Offset(state.end), epoch);
            all.extend_from_slice(&bytes);
            let header = BatchHeader::parse(&bytes).unwrap();
            let (base, last) = (state.end, header.last_offset().0);
            let bytes = bytes.freeze();
            state.append(Batch { base, last, bytes, header, timestamps, commits: None });
        }
        let Some(mut permit) = self.storage().try_admit(Class::Client, all.len()) else {
            self.seen.refused_admissions += 1;
            return Ok(());
        };
        let partition = &mut self.partitions[at];
        partition.log().append_at(&mut permit, all).map_err(said)?;
        partition.submitted(true, state);
        Ok(())
    }

    fn begin_epoch(&mut self, at: usize) -> Outcome {
        let partition = &mut self.partitions[at];
        let mut state = partition.now().clone();
        let full = self.storage.as_ref().unwrap().0.stats().journal.used_bytes > 1_280 << 10;
        if !state.written || full {
            // In memory only, until the first batch.
            return Ok(());
        }
        let epoch = state.latest_epoch() + 1;
        partition.log().begin_epoch(LeaderEpoch(epoch)).map_err(said)?;
        let end = state.end;
        state.begin_epoch(epoch, end);
        partition.submitted(false, state);
        Ok(())
    }

    // Moving on.

    fn journal_step(&mut self) -> Outcome {
        let (_, completions, core) = self.storage.as_mut().unwrap();
        let step = core.step();
        completions.drain();
        if step == Step::Stopped {
            return Err("the journal stopped".into());
        }
        self.learn_durable()
    }

    fn settle(&mut self) -> Outcome {
        let (_, completions, core) = self.storage.as_mut().unwrap();
        let last = loop {
            let step = core.step();
            if step != Step::Durable {
                break step;
            }
        };
        completions.drain();
        if last != Step::Idle {
            return Err(format!("the journal says {last:?}"));
        }
        for partition in &mut self.partitions {
            partition.all_durable();
            let position = partition.log().position();
            let (durable, end) = (position.durable, position.end);
            if durable != end {
                return Err(format!("all is durable, but {durable} is not {end}"));
            }
        }
        Ok(())
    }

    fn learn_durable(&mut self) -> Outcome {
        for partition in &mut self.partitions {
            let told = *partition.listener.told.lock();
            let durable = partition.log().position().durable.0;
            // The listener may have been told more before a truncation, never less.
            if told < durable {
                return Err(format!("the listener was told {told}, not {durable}"));
            }
            partition.learn_durable();
        }
        Ok(())
    }

    fn advance(&mut self, at: usize) -> Outcome {
        let partition = &self.partitions[at];
        let durable = partition.log().durable_end().0;
        let ends = partition.now().batches.iter().map(|batch| batch.last + 1);
        let low = partition.high_watermark;
        let possible: Vec<i64> = ends.filter(|end| *end > low && *end <= durable).collect();
        if possible.is_empty() {
            return Ok(());
        }
        let to = possible[self.rng.below(possible.len() as u64) as usize];
        let partition = &mut self.partitions[at];
        partition.high_watermark = to;
        same("high watermark", to, partition.log().advance_high_watermark(Offset(to)).0)
    }

    // Cutting.

    fn truncate(&mut self, at: usize) -> Outcome {
        let low = self.partitions[at].high_watermark.max(self.partitions[at].now().start);
        let end = self.partitions[at].now().end;
        let to = self.between(low, end);
        self.truncate_at(at, to)
    }

    fn truncate_at(&mut self, at: usize, to: i64) -> Outcome {
        let partition = &mut self.partitions[at];
        let mut state = partition.now().clone();
        let limit = ReadLimit { max_bytes: 0, end: Offset(state.end), at_least_one: false };
        let cut_in_files = matches!(partition.log().read(Offset(to), limit), Ok(Read::Segment(_)));
        match partition.log().truncate_to(Offset(to)) {
            Ok(()) => {}
            Err(CutError::NoRoom(_)) => return Ok(()),
            Err(error) => return Err(format!("truncate to {to}: {error}")),
        }
        let ends_epochs = state.epochs.last().is_some_and(|(_, start)| *start >= to);
        if to < state.end || ends_epochs {
            self.seen.truncations += u64::from(to < state.end);
            self.seen.truncations_in_files += u64::from(cut_in_files && to < state.end);
            state.truncate(to);
            partition.submitted(false, state);
        }
        same(
            "end after a truncation",
            self.partitions[at].now().end,
            self.partitions[at].log().end().0,
        )
    }

    fn reset(&mut self, at: usize) -> Outcome {
        let partition = &self.partitions[at];
        let start = self.between(0, partition.now().end + 20);
        let epoch = partition.now().latest_epoch().max(0) + 1;
        let partition = &mut self.partitions[at];
        match partition.log().reset_to(Offset(start), LeaderEpoch(epoch)) {
            Ok(()) => {}
            Err(CutError::NoRoom(_)) => return Ok(()),
            Err(error) => return Err(said(error)),
        }
        let mut state = partition.now().clone();
        state.reset(start, epoch);
        // Until the reset is durable a crash brings back what was before: nothing counts, and the
        // listener hears of it when it does.
        same("durable after a reset", -1, partition.log().position().durable.0)?;
        *partition.listener.told.lock() = -1;
        partition.high_watermark = start;
        partition.submitted(false, state);
        self.seen.resets += 1;
        Ok(())
    }

    fn set_start(&mut self, at: usize) -> Outcome {
        let (low, high) = (self.partitions[at].now().start, self.partitions[at].high_watermark);
        if high <= low {
            return Ok(());
        }
        let start = self.between(low + 1, high);
        let partition = &mut self.partitions[at];
        match partition.log().set_start(Offset(start)) {
            Ok(()) => {}
            Err(CutError::NoRoom(_)) => return Ok(()),
            Err(error) => return Err(said(error)),
        }
        let mut state = partition.now().clone();
        state.set_start(start);
        partition.submitted(false, state);
        self.seen.starts_moved += 1;
        Ok(())
    }

    fn retention(&mut self) -> Outcome {
        let report = self.storage().retention_round();
        let no_room = |e: &RetentionError| matches!(e, RetentionError::Cut(CutError::NoRoom(_)));
        if let Some(error) = report.errors.iter().find(|error| !no_room(error)) {
            return Err(format!("retention: {error}"));
        }
        self.seen.segments_removed += report.removed_segments as u64;
        let now = chronik_env::Clock::wall(&*self.clock).0;
        for partition in &mut self.partitions {
            let start = partition.log().start().0;
            let mut state = partition.now().clone();
            if start == state.start {
                continue;
            }
            if start < state.start || start > partition.high_watermark {
                return Err(format!("retention moved {} to {start}", state.start));
            }
            let config = &partition.config;
            let gone: Vec<_> = state.batches.iter().filter(|batch| batch.last < start).collect();
            let left = state.batches.iter().filter(|batch| batch.last >= start);
            let left_bytes: usize = left.map(|batch| batch.bytes.len()).sum();
            let old = |batch: &&Arc<Batch>| now - batch.header.max_timestamp > config.retention_ms;
            let by_time = config.retention_ms >= 0 && gone.iter().all(old);
            let by_size =
                config.retention_bytes >= 0 && left_bytes as i64 >= config.retention_bytes;
            if !by_time && !by_size {
                return Err(format!("retention took what it may not: {start}, {left_bytes} left"));
            }
            state.set_start(start);
            partition.submitted(false, state);
            self.seen.retention_moves += 1;
        }
        Ok(())
    }

    fn flush(&mut self, all: bool) -> Outcome {
        let before = self.storage().stats();
        if all {
            match self.storage().flush_all() {
                Ok(()) | Err(FlushError::NoRoom(_)) => {}
                Err(error) => return Err(format!("flush: {error}")),
            }
        } else {
            let report = self.storage().flush_round();
            let no_room = |e: &FlushError| matches!(e, FlushError::NoRoom(_));
            if let Some(error) = report.errors.iter().find(|error| !no_room(error)) {
                return Err(format!("flush: {error}"));
            }
        }
        let after = self.storage().stats();
        self.seen.flushes += after.flushed_logs - before.flushed_logs;
        self.seen.flushed_bytes += after.flushed_bytes - before.flushed_bytes;
        self.seen.copies += after.copied_logs - before.copied_logs;
        Ok(())
    }

    /// Writes of segments fail now and then; nothing but the flush notices.
    fn flush_with_faults(&mut self) -> Outcome {
        let rng = self.rng.fork("faults").fork(&self.seen.operations.to_string());
        self.disk.set_hook(move |call| {
            let of_journal = call.path.starts_with("/data/journal");
            let may_fail = matches!(
                call.kind,
                CallKind::Open | CallKind::Write | CallKind::SetLen | CallKind::Remove
            );
            if of_journal || !may_fail || rng.below(6) > 0 {
                return Fault::None;
            }
            let half = Fault::Short { bytes: call.bytes / 2, errno: EIO };
            if call.kind == CallKind::Write { half } else { Fault::Fail(EIO) }
        });
        if self.storage().flush_all().is_err() {
            self.seen.failed_writes += 1;
        }
        self.disk.clear_faults();
        Ok(())
    }

    fn delete(&mut self, at: usize) -> Outcome {
        // What was submitted before and is not durable could come back otherwise.
        self.settle()?;
        let partition = &mut self.partitions[at];
        match self.storage.as_ref().unwrap().0.delete_log(partition.id) {
            Ok(()) => {}
            Err(LogError::NoRoom(_)) => return Ok(()),
            Err(error) => return Err(said(error)),
        }
        partition.incarnation += 1;
        partition.id = partition_id(at, partition.incarnation);
        partition.history = VecDeque::from([(false, State::default())]);
        partition.high_watermark = 0;
        partition.listener = Arc::default();
        partition.log = None;
        self.seen.deletions += 1;
        self.open_log(at)?;
        if self.chance(2) { self.settle() } else { Ok(()) }
    }

    // Reading.

    fn read(&mut self, at: usize) -> Outcome {
        let partition = &self.partitions[at];
        let state = partition.now();
        let from = self.between(state.start, state.end);
        let end = self.between(from, state.end);
        let max_bytes = self.rng.below(3_000) as usize;
        let limit = ReadLimit { max_bytes, end: Offset(end), at_least_one: self.chance(2) };
        let (fetched, from_segment) = fetch(partition.log(), from, limit)?;
        let holds = state.batches.iter().filter(|batch| batch.last >= from);
        let mut expected: Vec<Bytes> = Vec::new();
        let mut bytes = 0;
        for batch in holds {
            let fits = bytes + batch.bytes.len() <= max_bytes
                || (limit.at_least_one && expected.is_empty());
            if batch.last >= end || !fits {
                break;
            }
            bytes += batch.bytes.len();
            expected.push(batch.bytes.clone());
        }
        let found: Vec<u8> = fetched.chunks.concat();
        let expected: Vec<u8> = expected.concat();
        let prefix = expected.starts_with(&found);
        // A read from files may stop at the end of a segment.
        let complete = found.len() == expected.len()
            || (from_segment && !found.is_empty() && found.len() < expected.len());
        if !prefix || !complete {
            return Err(format!(
                "read {from}..{end} of {} ({limit:?}, segment {from_segment}): {} bytes of {}",
                partition.name,
                found.len(),
                expected.len()
            ));
        }
        if from_segment {
            self.seen.segment_reads += 1;
        } else {
            self.seen.memory_reads += 1;
        }
        self.out_of_range(at)
    }

    fn out_of_range(&self, at: usize) -> Outcome {
        let partition = &self.partitions[at];
        let state = partition.now();
        let limit = ReadLimit { max_bytes: 1, end: Offset(i64::MAX), at_least_one: true };
        for offset in [state.start - 1, state.end + 1] {
            match partition.log().read(Offset(offset), limit) {
                Err(ReadError::OutOfRange { .. }) => {}
                other => return Err(format!("read at {offset}: {other:?}")),
            }
        }
        Ok(())
    }

    fn look_up(&mut self, at: usize) -> Outcome {
        self.seen.lookups += 1;
        let partition = &self.partitions[at];
        let state = partition.now();
        let end = self.between(state.start, state.end);
        let now = chronik_env::Clock::wall(&*self.clock).0;
        let newest = state.batches.iter().map(|batch| batch.header.max_timestamp);
        let oldest = newest.min().unwrap_or(now);
        let target = self.between(oldest.min(now) - 2_000, now + 1);
        let job = partition.log().offset_for_timestamp(Timestamp(target), Offset(end));
        let found = job.run().map_err(said)?.map(|found| (found.offset.0, found.timestamp.0));
        let expected = state.at_time(target, end);
        if found != expected {
            return Err(format!("at or after {target} below {end}: {found:?}, not {expected:?}"));
        }
        self.greatest(at, end)?;
        let epoch = self.between(-1, i64::from(state.latest_epoch()) + 1) as i32;
        let (known, offset) = partition.log().end_offset_for_epoch(LeaderEpoch(epoch));
        if (known.0, offset.0) != state.end_of_epoch(epoch) {
            let expected = state.end_of_epoch(epoch);
            return Err(format!("epoch {epoch} ends at {:?}, not {expected:?}", (known, offset)));
        }
        Ok(())
    }

    fn greatest(&self, at: usize, end: i64) -> Outcome {
        let partition = &self.partitions[at];
        let state = partition.now();
        let job = partition.log().offset_of_max_timestamp(Offset(end));
        let found = job.run().map_err(said)?.map(|found| found.timestamp.0);
        let whole =
            state.batches.iter().filter(|batch| batch.last < end && batch.last >= state.start);
        let expected = whole.map(|batch| batch.header.max_timestamp).max();
        if found != expected {
            return Err(format!("greatest time below {end}: {found:?}, not {expected:?}"));
        }
        Ok(())
    }

    fn check_producers(&self, at: usize) -> Outcome {
        let partition = &self.partitions[at];
        let state = partition.now();
        let (expected, ended) = state.producers();
        let found = partition.log().producers();
        let mut seen = BTreeMap::new();
        for summary in found {
            seen.insert(summary.producer_id.0, summary);
        }
        let same_ids = seen.keys().eq(expected.keys());
        let same_each = expected.iter().all(|(id, producer)| {
            seen.get(id).is_some_and(|summary| {
                summary.epoch.0 == producer.epoch
                    && summary.last_timestamp == producer.last_timestamp
                    && summary.last_sequence == producer.batches.last().map_or(-1, |b| b.1)
                    && summary.transaction_start.map(|o| o.0) == producer.open
            })
        });
        if !same_ids || !same_each {
            return Err(format!("producers of {}: {seen:?}, not {expected:?}", partition.name));
        }
        let offsets = partition.log().offsets();
        same(
            "last stable offset",
            state.last_stable(partition.high_watermark),
            offsets.last_stable.0,
        )?;
        let from = self.between(state.start, state.end);
        let log = partition.log();
        let aborted = log.aborted_transactions(Offset(from), Offset(state.end)).map_err(said)?;
        let aborted: Vec<_> =
            aborted.iter().map(|t| (t.first_offset.0, t.last_offset.0, t.producer_id.0)).collect();
        let mut known: Vec<_> = ended
            .iter()
            .filter(|(_, _, marker, committed)| !committed && *marker >= from)
            .map(|(id, first, marker, _)| (*first, *marker, *id))
            .collect();
        known.sort_unstable();
        if aborted != known {
            return Err(format!("aborted from {from}: {aborted:?}, not {known:?}"));
        }
        Ok(())
    }

    /// Every batch that is remembered is still known as a duplicate.
    fn check_duplicates(&mut self, at: usize) -> Outcome {
        let (producers, _) = self.partitions[at].now().producers();
        let end = self.partitions[at].now().end;
        for (id, producer) in producers.into_iter().filter(|(id, _)| *id < 20) {
            for (first, last, base, _) in producer.batches {
                let count = (i64::from(last) - i64::from(first)).rem_euclid(1 << 31) + 1;
                let timestamps = self.timestamps(count as usize);
                let builder = BatchBuilder::new().producer(
                    ProducerId(id),
                    ProducerEpoch(producer.epoch),
                    first,
                );
                let bytes = self.build(builder, &timestamps);
                match self.lead(at, bytes, timestamps, Origin::Client, None) {
                    Ok(None) => {}
                    Ok(Some(appended)) if appended.duplicate && appended.base_offset.0 == base => {}
                    other => {
                        return Err(format!("the batch at {base} of {id} is forgotten: {other:?}"));
                    }
                }
            }
        }
        same("end after duplicates", end, self.partitions[at].log().end().0)
    }

    // Ending and beginning again.

    fn crash_now(&mut self) {
        let kind = if self.chance(3) { CrashKind::Process } else { CrashKind::PowerCut };
        self.crash(kind);
        self.seen.crashes += 1;
    }

    fn crash(&mut self, kind: CrashKind) {
        for partition in &mut self.partitions {
            partition.log = None;
        }
        if let Some((storage, _, core)) = self.storage.take() {
            // Nothing may reach the disk any more: it is as if the process were gone.
            self.disk.clear_faults();
            self.disk.crash(kind);
            drop(core);
            storage.shutdown();
        } else {
            self.disk.clear_faults();
            self.disk.crash(kind);
        }
    }

    /// From some disk call of an operation on, nothing works any more; then the crash.
    fn crash_inside(&mut self, at: usize) -> Outcome {
        let mut left = self.rng.below(25);
        let sync_fails = self.chance(4);
        let failed = Arc::new(Mutex::new(0_u64));
        let counter = Arc::clone(&failed);
        self.disk.set_hook(move |call| {
            let counts = !sync_fails || matches!(call.kind, CallKind::Sync | CallKind::SyncDir);
            if counts && left > 0 {
                left -= 1;
            } else if counts {
                *counter.lock() += 1;
                return Fault::Fail(EIO);
            }
            Fault::None
        });
        // What they return is of no interest: the model keeps every state they may have led to.
        match self.rng.below(5) {
            0 => {
                let _ = self.storage().flush_all();
            }
            1 => {
                let _ = self.storage().flush_round();
            }
            2 => {
                let _ = self.storage().retention_round();
                let partition = &mut self.partitions[at];
                let _ = partition;
                self.adopt_starts();
            }
            3 => {
                let _ = self.storage().flush_all();
                let (_, completions, core) = self.storage.as_mut().unwrap();
                core.step();
                completions.drain();
            }
            _ => {
                let (_, completions, core) = self.storage.as_mut().unwrap();
                while core.step() == Step::Durable {}
                completions.drain();
            }
        }
        for partition in &mut self.partitions {
            partition.learn_durable();
        }
        if sync_fails {
            self.seen.failed_syncs += u64::from(*failed.lock() > 0);
        }
        self.crash_now();
        self.seen.crashes_inside += 1;
        self.reopen(true)
    }

    /// Retention moved starts while the disk failed; they are judged elsewhere.
    fn adopt_starts(&mut self) {
        for partition in &mut self.partitions {
            let start = partition.log().start().0;
            let mut state = partition.now().clone();
            if start > state.start {
                state.set_start(start);
                partition.submitted(false, state);
            }
        }
    }

    fn clean_stop(&mut self) -> Outcome {
        self.seen.clean_stops += 1;
        for partition in &mut self.partitions {
            partition.log = None;
        }
        let (storage, mut completions, mut core) = self.storage.take().unwrap();
        storage.shutdown();
        while core.step() != Step::Stopped {}
        completions.drain();
        drop((completions, core));
        for partition in &mut self.partitions {
            partition.all_durable();
        }
        self.reopen(false)
    }

    fn reopen(&mut self, may_crash: bool) -> Outcome {
        if may_crash && self.chance(4) {
            let mut left = self.rng.below(40);
            self.disk.set_hook(move |_| {
                left = left.saturating_sub(1);
                if left == 0 { Fault::Fail(EIO) } else { Fault::None }
            });
            let opened = Storage::open_stepped(self.env(), Self::options());
            if let Ok((storage, completions, _, core)) = opened {
                self.storage = Some((storage, completions, core));
                for at in 0..LOGS {
                    let _ = self.open_log(at);
                }
            }
            self.seen.crashes_in_recovery += 1;
            self.crash_now();
        }
        let opened = Storage::open_stepped(self.env(), Self::options());
        let (storage, completions, _, core) = opened.map_err(|e| format!("open: {e}"))?;
        self.storage = Some((storage, completions, core));
        for at in 0..LOGS {
            self.open_log(at)?;
            self.recognise(at)?;
        }
        for at in 0..LOGS {
            self.check_producers(at)?;
            self.check_duplicates(at)?;
        }
        Ok(())
    }

    fn open_log(&mut self, at: usize) -> Outcome {
        let storage = self.storage().clone();
        let partition = &mut self.partitions[at];
        partition.listener = Arc::default();
        let listener = Arc::clone(&partition.listener) as Arc<dyn LogListener>;
        let config = Arc::clone(&partition.config);
        let log = storage.open_log(partition.id, &partition.name, config, Class::Client, listener);
        let log = log.map_err(|error| format!("open {}: {error}", partition.name))?;
        *partition.listener.told.lock() = log.durable_end().0;
        partition.log = Some(log);
        Ok(())
    }

    /// Finds out which of the possible states the log is in; there must be one.
    fn recognise(&mut self, at: usize) -> Outcome {
        let partition = &self.partitions[at];
        let log = partition.log();
        let (start, end) = (log.start().0, log.end().0);
        let content = self.whole(at)?;
        let is_it = |state: &State| {
            state.start == start
                && state.end == end
                && state.bytes_from(start) == content
                && (-1..=state.latest_epoch() + 1).all(|epoch| {
                    let (known, offset) = log.end_offset_for_epoch(LeaderEpoch(epoch));
                    (known.0, offset.0) == state.end_of_epoch(epoch)
                })
        };
        let found = partition.history.iter().rposition(|(_, state)| is_it(state));
        let Some(index) = found else {
            let possible: Vec<_> =
                partition.history.iter().map(|(_, s)| (s.start, s.end, s.epochs.clone())).collect();
            let partly = partition.history.iter().any(|(_, s)| (s.start, s.end) == (start, end));
            return Err(format!(
                "{} is {start}..{end} with {} bytes, epoch {}, and could be {possible:?} (same offsets: {partly})",
                partition.name,
                content.len(),
                log.leader_epoch(),
            ));
        };
        self.seen.lost_unacknowledged += (partition.history.len() - 1 - index) as u64;
        let partition = &mut self.partitions[at];
        let state = partition.history[index].1.clone();
        partition.high_watermark = partition.high_watermark.clamp(state.start, state.end);
        partition.history = VecDeque::from([(false, state)]);
        let high_watermark = partition.high_watermark;
        let log = Arc::clone(partition.log());
        // A reset that was lost had taken it back.
        let high_watermark = high_watermark.max(log.high_watermark().0);
        partition.high_watermark = high_watermark;
        same(
            "restored high watermark",
            high_watermark,
            log.advance_high_watermark(Offset(high_watermark)).0,
        )
    }

    fn whole(&self, at: usize) -> Result<Vec<u8>, String> {
        let log = self.partitions[at].log();
        let (mut from, end) = (log.start().0, log.end().0);
        let mut content = Vec::new();
        while from < end {
            let max_bytes = self.rng.below(16_000) as usize;
            let limit = ReadLimit { max_bytes, end: Offset(end), at_least_one: true };
            let (fetched, _) = fetch(log, from, limit)?;
            if fetched.next_offset.0 <= from {
                return Err(format!("nothing to read at {from}, below {end}"));
            }
            fetched.chunks.iter().for_each(|chunk| content.extend_from_slice(chunk));
            from = fetched.next_offset.0;
        }
        Ok(content)
    }
}

#[derive(Debug)]
enum Expect {
    Appended,
    Duplicate(i64),
    OutOfOrder,
    Fenced,
}

fn partition_id(index: usize, incarnation: u8) -> TopicPartition {
    let topic_id = TopicId(Uuid::from_entropy([index as u8 + 10 + incarnation * 10; 16]));
    TopicPartition { topic_id, partition: index as i32 }
}

fn fetch(
    log: &Arc<Log>,
    from: i64,
    limit: ReadLimit,
) -> Result<(chronik_log::Fetched, bool), String> {
    match log.read(Offset(from), limit).map_err(said)? {
        Read::Memory(fetched) => Ok((fetched, false)),
        Read::Segment(job) => Ok((job.run().map_err(said)?, true)),
    }
}

fn same(what: &str, expected: i64, found: i64) -> Outcome {
    if expected == found { Ok(()) } else { Err(format!("{what}: {found}, not {expected}")) }
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}
