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
    ReassignableTopicResponse,
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
        Ok(Response::AlterPartitionReassignments(results)) => (ErrorCode::None, by_topic(results)),
        other => (code_of(&other), Vec::new()),
    };
    AlterPartitionReassignmentsResponse {
        allow_replication_factor_change,
        error_code: code.code(),
        error_message: None,
        responses,
        ..Default::default()
    }
}

fn by_topic(results: Vec<ReassignResult>) -> Vec<ReassignableTopicResponse<'static>> {
    let mut topics: Vec<ReassignableTopicResponse<'static>> = Vec::new();
    for result in results {
        let (code, message) = match result.result {
            Ok(()) => (ErrorCode::None, None),
            Err(error) => (error.code, error.message),
        };
        let partition = ReassignablePartitionResponse {
            partition_index: result.partition,
            error_code: code.code(),
            error_message: message.map(Into::into),
        };
        match topics.last_mut().filter(|topic| topic.name == result.topic) {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(ReassignableTopicResponse {
                name: result.topic.into(),
                partitions: vec![partition],
            }),
        }
    }
    topics
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
