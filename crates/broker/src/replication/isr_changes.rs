//! In-sync sets to be changed, gathered and sent to the controller.
//!
//! **Invariants**
//! - One request is on its way at a time; what is proposed meanwhile shares the next one.
//! - Every proposal gets exactly one answer. What may have been committed all the same is said to
//!   be unknown, never refused.
//!
//! **Not here:** what is proposed (`chronik-replication`), whether it may be (`chronik-controller`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chronik_controller::{
    AlterPartition, AlterPartitionData, AlterPartitionResult, PartitionState, Request, Response,
};
use chronik_metadata::Image;
use chronik_replication::{AlterAnswer, IsrView, Proposal};
use chronik_types::{BrokerEpoch, BrokerId, ErrorCode, TopicPartition};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::Broker;
use crate::controller_runtime::ControllerError;

/// Partitions in one request.
const PARTITIONS_MAX: usize = 2_000;
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Default)]
pub(crate) struct IsrChanges {
    queued: Mutex<BTreeMap<TopicPartition, Proposal>>,
    wake: Notify,
}

impl IsrChanges {
    /// Asks for this in-sync set. There is one proposal of a partition at a time.
    pub fn propose(&self, partition: TopicPartition, proposal: Proposal) {
        self.queued.lock().insert(partition, proposal);
        self.wake.notify_one();
    }

    fn take(&self) -> Vec<(TopicPartition, Proposal)> {
        let mut queued = self.queued.lock();
        let mut taken = Vec::new();
        while taken.len() < PARTITIONS_MAX {
            let Some(first) = queued.pop_first() else { break };
            taken.push(first);
        }
        taken
    }
}

/// Sends what is proposed.
pub(crate) async fn run(broker: Arc<Broker>) {
    let changes = &broker.replication.leading.isr_changes;
    loop {
        let proposals = changes.take();
        if proposals.is_empty() {
            changes.wake.notified().await;
        } else {
            send(&broker, &proposals).await;
        }
    }
}

async fn send(broker: &Broker, proposals: &[(TopicPartition, Proposal)]) {
    let me = broker.options.node_id;
    let image = broker.committed.borrow().image.clone();
    let mut proposals = proposals.to_vec();
    proposals.retain_mut(|(tp, proposal)| {
        let grantable = leave_out_the_dead(&image, me, *tp, proposal);
        if !grantable {
            answer(broker, *tp, proposal, AlterAnswer::Refused(ErrorCode::IneligibleReplica));
        }
        grantable
    });
    if proposals.is_empty() {
        return;
    }
    let proposals = proposals.as_slice();
    let epoch = image.broker(me).map(|broker| broker.epoch);
    let request = AlterPartition {
        broker_id: me,
        broker_epoch: epoch.unwrap_or(BrokerEpoch::NONE),
        partitions: proposals.iter().map(|(tp, proposal)| data(*tp, proposal)).collect(),
    };
    let deadline = broker.env.clock.monotonic().after(PATIENCE);
    match broker.controller.ask(Request::AlterPartition(request), deadline).await {
        Ok(Response::AlterPartition(Ok(results))) => deliver(broker, proposals, results),
        Ok(Response::AlterPartition(Err(error))) => {
            tracing::info!(%error, "the controller refused changes of in-sync sets");
            answer_all(broker, proposals, AlterAnswer::Refused(error.code));
        }
        Err(ControllerError::Refused(error)) => {
            tracing::info!(%error, "changes of in-sync sets were refused");
            answer_all(broker, proposals, AlterAnswer::Refused(ErrorCode::UnknownServerError));
        }
        Ok(_) | Err(_) => answer_all(broker, proposals, AlterAnswer::Unknown),
    }
}

/// Takes those out of a proposal that the controller would not have, as far as the image tells: one
/// of them has the whole proposal refused. `false` if nothing is left to ask for.
fn leave_out_the_dead(
    image: &Image,
    me: BrokerId,
    tp: TopicPartition,
    proposal: &mut Proposal,
) -> bool {
    let all = proposal.new_isr.len();
    proposal.new_isr.retain(|(id, epoch)| {
        let is_it = |found: BrokerEpoch| *epoch == BrokerEpoch::NONE || found == *epoch;
        let alive = |id| image.broker(id).is_some_and(|b| b.is_active() && is_it(b.epoch));
        *id == me || alive(*id)
    });
    let present = image.partition(tp).map_or(&[][..], |state| &state.isr);
    let asks_for_more = proposal.new_isr.len() != present.len()
        || proposal.new_isr.iter().any(|(id, _)| !present.contains(id));
    proposal.new_isr.len() == all || asks_for_more
}

fn data(tp: TopicPartition, proposal: &Proposal) -> AlterPartitionData {
    AlterPartitionData {
        topic_id: tp.topic_id,
        partition: tp.partition,
        leader_epoch: proposal.leader_epoch,
        partition_epoch: proposal.partition_epoch,
        new_isr: proposal.new_isr.clone(),
        recovering: false,
    }
}

fn deliver(
    broker: &Broker,
    proposals: &[(TopicPartition, Proposal)],
    results: Vec<AlterPartitionResult>,
) {
    let mut by_partition: BTreeMap<_, _> = results
        .into_iter()
        .map(|result| {
            let tp = TopicPartition { topic_id: result.topic_id, partition: result.partition };
            (tp, result.result)
        })
        .collect();
    let (mut shrunk, mut expanded, mut refused) = (0, 0, 0);
    for (tp, proposal) in proposals {
        match by_partition.remove(tp) {
            Some(Ok(state)) => {
                let (fewer, more) = difference(broker, *tp, proposal, &state);
                (shrunk, expanded) = (shrunk + fewer, expanded + more);
                answer(broker, *tp, proposal, AlterAnswer::Committed(view(&state)));
            }
            Some(Err(error)) => {
                tracing::debug!(%tp, %error, "a change of an in-sync set was refused");
                refused += 1;
                answer(broker, *tp, proposal, AlterAnswer::Refused(error.code));
            }
            None => answer(broker, *tp, proposal, AlterAnswer::Unknown),
        }
    }
    let partitions = proposals.len();
    tracing::info!(partitions, shrunk, expanded, refused, "in-sync sets changed");
    broker.metrics.cluster.isr_changed(shrunk, expanded);
}

fn view(state: &PartitionState) -> IsrView<'_> {
    IsrView {
        isr: &state.isr,
        leader_epoch: state.leader_epoch,
        partition_epoch: state.partition_epoch,
    }
}

/// By how many replicas an in-sync set shrank and grew.
fn difference(
    broker: &Broker,
    tp: TopicPartition,
    proposal: &Proposal,
    state: &PartitionState,
) -> (u64, u64) {
    let before = broker.partitions.opened(tp).and_then(|partition| partition.progress.isr_len());
    let Some(before) = before.filter(|_| state.partition_epoch > proposal.partition_epoch) else {
        return (0, 0);
    };
    let after = state.isr.len();
    tracing::debug!(%tp, isr = ?state.isr, state.partition_epoch, "in-sync set changed");
    (before.saturating_sub(after) as u64, after.saturating_sub(before) as u64)
}

fn answer_all(broker: &Broker, proposals: &[(TopicPartition, Proposal)], how: AlterAnswer<'_>) {
    for (tp, proposal) in proposals {
        answer(broker, *tp, proposal, how);
    }
}

fn answer(broker: &Broker, tp: TopicPartition, proposal: &Proposal, how: AlterAnswer<'_>) {
    if let Some(partition) = broker.partitions.opened(tp) {
        partition.progress.alter_answered(proposal.leader_epoch, how);
    }
}
