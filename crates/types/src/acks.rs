//! What a producer asks to wait for.

/// The `acks` of a produce request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// 0: no response at all.
    None,
    /// 1: the leader has the batch, durably unless the topic says otherwise.
    Leader,
    /// -1 (`all`): every in-sync replica has it.
    All,
}

/// Neither -1, 0 nor 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("acks must be -1, 0 or 1, not {0}")]
pub struct InvalidAcks(pub i16);

impl TryFrom<i16> for Acks {
    type Error = InvalidAcks;

    fn try_from(wire: i16) -> Result<Self, InvalidAcks> {
        match wire {
            0 => Ok(Self::None),
            1 => Ok(Self::Leader),
            -1 => Ok(Self::All),
            other => Err(InvalidAcks(other)),
        }
    }
}
