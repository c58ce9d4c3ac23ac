//! Offset commits of open transactions: written to the log, not yet in force.
//!
//! They take effect at the marker that ends the transaction, in the order of the markers and not
//! of the commits: a plain commit made in between is overwritten, as a reader of the log sees it.
//!
//! **Invariants:** each staged offset is unstable in its group for its producer, and the reverse.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_types::{PartitionId, ProducerId};

use crate::GroupId;
use crate::offsets::CommittedOffset;

/// Which offset: group, topic, partition.
pub(crate) type OffsetKey = (GroupId, Arc<str>, PartitionId);

/// The offsets that open transactions of this shard would commit.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Transactions {
    open: BTreeMap<ProducerId, BTreeMap<OffsetKey, Option<CommittedOffset>>>,
}

impl Transactions {
    pub(crate) fn stage(
        &mut self,
        producer: ProducerId,
        key: OffsetKey,
        offset: Option<CommittedOffset>,
    ) {
        self.open.entry(producer).or_default().insert(key, offset);
    }

    /// Ends the producer's transaction; what it staged is the caller's to apply or drop.
    pub(crate) fn end(
        &mut self,
        producer: ProducerId,
    ) -> BTreeMap<OffsetKey, Option<CommittedOffset>> {
        self.open.remove(&producer).unwrap_or_default()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ProducerId, &OffsetKey)> {
        self.open.iter().flat_map(|(producer, staged)| staged.keys().map(|key| (*producer, key)))
    }

    pub(crate) fn clear(&mut self) {
        self.open.clear();
    }
}
