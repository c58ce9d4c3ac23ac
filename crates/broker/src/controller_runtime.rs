//! Runs the controller: one task that decides, proposes and releases answers, in order.
//!
//! ```text
//! ask ─► queue ─► handle (speculative image) ─► batch ─► propose ─► applied ─► answer
//! ```
//!
//! **Invariants**
//! - One task proposes. It acts only while this node leads and the first entry of its own term is
//!   applied; the speculative image starts there.
//! - An answer leaves when what it rests on is committed and applied here, so the next metadata
//!   read on this node shows it.
//! - A proposal that was refused fails everything behind it with an unknown outcome, and the
//!   controller activates anew.
//! - What is in flight is bounded; requests beyond it wait in the queue, or time out.
//!
//! **Not here:** what is decided (`chronik-controller`), how an entry becomes durable
//! (`chronik-raft`).

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use chronik_controller::{
    AllocateProducerIds, Bootstrap, BrokerHeartbeat, Context, Controller, RegisterBroker, Release,
    Request, Response, Standing, initial_features, supported_features,
};
use chronik_env::Env;
use chronik_metadata::{Listener, StorageHealth};
use chronik_raft::{Leadership, MetadataNode, ProposeError};
use chronik_types::{BrokerEpoch, ErrorCode, LeaderEpoch, Monotonic, Offset};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::identity::Identity;
use crate::incarnations::Incarnations;
use crate::metrics::ClusterMetrics;
use crate::options::Options;

/// Requests that may wait for the controller.
const QUEUE_MAX: usize = 4_096;
/// Requests that share one entry of the metadata log at most.
const REQUESTS_PER_ENTRY: usize = 256;
/// Entries proposed and not yet applied.
const ENTRIES_IN_FLIGHT: usize = 64;

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

/// One request on its way to the controller.
struct Job {
    request: Request,
    answer: oneshot::Sender<Response>,
}

/// Takes requests for the controller. Clones share it.
#[derive(Clone)]
pub(crate) struct ControllerHandle {
    env: Env,
    jobs: mpsc::Sender<Job>,
    /// The epoch of this broker's registration, once there is one.
    broker_epoch: Arc<Mutex<Option<BrokerEpoch>>>,
}

impl ControllerHandle {
    /// Asks the controller and waits for its answer until `deadline`.
    ///
    /// # Errors
    /// When there is none; the change may have been made all the same.
    pub async fn ask(
        &self,
        request: Request,
        deadline: Monotonic,
    ) -> Result<Response, ControllerError> {
        let (answer, answered) = oneshot::channel();
        let ask = async {
            let sent = self.jobs.send(Job { request, answer }).await;
            sent.map_err(|_| ControllerError::Stopped)?;
            // Dropped without an answer: the outcome is unknown.
            answered.await.map_err(|_| ControllerError::TimedOut)
        };
        let left = deadline.since(self.env.clock.monotonic());
        tokio::time::timeout(left, ask).await.unwrap_or(Err(ControllerError::TimedOut))
    }

    /// Registers this incarnation, and asks to be unfenced.
    pub async fn register(
        &self,
        options: &Options,
        identity: &Identity,
        incarnations: &Incarnations,
        lossy: bool,
        deadline: Monotonic,
    ) -> Result<(), ControllerError> {
        let bootstrap = Bootstrap { cluster_id: identity.cluster_id, features: initial_features() };
        self.ask(Request::Bootstrap(bootstrap), deadline).await?;
        let registration = RegisterBroker {
            broker_id: options.node_id,
            cluster_id: identity.cluster_id.to_string(),
            incarnation: incarnations.current(),
            listeners: options
                .endpoints
                .iter()
                .map(|endpoint| Listener {
                    name: endpoint.listener.clone(),
                    host: endpoint.host.clone(),
                    port: endpoint.port,
                    security_protocol: 0,
                })
                .collect(),
            internal: None,
            rack: options.rack.clone(),
            directories: identity.directories.clone(),
            features: supported_features(),
            earlier_incarnations: incarnations.earlier().to_vec(),
            storage: if lossy { StorageHealth::Lossy } else { StorageHealth::Intact },
        };
        let answer = self.ask(Request::RegisterBroker(registration), deadline).await?;
        let Response::RegisterBroker(registered) = answer else {
            return Err(ControllerError::Refused("another answer than to a registration".into()));
        };
        let epoch = registered.map_err(|error| ControllerError::Refused(error.to_string()))?;
        *self.broker_epoch.lock() = Some(epoch);
        self.heartbeat(options, deadline).await
    }

