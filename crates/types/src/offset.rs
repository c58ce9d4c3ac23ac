//! Positions in a partition log.

use std::fmt;

/// A position in a partition log: the number of the record there, counted from 0.
///
/// The same type serves for the log start offset, the log end offset, the durable offset and the
/// high watermark; a field or parameter says which one it is. `_end` names are exclusive,
/// `last_` names are inclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub i64);

impl Offset {
    /// The first offset of every log.
    pub const ZERO: Self = Self(0);
    /// Kafka's word on the wire for "no offset".
    pub const UNKNOWN: Self = Self(-1);

    /// This offset moved on by `records`; `None` when that leaves the range of an offset.
    #[must_use]
    pub fn checked_add(self, records: i64) -> Option<Self> {
        self.0.checked_add(records).map(Self)
    }

    /// The next offset. Saturates at `i64::MAX`, which no log reaches.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// How many offsets lie between `earlier` and this one; negative if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
