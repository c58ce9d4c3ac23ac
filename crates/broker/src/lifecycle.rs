//! This broker's life as the controller sees it: registered, unfenced, alive, stopping.
//!
//! ```text
//! register ─► caught up ─► unfenced ─► heartbeats ─► wants to stop ─► may stop
//!    ▲                                     │
//!    └───────── the epoch is stale ────────┘
//! ```
//!
//! **Invariants**
//! - A broker says that it is caught up only once its own image has its registration and all that
//!   it knew to be committed before it was started.
//! - Waiting for the quorum at a start has no end: there is nothing else to do.
//! - Another controller is told at once that this broker lives: it knows of nobody yet.
//!
//! **Not here:** how it stops (`retirement`); what the controller makes of it
//! (`chronik-controller`'s `broker_lifecycle`).

mod retirement;

use std::sync::Arc;
use std::time::Duration;

use chronik_controller::{
    ApiError, BrokerHeartbeat, BrokerHeartbeatReply, RegisterBroker, Request, Response,
    supported_features,
};
use chronik_env::Env;
use chronik_metadata::{InternalEndpoint, Listener, StorageHealth};
use chronik_raft::{Leadership, MetadataNode};
use chronik_types::{BrokerEpoch, ErrorCode, Monotonic};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::controller_runtime::{ControllerError, ControllerHandle};
use crate::identity::Identity;
use crate::incarnations::Incarnations;
use crate::options::Options;

/// How often it is said why this broker still waits.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// How long to wait before something that was refused for now is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// The controller refuses this broker, and will go on doing so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// For this reason.
    #[error("the controller does not register this broker: {0}")]
    Refused(String),
    /// This node is stopping.
    #[error("this node is stopping")]
    Stopped,
    /// The incarnation could not be written down.
    #[error("the file `incarnations` of the first data directory: {0}")]
    Incarnations(String),
}

/// See the module.
pub(crate) struct Lifecycle {
    env: Env,
    options: Options,
    identity: Identity,
    metadata: MetadataNode,
    controller: ControllerHandle,
    incarnations: Arc<Mutex<Incarnations>>,
    /// Whether recovery found that something acknowledged may be missing.
    lossy: bool,
    /// Whether this broker is about to stop: it says nothing else any more.
    retiring: watch::Sender<bool>,
}

impl Lifecycle {
    pub fn new(
        env: Env,
        options: Options,
        identity: &Identity,
        metadata: MetadataNode,
        controller: ControllerHandle,
        incarnations: Incarnations,
        lossy: bool,
    ) -> Self {
        Self {
            env,
            options,
            identity: identity.clone(),
            metadata,
            controller,
            incarnations: Arc::new(Mutex::new(incarnations)),
            lossy,
            retiring: watch::Sender::new(false),
        }
    }

    /// Registers this incarnation and waits until it is unfenced, as long as it takes.
    ///
    /// # Errors
    /// When the controller refuses it for good.
    pub async fn join(&self) -> Result<(), RegistrationError> {
        let mut waiting = Waiting::new(&self.env, "waiting for the registration of this broker");
        let epoch = self.register(&mut waiting).await?;
        self.caught_up(&mut waiting).await?;
        loop {
            match self.heartbeat(false).await {
                Ok(reply) if !reply.is_fenced => break,
                Ok(_) => waiting.say("this broker is still fenced"),
                Err(error) => waiting.say(&error.to_string()),
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
        let mut committed = self.metadata.committed();
        let id = self.options.node_id;
        let unfenced = committed.wait_for(|committed| {
            let broker = committed.image.broker(id);
            broker.is_none_or(|broker| broker.epoch != epoch || !broker.fenced)
        });
        unfenced.await.map(|_| ()).map_err(|_| RegistrationError::Stopped)
    }

    async fn register(&self, waiting: &mut Waiting<'_>) -> Result<BrokerEpoch, RegistrationError> {
        loop {
            let request = Request::RegisterBroker(self.registration());
            let deadline = self.env.clock.monotonic().after(SAY_EVERY);
            match self.controller.ask(request, deadline).await {
                Ok(Response::RegisterBroker(Ok(epoch))) => {
                    self.controller.set_broker_epoch(Some(epoch));
                    let (incarnations, env) = (Arc::clone(&self.incarnations), self.env.clone());
                    let write = move || incarnations.lock().registered(&env);
                    let written = chronik_env::blocking(write).await;
                    written.map_err(|e| RegistrationError::Incarnations(e.to_string()))?;
                    return Ok(epoch);
                }
                Ok(Response::RegisterBroker(Err(error))) if is_for_now(&error) => {
                    waiting.say(&error.to_string());
                    tokio::time::sleep(TRY_AGAIN).await;
                }
                Ok(Response::RegisterBroker(Err(error))) => {
                    return Err(RegistrationError::Refused(error.to_string()));
                }
                Ok(_) => {
                    let why = "another answer than to a registration";
                    return Err(RegistrationError::Refused(why.to_owned()));
                }
                Err(ControllerError::Stopped) => return Err(RegistrationError::Stopped),
                Err(ControllerError::Refused(why)) => return Err(RegistrationError::Refused(why)),
                Err(ControllerError::TimedOut) => waiting.say(&self.why_no_controller()),
            }
        }
    }

    fn registration(&self) -> RegisterBroker {
        let options = &self.options;
        let incarnations = self.incarnations.lock();
        let listener = |endpoint: &crate::options::Endpoint| Listener {
            name: endpoint.listener.clone(),
            host: endpoint.host.clone(),
            port: endpoint.port,
            security_protocol: 0,
        };
        RegisterBroker {
            broker_id: options.node_id,
            cluster_id: self.identity.cluster_id.to_string(),
            incarnation: incarnations.current(),
            listeners: options.endpoints.iter().map(listener).collect(),
            internal: options.internal.as_ref().map(|internal| InternalEndpoint {
                host: internal.host.clone(),
                port: internal.port,
            }),
            rack: options.rack.clone(),
            directories: self.identity.directories.clone(),
            features: supported_features(),
            earlier_incarnations: incarnations.earlier().to_vec(),
            storage: if self.lossy { StorageHealth::Lossy } else { StorageHealth::Intact },
        }
    }

    fn why_no_controller(&self) -> String {
        let leadership = self.metadata.leadership();
        match leadership.leader {
            None => format!(
                "the metadata quorum has no leader; are enough of the voters running? (epoch {})",
                leadership.epoch.0
            ),
            Some(leader) => format!("the controller, node {leader}, does not answer"),
        }
    }

    /// Waits until this node's image has all that it knew to be committed before.
    async fn caught_up(&self, waiting: &mut Waiting<'_>) -> Result<(), RegistrationError> {
        let end = self.metadata.recovered_end();
        let mut committed = self.metadata.committed();
        loop {
            let reached = committed.wait_for(|committed| committed.end() >= end);
            match tokio::time::timeout(SAY_EVERY, reached).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(_)) => return Err(RegistrationError::Stopped),
                Err(_) => waiting.say("the metadata of this node are not caught up yet"),
            }
        }
    }