    /// Says that this broker lives; the first time, that its image has its registration.
    pub async fn heartbeat(
        &self,
        options: &Options,
        deadline: Monotonic,
    ) -> Result<(), ControllerError> {
        let Some(broker_epoch) = *self.broker_epoch.lock() else { return Ok(()) };
        let beat = BrokerHeartbeat {
            broker_id: options.node_id,
            broker_epoch,
            is_caught_up: true,
            wants_fence: false,
            wants_shutdown: false,
        };
        match self.ask(Request::BrokerHeartbeat(beat), deadline).await? {
            Response::BrokerHeartbeat(Ok(_)) => Ok(()),
            Response::BrokerHeartbeat(Err(error)) => {
                Err(ControllerError::Refused(error.to_string()))
            }
            _ => Err(ControllerError::Refused("another answer than to a heartbeat".into())),
        }
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
        let epoch = *self.broker_epoch.lock();
        let request = AllocateProducerIds {
            broker_id: options.node_id,
            broker_epoch: epoch.ok_or(ErrorCode::CoordinatorLoadInProgress)?,
        };
        match self.ask(Request::AllocateProducerIds(request), deadline).await {
            Ok(Response::AllocateProducerIds(Ok(block))) => {
                Ok(block.first.0..block.first.0.saturating_add(i64::from(block.len)))
            }
            Ok(Response::AllocateProducerIds(Err(error))) => Err(error.code),
            Ok(_) | Err(_) => Err(ErrorCode::CoordinatorLoadInProgress),
        }
    }
}

/// Starts the task of the controller.
pub(crate) fn start(
    env: Env,
    metadata: MetadataNode,
    options: &Options,
    metrics: ClusterMetrics,
) -> (ControllerHandle, JoinHandle<()>) {
    let (jobs, queue) = mpsc::channel(QUEUE_MAX);
    let handle = ControllerHandle { env: env.clone(), jobs, broker_epoch: Arc::default() };
    let controller = Controller::new(options.controller(), metadata.image());
    let runtime = Runtime { env, metadata, controller, queue, metrics };
    (handle, tokio::spawn(runtime.run()))
}

struct Runtime {
    env: Env,
    metadata: MetadataNode,
    controller: Controller,
    queue: mpsc::Receiver<Job>,
    metrics: ClusterMetrics,
}

/// What an activation has under way.
struct Reign {
    epoch: LeaderEpoch,
    leadership: Leadership,
    proposals: FuturesOrdered<BoxFuture<'static, Settled>>,
    waiting: VecDeque<Waiting>,
}

/// How a proposal ended.
struct Settled {
    sequence: u64,
    proposed: Monotonic,
    result: Result<Offset, ProposeError>,
}

/// An answer that waits for a batch.
struct Waiting {
    sequence: u64,
    response: Response,
    answer: oneshot::Sender<Response>,
}

/// What to do next.
enum Event {
    Leadership(Leadership),
    Settled(Settled),
    Job(Job),
    Deadline,
    Closed,
}

impl Runtime {
    async fn run(mut self) {
        loop {
            let leadership = self.activation().await;
            let image = self.metadata.image();
            tracing::info!(epoch = leadership.epoch.0, "became leader");
            self.controller.activate(self.env.clock.monotonic(), term(leadership.epoch), image);
            let reign = Reign {
                epoch: leadership.epoch,
                leadership,
                proposals: FuturesOrdered::new(),
                waiting: VecDeque::new(),
            };
            if !self.reign(reign).await {
                return;
            }
        }
    }

    /// Waits until this node leads and the first entry of its own term is applied.
    async fn activation(&self) -> Leadership {
        let mut committed = self.metadata.committed();
        let mut seen = self.metadata.leadership();
        loop {
            let activated = committed.borrow_and_update().activated;
            if self.metadata.leads(seen) && activated == Some(seen.epoch) {
                return seen;
            }
            tokio::select! {
                now = self.metadata.leadership_changed(seen) => seen = now,
                _ = committed.changed() => {}
            }
        }
    }

