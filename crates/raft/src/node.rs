//! The metadata quorum on this node: start, propose, watch.
//!
//! **Not here:** who is a member (`membership`), how the others are reached (`network`), what a
//! directory that is new does before anything is opened (`bootstrap`).

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chronik_env::Env;
use chronik_journal::Class;
use chronik_log::{LogConfig, LogListener, Storage};
use chronik_metadata::{Image, MetadataBatch};
use chronik_peer::{Message, Peers};
use chronik_types::{BrokerId, LeaderEpoch, Monotonic, Offset, TopicPartition, Uuid};
use openraft::Raft;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::{Fatal, InitializeError, RaftError};
use openraft::impls::ProgressResponder;
use tokio::sync::watch;

use crate::bootstrap::{Decision, Local, Role, probed};
use crate::flushes::Flushes;
use crate::gate::{Gate, Judge, Lease};
use crate::last_leader::{LastHeard, LastLeader};
use crate::log_store::{LogStore, VoteCounts};
use crate::member_mark::MemberMark;
use crate::network::Network;
use crate::proposal::{AppliedHere, Proposal, ProposeError, Proposed};
use crate::settings::{self, ElectionTimes, InvalidSettings, LogKept};
use crate::snapshot_file::SnapshotFiles;
use crate::state_machine::{Committed, MetadataState};
use crate::type_config::{
    CommittedLeaderId, LogId, Member, TypeConfig, broker_of, epoch_of_term, node_of, offset_of,
    seeded, term_of,
};

/// The name of the metadata topic and of its directory's first part.
pub const METADATA_TOPIC: &str = "__chronik_metadata";

/// What the metadata quorum needs to know of this node.
pub struct Options {
    /// This node's number.
    pub node_id: BrokerId,
    /// This node as a member of the quorum.
    pub member: Member,
    /// Where snapshots of the image are kept.
    pub snapshot_dir: PathBuf,
    /// Elections and heartbeats.
    pub times: ElectionTimes,
    /// How much of the log stays.
    pub kept: LogKept,
    /// The configured voters: whom to ask when no leader is known.
    pub voters: Vec<BrokerId>,
    /// Which cluster, and as what this node goes on ([`crate::bootstrap`]).
    pub decision: Decision,
    /// The other nodes.
    pub peers: Peers,
}

/// The metadata log is cut by snapshots, never by time or size, and has no producers.
pub(crate) fn log_config() -> LogConfig {
    LogConfig {
        retention_ms: -1,
        retention_bytes: -1,
        cleanup_delete: false,
        cleanup_compact: false,
        segment_bytes: 64 << 20,
        ..LogConfig::default()
    }
}

/// The metadata quorum could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The times in the configuration contradict each other.
    #[error(transparent)]
    Settings(#[from] InvalidSettings),
    /// The metadata log or a snapshot could not be opened.
    #[error("the metadata log could not be opened: {0}")]
    Log(#[from] chronik_log::LogError),
    /// Reading the vote, the log or a snapshot failed.
    #[error("the metadata log could not be read: {0}")]
    Read(#[from] io::Error),
    /// openraft refused to start or stopped at once.
    #[error("the metadata quorum could not be started: {0}")]
    Raft(#[from] Fatal<TypeConfig>),
    /// This directory has voted, and its vote is gone.
    #[error(
        "the journal of a directory that is a voter of the metadata quorum is gone ({0} says it \
         was there); restore the journal, or remove the data directories so that this node joins \
         as a new one"
    )]
    Lost(PathBuf),
    /// The first membership could not be written.
    #[error("the metadata quorum could not be initialised: {0}")]
    Initialize(String),
}

/// Who leads, as far as this node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// The leader, if one is known.
    pub leader: Option<BrokerId>,
    /// Its term, which is the leader epoch of the metadata log.
    pub epoch: LeaderEpoch,
}

