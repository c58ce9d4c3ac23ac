//! Epochs: each counts the reigns of one kind of ruler, and a lower one is always stale.

use std::fmt;

macro_rules! epoch {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $int);

        impl $name {
            /// Kafka's word on the wire for "none" or "do not check".
            pub const NONE: Self = Self(-1);
            /// The first epoch.
            pub const ZERO: Self = Self(0);

            /// The epoch after this one; `None` at the end of the range.
            #[must_use]
            pub fn checked_next(self) -> Option<Self> {
                self.0.checked_add(1).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

epoch! {
    /// Counts the leaders of one partition. Stamped into every batch its leader appends. For the
    /// metadata log it is the Raft term.
    LeaderEpoch(i32)
}
epoch! {
    /// Counts the registrations of a broker (KIP-631); drawn from a counter in the metadata image.
    BrokerEpoch(i64)
}
epoch! {
    /// Counts the incarnations of one producer id; a lower one is a zombie (KIP-98).
    ProducerEpoch(i16)
}
