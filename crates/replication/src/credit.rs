//! How many bytes a leader may send before the follower has taken them in.
//!
//! **Invariants**: granted − spent never exceeds the window the follower offered at the start; a
//! single message larger than what is left may still go when anything is left, so that no batch is
//! too large to be sent.

/// The leader's side: what may be sent.
#[derive(Debug)]
pub struct Credit {
    left: i64,
}

impl Credit {
    /// As the follower offered when it opened the stream.
    #[must_use]
    pub fn new(window: u64) -> Self {
        Self { left: i64::try_from(window).unwrap_or(i64::MAX) }
    }

    /// Whether anything may be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.left > 0
    }

    /// How many bytes to read at most for the next message.
    #[must_use]
    pub fn left(&self) -> u64 {
        u64::try_from(self.left).unwrap_or(0)
    }

    /// That many bytes were sent.
    pub fn spend(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// The follower has taken in that many. Says whether sending may go on that had stopped.
    pub fn grant(&mut self, bytes: u64) -> bool {
        let was_open = self.is_open();
        self.left = self.left.saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX));
        !was_open && self.is_open()
    }
}

/// The follower's side: what to give back, and when.
#[derive(Debug)]
pub struct CreditWindow {
    window: u64,
    taken_in: u64,
}

impl CreditWindow {
    /// A stream opened with this window.
    #[must_use]
    pub fn new(window: u64) -> Self {
        Self { window, taken_in: 0 }
    }

    /// That many bytes are appended, or dropped. What to grant now: a quarter of the window or
    /// more at a time, so that grants stay few.
    pub fn taken_in(&mut self, bytes: u64) -> Option<u64> {
        self.taken_in = self.taken_in.saturating_add(bytes);
        if self.taken_in < self.window / 4 {
            return None;
        }
        Some(std::mem::take(&mut self.taken_in))
    }
}
