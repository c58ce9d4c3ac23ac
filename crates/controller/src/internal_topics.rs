//! The topics that hold the state of coordinators.

use chronik_metadata::Image;
use chronik_types::TopicId;

use crate::options::Options;
use crate::request::{CreatableTopic, NamedValues};

/// Committed offsets and groups.
pub const CONSUMER_OFFSETS: &str = "__consumer_offsets";
/// Transactions.
pub const TRANSACTION_STATE: &str = "__transaction_state";
/// Share groups.
pub const SHARE_GROUP_STATE: &str = "__share_group_state";
/// The metadata log, which is no topic of the image.
pub const METADATA_TOPIC: &str = "__chronik_metadata";
/// Kafka's name for it, which clients must not take either.
pub(crate) const KAFKA_METADATA_TOPIC: &str = "__cluster_metadata";

/// The smallest segment a topic may have.
const SEGMENT_BYTES_MIN: i64 = 1 << 20;

/// Whether clients see this topic as internal. Such a topic is never served from the page cache
/// (`write.caching`), whatever the broker's default is.
#[must_use]
pub fn is_internal(name: &str) -> bool {
    [CONSUMER_OFFSETS, TRANSACTION_STATE, SHARE_GROUP_STATE].contains(&name)
}

/// The topic of committed offsets, as it is created when a group first needs it. Replicas are
/// capped at the brokers that the cluster has or is made for: a single node must not wait for two
/// that never come, and the first node of three must not make a topic that only it has.
#[must_use]
pub fn consumer_offsets(options: &Options, image: &Image, topic_id: TopicId) -> CreatableTopic {
    let factor = capped(options, "offsets.topic.replication.factor", image);
    let segment_bytes = options.number("offsets.topic.segment.bytes").max(SEGMENT_BYTES_MIN);
    CreatableTopic {
        name: CONSUMER_OFFSETS.to_owned(),
        topic_id,
        num_partitions: int(options.number("offsets.topic.num.partitions")),
        replication_factor: factor,
        assignments: Vec::new(),
        configs: configs(&[
            ("cleanup.policy", "compact"),
            ("compression.type", "producer"),
            ("segment.bytes", &segment_bytes.to_string()),
        ]),
    }
}

/// The topic of transactions, as it is created when a transactional producer first needs it.
#[must_use]
pub fn transaction_state(options: &Options, image: &Image, topic_id: TopicId) -> CreatableTopic {
    let factor = capped(options, "transaction.state.log.replication.factor", image);
    let min_isr = options.number("transaction.state.log.min.isr").min(factor.into());
    let segment_bytes =
        options.number("transaction.state.log.segment.bytes").max(SEGMENT_BYTES_MIN);
    CreatableTopic {
        name: TRANSACTION_STATE.to_owned(),
        topic_id,
        num_partitions: int(options.number("transaction.state.log.num.partitions")),
        replication_factor: factor,
        assignments: Vec::new(),
        configs: configs(&[
            ("cleanup.policy", "compact"),
            ("compression.type", "uncompressed"),
            ("min.insync.replicas", &min_isr.to_string()),
            ("segment.bytes", &segment_bytes.to_string()),
            ("unclean.leader.election.enable", "false"),
        ]),
    }
}

fn configs(set: &[(&str, &str)]) -> NamedValues {
    set.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))).collect()
}

fn capped(options: &Options, key: &str, image: &Image) -> i16 {
    // Where nodes are both, every voter is a broker, registered or soon to be.
    let is_combined = options.list("process.roles").iter().any(|role| role == "broker");
    let voters = if is_combined { options.list("controller.quorum.voters").len() } else { 0 };
    let brokers = image.brokers().count().max(voters).max(1);
    let wanted = i16::try_from(options.number(key)).unwrap_or(i16::MAX);
    wanted.min(i16::try_from(brokers).unwrap_or(i16::MAX))
}

fn int(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
