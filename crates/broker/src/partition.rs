//! One partition of this broker: its log, its progress and its part in it.
//!
//! **Invariants**
//! - A [`Partition`] is one tenure: it leads (in one epoch after the other) or follows one leader
//!   in one epoch. When that changes another one takes its place, on the same log.
//! - Nothing is appended by a tenure that has ended: [`Partition::end`] waits for appends under
//!   way and refuses later ones.
//!
//! **Not here:** which role it has (`role`, by the committed image), what the log does.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use chronik_log::{AppendError, Appended, Log, LogListener, Origin, Permit};
use chronik_protocol::validate::ValidBatch;
use chronik_types::{ErrorCode, LeaderEpoch, Offset, TopicPartition};
use parking_lot::RwLock;

use crate::api::error::{Refusal, refusal_of_append};
use crate::progress::Progress;
use crate::role::Role;
use crate::topic_settings::TopicSettings;

/// See the module. Made when it is first used, so an idle one costs nothing.
pub(crate) struct Partition {
    /// Which partition.
    pub tp: TopicPartition,
    /// The topic's name.
    pub topic: Arc<str>,
    /// The log.
    pub log: Arc<Log>,
    /// How far it is and who waits for it.
    pub progress: Arc<Progress>,
    /// Tells `progress` of the log.
    events: Arc<LogEvents>,
    /// What the topic's configuration asks for; replaced when that changes.
    settings: RwLock<Arc<TopicSettings>>,
    /// Who leads; this broker itself, or another, for the whole tenure.
    role: Role,
    /// The epoch of the role; raised by [`Partition::lead`] only.
    epoch: AtomicI32,
    /// Held by appends; true when the tenure is over.
    ended: RwLock<bool>,
}

impl Partition {
    /// The first tenure on `log`.
    pub fn new(
        tp: TopicPartition,
        topic: Arc<str>,
        log: Arc<Log>,
        events: Arc<LogEvents>,
        settings: Arc<TopicSettings>,
        role: Role,
    ) -> Self {
        let settings = RwLock::new(settings);
        let progress = Progress::new(role, &log);
        events.tell(Arc::clone(&progress), &log);
        let (epoch, ended) = (AtomicI32::new(role.epoch().0), RwLock::new(false));
        Self { tp, topic, log, progress, events, settings, role, epoch, ended }
    }

    /// The tenure that follows this one, which has ended.
    pub fn succeeded_by(&self, role: Role) -> Self {
        Self::new(
            self.tp,
            Arc::clone(&self.topic),
            Arc::clone(&self.log),
            Arc::clone(&self.events),
            self.settings(),
            role,
        )
    }

    /// What this broker is to the partition.
    pub fn role(&self) -> Role {
        let epoch = self.leader_epoch();
        match self.role {
            Role::Leader(_) => Role::Leader(epoch),
            Role::Follower { leader, .. } => Role::Follower { leader, epoch },
        }
    }

    /// Whether this broker leads it.
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// The epoch of the role.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(self.epoch.load(Ordering::Acquire))
    }

    /// Whether `role` is this tenure's, or a later epoch of it.
    pub fn continues_in(&self, role: Role) -> bool {
        match role {
            Role::Leader(_) => self.is_leader(),
            Role::Follower { .. } => self.role() == role,
        }
    }

    /// Leads in `epoch` from the end of the log on. An epoch not above the present one changes
    /// nothing.
    ///
    /// # Errors
    /// When the log has seen a later one.
    pub fn lead(&self, epoch: LeaderEpoch) -> Result<(), AppendError> {
        if epoch > self.log.leader_epoch() {
            self.log.begin_epoch(epoch)?;
        }
        self.epoch.fetch_max(epoch.0, Ordering::AcqRel);
        Ok(())
    }

    /// The tenure is over: nothing is appended any more, and whoever waits hears of it.
    pub fn end(&self) {
        *self.ended.write() = true;
        self.progress.close();
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
    /// When the producer's sequence or epoch does not fit, or the tenure has ended; nothing is
    /// appended then.
    pub fn append(
        &self,
        permit: &mut Permit,
        batch: ValidBatch,
        origin: Origin,
    ) -> Result<Appended, Refusal> {
        let ended = self.ended.read();
        if *ended || !self.is_leader() {
            return Err(ErrorCode::NotLeaderOrFollower.into());
        }
        let appended = self.log.append_as_leader(permit, batch, self.leader_epoch(), origin);
        appended.map_err(|error| refusal_of_append(&error))
    }
}

/// Passes on what a log tells to the progress of the present tenure.
#[derive(Default)]
pub(crate) struct LogEvents {
    progress: RwLock<Option<Arc<Progress>>>,
}

impl LogEvents {
    /// From now on `progress` is told; first of how far `log` is already.
    fn tell(&self, progress: Arc<Progress>, log: &Log) {
        *self.progress.write() = Some(Arc::clone(&progress));
        progress.durable(log.durable_end());
    }
}

impl LogListener for LogEvents {
    fn durable(&self, durable_end: Offset) {
        let progress = self.progress.read().clone();
        if let Some(progress) = progress {
            progress.durable(durable_end);
        }
    }
}
