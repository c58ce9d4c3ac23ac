//! Acknowledgements gathered until a journal group is done.

use std::collections::BTreeMap;

use chronik_types::TopicPartition;

use crate::messages::{PartitionAck, ToLeader};

/// What a follower has to acknowledge to one leader: the newest per partition, in one message.
#[derive(Debug, Default)]
pub struct AckBatch {
    acks: BTreeMap<TopicPartition, PartitionAck>,
}

impl AckBatch {
    /// Adds one; it replaces an earlier one of the same partition.
    pub fn add(&mut self, ack: PartitionAck) {
        self.acks.insert(ack.tp, ack);
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.acks.is_empty()
    }

    /// The message, if there is anything to say.
    pub fn take(&mut self) -> Option<ToLeader> {
        if self.acks.is_empty() {
            return None;
        }
        Some(ToLeader::Acks(std::mem::take(&mut self.acks).into_values().collect()))
    }
}
