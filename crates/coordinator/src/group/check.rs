//! The invariants of a group, asserted.

use super::{Group, GroupState};
use crate::member::Parked;

impl Group {
    /// Asserts the invariants of the module doc.
    pub(crate) fn check(&self) {
        let joining = self.members.values().filter(|member| member.is_joining()).count();
        assert_eq!(self.joining, joining, "joining counts parked JoinGroups");
        let statics = self.members.values().filter(|member| member.instance.is_some()).count();
        assert_eq!(self.statics.len(), statics, "an instance has one member");
        for (instance, id) in &self.statics {
            let owner = self.members.get(id).and_then(|member| member.instance.as_ref());
            assert_eq!(owner, Some(instance), "statics names members");
        }
        for (protocol, count) in &self.support {
            let supporting = self.members.values().filter(|m| m.metadata(protocol).is_some());
            assert_eq!(*count, supporting.count(), "support counts members");
        }
        assert_eq!(self.leader.is_some(), !self.members.is_empty(), "members have a leader");
        assert!(self.leader.as_ref().is_none_or(|id| self.members.contains_key(id)));
        assert!(self.pending.iter().all(|id| !self.members.contains_key(id)));
        assert!(self.unsynced.iter().all(|id| self.members.contains_key(id)));
        for member in self.members.values() {
            match member.parked {
                Some(Parked::Join(..)) => assert!(self.is_preparing(), "joins wait in Preparing"),
                Some(Parked::Sync(_)) => assert_eq!(self.state, GroupState::CompletingRebalance),
                None => assert!(!member.is_new, "a new member waits for its first answer"),
            }
        }
        match self.state {
            GroupState::Empty => assert!(self.members.is_empty(), "Empty has no members"),
            GroupState::PreparingRebalance(_) => assert!(self.unsynced.is_empty()),
            GroupState::CompletingRebalance | GroupState::Stable => {
                let protocol = self.protocol.as_deref().unwrap_or_default();
                assert!(!self.members.is_empty(), "a generation has members");
                assert!(self.is_candidate(protocol), "all members support the protocol");
            }
        }
        self.offsets.check();
    }
}
