//! How much metadata one request may ask for.
//!
//! What requests ask for together is one entry of the metadata log: it is written, synced, sent and
//! applied at once, on every node, and a journal takes half a file at once at most. An entry that is
//! too large for that would end one leader after the other; so a request that could make one is
//! refused before anything is done. Kafka bounds the number of records instead (10,000), which says
//! little about their size.

use chronik_types::{BrokerId, ErrorCode};

use crate::error::ApiError;
use crate::request::{
    AlterConfigsResult, CreatableTopic, CreatePartitionsTopic, ReassignPartition, ReassignResult,
    Request, ResourceName, Response,
};

/// What one request may ask for, in bytes of metadata.
pub const REQUEST_BYTES_MAX: usize = 1 << 20;

/// What a record takes beside what it names.
const RECORD_BYTES: usize = 32;
/// What a partition takes whose replicas the controller chooses.
const PARTITION_BYTES: usize = 8;
/// What a replica takes.
const REPLICA_BYTES: usize = 4;

impl Request {
    /// About how many bytes of metadata a client asks for; 0 for what only brokers ask for.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::CreateTopics(request) => sum(&request.topics, topic),
            Self::CreatePartitions(request) => sum(&request.topics, more_partitions),
            Self::DeleteTopics(request) => request.topics.len().saturating_mul(RECORD_BYTES),
            Self::AlterConfigs(request) => sum(&request.resources, |(resource, values)| {
                sum(values, |(name, value)| setting(resource, name, value.as_deref()))
            }),
            Self::IncrementalAlterConfigs(request) => {
                sum(&request.resources, |(resource, changes)| {
                    sum(changes, |change| setting(resource, &change.name, change.value.as_deref()))
                })
            }
            Self::AlterPartitionReassignments(request) => sum(&request.partitions, reassignment),
            Self::Bootstrap(_)
            | Self::RegisterBroker(_)
            | Self::BrokerHeartbeat(_)
            | Self::UnregisterBroker(_)
            | Self::AllocateProducerIds(_)
            | Self::AlterPartition(_)
            | Self::ElectLeaders(_)
            | Self::UpdateFeatures(_) => 0,
        }
    }
}

/// The refusal of a request that asks for too much.
pub(crate) fn refusal(request: &Request) -> Option<Response> {
    let bytes = request.bytes();
    if bytes <= REQUEST_BYTES_MAX {
        return None;
    }
    let error = ApiError::new(
        ErrorCode::PolicyViolation,
        format!(
            "The request asks for about {bytes} bytes of metadata, more than the \
             {REQUEST_BYTES_MAX} that are changed at once; ask for less in each request."
        ),
    );
    match request {
        Request::CreateTopics(_) => Some(Response::CreateTopics(Err(error))),
        Request::CreatePartitions(request) => {
            let refused = request.topics.iter().map(|t| (t.name.clone(), Err(error.clone())));
            Some(Response::CreatePartitions(refused.collect()))
        }
        Request::DeleteTopics(_) => Some(Response::DeleteTopics(Err(error))),
        Request::AlterConfigs(request) => {
            let resources = request.resources.iter().map(|(resource, _)| resource);
            Some(Response::AlterConfigs(configs_refused(resources, &error)))
        }
        Request::IncrementalAlterConfigs(request) => {
            let resources = request.resources.iter().map(|(resource, _)| resource);
            Some(Response::IncrementalAlterConfigs(configs_refused(resources, &error)))
        }
        Request::AlterPartitionReassignments(request) => {
            let refused = request.partitions.iter().map(|moved| ReassignResult {
                topic: moved.topic.clone(),
                partition: moved.partition,
                result: Err(error.clone()),
            });
            Some(Response::AlterPartitionReassignments(refused.collect()))
        }
        _ => None,
    }
}

fn configs_refused<'r>(
    resources: impl Iterator<Item = &'r ResourceName>,
    error: &ApiError,
) -> Vec<AlterConfigsResult> {
    let refused = |resource: &ResourceName| AlterConfigsResult {
        resource: resource.clone(),
        result: Err(error.clone()),
    };
    resources.map(refused).collect()
}

fn sum<T>(parts: impl IntoIterator<Item = T>, bytes: impl Fn(T) -> usize) -> usize {
    parts.into_iter().map(bytes).fold(0, usize::saturating_add)
}

