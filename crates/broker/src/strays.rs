//! Logs that are nobody's: of partitions that went, or went elsewhere, while this broker was down.
//!
//! **Invariants**
//! - What is a stray is decided once, at the start, when the image is caught up: a replica that it
//!   lacks is gone. Later the image may only be ahead of whoever follows it.
//! - One that could not be set aside is tried again for as long as the image lacks it.

use std::sync::Arc;

use chronik_log::LogError;
use chronik_types::TopicPartition;
use parking_lot::Mutex;

use crate::Broker;

/// Those that could not be set aside yet.
#[derive(Default)]
pub(crate) struct Strays {
    left: Mutex<Vec<TopicPartition>>,
}

impl Strays {
    /// Sets aside what the image lacks of the logs of this broker.
    pub async fn set_aside(&self, broker: &Arc<Broker>) {
        // In this order: a log that is made meanwhile is of a partition that the image had by then.
        self.set_aside_some(broker, broker.storage.known_logs()).await;
    }

    /// Goes on with those that failed: there may have been no room, or the disk may be better now.
    pub async fn try_again(&self, broker: &Arc<Broker>) {
        let left = std::mem::take(&mut *self.left.lock());
        self.set_aside_some(broker, left).await;
    }

    async fn set_aside_some(&self, broker: &Arc<Broker>, logs: Vec<TopicPartition>) {
        let me = broker.options.node_id;
        for tp in logs {
            let is_here = {
                let committed = broker.committed.borrow();
                let state = committed.image.partition(tp);
                state.is_some_and(|state| state.replicas.contains(&me))
            };
            if tp == TopicPartition::METADATA || is_here {
                continue;
            }
            let storage = broker.storage.clone();
            match chronik_env::blocking(move || storage.set_stray(tp)).await {
                Ok(()) => {
                    tracing::info!(%tp, "the log of a replica that is no longer here was set aside");
                }
                Err(error) => {
                    tracing::error!(%tp, %error, "a stray log could not be set aside");
                    if !matches!(error, LogError::Unknown(_) | LogError::Stopped(_)) {
                        self.left.lock().push(tp);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        reason = "a test ends where something is not as expected"
    )]

    use std::path::Path;
    use std::time::Duration;

    use chronik_env::{CallKind, Disk as _, Fault};
    use chronik_types::Offset;

    use super::*;
    use crate::testing::{Cluster, append, eventually, replicated};

    const EIO: i32 = 5;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_stray_that_could_not_be_set_aside_is_tried_again_with_retention() {
        let mut cluster = Cluster::start(1, Duration::from_secs(300)).await;
        let topic_id = cluster.create_topic("gone", 1, &[1]);
        let tp = TopicPartition { topic_id, partition: 0 };
        append(cluster.broker(1), tp, "a record").unwrap();
        replicated(cluster.broker(1), tp, Offset(1)).await;
        cluster.broker(1).storage.flush_all().unwrap();
        cluster.power_cut(1).await;
        cluster.delete_topic("gone");
        cluster.disk(1).fault_nth(CallKind::Rename, 1, Fault::Fail(EIO));
        cluster.retention_check = Duration::from_millis(50);
        cluster.start_node(1).await;
        eventually("the log is set aside", || {
            let entries = cluster.disk(1).read_dir(Path::new("/data")).unwrap();
            let is_stray = |name: &str| name.starts_with("gone-0.") && name.ends_with("-stray");
            entries.iter().any(|entry| is_stray(&entry.name))
        })
        .await;
        let storage = &cluster.broker(1).storage;
        eventually("the journal forgets it", || !storage.known_logs().contains(&tp)).await;
        cluster.stop().await;
    }
}
