//! The metadata quorum on this node: start, propose, watch.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use chronik_env::Env;
use chronik_journal::Class;
use chronik_log::{LogConfig, LogListener, Storage};
use chronik_metadata::{Image, MetadataBatch};
use chronik_types::{BrokerId, LeaderEpoch, Offset, TopicPartition};
use openraft::Raft;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::{ClientWriteError, Fatal, InitializeError, RaftError};
use openraft::impls::ProgressResponder;
use openraft::raft::ClientWriteResult;
use openraft::type_config::alias::OneshotReceiverOf;
use tokio::sync::watch;

use crate::log_store::{Flushes, LogStore};
use crate::network::NoPeers;
use crate::settings::{self, ElectionTimes, InvalidSettings};
use crate::snapshot_file::SnapshotFiles;
use crate::state_machine::{Committed, MetadataState};
use crate::type_config::{Applied, CommittedLeaderId, Member, Proposal, TypeConfig, offset_of};

/// The name of the metadata topic and of its directory's first part.
pub const METADATA_TOPIC: &str = "__chronik_metadata";

/// What the metadata quorum needs to know of this node.
#[derive(Clone, Debug)]
pub struct Options {
    /// This node's number.
    pub node_id: BrokerId,
    /// This node as a member of the quorum.
    pub member: Member,
    /// Where snapshots of the image are kept.
    pub snapshot_dir: PathBuf,
    /// Elections and heartbeats.
    pub times: ElectionTimes,
}

/// The metadata log is cut by snapshots, never by time or size, and has no producers.
fn log_config() -> LogConfig {
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
    /// The first membership could not be written.
    #[error("the metadata quorum could not be initialised: {0}")]
    Initialize(String),
}

/// A proposal was not applied, and what is known of it.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// Certainly not appended: this node does not lead in the proposal's term.
    #[error("not the leader of the metadata quorum in that term")]
    NotLeader,
    /// Appended, and applied as nothing: it did not follow the last proposal of its term.
    #[error("the proposal did not follow the last one of its term")]
    OutOfSequence,
    /// Appended perhaps; nobody can say whether it will commit.
    #[error("the outcome of the proposal is unknown")]
    Unknown,
    /// The quorum on this node has stopped.
    #[error("the metadata quorum on this node has stopped: {0}")]
    Stopped(String),
}

/// Who leads, as far as this node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// The leader, if one is known.
    pub leader: Option<BrokerId>,
    /// Its term, which is the leader epoch of the metadata log.
    pub epoch: LeaderEpoch,
}

/// A member's place in the quorum, for DescribeQuorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumMember {
    /// The member's number.
    pub node_id: BrokerId,
    /// Who it is.
    pub member: Member,
    /// Whether it votes.
    pub voter: bool,
    /// The end of its log, as the leader knows it; unknown to others.
    pub log_end: Option<Offset>,
}

/// The metadata quorum on this node. Clones share it.
#[derive(Clone)]
pub struct MetadataNode {
    raft: Raft<TypeConfig, MetadataState>,
    committed: watch::Receiver<Committed>,
    node_id: BrokerId,
}

impl MetadataNode {
    /// Opens the metadata log and joins the quorum; a quorum of one leads when this returns or
    /// shortly after.
    ///
    /// # Errors
    /// When log, vote or snapshot cannot be read, or openraft refuses.
    pub async fn start(env: Env, storage: Storage, options: Options) -> Result<Self, StartError> {
        let config = settings::config(options.times)?;
        let flushes = Arc::new(Flushes::default());
        let log = storage.open_log(
            TopicPartition::METADATA,
            METADATA_TOPIC,
            Arc::new(log_config()),
            Class::Metadata,
            Arc::clone(&flushes) as Arc<dyn LogListener>,
        )?;
        let files = SnapshotFiles::new(options.snapshot_dir);
        let (state, committed) = MetadataState::load(env.clone(), files)?;
        tracing::info!("Metadata WAL created (topic='{METADATA_TOPIC}', partition=0)");
        let store = LogStore::new(env, storage, log, flushes)?;
        let node_id = options.node_id.0;
        let raft = Raft::new(node_id, config, NoPeers, store, state).await?;
        let node = Self { raft, committed, node_id: options.node_id };
        node.initialize(options.member).await?;
        Ok(node)
    }

    /// Writes the first membership on an empty log, else stands for election at once: a quorum of
    /// one has nobody to wait for.
    async fn initialize(&self, member: Member) -> Result<(), StartError> {
        let members = BTreeMap::from([(self.node_id.0, member)]);
        match self.raft.initialize(members).await {
            Ok(()) => Ok(()),
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {
                let mut voters = self.raft.voter_ids();
                if voters.all(|id| id == self.node_id.0) {
                    self.raft.trigger().elect(false).await?;
                }
                Ok(())
            }
            Err(other) => Err(StartError::Initialize(other.to_string())),
        }
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

    /// Who leads, as far as this node knows.
    #[must_use]
    pub fn leadership(&self) -> Leadership {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        Leadership {
            leader: metrics.current_leader.map(BrokerId),
            epoch: LeaderEpoch(metrics.vote.leader_id.term),
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

    /// Proposes `batch` in `epoch` and gives what will tell its outcome. Proposals are appended in
    /// the order of these calls.
    ///
    /// # Errors
    /// When the quorum on this node has stopped.
    pub async fn propose(
        &self,
        epoch: LeaderEpoch,
        batch: MetadataBatch,
    ) -> Result<Outcome, ProposeError> {
        let (responder, receiver) = ProgressResponder::complete_only();
        self.raft
            .write(Proposal(Arc::new(batch)))
            .with_leader(CommittedLeaderId::from(epoch.0))
            .responder(responder)
            .await
            .map_err(|e| ProposeError::Stopped(e.to_string()))?;
        Ok(Outcome { receiver })
    }

    /// The members of the quorum and how far each is, as this node knows it.
    #[must_use]
    pub fn members(&self) -> Vec<QuorumMember> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let voters: Vec<i32> = membership.voter_ids().collect();
        let own_end = metrics.last_log_index.map(|index| offset_of(index).next());
        membership
            .nodes()
            .map(|(&id, member)| QuorumMember {
                node_id: BrokerId(id),
                member: member.clone(),
                voter: voters.contains(&id),
                log_end: if id == self.node_id.0 { own_end } else { None },
            })
            .collect()
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
}

/// Tells how a proposal ended.
pub struct Outcome {
    receiver: OneshotReceiverOf<TypeConfig, ClientWriteResult<TypeConfig>>,
}

impl Outcome {
    /// Waits until the proposal is applied here, or its fate is known otherwise.
    ///
    /// # Errors
    /// See [`ProposeError`].
    pub async fn applied(self) -> Result<Offset, ProposeError> {
        match self.receiver.await {
            Ok(Ok(response)) => match response.data {
                Applied::Yes => Ok(offset_of(response.log_id.index)),
                Applied::OutOfSequence => Err(ProposeError::OutOfSequence),
            },
            Ok(Err(ClientWriteError::ForwardToLeader(_))) => Err(ProposeError::NotLeader),
            Ok(Err(_)) | Err(_) => Err(ProposeError::Unknown),
        }
    }
}
