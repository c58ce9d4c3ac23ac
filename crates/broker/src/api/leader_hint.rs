//! Who leads a partition that this broker does not: told along with the error, so that a client
//! need not ask for metadata before it tries again (KIP-951).

use std::collections::BTreeMap;

use chronik_metadata::Image;
use chronik_types::{BrokerId, ErrorCode, LeaderEpoch, TopicId};

use crate::Broker;
use crate::NodeEndpoint;
use crate::api::context::Context;

/// The leaders told of in one answer, and where they are reached.
pub(crate) struct LeaderHints<'b> {
    broker: &'b Broker,
    ctx: &'b Context,
    image: Option<Image>,
    nodes: BTreeMap<BrokerId, NodeEndpoint>,
}

impl<'b> LeaderHints<'b> {
    /// None yet, for an answer to `ctx`.
    pub fn new(broker: &'b Broker, ctx: &'b Context) -> Self {
        Self { broker, ctx, image: None, nodes: BTreeMap::new() }
    }

    /// The leader of a partition and its epoch, if `code` says that somebody else was meant.
    pub fn leader(
        &mut self,
        code: ErrorCode,
        topic: TopicRef<'_>,
        index: i32,
    ) -> Option<(BrokerId, LeaderEpoch)> {
        if !matches!(code, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch) {
            return None;
        }
        let image = || self.broker.committed.borrow().image.clone();
        let image = self.image.get_or_insert_with(image);
        let topic = match topic {
            TopicRef::Name(name) => image.topic_named(name),
            TopicRef::Id(id) => image.topic(id),
        };
        let partition = topic?.partitions.get(index)?;
        let (leader, epoch) = (partition.leader, partition.leader_epoch);
        if let Some(node) = self.broker.endpoint_of(leader, self.ctx) {
            self.nodes.insert(leader, node);
        }
        Some((leader, epoch))
    }

    /// Every leader told of that clients of this listener can reach.
    pub fn into_nodes(self) -> impl Iterator<Item = NodeEndpoint> {
        self.nodes.into_values()
    }
}

/// A topic as a request names it.
#[derive(Clone, Copy)]
pub(crate) enum TopicRef<'t> {
    Name(&'t str),
    Id(TopicId),
}
