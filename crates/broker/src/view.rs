//! What clients of this node see of topics: those that are committed, and on the leader those that
//! it has acknowledged on its own sync.
//!
//! **Invariants:** which topics there are, how many partitions they have and what they set comes
//! from the acknowledged image where there is one; leaders, in-sync sets, epochs and brokers from
//! the committed image alone. A topic that could still vanish has no leader.

use std::borrow::Cow;

use chronik_metadata::{Image, Partition, Topic};
use chronik_types::{BrokerId, PartitionId, TopicPartition};

use crate::Broker;

/// See the module.
pub(crate) struct View {
    /// For everything but topics.
    pub committed: Image,
    acknowledged: Option<Image>,
}

impl View {
    pub fn of(broker: &Broker) -> Self {
        // In this order: what is acknowledged and not found here any more is committed there.
        let acknowledged = broker.controller.acknowledged();
        Self { acknowledged, committed: broker.committed.borrow().image.clone() }
    }

    /// For which topics there are.
    pub fn topics(&self) -> &Image {
        self.acknowledged.as_ref().unwrap_or(&self.committed)
    }

    /// The state of a partition that is there as `shown`.
    pub fn state<'v>(
        &'v self,
        topic: &Topic,
        partition: PartitionId,
        shown: &Partition,
    ) -> Cow<'v, Partition> {
        let tp = TopicPartition { topic_id: topic.id, partition };
        match self.committed.partition(tp) {
            Some(state) => Cow::Borrowed(state),
            None => {
                let mut state = shown.clone();
                state.leader = BrokerId::NONE;
                Cow::Owned(state)
            }
        }
    }
}
