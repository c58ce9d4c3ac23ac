//! Elections that somebody asks for.

use chronik_metadata::record::Change;
use chronik_types::{ErrorCode, PartitionId};

use crate::draft::Draft;
use crate::error::ApiError;
use crate::options::Options;
use crate::partition_change::{Election, PartitionChangeDraft, TopicRules};
use crate::request::{ElectLeaderResult, ElectLeaders, ElectionType};

/// Elects leaders for some partitions, or for all.
pub(crate) fn elect_leaders(
    options: &Options,
    draft: &mut Draft,
    request: ElectLeaders,
) -> Vec<ElectLeaderResult> {
    let mut results = Vec::new();
    let asks_for_all = request.partitions.is_none();
    let partitions = request.partitions.unwrap_or_else(|| {
        let topics = draft.image().topics_by_name();
        let numbers = topics.map(|topic| {
            let numbers = topic.partitions.iter().map(|(number, _)| number).collect();
            (topic.name.to_string(), numbers)
        });
        numbers.collect()
    });
    for (topic, numbers) in partitions {
        for partition in numbers {
            let result = elect(options, draft, &topic, partition, request.election);
            let is_needless =
                matches!(&result, Err(error) if error.code == ErrorCode::ElectionNotNeeded);
            if !(asks_for_all && is_needless) {
                results.push(ElectLeaderResult { topic: topic.clone(), partition, result });
            }
        }
    }
    results
}

fn elect(
    options: &Options,
    draft: &mut Draft,
    name: &str,
    number: PartitionId,
    election: ElectionType,
) -> Result<(), ApiError> {
    let unknown = |message| ApiError::new(ErrorCode::UnknownTopicOrPartition, message);
    let image = draft.image().clone();
    let topic =
        image.topic_named(name).ok_or_else(|| unknown(format!("No such topic as {name}")))?;
    let partition = topic
        .partitions
        .get(number)
        .ok_or_else(|| unknown(format!("No such partition as {name}-{number}")))?;
    let is_needless = match election {
        ElectionType::Preferred => partition.leader == partition.preferred_leader(),
        ElectionType::Unclean => partition.has_leader(),
    };
    if is_needless {
        let message = "Leader election not needed for topic partition.";
        return Err(ApiError::new(ErrorCode::ElectionNotNeeded, message));
    }
    let is_acceptable = |replica| image.is_active(replica);
    let rules = TopicRules::of(options, &image, topic);
    let change = PartitionChangeDraft::new(partition, rules, &is_acceptable)
        .election(match election {
            ElectionType::Preferred => Election::Preferred,
            ElectionType::Unclean => Election::Unclean,
        })
        .build(topic, number);
    match (change, election) {
        (Some(change), _) => {
            draft.push(Change::PartitionChange(change));
            Ok(())
        }
        (None, ElectionType::Preferred) => Err(ApiError::new(
            ErrorCode::PreferredLeaderNotAvailable,
            "The preferred leader was not available.",
        )),
        (None, ElectionType::Unclean) => Err(ApiError::new(
            ErrorCode::EligibleLeadersNotAvailable,
            "Eligible topic partition leaders are not available.",
        )),
    }
}

#[cfg(test)]
mod tests;
