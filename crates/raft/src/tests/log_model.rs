//! The log store against a list of entries, with power cuts, process crashes and reopening.
//!
//! What is on disk after a crash must be one of the states through which the log went since the
//! last one that was acknowledged: nothing acknowledged is gone, nothing truncated comes back
//! behind something newer, and no state is a mixture.

use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use chronik_env::{CrashKind, Env, Rng, SimDisk};
use chronik_journal::Core;
use chronik_log::{Completions, Storage};
use chronik_metadata::MetadataBatch;
use chronik_types::Offset;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::type_config::TypeConfigExt;
use openraft::type_config::alias::OneshotReceiverOf;
use openraft::{EntryPayload, RaftLogReader};

use super::support::{env, storage_options, store};
use crate::log_store::LogStore;
use crate::proposal::{LeaderSynced, Proposal};
use crate::type_config::{CommittedLeaderId, Entry, LogId, TypeConfig, Vote};

/// One state of the log.
#[derive(Clone, Debug, Default, PartialEq)]
struct State {
    purged: Option<LogId>,
    /// The entries after the purged one.
    entries: Vec<Entry>,
    vote: Option<Vote>,
}

impl State {
    fn next_index(&self) -> u64 {
        self.purged.map_or(0, |purged| purged.index + 1) + self.entries.len() as u64
    }

    fn last(&self) -> Option<LogId> {
        self.entries.last().map(|entry| entry.log_id).or(self.purged)
    }
}

/// An append that is not known to be durable.
struct Flying {
    state: usize,
    flushed: OneshotReceiverOf<TypeConfig, std::io::Result<()>>,
    synced: Vec<LeaderSynced>,
}

struct World {
    rng: Rng,
    disk: SimDisk,
    env: Env,
    open: Option<Open>,
    /// What the log went through since the state that is durable for certain, which is the first.
    states: Vec<State>,
    flying: Vec<Flying>,
    committed_end: Offset,
    term: u64,
}

struct Open {
    store: LogStore,
    core: Core,
    completions: Completions,
    storage: Storage,
}

impl Open {
    fn new(env: &Env) -> Self {
        let (storage, completions, _, core) =
            Storage::open_stepped(env.clone(), storage_options()).unwrap();
        let store = store(env, &storage);
        Self { store, core, completions, storage }
    }

    fn step(&mut self) {
        self.core.step();
        self.completions.drain();
    }
}

/// Far more steps of the journal than anything needs.
const STEPS_MAX: usize = 5_000;

/// Runs `work` on the store, stepping the journal while it waits for that.
async fn drive<T>(open: &mut Open, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    for _ in 0..STEPS_MAX {
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(done) = work.as_mut().poll(&mut context) {
            return done;
        }
        open.step();
        // As the broker's flush task does, when the journal is full.
        open.storage.flush_round();
    }
    panic!("the store waits for something that does not come: {:?}", open.storage.stats());
}

