//! A leader proposes the in-sync set of a partition; the controller decides and commits it.

use chronik_metadata::record::{Change, PartitionChange};
use chronik_metadata::{BrokerList, Image, Partition, Topic};
use chronik_types::{BrokerId, ErrorCode};

use crate::broker_lifecycle::check_epoch;
use crate::bugs;
use crate::draft::Draft;
use crate::error::ApiError;
use crate::options::Options;
use crate::partition_change::{PartitionChangeDraft, TopicRules, ids};
use crate::request::{AlterPartition, AlterPartitionData, AlterPartitionResult, PartitionState};

/// Changes in-sync sets.
pub(crate) fn alter_partition(
    options: &Options,
    draft: &mut Draft,
    request: AlterPartition,
) -> Result<Vec<AlterPartitionResult>, ApiError> {
    check_epoch(draft.image(), request.broker_id, request.broker_epoch)?;
    let results = request.partitions.iter().map(|data| AlterPartitionResult {
        topic_id: data.topic_id,
        partition: data.partition,
        result: alter_one(options, draft, request.broker_id, data).map_err(ApiError::bare),
    });
    Ok(results.collect())
}

fn alter_one(
    options: &Options,
    draft: &mut Draft,
    leader: BrokerId,
    data: &AlterPartitionData,
) -> Result<PartitionState, ErrorCode> {
    let image = draft.image().clone();
    let topic = image.topic(data.topic_id).ok_or(ErrorCode::UnknownTopicId)?;
    let partition =
        topic.partitions.get(data.partition).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    check(&image, partition, leader, data)?;
    let is_acceptable = |replica| image.is_active(replica);
    let rules = TopicRules::of(options, &image, topic);
    let isr: Vec<_> = data.new_isr.iter().map(|(id, _)| *id).collect();
    let as_it_is = PartitionChange {
        topic_id: topic.id.into(),
        partition: data.partition,
        isr: Some(ids(&isr)),
        ..PartitionChange::default()
    };
    // A leader that proposes what there is asks for the next partition epoch, after which nothing
    // that it proposed before, and never heard of again, can be committed.
    let change = PartitionChangeDraft::new(partition, rules, &is_acceptable)
        .isr(isr)
        .recovering(data.recovering)
        .build(topic, data.partition)
        .unwrap_or(as_it_is);
    let other_leader = change.leader.is_some_and(|elected| elected != leader.0);
    draft.push(Change::PartitionChange(change));
    // The change has completed a reassignment that takes the leader away: it is made, and the
    // leader is to learn from the image what it was.
    if other_leader {
        return Err(ErrorCode::NewLeaderElected);
    }
    state(draft.image(), topic, data).ok_or(ErrorCode::UnknownTopicOrPartition)
}

fn state(image: &Image, topic: &Topic, data: &AlterPartitionData) -> Option<PartitionState> {
    let partition = image.topic(topic.id)?.partitions.get(data.partition)?;
    Some(PartitionState {
        leader: partition.leader,
        leader_epoch: partition.leader_epoch,
        isr: BrokerList::clone(&partition.isr),
        recovering: partition.recovering,
        partition_epoch: partition.partition_epoch,
    })
}

fn check(
    image: &Image,
    partition: &Partition,
    leader: BrokerId,
    data: &AlterPartitionData,
) -> Result<(), ErrorCode> {
    if bugs::accept_stale_epochs() {
        return Ok(());
    }
    // A leader that knows more than this controller must look for a newer controller.
    if data.leader_epoch > partition.leader_epoch
        || data.partition_epoch > partition.partition_epoch
    {
        return Err(ErrorCode::NotController);
    }
    if data.leader_epoch < partition.leader_epoch {
        return Err(ErrorCode::FencedLeaderEpoch);
    }
    if leader != partition.leader {
        return Err(ErrorCode::InvalidRequest);
    }
    if data.partition_epoch < partition.partition_epoch {
        return Err(ErrorCode::InvalidUpdateVersion);
    }
    let members: Vec<_> = data.new_isr.iter().map(|(id, _)| *id).collect();
    let has_double = members
        .iter()
        .enumerate()
        .any(|(at, id)| members.iter().skip(at + 1).any(|other| other == id));
    let is_invalid = has_double
        || !members.iter().all(|id| partition.replicas.contains(id))
        || !members.contains(&leader)
        || (data.recovering && members.len() > 1)
        || (data.recovering && !partition.recovering);
    if is_invalid {
        return Err(ErrorCode::InvalidRequest);
    }
    // A member that restarted since the leader heard of it may lack what the leader believes it
    // has (KIP-903).
    let is_eligible = |(id, epoch): &(BrokerId, chronik_types::BrokerEpoch)| {
        image
            .broker(*id)
            .is_some_and(|broker| broker.is_active() && (epoch.0 == -1 || broker.epoch == *epoch))
    };
    if !data.new_isr.iter().all(is_eligible) {
        return Err(ErrorCode::IneligibleReplica);
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
