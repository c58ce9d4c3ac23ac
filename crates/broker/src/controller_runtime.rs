//! Runs the controller: one task that decides, proposes and releases answers, in order.
//!
//! ```text
//! ask ─┬─► queue ─► handle (speculative image) ─► batch ─► propose ─┬─► on this disk ─► answer
//!      │     ▲                                                      └─► applied ─────► answer
//!      └─────┼──► another node's queue (`forwarding`)
//!            └─── requests that other nodes pass on
//! ```
//!
//! **Invariants**
//! - One task proposes. It acts only while this node leads and the first entry of its own term is
//!   applied; the speculative image starts there.
//! - Without a lease nothing is handled: requests wait in the queue, in order and unjudged, until
//!   it returns or those who ask give up.
//! - An answer leaves when what it rests on is committed and applied here; or, where
//!   `metadata.acks=leader` allows it, on this node's own sync if the gate is open at that moment,
//!   and then this node's metadata show the topic already.
//! - A proposal that was refused takes everything behind it along, and the controller activates
//!   anew once all that was proposed has settled.
//! - What is in flight is bounded; requests beyond it wait in the queue, or time out.
//!
//! **Not here:** what is decided (`chronik-controller`), how an entry becomes durable
//! (`chronik-raft`).

mod gathering;
mod handle;
mod parked;
mod reign;

use std::time::Duration;

use chronik_controller::{Bootstrap, Context, Controller, Request, initial_features};
use chronik_env::Env;
use chronik_metadata::Image;
use chronik_peer::Peers;
use chronik_raft::{Leadership, MetadataNode};
use chronik_types::{LeaderEpoch, Uuid};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

pub(crate) use handle::{ControllerError, ControllerHandle, code_of};

use crate::bugs;
use crate::controller_runtime::reign::{End, Reign};
use crate::forwarding::Fate;
use crate::metrics::ClusterMetrics;
use crate::options::Options;

/// Requests that may wait for the controller.
const QUEUE_MAX: usize = 4_096;

/// One request on its way to the controller. An answer that is dropped means that nobody knows
/// what became of the request.
struct Job {
    request: Request,
    answer: oneshot::Sender<Fate>,
}

/// Starts the task of the controller.
pub(crate) fn start(
    env: Env,
    metadata: MetadataNode,
    peers: Peers,
    cluster_id: Uuid,
    options: &Options,
    metrics: ClusterMetrics,
) -> (ControllerHandle, JoinHandle<()>) {
    let (jobs, queue) = mpsc::channel(QUEUE_MAX);
    let (acknowledged, acknowledged_ahead) = watch::channel(None);
    let handle =
        ControllerHandle::new(env.clone(), metadata.clone(), peers, jobs, acknowledged_ahead);
    let lease = options.election.election_max;
    let runtime = Runtime {
        controller: Controller::new(options.controller(), metadata.image()),
        env,
        metadata,
        cluster_id,
        queue,
        acknowledged,
        backlog_age_max: options.cluster.leader_ack_max_lag.min(lease),
        metrics,
        announced: None,
    };
    (handle, tokio::spawn(runtime.run()))
}

/// A handle whose requests are answered by `answer`, or not at all.
#[cfg(test)]
pub(crate) fn answered_by(
    env: Env,
    metadata: MetadataNode,
    peers: Peers,
    answer: impl Fn(Request) -> Option<chronik_controller::Response> + Send + 'static,
) -> ControllerHandle {
    let (jobs, mut asked) = mpsc::channel::<Job>(QUEUE_MAX);
    tokio::spawn(async move {
        while let Some(job) = asked.recv().await {
            if let Some(response) = answer(job.request) {
                let visible_at = chronik_types::Offset::ZERO;
                let _ = job.answer.send(Fate::Answered { response, visible_at });
            }
        }
    });
    ControllerHandle::new(env, metadata, peers, jobs, watch::channel(None).1)
}

/// What the task owns.
struct Runtime {
    env: Env,
    metadata: MetadataNode,
    controller: Controller,
    cluster_id: Uuid,
    queue: mpsc::Receiver<Job>,
    /// What this node's clients see of topics that are not committed yet.
    acknowledged: watch::Sender<Option<Image>>,
    /// How old an entry may be that no quorum has, for answers to leave on the leader's own sync.
    backlog_age_max: Duration,
    metrics: ClusterMetrics,
    /// The epoch that this node was last said to lead.
    announced: Option<LeaderEpoch>,
}

impl Runtime {
    async fn run(mut self) {
        loop {
            let Some(leadership) = self.activation().await else { return };
            self.activate(leadership);
            let end = Reign::new(leadership, self.metadata.lease()).run(&mut self).await;
            self.controller.refused();
            self.publish_acknowledged();
            match end {
                End::Lost => {}
                End::Led => {
                    let now = self.metadata.leadership();
                    tracing::info!(leader = ?now.leader, epoch = now.epoch.0, "no longer leader");
                }
                End::Closed => return,
            }
        }
    }

    /// Waits until this node leads and the first entry of its own term is applied. Meanwhile
    /// whoever asks is told to ask elsewhere. `None` when nobody can ask any more.
    async fn activation(&mut self) -> Option<Leadership> {
        let mut committed = self.metadata.committed();
        let mut seen = self.metadata.leadership();
        loop {
            let leads = self.metadata.leads(seen);
            let activated = committed.borrow_and_update().activated;
            if leads && (activated == Some(seen.epoch) || bugs::activate_early()) {
                return Some(seen);
            }
            tokio::select! {
                biased;
                now = self.metadata.leadership_changed(seen) => {
                    if now == seen {
                        // The quorum on this node has stopped.
                        return None;
                    }
                    seen = now;
                }
                _ = committed.changed() => {}
                job = self.queue.recv(), if !leads => {
                    let _ = job?.answer.send(Fate::NotController);
                }
            }
        }
    }

    /// Begins with what is committed. The first controller of all names the cluster.
    fn activate(&mut self, leadership: Leadership) {
        if self.announced != Some(leadership.epoch) {
            self.announced = Some(leadership.epoch);
            tracing::info!(epoch = leadership.epoch.0, "became leader");
        }
        let image = self.metadata.image();
        let is_new = image.cluster_id().is_none();
        self.controller.activate(self.env.clock.monotonic(), term(leadership.epoch), image);
        if let Some(heard) = self.metadata.succeeded(leadership.epoch) {
            self.controller.succeeds(heard.leader, heard.at);
        }
        if is_new {
            let bootstrap = Bootstrap { cluster_id: self.cluster_id, features: initial_features() };
            // Nobody waits for the answer: what rests on it waits for its batch.
            let _ = self.controller.handle(&self.context(), Request::Bootstrap(bootstrap));
        }
    }

    fn context(&self) -> Context {
        Context { now: self.env.clock.monotonic(), seed: self.env.rng.u64() }
    }

    /// Shows this node's clients what is acknowledged.
    fn publish_acknowledged(&self) {
        let ahead = self.controller.acknowledged_ahead();
        self.acknowledged.send_if_modified(|shown| {
            let changes = shown.is_some() || ahead.is_some();
            *shown = ahead.cloned();
            changes
        });
    }
}

fn term(epoch: LeaderEpoch) -> u64 {
    u64::try_from(epoch.0).unwrap_or(0)
}