    /// Serves until the leadership ends or a proposal is lost; `false` when nobody can ask any
    /// more.
    async fn reign(&mut self, mut reign: Reign) -> bool {
        loop {
            match self.next(&mut reign).await {
                Event::Closed => return false,
                Event::Leadership(now) => {
                    tracing::info!(leader = ?now.leader, epoch = now.epoch.0, "no longer leader");
                    return true;
                }
                Event::Settled(settled) => {
                    if !self.settle(&mut reign, settled) {
                        return true;
                    }
                }
                Event::Job(job) => self.take(&mut reign, job),
                Event::Deadline => self.controller.on_deadline(self.env.clock.monotonic()),
            }
            if !self.propose(&mut reign).await {
                return true;
            }
        }
    }

    async fn next(&mut self, reign: &mut Reign) -> Event {
        let room = reign.proposals.len() < ENTRIES_IN_FLIGHT;
        let deadline = self.controller.next_deadline();
        let left = deadline.map(|at| at.since(self.env.clock.monotonic()));
        tokio::select! {
            biased;
            now = self.metadata.leadership_changed(reign.leadership) => Event::Leadership(now),
            Some(settled) = reign.proposals.next(), if !reign.proposals.is_empty() => {
                Event::Settled(settled)
            }
            job = self.queue.recv(), if room => job.map_or(Event::Closed, Event::Job),
            () = tokio::time::sleep(left.unwrap_or_default()), if left.is_some() => Event::Deadline,
        }
    }

    fn context(&self) -> Context {
        Context { now: self.env.clock.monotonic(), seed: self.env.rng.u64() }
    }

    /// Handles a request and those that have come with it: they share an entry.
    fn take(&mut self, reign: &mut Reign, first: Job) {
        self.handle(reign, first);
        for _ in 1..REQUESTS_PER_ENTRY {
            let Ok(job) = self.queue.try_recv() else { return };
            self.handle(reign, job);
        }
    }

    fn handle(&mut self, reign: &mut Reign, job: Job) {
        // Refused only while inactive, which it is not during a reign; then nobody is answered and
        // the outcome is unknown, as after a lost proposal.
        let Ok(outcome) = self.controller.handle(&self.context(), job.request) else { return };
        match outcome.release {
            Release::Now => {
                // Whoever asked may have given up.
                let _ = job.answer.send(outcome.response);
            }
            // With one voter the leader's sync is the commit.
            Release::After { sequence, .. } => reign.waiting.push_back(Waiting {
                sequence,
                response: outcome.response,
                answer: job.answer,
            }),
        }
    }

    /// Proposes what has gathered; `false` when that is no longer possible.
    async fn propose(&mut self, reign: &mut Reign) -> bool {
        while let Some(batch) = self.controller.next_batch() {
            let (sequence, proposed) = (batch.sequence, self.env.clock.monotonic());
            match self.metadata.propose(reign.epoch, batch).await {
                Ok(outcome) => reign.proposals.push_back(Box::pin(async move {
                    Settled { sequence, proposed, result: outcome.applied.await }
                })),
                Err(error) => {
                    tracing::warn!(%error, "a metadata change could not be proposed");
                    self.controller.refused();
                    return false;
                }
            }
        }
        true
    }

    /// Releases what a proposal carried; `false` if it was lost.
    fn settle(&mut self, reign: &mut Reign, settled: Settled) -> bool {
        if let Err(error) = settled.result {
            tracing::warn!(%error, sequence = settled.sequence, "a metadata change was lost");
            self.controller.refused();
            return false;
        }
        let took = self.env.clock.monotonic().since(settled.proposed);
        // With one voter the leader's sync is the commit.
        self.metrics.metadata_written(took);
        self.metrics.metadata_committed(took);
        if self.controller.applied(&self.metadata.image()) == Standing::Inactive {
            return false;
        }
        while reign.waiting.front().is_some_and(|waiting| waiting.sequence <= settled.sequence) {
            if let Some(waiting) = reign.waiting.pop_front() {
                let _ = waiting.answer.send(waiting.response);
            }
        }
        true
    }
}

fn term(epoch: LeaderEpoch) -> u64 {
    u64::try_from(epoch.0).unwrap_or(0)
}

/// Keeps the registration of this broker alive.
pub(crate) async fn heartbeats(handle: ControllerHandle, options: Options, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let deadline = handle.env.clock.monotonic().after(every);
        if let Err(error) = handle.heartbeat(&options, deadline).await {
            tracing::warn!(%error, "the controller did not take a heartbeat");
        }
    }
}
