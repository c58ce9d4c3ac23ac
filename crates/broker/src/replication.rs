//! Replication between brokers: what drives the state machines of `chronik-replication`.
//!
//! ```text
//!   this broker leads                                   this broker follows
//!   Partition::append ─► Led ─► FollowerSession         image ─► Follows ─► Link (one per leader)
//!                         ▲          │ offsets                               │ subscribes, appends,
//!      acknowledgements ──┘          ▼                                       │ acknowledges
//!                              serving ═══ live and catch-up streams ═══════╛
//! ```
//!
//! The follower opens the streams: one for what is new, one for what it has missed.
//!
//! **Invariants**
//! - Work is in proportion to the partitions that changed: nothing here loops over all of them but
//!   the first look at the image and a new session.
//! - A partition that nobody has written has no log on either side, only its subscription.
//! - Locks: the table of partitions, then a partition's progress, then sessions and queues.
//!
//! **Not here:** decisions (`chronik-replication`), who leads (`chronik-controller`), connections
//! (`chronik-peer`).

mod codec;
mod followed;
mod follower_session;
mod following;
mod inflow;
mod isr_changes;
mod lag_timers;
mod led;
mod link;
mod pushing;
mod serving;
mod subscribing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chronik_env::Clock;
use chronik_log::Log;
use chronik_metadata::Image;
use chronik_peer::Peers;
use chronik_replication::{LogPosition, PartitionSubscribe};
use chronik_types::{BrokerId, LeaderEpoch, Offset, TopicPartition};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::Broker;

pub(crate) use self::follower_session::FollowerSession;
pub(crate) use self::following::{Follows, LinkInbox};
use self::isr_changes::IsrChanges;
use self::lag_timers::LagTimers;
pub(crate) use self::led::{Led, Moved};
pub(crate) use self::serving::serve;

/// Both sides of replication.
pub(crate) struct Replication {
    /// As a leader.
    pub leading: Arc<Leading>,
    /// As a follower.
    pub follows: Follows,
}

/// What every led partition's effects need.
pub(crate) struct Leading {
    /// This broker.
    pub me: BrokerId,
    /// `replica.lag.time.max.ms`.
    pub lag_max: Duration,
    pub clock: Arc<dyn Clock>,
    pub timers: LagTimers,
    pub isr_changes: IsrChanges,
    /// The sessions of followers, by broker.
    sessions: Mutex<BTreeMap<BrokerId, Arc<FollowerSession>>>,
}

impl Replication {
    pub fn new(
        me: BrokerId,
        lag_max: Duration,
        clock: Arc<dyn Clock>,
        peers: Peers,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        let leading = Leading {
            me,
            lag_max,
            clock,
            timers: LagTimers::default(),
            isr_changes: IsrChanges::default(),
            sessions: Mutex::default(),
        };
        Self { leading: Arc::new(leading), follows: Follows::new(me, peers, stopped) }
    }

    /// What runs for as long as the broker does, besides the links to leaders.
    pub async fn run(broker: Arc<Broker>) {
        tokio::join!(lag_timers::run(Arc::clone(&broker)), isr_changes::run(broker));
    }

    /// Changes of the committed image are told of from here on. Followers that came before it had
    /// caught up after a start may wait for a change that it has had since.
    pub fn image_followed(broker: &Broker) {
        for session in broker.replication.leading.sessions() {
            session.image_followed();
            if broker.committed.borrow().image.is_active(session.follower) {
                Self::follower_active(broker, session.follower);
            }
        }
    }

    /// The committed image has another state of this partition, led by `old_leader` before.
    pub fn image_changed(broker: &Arc<Broker>, tp: TopicPartition, old_leader: Option<BrokerId>) {
        let this = &broker.replication;
        for session in this.leading.sessions() {
            session.image_changed(tp, is_missing(&broker.committed.borrow().image, &session, tp));
        }
        Follows::image_changed(broker, tp, old_leader);
    }

    /// The broker of a follower is active again in the committed image: what it is missing from it
    /// may be proposed for now, also where nobody writes.
    pub fn follower_active(broker: &Broker, follower: BrokerId) {
        let sessions = broker.replication.leading.sessions();
        let Some(session) = sessions.iter().find(|session| session.follower == follower) else {
            return;
        };
        let image = broker.committed.borrow().image.clone();
        for tp in session.active(|tp| is_missing(&image, session, tp)) {
            if let Some(partition) = broker.partitions.opened(tp) {
                partition.progress.follower_active();
            }
        }
    }
}

/// Whether a follower could be in the in-sync set of a partition, and is not.
fn is_missing(image: &Image, session: &FollowerSession, tp: TopicPartition) -> bool {
    image.is_active(session.follower)
        && image.partition(tp).is_some_and(|state| !state.isr.contains(&session.follower))
}

impl Leading {
    /// The sessions there are.
    pub fn sessions(&self) -> Vec<Arc<FollowerSession>> {
        self.sessions.lock().values().cloned().collect()
    }

    fn session(&self, follower: BrokerId, id: u64) -> Option<Arc<FollowerSession>> {
        let sessions = self.sessions.lock();
        sessions.get(&follower).filter(|session| session.id == id).cloned()
    }

    /// Puts a session in the place of an earlier one of the same follower, and returns that.
    fn begin(&self, session: &Arc<FollowerSession>) -> Option<Arc<FollowerSession>> {
        self.sessions.lock().insert(session.follower, Arc::clone(session))
    }

    fn forget(&self, session: &Arc<FollowerSession>) {
        let mut sessions = self.sessions.lock();
        if sessions.get(&session.follower).is_some_and(|present| Arc::ptr_eq(present, session)) {
            sessions.remove(&session.follower);
        }
    }

    /// Subscriptions that sessions keep for `tp`, which had no log until now.
    pub fn take_idle(
        &self,
        tp: TopicPartition,
        epoch: LeaderEpoch,
    ) -> Vec<(Arc<FollowerSession>, PartitionSubscribe)> {
        let take = |session: Arc<FollowerSession>| {
            let subscription = session.take_idle(tp, epoch)?;
            let log = EMPTY_LOG;
            Some((session, PartitionSubscribe { tp, leader_epoch: epoch, subscription, log }))
        };
        self.sessions().into_iter().filter_map(take).collect()
    }
}

/// The log of a replica that was never written.
const EMPTY_LOG: LogPosition = LogPosition {
    start: Offset::ZERO,
    end: Offset::ZERO,
    durable: Offset::ZERO,
    last_epoch: LeaderEpoch::NONE,
};

/// A log as replicas compare it.
fn log_position(log: &Log) -> LogPosition {
    let chronik_log::Position { start, end, durable, last_epoch } = log.position();
    LogPosition { start, end, durable, last_epoch }
}