fn topic(topic: &CreatableTopic) -> usize {
    let partitions = if topic.assignments.is_empty() {
        usize::try_from(topic.num_partitions.max(1)).unwrap_or(0).saturating_mul(PARTITION_BYTES)
    } else {
        sum(&topic.assignments, |assignment| replicas(&assignment.brokers))
    };
    let configs = sum(&topic.configs, |(name, value)| {
        RECORD_BYTES + topic.name.len() + name.len() + value.as_ref().map_or(0, String::len)
    });
    (2 * RECORD_BYTES + topic.name.len()).saturating_add(partitions).saturating_add(configs)
}

fn more_partitions(topic: &CreatePartitionsTopic) -> usize {
    let partitions = match &topic.assignments {
        Some(assignments) => sum(assignments, |brokers| replicas(brokers)),
        // How many there are is not known here; the controller bounds how many are added.
        None => 0,
    };
    RECORD_BYTES.saturating_add(partitions)
}

fn setting(resource: &ResourceName, name: &str, value: Option<&str>) -> usize {
    RECORD_BYTES + resource.name.len() + name.len() + value.map_or(0, str::len)
}

fn reassignment(moved: &ReassignPartition) -> usize {
    // Those that it has now stay until it has moved.
    RECORD_BYTES + 2 * replicas(moved.replicas.as_deref().unwrap_or_default())
}

fn replicas(brokers: &[BrokerId]) -> usize {
    PARTITION_BYTES.saturating_add(brokers.len().saturating_mul(REPLICA_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{AlterConfigs, CreatePartitions, CreateTopics, IncrementalAlterConfigs};
    use crate::testing::{Cluster, topic};
    use crate::{ConfigChange, Release};

    fn is_refused(request: Request) -> bool {
        let mut cluster = Cluster::of(1);
        let before = cluster.controller.speculative().hash();
        let outcome = cluster.handle(request);
        let has_proposed = cluster.controller.next_batch().is_some();
        let refused = format!("{:?}", outcome.response).contains("are changed at once");
        if refused {
            assert_eq!(outcome.release, Release::Now);
            assert!(!has_proposed && cluster.controller.speculative().hash() == before);
        }
        refused
    }

    #[test]
    fn a_request_for_more_than_an_entry_takes_changes_nothing() {
        let value = "v".repeat(30_000);
        let many = 40;
        let configs = vec![("compression.type".to_owned(), Some(value.clone())); many];
        let resource = ResourceName { resource_type: 2, name: "t".to_owned() };
        let topics = vec![CreatableTopic { configs: configs.clone(), ..topic(1, "t", 1, 1) }];
        assert!(is_refused(Request::CreateTopics(CreateTopics { topics, validate_only: false })));
        let topics = vec![CreatePartitionsTopic {
            name: "t".to_owned(),
            count: 300_000,
            assignments: Some(vec![vec![BrokerId(1)]; 300_000]),
        }];
        let request = CreatePartitions { topics, validate_only: false };
        assert!(is_refused(Request::CreatePartitions(request)));
        let resources = vec![(resource.clone(), configs)];
        let request = AlterConfigs { resources, validate_only: false };
        assert!(is_refused(Request::AlterConfigs(request)));
        let change = ConfigChange { value: Some(value), ..ConfigChange::default() };
        let resources = vec![(resource, vec![change; many])];
        let request = IncrementalAlterConfigs { resources, validate_only: false };
        assert!(is_refused(Request::IncrementalAlterConfigs(request)));
    }

    #[test]
    fn what_may_be_asked_for_fits() {
        let topics = vec![topic(1, "t", 100_000, 1)];
        let request = CreateTopics { topics, validate_only: false };
        assert!(!is_refused(Request::CreateTopics(request)));
    }

    #[test]
    fn an_entry_is_not_much_larger_than_what_is_reckoned() {
        let mut cluster = Cluster::of(3);
        let topics: Vec<_> = (0..100).map(|n| topic(n, &format!("topic-{n}"), 50, 3)).collect();
        let request = Request::CreateTopics(CreateTopics { topics, validate_only: false });
        let reckoned = request.bytes();
        cluster.handle(request);
        let batch = cluster.controller.next_batch().unwrap();
        let bytes = chronik_metadata::encode_batch(&batch).len();
        assert!(bytes < reckoned * 3 / 2, "{bytes} and {reckoned}");
    }
}