/// The metadata quorum on this node. Clones share it.
#[derive(Clone)]
pub struct MetadataNode {
    pub(crate) env: Env,
    pub(crate) raft: Raft<TypeConfig, MetadataState>,
    pub(crate) store: LogStore,
    pub(crate) judge: Judge,
    committed: watch::Receiver<Committed>,
    lease: watch::Receiver<Lease>,
    pub(crate) node_id: BrokerId,
    /// This node as a member.
    pub(crate) own: Member,
    pub(crate) cluster_id: Uuid,
    pub(crate) voters: Arc<Vec<BrokerId>>,
    pub(crate) peers: Peers,
    /// When it began to start: whatever this node acknowledged before is older.
    pub(crate) started: Monotonic,
    /// There was a leader before this start: it may be owed a lease.
    pub(crate) had_leader: bool,
    /// Who led before this node does.
    pub(crate) last_leader: LastLeader,
    /// The one queue of membership changes.
    pub(crate) membership: Arc<tokio::sync::Mutex<()>>,
    /// How long a quorum's acknowledgement makes this node the only leader.
    pub(crate) lease_time: Duration,
    recovered_end: Offset,
}

impl MetadataNode {
    /// Opens the metadata log and joins the quorum; a quorum of one leads when this returns or
    /// shortly after.
    ///
    /// # Errors
    /// When log, vote or snapshot cannot be read, or openraft refuses.
    pub async fn start(env: Env, storage: Storage, options: Options) -> Result<Self, StartError> {
        let started = env.clock.monotonic();
        let config = settings::config(options.times, options.kept)?;
        let flushes = Arc::new(Flushes::default());
        let log = storage.open_log(
            TopicPartition::METADATA,
            METADATA_TOPIC,
            Arc::new(log_config()),
            Class::Metadata,
            Arc::clone(&flushes) as Arc<dyn LogListener>,
        )?;
        let mark = MemberMark::read(&env, &options.snapshot_dir);
        let files = SnapshotFiles::new(options.snapshot_dir.clone());
        let (state, committed) = MetadataState::load(env.clone(), files)?;
        tracing::info!("Metadata WAL created (topic='{METADATA_TOPIC}', partition=0)");
        let store = LogStore::new(env.clone(), storage, log, flushes, mark.clone())?;
        if mark.is_set() && store.is_empty() {
            return Err(StartError::Lost(options.snapshot_dir));
        }
        let snapshot_last = committed.borrow().applied;
        if let Some(last) = snapshot_last {
            store.agree_with(last).await?;
        }
        let snapshot_end = committed.borrow().end();
        let recovered_end = store.recovered_committed_end().await?.max(snapshot_end);
        let id = node_of(options.node_id);
        let had_leader = store.had_leader();
        let network = Network::new(env.clone(), options.peers.clone());
        let raft = Raft::new(id, config, network, store.clone(), state);
        let raft = seeded(&env.rng, raft).await?;
        tracing::info!("Metadata WAL replication configured");
        let lease_time = options.times.election_max;
        let judge = Judge::new(raft.clone(), id, lease_time);
        let lease = judge.clone().watch();
        let node = Self {
            env,
            raft,
            store,
            judge,
            committed,
            lease,
            node_id: options.node_id,
            own: options.member,
            cluster_id: options.decision.cluster_id,
            voters: Arc::new(options.voters),
            peers: options.peers,
            started,
            had_leader,
            last_leader: LastLeader::default(),
            membership: Arc::default(),
            lease_time,
            recovered_end,
        };
        tracing::info!("WalReceiver configured for metadata replication");
        node.begin(options.decision.role).await?;
        node.keep_addresses();
        node.keep_joined();
        Ok(node)
    }

    /// Writes the first membership on an empty log; on another one stands for election at once if
    /// this node is the only voter, because it has nobody to wait for.
    async fn begin(&self, role: Role) -> Result<(), StartError> {
        if let Role::Initialise(founders) = role {
            let members: BTreeMap<u64, Member> =
                founders.into_iter().map(|(id, member)| (node_of(id), member)).collect();
            match self.raft.initialize(members).await {
                Ok(()) => return Ok(()),
                Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
                Err(other) => return Err(StartError::Initialize(other.to_string())),
            }
        }
        let mut voters = self.raft.voter_ids();
        if voters.next() == Some(node_of(self.node_id)) && voters.next().is_none() {
            self.raft.trigger().elect(false).await?;
        }
        Ok(())
    }

    /// The committed image as this node has applied it; O(1).
    #[must_use]
    pub fn image(&self) -> Image {
        self.committed.borrow().image.clone()
    }

    /// The committed image and its position, now and whenever it changes.
    #[must_use]
    pub fn committed(&self) -> watch::Receiver<Committed> {
        self.committed.clone()
    }

    /// The end of what this node knew to be committed before it was started: it serves no metadata
    /// before its image has reached it.
    #[must_use]
    pub fn recovered_end(&self) -> Offset {
        self.recovered_end
    }

