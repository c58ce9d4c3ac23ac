//! Who is in the quorum and how far each is.

use std::time::Duration;

use chronik_types::{BrokerId, Offset};
use openraft::Instant as _;
use openraft::async_runtime::watch::WatchReceiver as _;

use crate::node::MetadataNode;
use crate::type_config::{Member, broker_of, node_of, offset_of};

/// A member's place in the quorum, for DescribeQuorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumMember {
    /// The member's number.
    pub node_id: BrokerId,
    /// Who it is.
    pub member: Member,
    /// Whether it votes.
    pub voter: bool,
    /// The end of its log, as the leader knows it; unknown to others.
    pub log_end: Option<Offset>,
}

/// How far a follower is, as its leader knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerLag {
    /// The follower.
    pub node_id: BrokerId,
    /// The end of what it has durably, if it has anything.
    pub matched: Option<Offset>,
    /// How long ago something was sent that it acknowledged; unknown if it never did.
    pub last_contact: Option<Duration>,
    /// How long ago the first entry was appended that it lacks; zero if it lacks none.
    pub lag: Duration,
}

impl MetadataNode {
    /// The members of the quorum and how far each is, as this node knows it.
    #[must_use]
    pub fn members(&self) -> Vec<QuorumMember> {
        let own_end = self.log_end();
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let voters: Vec<u64> = membership.voter_ids().collect();
        let matched = |id: &u64| {
            let matched = metrics.replication.as_ref()?.get(id)?.as_ref()?;
            Some(offset_of(matched.index).next())
        };
        membership
            .nodes()
            .map(|(&id, member)| QuorumMember {
                node_id: broker_of(id),
                member: member.clone(),
                voter: voters.contains(&id),
                log_end: if id == node_of(self.node_id) { own_end } else { matched(&id) },
            })
            .collect()
    }

    /// Whether a change of the voters is under way: until it is done, a majority of the old ones
    /// is needed, too.
    #[must_use]
    pub fn voters_change(&self) -> bool {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let effective = &metrics.membership_config;
        let done = effective.log_id() == metrics.committed_membership_config.log_id();
        !done || effective.membership().get_joint_config().len() > 1
    }

    /// How far each follower is; nothing unless this node leads.
    #[must_use]
    pub fn followers(&self) -> Vec<FollowerLag> {
        let now = self.env.clock.monotonic();
        let metrics = self.raft.data_metrics();
        let metrics = metrics.borrow_watched();
        let Some(replication) = &metrics.replication else { return Vec::new() };
        let mut followers = Vec::with_capacity(replication.len());
        for (id, matched) in replication.iter().filter(|(id, _)| broker_of(**id) != self.node_id) {
            let matched = matched.as_ref().map(|matched| offset_of(matched.index).next());
            let acked = metrics.heartbeat.as_ref().and_then(|acked| *acked.get(id)?);
            followers.push(FollowerLag {
                node_id: broker_of(*id),
                matched,
                last_contact: acked.map(|acked| acked.elapsed()),
                lag: self.store.lag(matched.unwrap_or(Offset::ZERO), now),
            });
        }
        let slowest = followers.iter().map(|f| f.matched.unwrap_or(Offset::ZERO)).min();
        if let Some(slowest) = slowest {
            self.store.held_by_followers(slowest);
        }
        followers
    }
}
