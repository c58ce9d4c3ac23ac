//! One partition served by this broker: its log, its progress and its leadership.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use chronik_log::{AppendError, Appended, Log, Origin, Permit};
use chronik_protocol::validate::ValidBatch;
use chronik_types::{LeaderEpoch, TopicPartition};

use crate::progress::Progress;
use crate::topic_settings::TopicSettings;

/// A partition this broker leads. Made when it is first used, so an idle one costs nothing.
pub(crate) struct Partition {
    /// Which partition.
    pub tp: TopicPartition,
    /// The topic's name.
    pub topic: Arc<str>,
    /// The log.
    pub log: Arc<Log>,
    /// How far it is and who waits for it.
    pub progress: Arc<Progress>,
    /// What the topic's configuration asks for; replaced when that changes.
    settings: parking_lot::RwLock<Arc<TopicSettings>>,
    /// The epoch this broker leads in; written by [`Partition::lead`] only.
    leader_epoch: AtomicI32,
}

impl Partition {
    pub fn new(
        tp: TopicPartition,
        topic: Arc<str>,
        log: Arc<Log>,
        progress: Arc<Progress>,
        settings: Arc<TopicSettings>,
    ) -> Self {
        let settings = parking_lot::RwLock::new(settings);
        let leader_epoch = AtomicI32::new(log.leader_epoch().0);
        Self { tp, topic, log, progress, settings, leader_epoch }
    }

    /// The epoch this broker leads in.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(self.leader_epoch.load(Ordering::Acquire))
    }

    /// Leads in `epoch` from the end of the log on. An epoch not above the present one changes
    /// nothing.
    ///
    /// # Errors
    /// When the journal does not take the fact.
    pub fn lead(&self, epoch: LeaderEpoch) -> Result<(), AppendError> {
        if epoch > self.log.leader_epoch() {
            self.log.begin_epoch(epoch)?;
        }
        self.leader_epoch.fetch_max(epoch.0, Ordering::AcqRel);
        Ok(())
    }

    /// The topic's settings.
    pub fn settings(&self) -> Arc<TopicSettings> {
        Arc::clone(&self.settings.read())
    }

    /// Replaces the topic's settings.
    pub fn set_settings(&self, settings: Arc<TopicSettings>) {
        self.log.set_config(Arc::clone(&settings.log));
        *self.settings.write() = settings;
    }

    /// Appends a validated batch as the leader. Its answer may leave when the progress reaches the
    /// offset after its last record.
    ///
    /// # Errors
    /// When the producer's sequence or epoch does not fit; nothing is appended then.
    pub fn append(
        &self,
        permit: &mut Permit,
        batch: ValidBatch,
        origin: Origin,
    ) -> Result<Appended, AppendError> {
        self.log.append_as_leader(permit, batch, self.leader_epoch(), origin)
    }
}
