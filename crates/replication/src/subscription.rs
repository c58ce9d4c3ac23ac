//! What a subscription is called.

use std::fmt;

/// Names one subscription of one follower to one partition. A follower never uses a name twice,
/// also not after a restart, so that nothing said in an earlier one is taken for the present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(pub u64);

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Gives out names of subscriptions.
#[derive(Debug)]
pub struct SubscriptionIds {
    next: u64,
}

impl SubscriptionIds {
    /// Begins at a number that this process drew by chance, so that a restart does not repeat
    /// names.
    #[must_use]
    pub fn starting_at(entropy: u64) -> Self {
        Self { next: entropy }
    }

    /// A new name.
    pub fn draw(&mut self) -> SubscriptionId {
        let id = SubscriptionId(self.next);
        self.next = self.next.wrapping_add(1);
        id
    }
}
