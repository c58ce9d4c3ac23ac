//! Which leaders this broker follows, and for which partitions: one link per leader.
//!
//! ```text
//! committed image ─ changed ─┐
//! a log's durable end moved ─┴─► LinkInbox ─► Link (one task per leader)
//! ```
//!
//! **Invariants**: an inbox names partitions, never what happened to them; whoever empties it looks
//! at the committed image and at the logs as they are then.
//!
//! **Not here:** what a link does (`link`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chronik_metadata::Image;
use chronik_peer::Peers;
use chronik_types::{BrokerId, TopicPartition};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::link::Link;
use crate::Broker;
use crate::role::Role;

/// See the module.
pub(crate) struct Follows {
    me: BrokerId,
    pub(super) peers: Peers,
    stopped: watch::Receiver<bool>,
    links: Mutex<BTreeMap<BrokerId, Arc<LinkInbox>>>,
}

/// What a link has to look at.
pub(crate) struct LinkInbox {
    /// Whom it follows.
    pub(super) leader: BrokerId,
    state: Mutex<Noted>,
    wake: Notify,
}

/// What was noted since a link last looked.
#[derive(Default)]
pub(super) struct Noted {
    /// The image has another state of them.
    pub changed: BTreeSet<TopicPartition>,
    /// More of their logs is durable.
    pub durable: BTreeSet<TopicPartition>,
}

impl Follows {
    pub fn new(me: BrokerId, peers: Peers, stopped: watch::Receiver<bool>) -> Self {
        Self { me, peers, stopped, links: Mutex::default() }
    }

    /// Follows everything that `image` asks for. The one look at all of it.
    pub fn follow_all(broker: &Arc<Broker>, image: &Image) {
        let me = broker.options.node_id;
        let mut by_leader: BTreeMap<BrokerId, BTreeSet<TopicPartition>> = BTreeMap::new();
        for (topic, partition, state) in image.partitions() {
            if let Some(leader) = leader_elsewhere(Role::of(state, me)) {
                let tp = TopicPartition { topic_id: topic.id, partition };
                by_leader.entry(leader).or_default().insert(tp);
            }
        }
        for (leader, mut partitions) in by_leader {
            let link = Self::link(broker, leader);
            link.state.lock().changed.append(&mut partitions);
            link.wake.notify_one();
        }
    }

    /// The committed image has another state of this partition.
    pub fn image_changed(broker: &Arc<Broker>, tp: TopicPartition, old_leader: Option<BrokerId>) {
        let this = &broker.replication.follows;
        let role = {
            let committed = broker.committed.borrow();
            committed.image.partition(tp).and_then(|state| Role::of(state, this.me))
        };
        let leader = leader_elsewhere(role);
        if let Some(old) = old_leader.filter(|old| leader != Some(*old)) {
            let link = this.links.lock().get(&old).cloned();
            if let Some(link) = link {
                link.changed(tp);
            }
        }
        if let Some(leader) = leader {
            Self::link(broker, leader).changed(tp);
        }
    }

    /// The link to a leader; its task begins with the first partition.
    fn link(broker: &Arc<Broker>, leader: BrokerId) -> Arc<LinkInbox> {
        let this = &broker.replication.follows;
        let mut links = this.links.lock();
        if let Some(link) = links.get(&leader) {
            return Arc::clone(link);
        }
        let inbox = Arc::new(LinkInbox { leader, state: Mutex::default(), wake: Notify::new() });
        links.insert(leader, Arc::clone(&inbox));
        let link = Link::new(Arc::clone(broker), Arc::clone(&inbox));
        let mut stopped = this.stopped.clone();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => {}
                () = link.run() => {}
            }
        });
        inbox
    }
}

impl LinkInbox {
    /// The image has another state of this partition.
    fn changed(&self, tp: TopicPartition) {
        self.state.lock().changed.insert(tp);
        self.wake.notify_one();
    }

    /// More of this partition's log is durable.
    pub fn durable(&self, tp: TopicPartition) {
        self.state.lock().durable.insert(tp);
        self.wake.notify_one();
    }

    /// What was noted.
    pub(super) fn take(&self) -> Noted {
        std::mem::take(&mut *self.state.lock())
    }

    /// Something was noted.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }
}

/// The broker to follow, if there is one.
fn leader_elsewhere(role: Option<Role>) -> Option<BrokerId> {
    match role {
        Some(Role::Follower { leader, .. }) if leader != BrokerId::NONE => Some(leader),
        _ => None,
    }
}
