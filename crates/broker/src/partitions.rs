//! The partitions this broker serves, opened when they are first used.
//!
//! **Invariants**
//! - A partition is opened only if the committed image says that this broker has a replica of it,
//!   in the role and epoch of that image: a topic that could still vanish never holds a record.
//! - There is one open [`Partition`] per [`TopicPartition`]; an idle partition has none.
//! - Roles follow the committed image as it is when they change, under the lock of the table: an
//!   image that is late never takes one back.
//!
//! **Not here:** what the image says (`chronik-metadata`), the log itself (`chronik-log`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chronik_journal::Class;
use chronik_log::{LogError, LogListener, Storage};
use chronik_metadata::{Image, Partition as PartitionState};
use chronik_types::{BrokerId, ErrorCode, TopicId, TopicPartition};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use chronik_raft::Committed;

use crate::api::error::Refusal;
use crate::partition::{LogEvents, Partition};
use crate::replication::Leading;
use crate::role::Role;
use crate::topic_settings::{SettingsSource, TopicSettings};

/// See the module.
pub(crate) struct Partitions {
    node_id: BrokerId,
    storage: Storage,
    committed: watch::Receiver<Committed>,
    settings: SettingsSource,
    leading: Arc<Leading>,
    open: RwLock<Open>,
    opening: Mutex<()>,
}

impl Partitions {
    pub fn new(
        node_id: BrokerId,
        storage: Storage,
        committed: watch::Receiver<Committed>,
        settings: SettingsSource,
        leading: Arc<Leading>,
    ) -> Self {
        let (open, opening) = (RwLock::default(), Mutex::default());
        Self { node_id, storage, committed, settings, leading, open, opening }
    }

    /// The partition `index` of the topic called `name`, led by this broker.
    ///
    /// # Errors
    /// When there is no such partition, this broker does not lead it, or its log cannot be opened.
    pub fn by_name(&self, name: &str, index: i32) -> Result<Arc<Partition>, Refusal> {
        led(self.replica_by_name(name, index)?)
    }

    /// The partition `tp`, led by this broker.
    ///
    /// # Errors
    /// As [`Partitions::by_name`]; an unknown topic id has a code of its own.
    pub fn by_id(&self, tp: TopicPartition) -> Result<Arc<Partition>, Refusal> {
        led(self.replica_by_id(tp)?)
    }

    /// As [`Partitions::by_name`], led or followed.
    ///
    /// # Errors
    /// When there is no such partition, this broker has no replica of it, or its log cannot be
    /// opened.
    pub fn replica_by_name(&self, name: &str, index: i32) -> Result<Arc<Partition>, Refusal> {
        let topic_id = {
            let committed = self.committed.borrow();
            committed.image.topic_named(name).map(|topic| topic.id)
        };
        let topic_id = topic_id.ok_or(ErrorCode::UnknownTopicOrPartition)?;
        self.get(TopicPartition { topic_id, partition: index }, ErrorCode::UnknownTopicOrPartition)
    }

    /// As [`Partitions::by_id`], led or followed.
    ///
    /// # Errors
    /// As [`Partitions::replica_by_name`]; an unknown topic id has a code of its own.
    pub fn replica_by_id(&self, tp: TopicPartition) -> Result<Arc<Partition>, Refusal> {
        self.get(tp, ErrorCode::UnknownTopicId)
    }

    fn get(&self, tp: TopicPartition, unknown: ErrorCode) -> Result<Arc<Partition>, Refusal> {
        if let Some(partition) = self.open.read().get(&tp) {
            return Ok(Arc::clone(partition));
        }
        self.open(tp, unknown)
    }

    fn open(&self, tp: TopicPartition, unknown: ErrorCode) -> Result<Arc<Partition>, Refusal> {
        // What a log has on disk is read under this lock, so that nobody waits for the table.
        let _opening = self.opening.lock();
        if let Some(partition) = self.opened(tp) {
            return Ok(partition);
        }
        let image = self.committed.borrow().image.clone();
        let topic = image.topic(tp.topic_id).ok_or(unknown)?;
        let state = topic.partitions.get(tp.partition).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        Role::of(state, self.node_id).ok_or(ErrorCode::NotLeaderOrFollower)?;
        let settings = self.settings.of(&image, topic);
        let class = if settings.internal { Class::Internal } else { Class::Client };
        let events = Arc::new(LogEvents::default());
        let listener = Arc::clone(&events) as Arc<dyn LogListener>;
        let opened =
            self.storage.open_log(tp, &topic.name, Arc::clone(&settings.log), class, listener);
        let mut open = self.open.write();
        let Some((state, role)) = self.state(tp) else {
            drop(open);
            // It went meanwhile, and whoever removes logs found none while this one was opened,
            // whether or not that was in vain.
            return match self.storage.delete_log(tp) {
                Ok(()) | Err(LogError::Unknown(_)) => Err(unknown.into()),
                Err(error) => Err(error.into()),
            };
        };
        let log = opened?;
        let name = Arc::clone(&topic.name);
        let partition = Partition::new(tp, name, log, events, settings, role);
        // Whoever hands out new settings may have come before this one was in the table.
        let image = self.committed.borrow().image.clone();
        if let Some(topic) = image.topic(tp.topic_id) {
            partition.set_settings(self.settings.of(&image, topic));
        }
        Ok(self.begin(&mut open, partition, &state))
    }

