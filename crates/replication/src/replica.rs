//! One follower, as its leader knows it.

use chronik_types::{BrokerEpoch, BrokerId, Monotonic, Offset};

use crate::subscription::SubscriptionId;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Replica {
    pub(crate) id: BrokerId,
    /// In the committed in-sync set.
    pub(crate) committed: bool,
    /// Its addition to the in-sync set is proposed, and there is no answer yet.
    pub(crate) proposed: bool,
    /// Its addition was proposed and may still be committed: the outcome is unknown.
    pub(crate) in_limbo: bool,
    /// The subscription that is live.
    pub(crate) live: Option<Live>,
    /// Lags since then: when the first record was appended that it has not acknowledged, or when
    /// it was last subscribed, or when it became a member, whichever is latest. Only for members
    /// of the maximal in-sync set.
    pub(crate) lags_since: Option<Monotonic>,
}

/// A live subscription.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Live {
    pub(crate) subscription: SubscriptionId,
    pub(crate) broker_epoch: BrokerEpoch,
    /// What it has acknowledged in this subscription.
    pub(crate) durable: Offset,
}

impl Replica {
    pub(crate) fn new(id: BrokerId) -> Self {
        Self {
            id,
            committed: false,
            proposed: false,
            in_limbo: false,
            live: None,
            lags_since: None,
        }
    }

    /// Whether it may be in the in-sync set, as far as this leader can know.
    pub(crate) fn may_be_in_sync(&self) -> bool {
        self.committed || self.proposed || self.in_limbo
    }

    /// What it has acknowledged, if it is subscribed.
    pub(crate) fn durable(&self) -> Option<Offset> {
        self.live.map(|live| live.durable)
    }

    /// Whether it is subscribed and has everything below `end`.
    pub(crate) fn has_all(&self, end: Offset) -> bool {
        self.durable().is_some_and(|durable| durable >= end)
    }
}
