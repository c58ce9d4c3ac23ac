//! The controller of the simulation: it commits in-sync sets, fences brokers and elects leaders, by
//! the rules of `chronik-controller`, for one partition.

use std::collections::BTreeMap;

use chronik_types::{BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch};

use crate::Proposal;

/// The partition as committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub replicas: Vec<BrokerId>,
    pub isr: Vec<BrokerId>,
    pub leader: Option<BrokerId>,
    pub leader_epoch: i32,
    pub partition_epoch: i32,
}

#[derive(Clone, Copy, Debug)]
pub struct Registration {
    pub epoch: i64,
    pub active: bool,
}

#[derive(Clone, Debug)]
pub struct Controller {
    pub brokers: BTreeMap<BrokerId, Registration>,
    /// Every committed state, oldest first.
    pub history: Vec<View>,
    next_broker_epoch: i64,
}

impl Controller {
    pub fn new(replicas: &[BrokerId]) -> Self {
        let brokers = replicas.iter().map(|id| (*id, Registration { epoch: 0, active: true }));
        let first = View {
            replicas: replicas.to_vec(),
            isr: replicas.to_vec(),
            leader: Some(replicas[0]),
            leader_epoch: 0,
            partition_epoch: 0,
        };
        Self { brokers: brokers.collect(), history: vec![first], next_broker_epoch: 1 }
    }

    pub fn view(&self) -> &View {
        &self.history[self.history.len() - 1]
    }

    pub fn newest(&self) -> usize {
        self.history.len() - 1
    }

    pub fn is_active(&self, broker: BrokerId) -> bool {
        self.brokers[&broker].active
    }

    /// AlterPartition. With `elects` another member leads with the new set, as when a change
    /// completes a reassignment.
    pub fn alter(
        &mut self,
        from: BrokerId,
        broker_epoch: i64,
        proposal: &Proposal,
        elects: bool,
    ) -> Result<View, ErrorCode> {
        let view = self.view().clone();
        if self.brokers[&from].epoch != broker_epoch {
            return Err(ErrorCode::StaleBrokerEpoch);
        }
        let LeaderEpoch(leader_epoch) = proposal.leader_epoch;
        if leader_epoch > view.leader_epoch || proposal.partition_epoch > view.partition_epoch {
            return Err(ErrorCode::NotController);
        }
        if leader_epoch < view.leader_epoch {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        if view.leader != Some(from) {
            return Err(ErrorCode::InvalidRequest);
        }
        if proposal.partition_epoch < view.partition_epoch {
            return Err(ErrorCode::InvalidUpdateVersion);
        }
        let isr: Vec<_> = proposal.new_isr.iter().map(|(id, _)| *id).collect();
        if !isr.contains(&from) || !isr.iter().all(|id| view.replicas.contains(id)) {
            return Err(ErrorCode::InvalidRequest);
        }
        let eligible = |(id, epoch): &(BrokerId, BrokerEpoch)| {
            let registered = self.brokers[id];
            registered.active && (*epoch == BrokerEpoch::NONE || registered.epoch == epoch.0)
        };
        if !proposal.new_isr.iter().all(eligible) {
            return Err(ErrorCode::IneligibleReplica);
        }
        let other = isr.iter().copied().find(|id| *id != from);
        if let Some(other) = other.filter(|_| elects) {
            let leader_epoch = view.leader_epoch + 1;
            self.commit(View { isr, leader: Some(other), leader_epoch, ..view });
            return Err(ErrorCode::NewLeaderElected);
        }
        self.commit(View { isr, ..view });
        Ok(self.view().clone())
    }

    /// The broker is out of touch.
    pub fn fence(&mut self, broker: BrokerId) {
        self.set_active(broker, false);
        self.leave(broker);
    }

    /// The broker is back in touch, as it was.
    pub fn unfence(&mut self, broker: BrokerId) {
        self.set_active(broker, true);
        self.elect(false);
    }

    /// A new incarnation; `lossy` if it may lack what it acknowledged. Its epoch.
    pub fn register(&mut self, broker: BrokerId, lossy: bool) -> i64 {
        let epoch = self.next_broker_epoch;
        self.next_broker_epoch += 1;
        if lossy {
            self.leave(broker);
        }
        self.brokers.insert(broker, Registration { epoch, active: true });
        // It never appends in an epoch that its predecessor led.
        let again = self.view().leader == Some(broker);
        self.elect(again);
        epoch
    }

    /// Another member leads from now on.
    pub fn move_leadership(&mut self, to: BrokerId) {
        let view = self.view().clone();
        if view.isr.contains(&to) && self.is_active(to) && view.leader != Some(to) {
            let leader_epoch = view.leader_epoch + 1;
            self.commit(View { leader: Some(to), leader_epoch, ..view });
        }
    }

    fn set_active(&mut self, broker: BrokerId, active: bool) {
        if let Some(registration) = self.brokers.get_mut(&broker) {
            registration.active = active;
        }
    }

    /// Out of the in-sync set, unless it is the last member.
    fn leave(&mut self, broker: BrokerId) {
        let mut view = self.view().clone();
        if view.isr.contains(&broker) && view.isr.len() > 1 {
            view.isr.retain(|id| *id != broker);
            self.choose(&mut view, false);
            self.commit(view);
        } else {
            self.elect(false);
        }
    }

    fn elect(&mut self, again: bool) {
        let mut view = self.view().clone();
        if self.choose(&mut view, again) {
            self.commit(view);
        }
    }

    /// Whether the leader changed, or begins anew.
    fn choose(&self, view: &mut View, again: bool) -> bool {
        let can_lead = |id: &BrokerId| view.isr.contains(id) && self.is_active(*id);
        let leader = match view.leader.filter(|leader| can_lead(leader)) {
            Some(leader) => Some(leader),
            None => view.replicas.iter().copied().find(|id| can_lead(id)),
        };
        if leader == view.leader && !again {
            return false;
        }
        view.leader = leader;
        view.leader_epoch += 1;
        true
    }

    fn commit(&mut self, mut view: View) {
        view.partition_epoch = self.view().partition_epoch + 1;
        self.history.push(view);
    }
}
