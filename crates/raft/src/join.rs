//! How a node becomes a member: it asks the leader, again and again, until its own log says so.
//!
//! **Invariants**
//! - Asking is harmless to repeat: each time the leader makes the next step that is missing
//!   (`membership`).
//! - A node that is a member as it should be asks nobody.

use std::time::Duration;

use chronik_peer::{Address, Channel, Identity, Message};
use chronik_types::BrokerId;
use openraft::async_runtime::watch::WatchReceiver as _;

use crate::endpoint::parse_endpoint;
use crate::membership::{MembershipError, Wish};
use crate::network::messages::{
    JoinHead, JoinedHead, Malformed, directory, head, kind, message, read_directory,
};
use crate::node::MetadataNode;
use crate::type_config::{Member, broker_of, node_of};

/// Between two requests to join.
const ASK_AGAIN: Duration = Duration::from_millis(300);
/// How long one may take.
const ANSWER: Duration = Duration::from_secs(5);
/// When it is first said why this node is not a member yet: a start takes an election.
const SAY_AFTER: Duration = Duration::from_secs(3);
/// How often it is said from then on.
const SAY_EVERY: Duration = Duration::from_secs(10);

impl MetadataNode {
    /// Starts the task that makes this node a member, now and whenever it is not.
    pub(crate) fn keep_joined(&self) {
        tokio::spawn(self.clone().join_when_needed());
    }

    async fn join_when_needed(self) {
        let mut metrics = self.raft.server_metrics();
        let mut say_at = self.env.clock.monotonic().after(SAY_AFTER);
        let mut turn = 0;
        loop {
            if self.is_joined() {
                if metrics.changed().await.is_err() {
                    return;
                }
                continue;
            }
            let asked = self.ask_to_join(turn).await;
            turn += 1;
            let now = self.env.clock.monotonic();
            if let Err(why) = asked
                && now >= say_at
            {
                say_at = now.after(SAY_EVERY);
                tracing::info!(why, "not a member of the metadata quorum yet");
            }
            tokio::select! {
                biased;
                changed = metrics.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(ASK_AGAIN) => {}
            }
        }
    }

    /// Whether this node's log names it as what it is.
    fn is_joined(&self) -> bool {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let id = node_of(self.node_id);
        let Some(known) = membership.get_node(&id) else { return false };
        let promoted = membership.voter_ids().any(|voter| voter == id) || !known.stands;
        known.directory == self.own.directory && known.endpoint == self.own.endpoint && promoted
    }

    async fn ask_to_join(&self, turn: usize) -> Result<(), String> {
        let leadership = self.leadership();
        if self.leads(leadership) {
            let joined = self.admit_and_promote(self.node_id, self.own.clone()).await;
            return joined.map_err(|why| why.to_string());
        }
        let others: Vec<BrokerId> =
            self.voters.iter().copied().filter(|voter| *voter != self.node_id).collect();
        let in_turn = others.get(turn % others.len().max(1)).copied();
        let to = leadership.leader.or(in_turn).ok_or("no voter is known")?;
        let request = JoinHead {
            directory: directory(self.own.directory),
            endpoint: self.own.endpoint.clone(),
            stands: self.own.stands,
        };
        let deadline = self.env.clock.monotonic().after(ANSWER);
        let request = message(kind::JOIN, &request);
        let answer = self.peers.call(to, Channel::Raft, request, deadline).await;
        let answer = answer.map_err(|error| format!("node {to}: {error}"))?;
        let answer: JoinedHead = head(&answer, kind::JOINED).map_err(|why| why.to_string())?;
        if let Some(leader) = answer.leader.map(BrokerId)
            && let Some((host, port)) = parse_endpoint(&answer.leader_endpoint)
            && !self.peers.addresses().contains_key(&leader)
        {
            self.peers.set_address(leader, Address { host, port, directory_id: None });
        }
        if answer.refused.is_empty() { Ok(()) } else { Err(answer.refused) }
    }

    /// Another node asks to take part.
    pub(crate) async fn asked_to_join(
        &self,
        from: &Identity,
        request: &Message,
    ) -> Result<Message, Malformed> {
        let request: JoinHead = head(request, kind::JOIN)?;
        let directory = read_directory(&request.directory)?;
        if from.cluster_id != Some(self.cluster_id) || from.directory_id != directory {
            return Err(Malformed("a node joins as itself, in its own cluster".to_owned()));
        }
        let member = Member { directory, endpoint: request.endpoint, stands: request.stands };
        let mut answer = JoinedHead::default();
        match self.admit_and_promote(from.node_id, member).await {
            Ok(()) => {}
            Err(MembershipError::NotLeader(leader)) => {
                answer.leader = leader.map(|leader| leader.0);
                answer.leader_endpoint =
                    leader.and_then(|id| self.endpoint_of(id)).unwrap_or_default();
                answer.refused = match leader {
                    Some(leader) => format!("node {leader} leads"),
                    None => "the metadata quorum has no leader".to_owned(),
                };
            }
            Err(why) => answer.refused = why.to_string(),
        }
        Ok(message(kind::JOINED, &answer))
    }

    /// The next steps of a node that takes part, or wants to.
    async fn admit_and_promote(
        &self,
        node: BrokerId,
        member: Member,
    ) -> Result<(), MembershipError> {
        let leadership = self.leadership();
        if !self.leads(leadership) || !self.gate().has_lease {
            let other = leadership.leader.filter(|leader| *leader != self.node_id);
            return Err(MembershipError::NotLeader(other));
        }
        let steps = async {
            self.admit(node, member, Wish::AsItIs).await?;
            self.promote_if_caught_up(node).await.map(|_| ())
        };
        tokio::time::timeout(ANSWER, steps).await.unwrap_or(Err(MembershipError::TimedOut))
    }

    fn endpoint_of(&self, node: BrokerId) -> Option<String> {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let member = metrics.membership_config.membership().get_node(&node_of(node))?;
        (!member.endpoint.is_empty()).then(|| member.endpoint.clone())
    }

    /// Starts the task that tells the network where members are, as the membership says.
    pub(crate) fn keep_addresses(&self) {
        let (raft, peers, own) = (self.raft.clone(), self.peers.clone(), node_of(self.node_id));
        tokio::spawn(async move {
            let mut metrics = raft.server_metrics();
            let mut told = std::collections::BTreeMap::new();
            loop {
                let membership = metrics.borrow_watched().membership_config.clone();
                for (&id, member) in membership.membership().nodes().filter(|(id, _)| **id != own) {
                    let endpoint = &member.endpoint;
                    let Some((host, port)) = parse_endpoint(endpoint) else { continue };
                    if told.insert(id, endpoint.clone()).as_ref() != Some(endpoint) {
                        let address = Address { host, port, directory_id: None };
                        peers.set_address(broker_of(id), address);
                    }
                }
                if metrics.changed().await.is_err() {
                    return;
                }
            }
        });
    }
}
