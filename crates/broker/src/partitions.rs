//! The partitions this broker serves, opened when they are first used.
//!
//! **Invariants**
//! - A partition is opened only if the committed image says that this broker leads it, and leads
//!   in the epoch of that image: a topic that could still vanish never holds a record.
//! - There is one open [`Partition`] per [`TopicPartition`]; an idle partition has none.
//!
//! **Not here:** what the image says (`chronik-metadata`), the log itself (`chronik-log`).

use std::collections::HashMap;
use std::sync::Arc;

use chronik_journal::Class;
use chronik_log::{LogListener, Storage};
use chronik_metadata::{Image, Topic};
use chronik_types::{BrokerId, ErrorCode, TopicId, TopicPartition};
use parking_lot::RwLock;
use tokio::sync::watch;

use chronik_raft::Committed;

use crate::api::error::{Refusal, refusal_of_append};
use crate::partition::Partition;
use crate::progress::Progress;
use crate::topic_settings::{SettingsSource, TopicSettings};

/// See the module.
pub(crate) struct Partitions {
    node_id: BrokerId,
    storage: Storage,
    committed: watch::Receiver<Committed>,
    settings: SettingsSource,
    open: RwLock<HashMap<TopicPartition, Arc<Partition>>>,
}

impl Partitions {
    pub fn new(
        node_id: BrokerId,
        storage: Storage,
        committed: watch::Receiver<Committed>,
        settings: SettingsSource,
    ) -> Self {
        Self { node_id, storage, committed, settings, open: RwLock::default() }
    }

    /// The partition `index` of the topic called `name`.
    ///
    /// # Errors
    /// When there is no such partition, this broker does not lead it, or its log cannot be opened.
    pub fn by_name(&self, name: &str, index: i32) -> Result<Arc<Partition>, Refusal> {
        let topic_id = {
            let committed = self.committed.borrow();
            committed.image.topic_named(name).map(|topic| topic.id)
        };
        let topic_id = topic_id.ok_or(ErrorCode::UnknownTopicOrPartition)?;
        self.get(TopicPartition { topic_id, partition: index }, ErrorCode::UnknownTopicOrPartition)
    }

    /// The partition `tp`.
    ///
    /// # Errors
    /// As [`Partitions::by_name`]; an unknown topic id has a code of its own.
    pub fn by_id(&self, tp: TopicPartition) -> Result<Arc<Partition>, Refusal> {
        self.get(tp, ErrorCode::UnknownTopicId)
    }

    fn get(&self, tp: TopicPartition, unknown: ErrorCode) -> Result<Arc<Partition>, Refusal> {
        if let Some(partition) = self.open.read().get(&tp) {
            return Ok(Arc::clone(partition));
        }
        let image = self.committed.borrow().image.clone();
        let topic = image.topic(tp.topic_id).ok_or(unknown)?;
        self.open(&image, topic, tp)
    }

    fn open(
        &self,
        image: &Image,
        topic: &Topic,
        tp: TopicPartition,
    ) -> Result<Arc<Partition>, Refusal> {
        let state = topic.partitions.get(tp.partition).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        if state.leader != self.node_id {
            return Err(ErrorCode::NotLeaderOrFollower.into());
        }
        let mut open = self.open.write();
        if let Some(partition) = open.get(&tp) {
            return Ok(Arc::clone(partition));
        }
        let settings = self.settings.of(image, topic);
        let class = if settings.internal { Class::Internal } else { Class::Client };
        let progress = Progress::new();
        let listener = Arc::clone(&progress) as Arc<dyn LogListener>;
        let log =
            self.storage.open_log(tp, &topic.name, Arc::clone(&settings.log), class, listener)?;
        progress.attach(&log);
        let name = Arc::clone(&topic.name);
        let partition = Arc::new(Partition::new(tp, name, log, progress, settings));
        partition.lead(state.leader_epoch).map_err(|error| refusal_of_append(&error))?;
        open.insert(tp, Arc::clone(&partition));
        Ok(partition)
    }

    /// The partition, if it is open.
    pub fn opened(&self, tp: TopicPartition) -> Option<Arc<Partition>> {
        self.open.read().get(&tp).cloned()
    }

    /// All open partitions.
    pub fn all_open(&self) -> Vec<Arc<Partition>> {
        self.open.read().values().cloned().collect()
    }

    /// Ends the service of a partition whose topic is gone from the committed image.
    pub fn close(&self, tp: TopicPartition) {
        let closed = self.open.write().remove(&tp);
        if let Some(partition) = closed {
            partition.progress.close();
        }
    }

    /// Gives the open partitions of a topic what its configuration now says.
    pub fn reconfigure(&self, image: &Image, topic_id: TopicId) {
        let Some(topic) = image.topic(topic_id) else { return };
        let settings: Arc<TopicSettings> = self.settings.renew(image, topic);
        let open = self.open.read();
        for partition in open.values().filter(|p| p.tp.topic_id == topic_id) {
            partition.set_settings(Arc::clone(&settings));
        }
    }

    /// As [`Partitions::reconfigure`] for every topic: the defaults of the broker have changed.
    pub fn reconfigure_all(&self, image: &Image) {
        self.settings.forget_all();
        for partition in self.all_open() {
            if let Some(topic) = image.topic(partition.tp.topic_id) {
                partition.set_settings(self.settings.of(image, topic));
            }
        }
    }

    /// Forgets what was resolved for a topic that is gone.
    pub fn forget(&self, topic: TopicId) {
        self.settings.forget(topic);
    }

    /// Follows a change of leader epoch in the committed image.
    pub fn follow_epoch(&self, image: &Image, tp: TopicPartition) {
        let Some(partition) = self.opened(tp) else { return };
        let state = image.topic(tp.topic_id).and_then(|topic| topic.partitions.get(tp.partition));
        match state {
            Some(state) if state.leader == self.node_id => {
                if let Err(error) = partition.lead(state.leader_epoch) {
                    tracing::warn!(%tp, %error, "the new leader epoch could not be journaled");
                    self.close(tp);
                }
            }
            _ => self.close(tp),
        }
    }
}
