//! A node that runs, and how it stops.
//!
//! ```text
//! retire: leaderships handed over ► leadership of the quorum handed over
//! stop:   no new requests ► groups and controller ► metadata quorum ► storage sealed
//! ```
//!
//! **Not here:** how it comes to run (`starting`).

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::lifecycle::Lifecycle;
use crate::{Broker, metrics};

/// How long a node that stops may wait for others to take over what it leads. What was
/// acknowledged is on disk, whatever comes of it.
const RETIREMENT_MAX: Duration = Duration::from_secs(5);

/// A running node.
pub struct Node {
    pub(crate) broker: Arc<Broker>,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) registry: Arc<Mutex<Registry>>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) completions: JoinHandle<()>,
    pub(crate) controlling: JoinHandle<()>,
}

impl Node {
    /// The metrics of this node.
    #[must_use]
    pub fn registry(&self) -> Arc<Mutex<Registry>> {
        Arc::clone(&self.registry)
    }

    /// Adds metrics to this node's; their names are put under `chronik_`.
    pub fn register_metrics(&self, collector: Box<dyn Collector>) {
        metrics::register(&mut self.registry.lock(), collector);
    }

    /// Flushes every log to its segments.
    ///
    /// # Errors
    /// When a segment could not be written.
    pub async fn flush_all(&self) -> Result<(), chronik_log::FlushError> {
        let storage = self.broker.storage.clone();
        chronik_env::blocking(move || storage.flush_all()).await
    }

    /// Whether this node serves: its storage runs, its quorum has a leader, and if it is a broker
    /// the image that it has come to says that clients may be sent to it.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let broker = &self.broker;
        let stopped = broker.storage.stopped().borrow().is_some();
        let me = broker.options.node_id;
        let is_active = || broker.committed.borrow().image.is_active(me);
        !stopped
            && broker.metadata.leadership().leader.is_some()
            && (!broker.options.cluster.roles.broker || is_active())
    }

    /// Completes with the reason if the storage stops: a failed fsync, or a disk that is gone.
    /// Nothing can be acknowledged after that, so the process must end.
    pub async fn stopped(&self) -> String {
        let mut stopped = self.broker.storage.stopped();
        let reason = stopped.wait_for(Option::is_some).await.map(|reason| reason.clone());
        match reason {
            Ok(Some(reason)) => reason.to_string(),
            _ => "the storage is gone".to_owned(),
        }
    }

    /// Hands over what this node leads to whoever can take over, while clients are still served
    /// and learn of it. To be called before the listeners are closed.
    pub async fn retire(&self) {
        if self.broker.options.cluster.controlled_shutdown {
            let deadline = self.broker.env.clock.monotonic().after(RETIREMENT_MAX);
            self.lifecycle.retire(deadline).await;
        }
    }

    /// Stops in order. What was acknowledged is on disk whether or not this completes.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        self.controlling.abort();
        self.broker.metadata.shutdown().await;
        let storage = self.broker.storage.clone();
        chronik_env::blocking(move || storage.shutdown()).await;
        self.completions.abort();
    }
}
