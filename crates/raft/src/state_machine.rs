//! The state machine: the committed image, its application and its snapshots.
//!
//! **Invariants**
//! - `applied` only grows; an image is published after every record of its entry is in it, and a
//!   waiter is answered after the image that holds its change is published.
//! - Entries are applied in slices: in between the image is published and other tasks run, so that
//!   a long recovery delays neither heartbeats nor whoever waits for its beginning.
//! - Apply never fails for a reason of its own: records are results. A record that does not apply
//!   (an unknown kind, a missing topic) stops the node rather than let images differ.
//! - An entry whose number does not follow the last applied one of its term changes nothing,
//!   on every node alike (cluster.md: numbered proposals).
//!
//! **Not here:** deciding what to propose (`chronik-controller`), the log (`log_store`).

use std::io;

use chronik_env::Env;
use chronik_metadata::{BatchOutcome, Image};
use chronik_types::{LeaderEpoch, Offset};
use futures_util::{Stream, StreamExt};
use openraft::storage::{ApplyResponder, EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::type_config::alias::{SnapshotMetaOf, SnapshotOf};
use openraft::{EntryPayload, SnapshotMeta};
use tokio::sync::watch;

use crate::proposal::Applied;
use crate::snapshot_file::SnapshotFiles;
use crate::type_config::{
    Entry, LogId, StoredMembership, TypeConfig, epoch_of, epoch_of_term, offset_of,
};

/// Entries applied between two publications of the image, and before others get a turn.
const SLICE_ENTRIES: usize = 256;

/// The committed image, and how far it goes.
#[derive(Clone, Debug, Default)]
pub struct Committed {
    /// The image after the last applied entry.
    pub image: Image,
    /// That entry.
    pub applied: Option<LogId>,
    /// The epoch whose first (blank) entry was applied last: from then on its leader may act as
    /// controller.
    pub activated: Option<LeaderEpoch>,
}

impl Committed {
    /// The offset after the last applied entry.
    pub fn end(&self) -> Offset {
        self.applied.map_or(Offset::ZERO, |id| offset_of(id.index).next())
    }

    /// The epoch of the last applied entry.
    pub fn epoch(&self) -> LeaderEpoch {
        self.applied.as_ref().map_or(LeaderEpoch::ZERO, epoch_of)
    }
}

/// What a snapshot holds: the image as it was, shared rather than copied.
pub(crate) type ImageSnapshot = Image;

/// The state machine openraft drives.
pub(crate) struct MetadataState {
    env: Env,
    files: SnapshotFiles,
    committed: watch::Sender<Committed>,
    membership: StoredMembership,
    snapshot: Option<SnapshotOf<TypeConfig, ImageSnapshot>>,
}

impl MetadataState {
    /// The state as the newest snapshot file has it; empty if there is none.
    ///
    /// # Errors
    /// If the directory cannot be read or the newest snapshot is damaged.
    pub fn load(env: Env, files: SnapshotFiles) -> io::Result<(Self, watch::Receiver<Committed>)> {
        let snapshot = files.load_newest(&env)?;
        let mut start = Committed::default();
        let mut membership = StoredMembership::default();
        if let Some(snapshot) = &snapshot {
            start.image = snapshot.snapshot.clone();
            start.applied = snapshot.meta.last_log_id;
            membership = snapshot.meta.last_membership.clone();
        }
        let (committed, watch) = watch::channel(start);
        Ok((Self { env, files, committed, membership, snapshot }, watch))
    }
}

impl MetadataState {
    fn apply_entry(&mut self, next: &mut Committed, entry: &Entry) -> io::Result<Applied> {
        let outcome = match &entry.payload {
            EntryPayload::Blank => {
                next.activated = Some(epoch_of_term(entry.log_id.leader_id.term));
                Applied::Yes
            }
            EntryPayload::Normal(proposal) => {
                let batch = proposal.batch().map_err(io::Error::other)?;
                match next.image.apply_batch(&batch).map_err(io::Error::other)? {
                    BatchOutcome::Applied => Applied::Yes,
                    BatchOutcome::Ignored => Applied::OutOfSequence,
                }
            }
            EntryPayload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
                Applied::Yes
            }
        };
        next.applied = Some(entry.log_id);
        Ok(outcome)
    }

    /// Shows `next`, then tells whoever waited for what is in it.
    fn publish(&self, next: &Committed, answers: &mut Vec<(ApplyResponder<TypeConfig>, Applied)>) {
        self.committed.send_replace(next.clone());
        for (responder, outcome) in answers.drain(..) {
            responder.send(outcome);
        }
    }
}

impl RaftStateMachine<TypeConfig> for MetadataState {
    type SnapshotData = ImageSnapshot;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.committed.borrow().applied, self.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + Send,
    {
        let mut next = self.committed.borrow().clone();
        let mut answers = Vec::new();
        let mut in_slice = 0;
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            let outcome = self.apply_entry(&mut next, &entry)?;
            answers.extend(responder.map(|responder| (responder, outcome)));
            in_slice += 1;
            if in_slice == SLICE_ENTRIES {
                in_slice = 0;
                self.publish(&next, &mut answers);
                tokio::task::yield_now().await;
            }
        }
        self.publish(&next, &mut answers);
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        let committed = self.committed.borrow().clone();
        SnapshotBuilder {
            env: self.env.clone(),
            files: self.files.clone(),
            snapshot: SnapshotOf::<TypeConfig, ImageSnapshot> {
                meta: SnapshotMeta {
                    last_log_id: committed.applied,
                    last_membership: self.membership.clone(),
                },
                snapshot: committed.image,
            },
        }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMetaOf<TypeConfig>,
        snapshot: ImageSnapshot,
    ) -> io::Result<()> {
        let snapshot = SnapshotOf::<TypeConfig, ImageSnapshot> { meta: meta.clone(), snapshot };
        self.files.write(&self.env, &snapshot).await?;
        self.membership = meta.last_membership.clone();
        self.committed.send_modify(|committed| {
            committed.image = snapshot.snapshot.clone();
            committed.applied = meta.last_log_id;
        });
        self.snapshot = Some(snapshot);
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> io::Result<Option<SnapshotOf<TypeConfig, ImageSnapshot>>> {
        // A snapshot built in the background is on disk before openraft asks; the newest file is
        // the truth, the one in memory only saves reading it.
        if self.files.newest_written() != self.snapshot.as_ref().and_then(|s| s.meta.last_log_id) {
            self.snapshot = self.files.load_newest(&self.env)?;
        }
        Ok(self.snapshot.clone())
    }
}

/// Writes one snapshot in the background: the image is shared, so nothing waits for it.
pub(crate) struct SnapshotBuilder {
    env: Env,
    files: SnapshotFiles,
    snapshot: SnapshotOf<TypeConfig, ImageSnapshot>,
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = ImageSnapshot;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<TypeConfig, ImageSnapshot>> {
        self.files.write(&self.env, &self.snapshot).await?;
        Ok(self.snapshot.clone())
    }
}
