//! What travels between nodes, and on which connection.

use bytes::Bytes;

/// Which of a pair's connections a message takes, so that what must be fast never waits behind
/// what is bulky.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Votes, appends and snapshots of the metadata log.
    Raft,
    /// Requests to the active controller.
    Control,
    /// Replication of what is new.
    Live,
    /// Replication of what a follower has missed.
    CatchUp,
}

impl Channel {
    /// Every channel.
    pub const ALL: [Self; 4] = [Self::Raft, Self::Control, Self::Live, Self::CatchUp];

    pub(crate) fn from_wire(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.on_wire() == number)
    }

    pub(crate) fn on_wire(self) -> u32 {
        match self {
            Self::Raft => 1,
            Self::Control => 2,
            Self::Live => 3,
            Self::CatchUp => 4,
        }
    }
}

/// One message. What it means is its users' business: kinds `0x01xx` are Raft's, `0x02xx` the
/// controller's, `0x03xx` replication's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Which message of its user this is.
    pub kind: u16,
    /// A prost message of its user.
    pub head: Bytes,
    /// Raw bytes, written from where they lie. How they are divided is not told to the receiver,
    /// who gets them as one piece, or none if there are no bytes.
    pub payload: Vec<Bytes>,
}

impl Message {
    /// A message without a payload.
    #[must_use]
    pub fn new(kind: u16, head: impl Into<Bytes>) -> Self {
        Self { kind, head: head.into(), payload: Vec::new() }
    }

    /// The same message with this payload.
    #[must_use]
    pub fn with_payload(self, payload: Vec<Bytes>) -> Self {
        Self { payload, ..self }
    }

    /// The payload of a received message.
    #[must_use]
    pub fn body(&self) -> Bytes {
        self.payload.first().cloned().unwrap_or_default()
    }

    /// Bytes of head and payload.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.payload.iter().fold(self.head.len(), |sum, piece| sum.saturating_add(piece.len()))
    }
}
