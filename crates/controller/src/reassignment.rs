//! Replicas are moved to other brokers, as KIP-455 has it.
//!
//! ```text
//! replicas 1 2 3, wanted 2 3 4:
//!   replicas 2 3 4 1, adding 4, removing 1     4 copies, everybody serves
//!   4 is in sync                               its leader says so (`alter_partition`)
//!   replicas 2 3 4                             new leader epoch; 1 deletes its copy
//! ```
//!
//! What completes a reassignment is in `partition_change`, since any change of an in-sync set may.

use chronik_metadata::record::Change;
use chronik_metadata::{Image, Partition, Topic};
use chronik_types::{BrokerId, ErrorCode, PartitionId};

use crate::draft::Draft;
use crate::error::ApiError;
use crate::options::Options;
use crate::partition_change::{Election, PartitionChangeDraft, TopicRules};
use crate::partitions::check_assignment;
use crate::request::{AlterPartitionReassignments, ReassignPartition, ReassignResult};

/// Begins and cancels reassignments, each by itself.
pub(crate) fn alter_partition_reassignments(
    options: &Options,
    draft: &mut Draft,
    request: &AlterPartitionReassignments,
) -> Vec<ReassignResult> {
    let results = request.partitions.iter().map(|asked| ReassignResult {
        topic: asked.topic.clone(),
        partition: asked.partition,
        result: reassign(options, draft, asked, request.allow_replication_factor_change),
    });
    results.collect()
}

fn reassign(
    options: &Options,
    draft: &mut Draft,
    asked: &ReassignPartition,
    allow_replication_factor_change: bool,
) -> Result<(), ApiError> {
    let unknown = |message| ApiError::new(ErrorCode::UnknownTopicOrPartition, message);
    let (name, number) = (&asked.topic, asked.partition);
    let image = draft.image().clone();
    let topic = image
        .topic_named(name)
        .ok_or_else(|| unknown(format!("Unable to find a topic named {name}.")))?;
    let partition = topic
        .partitions
        .get(number)
        .ok_or_else(|| unknown(format!("Unable to find partition {name}:{number}.")))?;
    let place = Place { options, image: &image, topic, number, partition };
    let change = match &asked.replicas {
        None => place.cancel()?,
        Some(target) => {
            check_assignment(&image, target, None)?;
            if !allow_replication_factor_change {
                check_replication_factor(partition, target)?;
            }
            place.begin(target)
        }
    };
    draft.push_all(change);
    Ok(())
}

fn check_replication_factor(partition: &Partition, target: &[BrokerId]) -> Result<(), ApiError> {
    let stays = |replica: &&BrokerId| !partition.removing().contains(*replica);
    let now = partition.replicas.iter().filter(stays).count();
    if now == target.len() {
        return Ok(());
    }
    let message = format!("The replication factor is changed from {now} to {}", target.len());
    Err(ApiError::new(ErrorCode::InvalidReplicationFactor, message))
}

/// The partition whose replicas are to move.
struct Place<'a> {
    options: &'a Options,
    image: &'a Image,
    topic: &'a Topic,
    number: PartitionId,
    partition: &'a Partition,
}

impl Place<'_> {
    fn begin(&self, target: &[BrokerId]) -> Option<Change> {
        let current = &self.partition.replicas;
        let only_in = |these: &[BrokerId], those: &[BrokerId]| {
            let mut only: Vec<_> =
                these.iter().filter(|replica| !those.contains(replica)).copied().collect();
            only.sort_unstable();
            only
        };
        let removing = only_in(current, target);
        let adding = only_in(target, current);
        let mut replicas = target.to_vec();
        replicas.extend(&removing);
        // What an earlier request began goes on unless this one names other brokers.
        let or = |new: Vec<BrokerId>, old: &[BrokerId]| {
            if new.is_empty() { old.to_vec() } else { new }
        };
        let adding = or(adding, self.partition.adding());
        let removing = or(removing, self.partition.removing());
        self.change(|change| change.election(Election::Online).replicas(replicas, adding, removing))
    }

    fn cancel(&self) -> Result<Option<Change>, ApiError> {
        let partition = self.partition;
        if !partition.is_reassigning() {
            // The code says it all, as in Kafka.
            return Err(ApiError::bare(ErrorCode::NoReassignmentInProgress));
        }
        let was_there = |replica: &&BrokerId| !partition.adding().contains(*replica);
        let replicas: Vec<_> = partition.replicas.iter().filter(was_there).copied().collect();
        let mut isr: Vec<_> = partition.isr.iter().filter(was_there).copied().collect();
        if isr.is_empty() {
            let rules = TopicRules::of(self.options, self.image, self.topic);
            match replicas.first() {
                Some(first) if rules.unclean_election => isr.push(*first),
                _ => {
                    let message = format!(
                        "Unable to revert partition assignment for {}:{} because it would require \
                         an unclean leader election.",
                        self.topic.name, self.number
                    );
                    return Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, message));
                }
            }
        }
        Ok(self.change(|change| change.isr(isr).replicas(replicas, Vec::new(), Vec::new())))
    }

    fn change(
        &self,
        edit: impl FnOnce(PartitionChangeDraft<'_>) -> PartitionChangeDraft<'_>,
    ) -> Option<Change> {
        let is_acceptable = |replica| self.image.is_active(replica);
        let rules = TopicRules::of(self.options, self.image, self.topic);
        let change = PartitionChangeDraft::new(self.partition, rules, &is_acceptable);
        edit(change).build(self.topic, self.number).map(Change::PartitionChange)
    }
}

#[cfg(test)]
mod tests;
