//! A node and its listeners: start, serve, stop in order.
//!
//! **Not here:** the process around them: signals, exit codes, standard output (`start`).

use std::sync::Arc;

use chronik_broker::{Node, Starting};
use chronik_config::NodeConfig;
use chronik_env::Env;
use chronik_net::{ListenerInfo, Server};
use tokio::{
    sync::{RwLock, oneshot},
    task::JoinHandle,
};

use crate::{
    http::{self, Admin},
    logging::LogLevel,
    net_metrics::NetMetrics,
    options, quorum_discovery,
};

/// Why a node could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener cannot be bound.
    #[error(transparent)]
    Bind(#[from] chronik_net::BindError),
    /// The admin listener cannot be bound.
    #[error(transparent)]
    Admin(#[from] http::AdminBindError),
    /// The node itself cannot be started.
    #[error(transparent)]
    Node(#[from] chronik_broker::StartError),
}

/// A node that serves.
pub struct Running {
    node: Arc<RwLock<Option<Node>>>,
    listeners: Vec<Arc<ListenerInfo>>,
    stop_serving: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Running {
    /// Starts a node of this configuration, of which connections and segments may use so many
    /// `open_files`. The admin listener, if there is one, needs the `level` that it changes.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is served then.
    pub async fn start(
        env: Env,
        config: &NodeConfig,
        open_files: usize,
        level: Option<LogLevel>,
    ) -> Result<Self, StartError> {
        let server = Server::bind(options::net(config, open_files), &env).await?;
        let node = Arc::new(RwLock::new(None));
        if let (Some((host, port)), Some(level)) = (&config.admin_listener, level) {
            let listener = http::bind(host, *port).await?;
            tokio::spawn(http::serve(listener, Admin { node: Arc::clone(&node), level }));
        }
        let listeners = server.listeners();
        let mut options = options::broker(config, &listeners, open_files);
        let quorum = &mut options.cluster.quorum;
        if quorum.voters.is_empty() {
            quorum.voters = quorum_discovery::voters(&env, &quorum.bootstrap_servers).await;
        }
        let starting = Starting::prepare(env, options)?;
        let counters = NetMetrics { metrics: server.metrics(), memory: server.memory() };
        let (stop_serving, asked) = oneshot::channel();
        // Other nodes must be able to ask this one before it can start; clients wait.
        let serving = tokio::spawn(server.serve(starting.service(), async {
            // An error means that the other side is gone, which is as good a reason to stop.
            let _ = asked.await;
        }));
        let started = starting.start().await?;
        started.register_metrics(Box::new(counters));
        *node.write().await = Some(started);
        Ok(Self { node, listeners, stop_serving, serving })
    }

    /// The listeners as they were bound, in the order of the configuration.
    #[must_use]
    pub fn listeners(&self) -> &[Arc<ListenerInfo>] {
        &self.listeners
    }

    /// Completes with the reason if the storage stops; nothing can be acknowledged after that.
    pub async fn storage_stopped(&self) -> String {
        match &*self.node.read().await {
            Some(node) => node.stopped().await,
            None => std::future::pending().await,
        }
    }

    /// Hands over what the node leads, finishes requests in flight, then stops the node in order.
    pub async fn stop(self) {
        if let Some(node) = &*self.node.read().await {
            node.retire().await;
        }
        let _ = self.stop_serving.send(());
        if let Err(error) = self.serving.await {
            tracing::error!(%error, "serving ended abnormally");
        }
        if let Some(node) = self.node.write().await.take() {
            node.shutdown().await;
        }
    }
}
