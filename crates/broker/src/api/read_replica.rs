//! Which replica a consumer should read from (KIP-392): one in its own rack, if there is any.

use chronik_types::{BrokerId, Offset};

use crate::Broker;
use crate::partition::Partition;

/// The replica that a consumer in `rack` should read `from` on, if it is not this leader: the
/// furthest in its rack that is in sync and has what is asked for. Nothing unless
/// `replica.selector.class` is `RackAwareReplicaSelector`.
pub(crate) fn preferred(
    broker: &Broker,
    partition: &Partition,
    rack: &str,
    from: Offset,
) -> Option<BrokerId> {
    let options = &broker.options;
    if rack.is_empty() || !options.cluster.rack_aware_fetch || !partition.is_leader() {
        return None;
    }
    if options.rack.as_deref() == Some(rack) {
        return None;
    }
    let followers = partition.progress.followers_in_sync();
    let image = broker.committed.borrow().image.clone();
    let is_near = |id: BrokerId| {
        image
            .broker(id)
            .is_some_and(|broker| !broker.fenced && broker.rack.as_deref() == Some(rack))
    };
    followers
        .into_iter()
        .filter(|(id, durable)| *durable >= from && is_near(*id))
        .max_by_key(|(id, durable)| (*durable, std::cmp::Reverse(*id)))
        .map(|(id, _)| id)
}
