//! Which topics the members of a group read, as far as the coordinator can tell.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Group;
use crate::record;

/// The protocol type of Kafka's consumers, whose metadata this coordinator can read.
const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

impl Group {
    pub(crate) fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL_TYPE)
    }

    /// Whether a member may be reading the topic. When members are consumers but their metadata
    /// cannot be read, every topic counts as subscribed, so that nothing is expired or deleted
    /// under a reader.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.uses_consumer_protocol(),
        }
    }

    pub(crate) fn knows_subscriptions(&self) -> bool {
        self.subscribed.is_some()
    }

    /// Reads the subscriptions of this generation out of the members' metadata.
    pub(crate) fn note_subscriptions(&mut self) {
        self.subscribed = self.read_subscriptions();
    }

    fn read_subscriptions(&self) -> Option<BTreeSet<Arc<str>>> {
        if !self.uses_consumer_protocol() {
            return None;
        }
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            let metadata = member.metadata(self.protocol.as_deref()?)?;
            topics.extend(record::subscribed_topics(metadata)?);
        }
        Some(topics)
    }
}
