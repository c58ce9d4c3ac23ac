//! What two nodes tell each other before anything else.

use std::time::Duration;

use chronik_types::{BrokerId, DirectoryId};

use crate::{Channel, Identity};

/// The versions of this protocol that this build speaks.
pub const VERSIONS: VersionRange = VersionRange { min: 1, max: 1 };

/// Versions of the internal protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRange {
    /// The lowest.
    pub min: u32,
    /// The highest.
    pub max: u32,
}

impl VersionRange {
    /// The highest version in both ranges.
    #[must_use]
    pub fn common(self, other: Self) -> Option<u32> {
        let highest = self.max.min(other.max);
        (highest >= self.min.max(other.min)).then_some(highest)
    }
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Requests, each with one answer.
    Calls,
    /// One stream of messages in each direction.
    Stream,
}

/// What the side that connects says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Who it is.
    pub identity: Identity,
    /// What it speaks.
    pub versions: VersionRange,
    /// Which channel the connection belongs to.
    pub channel: Channel,
    /// What the connection is for.
    pub purpose: Purpose,
    /// The node it means to reach; `None` if it does not know who is at the address.
    pub expects_node: Option<BrokerId>,
    /// The directory it means to reach; `None` if any will do.
    pub expects_directory: Option<DirectoryId>,
    /// After which silence it takes its peer for gone.
    pub mute_after: Duration,
}

impl Purpose {
    pub(crate) fn from_wire(number: u32) -> Option<Self> {
        [Self::Calls, Self::Stream].into_iter().find(|purpose| purpose.on_wire() == number)
    }

    pub(crate) fn on_wire(self) -> u32 {
        match self {
            Self::Calls => 1,
            Self::Stream => 2,
        }
    }
}
