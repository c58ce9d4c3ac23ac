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
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use bytes::Bytes;
use chronik_log::{Appended, CutError, Log, LogListener, Origin, Permit};
use chronik_metadata::Partition as PartitionState;
use chronik_protocol::validate::ValidBatch;
use chronik_types::{ErrorCode, LeaderEpoch, Offset, TopicPartition};
use parking_lot::RwLock;

use crate::api::error::{Refusal, refusal_of_append};
use crate::progress::Progress;
use crate::replication::{Leading, Led};
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
    /// The epoch of the role; raised by [`Partition::follow`] only.
    epoch: AtomicI32,
    /// Whether other replicas wait for what is appended here.
    is_replicated: AtomicBool,
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
        let progress = match role {
            Role::Leader(_) => Progress::alone(&log),
            Role::Follower { .. } => Progress::follower(&log),
        };
        Self {
            tp,
            topic,
            log,
            progress,
            events,
            settings,
            role,
            epoch: AtomicI32::new(role.epoch().0),
            is_replicated: AtomicBool::new(false),
            ended: RwLock::new(false),
        }
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

    /// Goes on, or begins, in a state of the committed image that is of this tenure. From then on
    /// the log tells its progress.
    pub fn follow(&self, state: &PartitionState, leading: &Arc<Leading>) {
        if self.is_leader() {
            self.lead(state, leading);
        }
        self.events.tell(&self.progress, &self.log);
    }

    /// Leads in the epoch of `state` from the end of the log on.
    fn lead(&self, state: &PartitionState, leading: &Arc<Leading>) {
        let epoch = state.leader_epoch;
        if epoch > self.log.leader_epoch()
            && let Err(error) = self.log.begin_epoch(epoch)
        {
            // Its appends are refused until the image has an epoch that the log has not seen.
            tracing::warn!(tp = %self.tp, %error, %epoch, "the leader epoch could not begin");
        }
        let before = LeaderEpoch(self.epoch.fetch_max(epoch.0, Ordering::AcqRel));
        let has_others = state.replicas.len() > 1 || state.isr.len() > 1;
        let had_others = self.is_replicated.fetch_or(has_others, Ordering::AcqRel);
        if !has_others && !had_others {
            return;
        }
        if epoch > before || !had_others {
            let min_isr = self.settings().min_isr();
            self.progress.lead(|| Led::new(leading, self.tp, state, min_isr, &self.log));
        } else {
            self.progress.committed(state);
        }
    }

    /// Whether other replicas wait for what is appended here.
    fn is_replicated(&self) -> bool {
        self.is_replicated.load(Ordering::Acquire)
    }

    /// Whether this broker leads it and other replicas follow.
    pub fn is_replicated_leader(&self) -> bool {
        self.is_leader() && self.is_replicated()
    }

    /// Whether `acks=all` must be refused: too few replicas are in sync.
    pub fn lacks_replicas(&self) -> bool {
        self.is_replicated() && self.progress.is_under_min_isr()
    }

    /// The tenure is over: nothing is appended any more, and whoever waits hears of it. Waits for
    /// appends and cuts under way.
    pub fn end(&self) {
        *self.ended.write() = true;
        self.progress.close();
    }

    /// Ends the tenure of a leader whose log is empty, and leaves its followers subscribed. `false`
    /// if it is no leader with other replicas.
    pub fn rest(&self) -> bool {
        let mut ended = self.ended.write();
        if *ended || !self.is_replicated() || !self.progress.rest() {
            return false;
        }
        *ended = true;
        true
    }

    /// Whether the tenure is over.
    pub fn has_ended(&self) -> bool {
        *self.ended.read()
    }

    /// The topic's settings.
    pub fn settings(&self) -> Arc<TopicSettings> {
        Arc::clone(&self.settings.read())
    }

    /// Replaces the topic's settings.
    pub fn set_settings(&self, settings: Arc<TopicSettings>) {
        self.log.set_config(Arc::clone(&settings.log));
        let min_isr = settings.min_isr();
        *self.settings.write() = settings;
        if self.is_replicated() {
            self.progress.set_min_isr(min_isr);
        }
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
        let appended = appended.map_err(|error| refusal_of_append(&error))?;
        if self.is_replicated() {
            self.progress.appended(appended.last_offset.next());
        }
        Ok(appended)
    }

    /// Appends what the leader has sent.
    ///
    /// # Errors
    /// When it does not fit, or the tenure has ended; nothing is appended then.
    pub fn append_replicated(&self, permit: &mut Permit, batches: Bytes) -> Result<(), Refusal> {
        let ended = self.ended.read();
        if *ended || self.is_leader() {
            return Err(ErrorCode::NotLeaderOrFollower.into());
        }
        let appended = self.log.append_at(permit, batches);
        appended.map(|_| ()).map_err(|error| refusal_of_append(&error))
    }

    /// Cuts a follower's log. May block on the disk.
    ///
    /// # Errors
    /// See [`CutError`]; also when the tenure has ended.
    pub fn cut(&self, cut: Cut) -> Result<(), CutError> {
        let ended = self.ended.read();
        if *ended || self.is_leader() {
            return Err(CutError::Gone);
        }
        match cut {
            Cut::End(end) => self.log.truncate_to(end)?,
            Cut::All(start) => self.log.reset_to(start, LeaderEpoch::NONE)?,
        }
        self.progress.was_cut(&self.log);
        Ok(())
    }
}

/// How a follower's log is brought in line with its leader's.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// Everything from here on goes.
    End(Offset),
    /// Everything goes; the log begins anew here.
    All(Offset),
}

/// Passes on what a log tells to the progress of the present tenure.
#[derive(Default)]
pub(crate) struct LogEvents {
    progress: RwLock<Option<Arc<Progress>>>,
}

impl LogEvents {
    /// From now on `progress` is told; first of how far `log` is already.
    fn tell(&self, progress: &Arc<Progress>, log: &Log) {
        *self.progress.write() = Some(Arc::clone(progress));
        progress.durable(log.durable_end());
    }

    fn told(&self) -> Option<Arc<Progress>> {
        self.progress.read().clone()
    }
}

impl LogListener for LogEvents {
    fn durable(&self, durable_end: Offset) {
        if let Some(progress) = self.told() {
            progress.durable(durable_end);
        }
    }

    fn start_moved(&self, start: Offset) {
        if let Some(progress) = self.told() {
            progress.start_moved(start);
        }
    }
}