/// What a future has, if it has it by now.
fn ready<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let disk = SimDisk::new(seed);
        let env = env(&disk, seed);
        // Set from the start, so that a vote waits for nothing but the journal.
        env.disk.create_dir_all(Path::new("/data/snapshots")).unwrap();
        env.disk.write_atomically(Path::new("/data/snapshots/quorum-member"), b"").unwrap();
        let rng = Rng::from_seed(seed).fork("model");
        let open = Some(Open::new(&env));
        Self {
            rng,
            disk,
            env,
            open,
            states: vec![State::default()],
            flying: Vec::new(),
            committed_end: Offset::ZERO,
            term: 1,
        }
    }

    fn now(&self) -> State {
        self.states.last().cloned().unwrap_or_default()
    }

    fn open(&mut self) -> &mut Open {
        self.open.as_mut().unwrap()
    }

    async fn act(&mut self) {
        match self.rng.below(100) {
            0..45 => self.append().await,
            45..60 => self.step(),
            60..70 => self.truncate().await,
            70..77 => self.vote().await,
            77..85 => self.commit().await,
            85..89 => self.purge().await,
            89..92 => self.install().await,
            92..93 => self.flush(),
            93..96 => self.crash(CrashKind::PowerCut).await,
            96..98 => self.crash(CrashKind::Process).await,
            _ => self.check_now().await,
        }
        self.collect();
    }

    fn entry(&self, index: u64) -> (Entry, Option<LeaderSynced>) {
        let log_id = LogId { leader_id: CommittedLeaderId::from(self.term), index };
        if self.rng.below(8) == 0 {
            return (Entry { log_id, payload: EntryPayload::Blank }, None);
        }
        let batch = MetadataBatch { term: self.term, sequence: index, follows: 0, records: vec![] };
        let (proposal, synced) = Proposal::new(batch);
        (Entry { log_id, payload: EntryPayload::Normal(proposal) }, Some(synced))
    }

    async fn append(&mut self) {
        // As the broker's flush task does; a run of crashes alone fills the journal.
        self.open().storage.flush_round();
        let mut next = self.now();
        let (mut entries, mut synced) = (Vec::new(), Vec::new());
        for _ in 0..=self.rng.below(4) {
            let (entry, waits) = self.entry(next.next_index());
            next.entries.push(entry.clone());
            entries.push(entry);
            synced.extend(waits);
        }
        let (sender, flushed) = TypeConfig::oneshot();
        self.states.push(next);
        self.flying.push(Flying { state: self.states.len() - 1, flushed, synced });
        let mut store = self.open().store.clone();
        let append = store.append(entries, IOFlushed::signal(sender));
        drive(self.open.as_mut().unwrap(), append).await.unwrap();
    }

    fn step(&mut self) {
        self.open().step();
    }

    fn flush(&mut self) {
        let all = self.rng.below(2) == 0;
        let storage = &self.open().storage;
        if all {
            storage.flush_all().unwrap();
        } else {
            storage.flush_round();
        }
    }

    async fn truncate(&mut self) {
        let mut next = self.now();
        let committed = u64::try_from(self.committed_end.0).unwrap();
        let first = next.purged.map_or(0, |purged| purged.index + 1).max(committed);
        if next.next_index() <= first {
            return;
        }
        let keep = first + self.rng.below(next.next_index() - first);
        next.entries.retain(|entry| entry.log_id.index < keep);
        let after = next.last();
        self.term += 1;
        self.states.push(next);
        let mut store = self.open().store.clone();
        let cut = store.truncate_after(after);
        cut.await.unwrap();
    }

    async fn vote(&mut self) {
        self.term += self.rng.below(2);
        let vote = match self.rng.below(2) {
            0 => Vote::new(self.term, 1),
            _ => Vote::new_committed(self.term, 1),
        };
        let mut next = self.now();
        next.vote = Some(vote);
        self.states.push(next);
        let at = self.states.len() - 1;
        let mut store = self.open().store.clone();
        drive(self.open.as_mut().unwrap(), store.save_vote(&vote)).await.unwrap();
        // Everything before it is durable with it.
        self.durable(at);
    }

    async fn commit(&mut self) {
        let state = self.now();
        let Some(last) = state.last() else { return };
        let committed = u64::try_from(self.committed_end.0).unwrap();
        let end = committed + self.rng.below(last.index + 2 - committed.min(last.index + 1));
        if end == 0 || end <= committed {
            return;
        }
        self.committed_end = Offset(i64::try_from(end).unwrap());
        let id = LogId { leader_id: CommittedLeaderId::from(self.term), index: end - 1 };
        let mut store = self.open().store.clone();
        store.save_committed(Some(id)).await.unwrap();
    }

    async fn purge(&mut self) {
        let mut next = self.now();
        let committed = u64::try_from(self.committed_end.0).unwrap();
        let able = next.entries.iter().filter(|entry| entry.log_id.index < committed);
        let able: Vec<LogId> = able.map(|entry| entry.log_id).filter(|id| id.index > 0).collect();
        let Some(upto) = able.get(self.rng.below(able.len() as u64) as usize).copied() else {
            return;
        };
        next.purged = Some(upto);
        next.entries.retain(|entry| entry.log_id.index > upto.index);
        self.states.push(next);
        let mut store = self.open().store.clone();
        store.purge(upto).await.unwrap();
    }

    /// A snapshot replaces the log.
    async fn install(&mut self) {
        let mut next = self.now();
        self.term += 1;
        let index = next.next_index() + self.rng.below(5);
        let upto = LogId { leader_id: CommittedLeaderId::from(self.term), index };
        if index == 0 {
            return;
        }
        // Room for what stands for the snapshot, so that nothing has to be stepped meanwhile.
        for _ in 0..4 {
            self.open().step();
            self.open().storage.flush_all().unwrap();
        }
        self.open().step();
        self.collect();
        next.purged = Some(upto);
        next.entries.clear();
        self.committed_end = Offset(i64::try_from(index).unwrap() + 1);
        self.states.push(next);
        let mut store = self.open().store.clone();
        store.save_committed(Some(upto)).await.unwrap();
        store.purge(upto).await.unwrap();
    }

    /// The state at this place, and so every one before it, is durable.
    fn durable(&mut self, at: usize) {
        self.states.drain(..at);
        self.flying.retain_mut(|flying| {
            let keep = flying.state > at;
            flying.state = flying.state.saturating_sub(at);
            keep
        });
    }

    fn collect(&mut self) {
        let mut last = None;
        let mut place = 0;
        self.flying.retain_mut(|flying| {
            let fired = ready(&mut flying.flushed);
            let dropped = matches!(fired, Some(Err(_)));
            if fired.is_some() && !dropped {
                last = Some(place);
            }
            place += usize::from(!dropped);
            !dropped
        });
        let Some(last) = last else { return };
        let flying = self.flying.get_mut(last).unwrap();
        for synced in &mut flying.synced {
            assert!(ready(synced).is_some_and(|s| s.is_ok()), "a proposer is told with openraft");
        }
        let at = flying.state;
        self.durable(at);
    }

    async fn crash(&mut self, kind: CrashKind) {
        for _ in 0..self.rng.below(3) {
            self.open().step();
        }
        self.collect();
        self.disk.crash(kind);
        self.open = None;
        self.flying.clear();
        self.env = env(&self.disk, self.rng.u64());
        self.open = Some(Open::new(&self.env));
        let found = self.read().await;
        let place = self.states.iter().rposition(|state| *state == found);
        let place = place.unwrap_or_else(|| {
            panic!("recovered {found:#?}, which is none of {:#?}", self.states);
        });
        let recovered = self.open().store.recovered_committed_end().await.unwrap();
        assert!(recovered <= self.committed_end, "more is committed than ever was");
        let start = found.purged.map_or(0, |purged| i64::try_from(purged.index).unwrap());
        assert!(recovered >= Offset(start), "what was purged was committed");
        // openraft forgets what was committed, too, but never truncates it; nor does this test.
        self.states.drain(..place);
        self.states.truncate(1);
        let end = Offset(i64::try_from(found.next_index()).unwrap());
        self.committed_end = self.committed_end.min(end);
        self.term += 1;
    }

    async fn check_now(&mut self) {
        assert_eq!(self.read().await, self.now());
    }

    async fn read(&mut self) -> State {
        let mut store = self.open().store.clone();
        let state = store.get_log_state().await.unwrap();
        let mut reader = store.get_log_reader().await;
        let entries = reader.try_get_log_entries(..).await.unwrap();
        let found = State {
            purged: state.last_purged_log_id,
            entries,
            vote: reader.read_vote().await.unwrap(),
        };
        assert_eq!(state.last_log_id, found.last());
        found
    }
}

