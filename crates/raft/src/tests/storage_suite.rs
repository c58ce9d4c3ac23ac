//! openraft's own suite for storage, on the metadata log and the snapshots of a simulated disk.
//!
//! The suite begins some logs at index 1 or 2, which openraft itself never does: the first entry of
//! a cluster has index 0. [`FromZero`] puts blank entries where the suite leaves that hole.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use chronik_env::SimDisk;
use chronik_log::Storage;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::{EntryPayload, OptionalSend, StorageError};

use super::support::{Running, env, state, storage_options, store};
use crate::log_reader::LogReader;
use crate::log_store::LogStore;
use crate::state_machine::MetadataState;
use crate::type_config::{CommittedLeaderId, Entry, LogId, Runtime, TypeConfig, Vote};

struct FromZero(LogStore);

impl RaftLogStorage<TypeConfig> for FromZero {
    type LogReader = LogReader;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        self.0.get_log_state().await
    }

    async fn get_log_reader(&mut self) -> LogReader {
        self.0.get_log_reader().await
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.0.save_vote(vote).await
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let first = entries.first().map_or(0, |first| first.index());
        if first > 0 && self.0.get_log_state().await?.last_log_id.is_none() {
            let blank = |index| Entry {
                log_id: LogId { leader_id: CommittedLeaderId::from(0), index },
                payload: EntryPayload::Blank,
            };
            self.0.append((0..first).map(blank), IOFlushed::noop()).await?;
        }
        self.0.append(entries, callback).await
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        self.0.truncate_after(last_log_id).await
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        self.0.purge(log_id).await
    }
}

#[derive(Default)]
struct Builder {
    built: AtomicU64,
}

impl StoreBuilder<TypeConfig, FromZero, MetadataState, Running> for Builder {
    async fn build(&self) -> Result<(Running, FromZero, MetadataState), StorageError<TypeConfig>> {
        let seed = self.built.fetch_add(1, Ordering::Relaxed);
        let env = env(&SimDisk::new(seed), seed);
        let (storage, completions, _) = Storage::open(env.clone(), storage_options()).unwrap();
        let running = Running::new(storage, completions);
        let store = store(&env, &running.storage);
        Ok((running, FromZero(store), state(&env)))
    }
}

#[tokio::test]
async fn openrafts_storage_suite_holds() {
    let suite = Suite::<TypeConfig, _, _, _, _>::test_all(Builder::default());
    Runtime::scope(1, suite).await.unwrap();
}