    /// Who leads, as far as this node knows.
    #[must_use]
    pub fn leadership(&self) -> Leadership {
        let metrics = self.raft.server_metrics();
        let vote = metrics.borrow_watched().vote;
        Leadership {
            leader: vote.committed.then(|| broker_of(vote.leader_id.voted_for)),
            epoch: epoch_of_term(vote.leader_id.term),
        }
    }

    /// Whether `leadership` is this node's.
    #[must_use]
    pub fn leads(&self, leadership: Leadership) -> bool {
        leadership.leader == Some(self.node_id)
    }

    /// Completes when the leadership or the role of this node may have changed.
    pub async fn leadership_changed(&self, seen: Leadership) -> Leadership {
        let mut metrics = self.raft.server_metrics();
        loop {
            let now = self.leadership();
            if now != seen || metrics.changed().await.is_err() {
                return now;
            }
        }
    }

    /// This node leads in `epoch`: who led before, and when it was last heard of. Told once.
    #[must_use]
    pub fn succeeded(&self, epoch: LeaderEpoch) -> Option<LastHeard> {
        self.last_leader.succeeded(term_of(epoch))
    }

    /// What the fast path asks before it lets an answer leave.
    #[must_use]
    pub fn gate(&self) -> Gate {
        self.judge.gate(self.store.backlog_age(self.env.clock.monotonic()))
    }

    /// Whether this node may propose, now and whenever that changes.
    #[must_use]
    pub fn lease(&self) -> watch::Receiver<Lease> {
        self.lease.clone()
    }

    /// Completes when the lease is another than `seen`.
    pub async fn lease_changed(&self, seen: Lease) -> Lease {
        let mut lease = self.lease.clone();
        match lease.wait_for(|now| *now != seen).await {
            Ok(now) => *now,
            Err(_) => Lease { held: false, ..seen },
        }
    }

    /// Elections in which this node stood and changes of leader that it saw, since it started.
    #[must_use]
    pub fn vote_counts(&self) -> VoteCounts {
        self.store.vote_counts()
    }

    /// Proposes `batch` in `epoch` and gives what will tell its outcome. Proposals are appended in
    /// the order of these calls; one task makes them.
    ///
    /// # Errors
    /// When the quorum on this node has stopped.
    pub async fn propose(
        &self,
        epoch: LeaderEpoch,
        batch: MetadataBatch,
    ) -> Result<Proposed, ProposeError> {
        let (responder, receiver) = ProgressResponder::complete_only();
        let (proposal, leader_synced) = Proposal::new(batch);
        self.raft
            .write(proposal)
            .with_leader(CommittedLeaderId::from(term_of(epoch)))
            .responder(responder)
            .await
            .map_err(|e| ProposeError::Stopped(e.to_string()))?;
        Ok(Proposed { leader_synced, applied: AppliedHere::new(receiver) })
    }

    /// Builds a snapshot now; completes when it was asked for, not when it is written.
    ///
    /// # Errors
    /// When the quorum on this node has stopped.
    pub async fn snapshot(&self) -> Result<(), ProposeError> {
        let asked = self.raft.trigger().snapshot().await;
        asked.map_err(|e| ProposeError::Stopped(e.to_string()))
    }

    /// Stops taking part. What was acknowledged is on disk already.
    pub async fn shutdown(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "the metadata quorum did not stop cleanly");
        }
    }

    /// The offsets of the entries this node's log holds; those before are in a snapshot.
    #[must_use]
    pub fn log_range(&self) -> Range<Offset> {
        let metrics = self.raft.data_metrics();
        let metrics = metrics.borrow_watched();
        let after = |id: &LogId| offset_of(id.index).next();
        let start = metrics.purged.as_ref().map_or(Offset::ZERO, after);
        start..metrics.last_log.as_ref().map_or(start, after)
    }

    /// The answer to a question of [`crate::bootstrap`].
    pub(crate) fn probed(&self) -> Message {
        let local = if self.store.is_empty() {
            Local::Formatted(self.cluster_id)
        } else {
            Local::Member(self.cluster_id)
        };
        probed(local, self.own.directory, &self.voters.iter().copied().collect())
    }

    /// The end of the log on this node.
    pub(crate) fn log_end(&self) -> Option<Offset> {
        let metrics = self.raft.data_metrics();
        let last = metrics.borrow_watched().last_log;
        last.map(|id| offset_of(id.index).next())
    }
}