async fn run(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..150 {
        world.act().await;
    }
    world.crash(CrashKind::PowerCut).await;
}

#[test]
fn a_crash_leaves_a_state_the_log_went_through_and_nothing_acknowledged_is_gone() {
    sixty_seeds();
}

pub(crate) fn sixty_seeds() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first: u64 = chronik_env::env_var("SEED").and_then(|s| s.parse().ok()).unwrap_or(0);
    for seed in first..first + 60 {
        println!("SEED={seed}");
        // It polls by hand, and so never gives its turn away.
        runtime.block_on(tokio::task::unconstrained(run(seed)));
    }
}

#[tokio::test]
async fn what_the_journal_does_not_take_at_once_is_appended_in_parts() {
    let mut world = World::new(1);
    let appended = tokio::task::unconstrained(async {
        let entries: Vec<Entry> = (0..4_000).map(|index| world.entry(index).0).collect();
        let (sender, flushed) = TypeConfig::oneshot();
        let open = world.open.as_mut().unwrap();
        let mut store = open.store.clone();
        drive(open, store.append(entries, IOFlushed::signal(sender))).await.unwrap();
        drive(open, flushed).await.unwrap()
    });
    appended.await.unwrap();
    assert_eq!(world.read().await.entries.len(), 4_000);
}
