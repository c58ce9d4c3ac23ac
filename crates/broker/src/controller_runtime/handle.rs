//! Whom to ask for a change of metadata, and when to ask again.
//!
//! **Invariants**
//! - A request is repeated only if it certainly was not carried out, or if repeating it does no
//!   harm because it names what it makes (a topic by its id, an incarnation).
//! - Otherwise an unknown outcome is a timeout to whoever asked, who knows what that means; it is
//!   never "not the controller", which clients take for "was not carried out".
//! - The answer to a change leaves once this node's own image shows the change.
//! - A request travels one hop: what another node has passed on is not passed on again.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use chronik_controller::{AllocateProducerIds, Request, Response};
use chronik_env::Env;
use chronik_metadata::Image;
use chronik_peer::{CallError, Channel, Message, Peers};
use chronik_raft::{Leadership, MetadataNode};
use chronik_types::{BrokerEpoch, BrokerId, ErrorCode, Monotonic, Offset};
use tokio::sync::{mpsc, oneshot, watch};

use crate::controller_runtime::Job;
use crate::forwarding::{self, Fate};
use crate::options::Options;

/// How long to wait for a change of leadership before the same node is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// What a request from another node may wait at most, whatever it says.
const FORWARDED_MAX: Duration = Duration::from_secs(600);

/// The controller gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControllerError {
    /// None within the time; the change may have been made all the same.
    #[error("the controller gave no answer in time")]
    TimedOut,
    /// This node is stopping.
    #[error("this node is stopping")]
    Stopped,
    /// The controller refused.
    #[error("{0}")]
    Refused(String),
}

/// The code of an answer that is not the one to the request.
pub(crate) fn code_of(answer: &Result<Response, ControllerError>) -> ErrorCode {
    match answer {
        Err(ControllerError::TimedOut) => ErrorCode::RequestTimedOut,
        Err(ControllerError::Stopped) => ErrorCode::BrokerNotAvailable,
        Err(ControllerError::Refused(_)) | Ok(_) => ErrorCode::UnknownServerError,
    }
}

/// Takes requests for the controller, wherever it is. Clones share it.
#[derive(Clone)]
pub(crate) struct ControllerHandle {
    inner: Arc<Inner>,
}

struct Inner {
    env: Env,
    metadata: MetadataNode,
    peers: Peers,
    jobs: mpsc::Sender<Job>,
    acknowledged: watch::Receiver<Option<Image>>,
    /// The epoch of this broker's registration; `None` while it has none.
    broker_epoch: watch::Sender<Option<BrokerEpoch>>,
}

impl ControllerHandle {
    pub(super) fn new(
        env: Env,
        metadata: MetadataNode,
        peers: Peers,
        jobs: mpsc::Sender<Job>,
        acknowledged: watch::Receiver<Option<Image>>,
    ) -> Self {
        let broker_epoch = watch::Sender::new(None);
        Self { inner: Arc::new(Inner { env, metadata, peers, jobs, acknowledged, broker_epoch }) }
    }

    /// Asks the controller and waits for its answer until `deadline`. One that has come already, as
    /// that of a request with a timeout of 0, asks nothing.
    ///
    /// # Errors
    /// When there is none; the change may have been made all the same.
    pub async fn ask(
        &self,
        request: Request,
        deadline: Monotonic,
    ) -> Result<Response, ControllerError> {
        let left = deadline.since(self.inner.env.clock.monotonic());
        if left.is_zero() {
            return Err(ControllerError::TimedOut);
        }
        let answer = self.inner.answer(request, deadline);
        tokio::time::timeout(left, answer).await.unwrap_or(Err(ControllerError::TimedOut))
    }

    /// Answers a request that another node has passed on.
    pub async fn forwarded(&self, message: &Message) -> Message {
        let fate = match forwarding::decode_request(message) {
            Ok((request, timeout)) => self.inner.answer_other(request, timeout).await,
            Err(error) => {
                tracing::warn!(%error, "a request to the controller was not understood");
                Fate::NotUnderstood
            }
        };
        forwarding::encode_fate(&fate)
    }

    /// The topics as clients of this node see them, while there are some that are acknowledged and
    /// not committed yet.
    pub fn acknowledged(&self) -> Option<Image> {
        self.inner.acknowledged.borrow().clone()
    }

    /// The epoch of this broker's registration, now and whenever it changes; `None` while it has
    /// none.
    pub fn broker_epoch(&self) -> watch::Receiver<Option<BrokerEpoch>> {
        self.inner.broker_epoch.subscribe()
    }

    /// The controller has registered this broker, or forgotten it.
    pub fn set_broker_epoch(&self, epoch: Option<BrokerEpoch>) {
        self.inner.broker_epoch.send_replace(epoch);
    }

