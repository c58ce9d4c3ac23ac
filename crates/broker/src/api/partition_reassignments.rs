//! AlterPartitionReassignments and ListPartitionReassignments: replicas on their way to other
//! brokers (KIP-455).

use std::sync::Arc;

use chronik_controller::{
    AlterPartitionReassignments, ReassignPartition, ReassignResult, Request, Response,
};
use chronik_metadata::{Partition, Topic};
use chronik_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
    OngoingPartitionReassignment, OngoingTopicReassignment, ReassignablePartitionResponse,
    ReassignableTopic, ReassignableTopicResponse,
};
use chronik_types::{BrokerId, ErrorCode};

use crate::Broker;
use crate::controller_runtime::code_of;

/// Serves AlterPartitionReassignments.
pub(crate) async fn alter(
    broker: &Arc<Broker>,
    request: AlterPartitionReassignmentsRequest<'_>,
) -> AlterPartitionReassignmentsResponse<'static> {
    let allow_replication_factor_change = request.allow_replication_factor_change;
    if request.topics.is_empty() {
        return AlterPartitionReassignmentsResponse::default();
    }
    let numbers = |topic: &ReassignableTopic<'_>| {
        topic.partitions.iter().map(|partition| partition.partition_index).collect()
    };
    let topics: Vec<(String, Vec<i32>)> =
        request.topics.iter().map(|topic| (topic.name.to_string(), numbers(topic))).collect();
    let partitions = request.topics.into_iter().flat_map(|topic| {
        let name = topic.name.into_owned();
        topic.partitions.into_iter().map(move |partition| ReassignPartition {
            topic: name.clone(),
            partition: partition.partition_index,
            replicas: partition.replicas.map(|ids| ids.into_iter().map(BrokerId).collect()),
        })
    });
    let ask = Request::AlterPartitionReassignments(AlterPartitionReassignments {
        partitions: partitions.collect(),
        allow_replication_factor_change,
    });
    let deadline = broker.deadline(request.timeout_ms);
    let (code, responses) = match broker.controller.ask(ask, deadline).await {
        Ok(Response::AlterPartitionReassignments(results)) => {
            (ErrorCode::None, by_topic(topics, results))
        }
        other => {
            let code = code_of(&other);
            let each = |(name, partitions): (String, Vec<i32>)| ReassignableTopicResponse {
                name: name.into(),
                partitions: partitions.into_iter().map(|p| answer(p, code, None)).collect(),
            };
            (code, topics.into_iter().map(each).collect())
        }
    };
    AlterPartitionReassignmentsResponse {
        allow_replication_factor_change,
        error_code: code.code(),
        error_message: None,
        responses,
        ..Default::default()
    }
}

/// The results, which come in the order of the request, under the topics as it names them.
fn by_topic(
    topics: Vec<(String, Vec<i32>)>,
    results: Vec<ReassignResult>,
) -> Vec<ReassignableTopicResponse<'static>> {
    let mut results = results.into_iter().map(|result| match result.result {
        Ok(()) => answer(result.partition, ErrorCode::None, None),
        Err(error) => answer(result.partition, error.code, error.message),
    });
    let topic = |(name, partitions): (String, Vec<i32>)| ReassignableTopicResponse {
        name: name.into(),
        partitions: results.by_ref().take(partitions.len()).collect(),
    };
    topics.into_iter().map(topic).collect()
}

fn answer(
    partition_index: i32,
    code: ErrorCode,
    message: Option<String>,
) -> ReassignablePartitionResponse<'static> {
    ReassignablePartitionResponse {
        partition_index,
        error_code: code.code(),
        error_message: message.map(Into::into),
    }
}

/// Serves ListPartitionReassignments, from the committed image.
pub(crate) fn list(
    broker: &Broker,
    request: ListPartitionReassignmentsRequest<'_>,
) -> ListPartitionReassignmentsResponse<'static> {
    let image = broker.committed.borrow().image.clone();
    let topics: Vec<_> = match request.topics {
        None => image
            .topics_by_name()
            .filter_map(|topic| {
                let moving = topic.partitions.iter();
                ongoing(topic, moving.filter_map(|(index, state)| describe(index, state)))
            })
            .collect(),
        Some(asked) => asked
            .into_iter()
            .filter_map(|asked| {
                let topic = image.topic_named(&asked.name)?;
                let indexes = asked.partition_indexes.into_iter();
                ongoing(
                    topic,
                    indexes.filter_map(|index| describe(index, topic.partitions.get(index)?)),
                )
            })
            .collect(),
    };
    ListPartitionReassignmentsResponse { error_message: None, topics, ..Default::default() }
}

fn ongoing(
    topic: &Topic,
    partitions: impl Iterator<Item = OngoingPartitionReassignment>,
) -> Option<OngoingTopicReassignment<'static>> {
    let partitions: Vec<_> = partitions.collect();
    let name = topic.name.to_string().into();
    (!partitions.is_empty()).then_some(OngoingTopicReassignment { name, partitions })
}

fn describe(index: i32, partition: &Partition) -> Option<OngoingPartitionReassignment> {
    let ids = |list: &[BrokerId]| list.iter().map(|id| id.0).collect();
    partition.is_reassigning().then(|| OngoingPartitionReassignment {
        partition_index: index,
        replicas: ids(&partition.replicas),
        adding_replicas: ids(partition.adding()),
        removing_replicas: ids(partition.removing()),
    })
}