    /// Puts a tenure in its place and lets it begin.
    fn begin(
        &self,
        open: &mut Open,
        partition: Partition,
        state: &PartitionState,
    ) -> Arc<Partition> {
        let partition = Arc::new(partition);
        partition.follow(state, &self.leading);
        open.insert(partition.tp, Arc::clone(&partition));
        if partition.is_leader() {
            // Followers that have subscribed while there was no log.
            for (session, request) in self.leading.take_idle(partition.tp, state.leader_epoch) {
                partition.progress.subscribed(&session, &request);
            }
        }
        partition
    }

    /// The partition, if it is open.
    pub fn opened(&self, tp: TopicPartition) -> Option<Arc<Partition>> {
        self.open.read().get(&tp).cloned()
    }

    /// All open partitions.
    pub fn all_open(&self) -> Vec<Arc<Partition>> {
        self.open.read().values().cloned().collect()
    }

    /// Ends the service of a partition that this broker has no replica of any more.
    pub fn close(&self, tp: TopicPartition) {
        let closed = self.open.write().remove(&tp);
        if let Some(partition) = closed {
            partition.end();
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

    /// Brings an open partition in line with the committed image. `false` if this broker has no
    /// replica of it there.
    pub fn follow(&self, tp: TopicPartition) -> bool {
        // The end of a tenure waits for appends and cuts under way; nobody else does.
        if let Some(partition) = self.opened(tp) {
            let role = self.state(tp).map(|(_, role)| role);
            if !role.is_some_and(|role| partition.continues_in(role)) {
                partition.end();
            }
        }
        let mut open = self.open.write();
        let Some((state, role)) = self.state(tp) else {
            if let Some(partition) = open.remove(&tp) {
                partition.end();
            }
            return false;
        };
        let Some(current) = open.get(&tp).cloned() else { return true };
        if current.continues_in(role) && !current.has_ended() {
            current.follow(&state, &self.leading);
            self.put_to_rest(&mut open, &current, &state);
        } else {
            current.end();
            self.begin(&mut open, current.succeeded_by(role), &state);
        }
        true
    }

    /// Closes a partition again that was opened only to take a follower into the in-sync set: when
    /// the image shows that set to be full, there is nothing to keep of an empty log but who has
    /// subscribed to it. Whoever uses it at that moment puts it off for a while.
    fn put_to_rest(&self, open: &mut Open, partition: &Arc<Partition>, state: &PartitionState) {
        let tp = partition.tp;
        let is_full = state.isr.len() >= state.replicas.len();
        if !is_full || !partition.is_replicated_leader() || self.storage.is_written(tp) {
            return;
        }
        // The table and the caller: nobody else uses it, and nobody can come by one now.
        let is_unused = Arc::strong_count(partition) == 2;
        if !is_unused {
            let at = self.leading.clock.monotonic().after(REST_AGAIN);
            self.leading.timers.add(at, tp);
        } else if partition.rest() {
            open.remove(&tp);
            if let Err(error) = self.storage.delete_log(tp) {
                tracing::debug!(%tp, %error, "an empty log could not be closed");
            }
        }
    }

    /// As [`Partitions::put_to_rest`], when that had been put off.
    pub fn rest_if_idle(&self, tp: TopicPartition) {
        if self.storage.is_written(tp) {
            return;
        }
        let mut open = self.open.write();
        if let Some(partition) = open.get(&tp).cloned()
            && let Some((state, _)) = self.state(tp)
        {
            self.put_to_rest(&mut open, &partition, &state);
        }
    }

    /// The partition in the committed image, and what this broker is to it.
    fn state(&self, tp: TopicPartition) -> Option<(PartitionState, Role)> {
        let committed = self.committed.borrow();
        let state = committed.image.partition(tp)?;
        Some((state.clone(), Role::of(state, self.node_id)?))
    }
}

/// How long a partition is left open that somebody uses when it could be closed.
const REST_AGAIN: Duration = Duration::from_secs(2);

type Open = HashMap<TopicPartition, Arc<Partition>>;

/// The partition, if this broker leads it.
fn led(partition: Arc<Partition>) -> Result<Arc<Partition>, Refusal> {
    match partition.is_leader() {
        true => Ok(partition),
        false => Err(ErrorCode::NotLeaderOrFollower.into()),
    }
}