    /// A block of producer ids for this broker to give out.
    ///
    /// # Errors
    /// A code that clients retry.
    pub async fn allocate_producer_ids(
        &self,
        options: &Options,
        deadline: Monotonic,
    ) -> Result<Range<i64>, ErrorCode> {
        let epoch = *self.inner.broker_epoch.borrow();
        let request = AllocateProducerIds {
            broker_id: options.node_id,
            broker_epoch: epoch.ok_or(ErrorCode::CoordinatorLoadInProgress)?,
        };
        match self.ask(Request::AllocateProducerIds(request), deadline).await {
            Ok(Response::AllocateProducerIds(Ok(block))) => {
                Ok(block.first.0..block.first.0.saturating_add(i64::from(block.len)))
            }
            // A stale epoch ends with the next registration, so it is as good as no answer.
            Ok(_) | Err(_) => Err(ErrorCode::CoordinatorLoadInProgress),
        }
    }
}

impl Inner {
    async fn answer(
        &self,
        request: Request,
        deadline: Monotonic,
    ) -> Result<Response, ControllerError> {
        let is_shown = is_shown(&request);
        loop {
            let seen = self.metadata.leadership();
            let fate = match seen.leader {
                None => Fate::NotController,
                Some(_) if self.metadata.leads(seen) => self.ask_here(request.clone()).await?,
                Some(leader) => self.ask_there(leader, &request, deadline).await,
            };
            match fate {
                Fate::Answered { response, visible_at } => {
                    if is_shown {
                        self.until_visible(visible_at).await?;
                    }
                    return Ok(response);
                }
                Fate::NotUnderstood => {
                    let why = "the controller runs a version that does not know this request";
                    return Err(ControllerError::Refused(why.to_owned()));
                }
                Fate::Unknown if !is_identified(&request) => {
                    return Err(ControllerError::TimedOut);
                }
                Fate::Unknown | Fate::NotController => self.until_asking_again(seen).await?,
            }
        }
    }

    async fn answer_other(&self, request: Request, timeout: Duration) -> Fate {
        if !self.metadata.leads(self.metadata.leadership()) {
            return Fate::NotController;
        }
        let answer = self.ask_here(request);
        match tokio::time::timeout(timeout.min(FORWARDED_MAX), answer).await {
            Ok(Ok(fate)) => fate,
            Ok(Err(_)) | Err(_) => Fate::Unknown,
        }
    }

    async fn ask_here(&self, request: Request) -> Result<Fate, ControllerError> {
        let (answer, answered) = oneshot::channel();
        let sent = self.jobs.send(Job { request, answer }).await;
        sent.map_err(|_| ControllerError::Stopped)?;
        Ok(answered.await.unwrap_or(Fate::Unknown))
    }

    async fn ask_there(&self, leader: BrokerId, request: &Request, deadline: Monotonic) -> Fate {
        let left = deadline.since(self.env.clock.monotonic());
        let message = forwarding::encode_request(request, left);
        match self.peers.call(leader, Channel::Control, message, deadline).await {
            Ok(answer) => forwarding::decode_fate(&answer),
            Err(CallError::Unknown(why)) => {
                tracing::debug!(leader = leader.0, why, "no answer from the controller");
                Fate::Unknown
            }
            Err(error) => {
                tracing::debug!(leader = leader.0, %error, "the controller cannot be asked");
                Fate::NotController
            }
        }
    }

    /// Waits until another node may lead, or a while.
    async fn until_asking_again(&self, seen: Leadership) -> Result<(), ControllerError> {
        let changed = self.metadata.leadership_changed(seen);
        match tokio::time::timeout(ASK_AGAIN, changed).await {
            // The quorum on this node has stopped.
            Ok(now) if now == seen => Err(ControllerError::Stopped),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn until_visible(&self, visible_at: Offset) -> Result<(), ControllerError> {
        let mut committed = self.metadata.committed();
        let visible = committed.wait_for(|committed| committed.end() >= visible_at).await;
        visible.map(|_| ()).map_err(|_| ControllerError::Stopped)
    }
}

/// Whether repeating the request does no harm, though it may have been carried out.
fn is_identified(request: &Request) -> bool {
    match request {
        // By topic id, by incarnation; or it says how things are to be, or that a broker lives.
        Request::Bootstrap(_)
        | Request::CreateTopics(_)
        | Request::RegisterBroker(_)
        | Request::BrokerHeartbeat(_)
        // What was given out and not heard of is lost, and there are enough.
        | Request::AllocateProducerIds(_) => true,
        Request::CreatePartitions(_)
        | Request::DeleteTopics(_)
        | Request::AlterConfigs(_)
        | Request::IncrementalAlterConfigs(_)
        | Request::UnregisterBroker(_)
        | Request::AlterPartition(_)
        | Request::ElectLeaders(_)
        | Request::AlterPartitionReassignments(_)
        | Request::UpdateFeatures(_) => false,
    }
}

/// Whether the change is one that clients look for in metadata.
fn is_shown(request: &Request) -> bool {
    !matches!(
        request,
        Request::BrokerHeartbeat(_) | Request::AllocateProducerIds(_) | Request::AlterPartition(_)
    )
}