    /// Says that this broker lives, and that it wants to stop if it does.
    async fn heartbeat(&self, wants_shutdown: bool) -> Result<BrokerHeartbeatReply, BeatError> {
        let epoch = *self.controller.broker_epoch().borrow();
        let request = Request::BrokerHeartbeat(BrokerHeartbeat {
            broker_id: self.options.node_id,
            broker_epoch: epoch.ok_or(BeatError::Stale)?,
            is_caught_up: true,
            wants_fence: false,
            wants_shutdown,
        });
        // Beyond this the session is over anyway.
        let deadline = self.env.clock.monotonic().after(self.options.cluster.session_timeout);
        match self.controller.ask(request, deadline).await? {
            Response::BrokerHeartbeat(Ok(reply)) => Ok(reply),
            Response::BrokerHeartbeat(Err(error)) if is_stale(&error) => Err(BeatError::Stale),
            Response::BrokerHeartbeat(Err(error)) => Err(BeatError::Refused(error)),
            _ => Err(BeatError::Unanswered(ControllerError::TimedOut)),
        }
    }

    /// Keeps the registration of this broker alive, and registers it again when it has to be, until
    /// it is about to stop.
    pub async fn stay_alive(self: Arc<Self>) {
        let mut retiring = self.retiring.subscribe();
        tokio::select! {
            biased;
            _ = retiring.wait_for(|retiring| *retiring) => {}
            () = self.beat() => {}
        }
    }

    async fn beat(&self) {
        let mut fenced = false;
        let mut told = self.metadata.leadership();
        loop {
            told = self.until_due(told).await;
            match self.heartbeat(false).await {
                Ok(reply) => {
                    if reply.is_fenced != fenced {
                        fenced = reply.is_fenced;
                        tracing::info!(fenced, "what the controller makes of this broker");
                    }
                }
                Err(BeatError::Stale) => {
                    tracing::warn!(
                        "the registration of this broker is not the present one any more; it \
                         registers again"
                    );
                    if let Err(error) = self.join().await {
                        tracing::error!(%error, "this broker cannot take part any more");
                    }
                }
                Err(error) => tracing::warn!(%error, "the controller did not take a heartbeat"),
            }
        }
    }

    /// Waits until it is time to say again that this broker lives, and says to whom: after a while,
    /// or at once to another controller, which has not heard of it yet.
    async fn until_due(&self, told: Leadership) -> Leadership {
        let another = async {
            let mut seen = told;
            loop {
                let now = self.metadata.leadership_changed(seen).await;
                if now == seen {
                    // The quorum on this node has stopped.
                    return std::future::pending().await;
                }
                if now.leader.is_some() {
                    return now;
                }
                seen = now;
            }
        };
        let every = self.options.cluster.heartbeat_interval;
        let found = tokio::time::timeout(every, another).await;
        found.unwrap_or_else(|_| self.metadata.leadership())
    }
}

/// A heartbeat was not taken.
#[derive(Debug, thiserror::Error)]
enum BeatError {
    #[error("the epoch of this broker is stale")]
    Stale,
    #[error(transparent)]
    Refused(ApiError),
    #[error(transparent)]
    Unanswered(#[from] ControllerError),
}

fn is_stale(error: &ApiError) -> bool {
    matches!(error.code, ErrorCode::StaleBrokerEpoch | ErrorCode::BrokerIdNotRegistered)
}

/// Whether the refusal may be over later.
fn is_for_now(error: &ApiError) -> bool {
    matches!(error.code, ErrorCode::DuplicateBrokerRegistration | ErrorCode::RequestTimedOut)
}

/// Says why something takes long, not more often than an operator wants to read it.
struct Waiting<'a> {
    env: &'a Env,
    for_what: &'static str,
    said: Monotonic,
}

impl<'a> Waiting<'a> {
    fn new(env: &'a Env, for_what: &'static str) -> Self {
        Self { env, for_what, said: env.clock.monotonic() }
    }

    fn say(&mut self, why: &str) {
        let now = self.env.clock.monotonic();
        if now.since(self.said) >= SAY_EVERY {
            self.said = now;
            tracing::info!(why, "{}", self.for_what);
        }
    }
}
