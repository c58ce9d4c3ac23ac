//! Where new partitions go, and partitions added to topics.

use chronik_metadata::Image;
use chronik_metadata::record::{Change, FreshPartitions, WireUuid};
use chronik_types::{BrokerId, ErrorCode};

use crate::draft::Draft;
use crate::error::ApiError;
use crate::options::Options;
use crate::placement::Placement;
use crate::request::{CreatePartitions, CreatePartitionsTopic};

/// Partitions that can be created: each has as many replicas, one of them active.
#[derive(Debug)]
pub(crate) struct NewPartitions {
    replication_factor: u32,
    replicas: Vec<i32>,
    out_of_sync: Vec<i32>,
}

impl NewPartitions {
    fn new(image: &Image, partitions: &[Vec<BrokerId>]) -> Self {
        let replicas: Vec<i32> = partitions.iter().flatten().map(|broker| broker.0).collect();
        let mut out_of_sync: Vec<i32> =
            replicas.iter().copied().filter(|broker| !image.is_active(BrokerId(*broker))).collect();
        out_of_sync.sort_unstable();
        out_of_sync.dedup();
        let factor = partitions.first().map_or(0, Vec::len);
        Self { replication_factor: u32::try_from(factor).unwrap_or(0), replicas, out_of_sync }
    }

    /// The change that creates them, from partition `first_partition` on.
    pub(crate) fn into_change(self, topic_id: WireUuid, first_partition: i32) -> Change {
        Change::FreshPartitions(FreshPartitions {
            topic_id,
            first_partition,
            replication_factor: self.replication_factor,
            replicas: self.replicas,
            out_of_sync: self.out_of_sync,
        })
    }
}

/// `count` partitions from number `first` on, placed by the controller.
pub(crate) fn placed(
    image: &Image,
    seed: u64,
    first: usize,
    count: i32,
    replication_factor: i16,
) -> Result<NewPartitions, ApiError> {
    let placement = Placement::new(image, seed);
    placement.check(replication_factor)?;
    let factor = usize::try_from(replication_factor).unwrap_or(1);
    let count = usize::try_from(count).unwrap_or(0);
    let partitions: Vec<_> =
        (first..first + count).map(|number| placement.replicas(number, factor)).collect();
    Ok(NewPartitions::new(image, &partitions))
}

/// Partitions from number `first` on, placed as the request says. They have as many replicas as
/// the topic's partitions have, if it has some.
pub(crate) fn assigned(
    image: &Image,
    first: usize,
    replication_factor: Option<usize>,
    partitions: Vec<Vec<BrokerId>>,
) -> Result<NewPartitions, ApiError> {
    let mut factor = replication_factor;
    for (number, brokers) in (first..).zip(&partitions) {
        check_assignment(image, brokers, factor)?;
        if !brokers.iter().any(|broker| image.is_active(*broker)) {
            return Err(invalid(format!(
                "All brokers specified in the manual partition assignment for partition {number} \
                 are fenced or in controlled shutdown."
            )));
        }
        factor = Some(brokers.len());
    }
    Ok(NewPartitions::new(image, &partitions))
}

fn invalid(message: String) -> ApiError {
    ApiError::new(ErrorCode::InvalidReplicaAssignment, message)
}

pub(crate) fn check_assignment(
    image: &Image,
    brokers: &[BrokerId],
    factor: Option<usize>,
) -> Result<(), ApiError> {
    if brokers.is_empty() {
        let message = "The manual partition assignment includes an empty replica list.";
        return Err(invalid(message.to_owned()));
    }
    let mut sorted = brokers.to_vec();
    sorted.sort_unstable();
    let mut previous = None;
    for broker in sorted {
        if image.broker(broker).is_none() {
            return Err(invalid(format!(
                "The manual partition assignment includes broker {broker}, but no such broker is \
                 registered."
            )));
        }
        if previous == Some(broker) {
            return Err(invalid(format!(
                "The manual partition assignment includes the broker {broker} more than once."
            )));
        }
        previous = Some(broker);
    }
    match factor {
        Some(factor) if factor != brokers.len() => Err(invalid(format!(
            "The manual partition assignment includes a partition with {} replica(s), but this is \
             not consistent with previous partitions, which have {factor} replica(s).",
            brokers.len()
        ))),
        _ => Ok(()),
    }
}

/// Adds partitions to topics, to each by itself.
pub(crate) fn create_partitions(
    options: &Options,
    draft: &mut Draft,
    seed: u64,
    request: &CreatePartitions,
) -> Vec<(String, Result<(), ApiError>)> {
    let mut left = options.partitions_per_request_max;
    let mut results: Vec<(String, Result<(), ApiError>)> = Vec::new();
    for topic in &request.topics {
        if results.iter().any(|(name, _)| *name == topic.name) {
            continue;
        }
        let times = request.topics.iter().filter(|other| other.name == topic.name).count();
        let result = if times > 1 {
            Err(ApiError::new(ErrorCode::InvalidRequest, "Duplicate topic name."))
        } else {
            add_partitions(draft, seed, topic, &mut left)
        };
        results.push((topic.name.clone(), result));
    }
    results
}

fn add_partitions(
    draft: &mut Draft,
    seed: u64,
    topic: &CreatePartitionsTopic,
    left: &mut usize,
) -> Result<(), ApiError> {
    let existing = draft
        .image()
        .topic_named(&topic.name)
        .cloned()
        .ok_or_else(|| ApiError::bare(ErrorCode::UnknownTopicOrPartition))?;
    let has = existing.partitions.len();
    let has_wire = i32::try_from(has).unwrap_or(i32::MAX);
    let refused = |message: String| Err(ApiError::new(ErrorCode::InvalidPartitions, message));
    if topic.count == has_wire {
        return refused(format!("Topic already has {has} partition(s)."));
    }
    if topic.count < has_wire {
        return refused(format!(
            "The topic {} currently has {has} partition(s); {} would not be an increase.",
            topic.name, topic.count
        ));
    }
    let additional = topic.count - has_wire;
    let adds = usize::try_from(additional).unwrap_or(usize::MAX);
    if let Some(assignments) = &topic.assignments
        && assignments.len() != adds
    {
        return Err(invalid(format!(
            "Attempted to add {additional} additional partition(s), but only {} assignment(s) \
             were specified.",
            assignments.len()
        )));
    }
    *left = left.checked_sub(adds).ok_or_else(|| {
        let message = "Excessively large number of partitions per request.";
        ApiError::new(ErrorCode::PolicyViolation, message)
    })?;
    let factor = existing.partitions.get(0).map_or(1, |partition| partition.replicas.len());
    let new = match &topic.assignments {
        Some(assignments) => assigned(draft.image(), has, Some(factor), assignments.clone())?,
        None => {
            let factor = i16::try_from(factor).unwrap_or(i16::MAX);
            placed(draft.image(), seed, has, additional, factor)?
        }
    };
    draft.push(new.into_change(existing.id.into(), has_wire));
    Ok(())
}
