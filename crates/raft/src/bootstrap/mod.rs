//! Which cluster a node belongs to, found out before anything of it is opened: journal files carry
//! the cluster id.
//!
//! ```text
//!            every other voter empty          every other voter formatted
//!  lowest  Empty ────────► Formatted ─────────────────────────► makes the first membership
//!  others  Empty ────────► Formatted ─► waits for a leader
//!                the lowest is formatted
//!  any     Empty ────────► Formatted ─► observer: asks the leader to take part
//!                a voter is a member
//! ```
//!
//! **Invariants**
//! - A cluster is made by the lowest voter, once, and only when every other voter has said that it
//!   holds nothing of any cluster; a voter that is gone for good is named by the operator.
//! - A directory that is empty although its cluster exists is a new one: its node is an observer
//!   until the leader has replaced the old directory. (A wiped voter that votes elects a leader
//!   without committed entries.)
//! - Whoever is asked answers from the moment its listener is open.
//!
//! **Not here:** `meta.properties` (the caller writes it when told to), taking part later (`join`).

mod decide;
mod exchange;
mod wire;

pub use decide::{Decision, Local, Role, Voter};
pub use exchange::{Answers, BootstrapError, Newcomer, join, local_state};
pub(crate) use wire::probed;

#[cfg(test)]
pub(crate) mod tests;
