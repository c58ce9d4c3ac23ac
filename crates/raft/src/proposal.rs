//! What one Raft entry carries, and how whoever proposed it learns what became of it.
//!
//! ```text
//! propose ─► encoded once ─► log (bytes) ─► followers (bytes) ─► apply (decoded once)
//!               │               └─ durable here ─► Proposed::leader_synced
//!               └─ committed and applied here ─► Proposed::applied
//! ```
//!
//! **Invariants**
//! - The bytes of a proposal are made once and never change; they are decoded only where they are
//!   applied.
//! - `leader_synced` completes when the entry is durable in this node's journal at the place where
//!   it was appended in its term; if it is refused or truncated before that, it fails.
//!
//! **Not here:** whether an answer may leave then (the runtime of the controller asks
//! [`crate::Gate`] once more).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use chronik_metadata::{DecodeBatchError, MetadataBatch};
use chronik_types::Offset;
use openraft::errors::ClientWriteError;
use openraft::raft::ClientWriteResult;
use openraft::type_config::alias::OneshotReceiverOf;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::type_config::{TypeConfig, offset_of};

/// What one Raft entry carries: the changes of one or more requests. Clones share everything.
#[derive(Clone)]
pub struct Proposal(Arc<Inner>);

struct Inner {
    encoded: Bytes,
    decoded: OnceLock<Arc<MetadataBatch>>,
    /// Whom to tell when the entry is durable here; only where it was proposed, until appended.
    synced: Mutex<Option<oneshot::Sender<Offset>>>,
}

impl Proposal {
    /// A proposal of `batch`, and what completes when it is durable on this node.
    pub(crate) fn new(batch: MetadataBatch) -> (Self, LeaderSynced) {
        let (sender, receiver) = oneshot::channel();
        let encoded = chronik_metadata::encode_batch(&batch);
        let inner = Inner {
            encoded,
            decoded: OnceLock::from(Arc::new(batch)),
            synced: Mutex::new(Some(sender)),
        };
        (Self(Arc::new(inner)), LeaderSynced { receiver })
    }

    /// The proposal whose encoding this is.
    pub(crate) fn from_encoded(encoded: Bytes) -> Self {
        Self(Arc::new(Inner { encoded, decoded: OnceLock::new(), synced: Mutex::new(None) }))
    }

    /// The encoding.
    pub(crate) fn encoded(&self) -> &Bytes {
        &self.0.encoded
    }

    /// The changes.
    ///
    /// # Errors
    /// When this version does not know one of them.
    pub(crate) fn batch(&self) -> Result<Arc<MetadataBatch>, DecodeBatchError> {
        if let Some(batch) = self.0.decoded.get() {
            return Ok(Arc::clone(batch));
        }
        let batch = Arc::new(chronik_metadata::decode_batch(&self.0.encoded)?);
        Ok(Arc::clone(self.0.decoded.get_or_init(|| batch)))
    }

    /// Whom to tell when the entry is durable; once.
    pub(crate) fn take_synced(&self) -> Option<oneshot::Sender<Offset>> {
        self.0.synced.lock().take()
    }
}

impl PartialEq for Proposal {
    fn eq(&self, other: &Self) -> bool {
        self.0.encoded == other.0.encoded
    }
}

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proposal({} bytes)", self.0.encoded.len())
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What applying an entry yields: whether it followed the last applied one of its term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The records are part of the committed image.
    Yes,
    /// The entry did not follow the last applied sequence of its term and changed nothing.
    OutOfSequence,
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A proposal was not applied, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Certainly not appended: this node does not lead in the proposal's term, has no lease, or
    /// hands its leadership over.
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

/// A proposal on its way.
#[derive(Debug)]
pub struct Proposed {
    /// Completes when the entry is durable on this node, the leader.
    pub leader_synced: LeaderSynced,
    /// Completes when the entry is committed and applied here, or its fate is known otherwise.
    pub applied: AppliedHere,
}

/// Completes with the entry's offset when it is durable on this node, in the term in which it was
/// proposed. Fails with [`ProposeError::Unknown`] if that cannot happen any more; what became of
/// the proposal then, [`AppliedHere`] says.
#[derive(Debug)]
pub struct LeaderSynced {
    receiver: oneshot::Receiver<Offset>,
}

impl Future for LeaderSynced {
    type Output = Result<Offset, ProposeError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let synced = ready!(Pin::new(&mut self.receiver).poll(cx));
        Poll::Ready(synced.map_err(|_| ProposeError::Unknown))
    }
}

/// Completes with the entry's offset when it is applied to the committed image here.
pub struct AppliedHere {
    receiver: OneshotReceiverOf<TypeConfig, ClientWriteResult<TypeConfig>>,
}

impl AppliedHere {
    pub(crate) fn new(
        receiver: OneshotReceiverOf<TypeConfig, ClientWriteResult<TypeConfig>>,
    ) -> Self {
        Self { receiver }
    }
}

impl fmt::Debug for AppliedHere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppliedHere")
    }
}

impl Future for AppliedHere {
    type Output = Result<Offset, ProposeError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match ready!(Pin::new(&mut self.receiver).poll(cx)) {
            Ok(Ok(response)) => match response.data {
                Applied::Yes => Ok(offset_of(response.log_id.index)),
                Applied::OutOfSequence => Err(ProposeError::OutOfSequence),
            },
            Ok(Err(ClientWriteError::ForwardToLeader(_))) => Err(ProposeError::NotLeader),
            Ok(Err(_)) | Err(_) => Err(ProposeError::Unknown),
        })
    }
}
