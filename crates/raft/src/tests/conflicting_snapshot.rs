//! A crash between the installation of a snapshot and the cut of entries that contradict it.

use chronik_env::SimDisk;
use chronik_log::Storage;
use openraft::EntryPayload;
use openraft::storage::{IOFlushed, RaftLogStorage};

use super::support::{Running, env, storage_options, store};
use crate::type_config::{CommittedLeaderId, Entry, LogId};

fn id(term: u64, index: u64) -> LogId {
    LogId { leader_id: CommittedLeaderId::from(term), index }
}

#[tokio::test]
async fn entries_that_contradict_the_snapshot_go_and_others_stay() {
    let env = env(&SimDisk::new(1), 1);
    let (storage, completions, _) = Storage::open(env.clone(), storage_options()).unwrap();
    let running = Running::new(storage, completions);
    let mut store = store(&env, &running.storage);
    let blank = |index| Entry { log_id: id(1, index), payload: EntryPayload::Blank };
    store.append((0..10).map(blank), IOFlushed::noop()).await.unwrap();
    store.agree_with(id(1, 8)).await.unwrap();
    assert_eq!(store.get_log_state().await.unwrap().last_log_id, Some(id(1, 9)));
    store.agree_with(id(2, 8)).await.unwrap();
    let state = store.get_log_state().await.unwrap();
    assert_eq!(state.last_purged_log_id, Some(id(2, 8)));
    assert_eq!(state.last_log_id, Some(id(2, 8)));
}
