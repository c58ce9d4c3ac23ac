//! DescribeTopicPartitions: topics page by page, in the order of their names (KIP-966).

use std::collections::BTreeSet;
use std::sync::Arc;

use chronik_controller::{is_internal, validate_topic_name};
use chronik_metadata::{Image, Partition, Topic};
use chronik_protocol::messages::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use chronik_types::{BrokerId, ErrorCode};

use crate::Broker;
use crate::api::metadata::TOPIC_OPERATIONS;
use crate::view::View;

/// The most partitions of one answer, whatever is asked (`max.request.partition.size.limit`).
const PARTITIONS_MAX: i32 = 2_000;

/// Serves one request.
pub(crate) fn handle(
    broker: &Arc<Broker>,
    request: DescribeTopicPartitionsRequest<'_>,
) -> DescribeTopicPartitionsResponse<'static> {
    if let Some(code) = refuse(&request) {
        return refused(&request, code);
    }
    let view = View::of(broker);
    let image = view.topics();
    let all = request.topics.is_empty();
    let names: BTreeSet<String> = if all {
        image.topics_by_name().map(|topic| topic.name.to_string()).collect()
    } else {
        request.topics.iter().map(|topic| topic.name.to_string()).collect()
    };
    let (from, first) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.to_string(), cursor.partition_index),
        None => (String::new(), 0),
    };
    let mut left = request.response_partition_limit.clamp(1, PARTITIONS_MAX);
    let mut topics = Vec::new();
    let mut next_cursor = None;
    for name in names.range(from.clone()..) {
        let start = if *name == from { first } else { 0 };
        if left == 0 {
            next_cursor = Some(cursor(name, start));
            break;
        }
        let Some(topic) = image.topic_named(name) else {
            topics.extend(absent(name, all));
            continue;
        };
        let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        let end = start.saturating_add(left).min(count);
        left -= (end - start).max(0);
        topics.push(present(&view, topic, start, end));
        if end < count {
            next_cursor = Some(cursor(name, end));
            break;
        }
    }
    DescribeTopicPartitionsResponse { topics, next_cursor, ..Default::default() }
}

/// Whether a cursor points to what the request is not about.
fn refuse(request: &DescribeTopicPartitionsRequest<'_>) -> Option<ErrorCode> {
    let cursor = request.cursor.as_ref()?;
    let named = request.topics.iter().any(|topic| topic.name == cursor.topic_name);
    let bad = cursor.partition_index < 0 || (!request.topics.is_empty() && !named);
    bad.then_some(ErrorCode::InvalidRequest)
}

/// The answer to a request that is refused as a whole has no place for that but in each topic.
fn refused(
    request: &DescribeTopicPartitionsRequest<'_>,
    code: ErrorCode,
) -> DescribeTopicPartitionsResponse<'static> {
    let topic = |name: &str| DescribeTopicPartitionsResponseTopic {
        error_code: code.code(),
        name: Some(name.to_owned().into()),
        ..Default::default()
    };
    let topics = request.topics.iter().map(|asked| topic(&asked.name)).collect();
    DescribeTopicPartitionsResponse { topics, ..Default::default() }
}

fn cursor(name: &str, partition_index: i32) -> Cursor<'static> {
    Cursor { topic_name: name.to_owned().into(), partition_index }
}

/// A topic that does not exist; one that went away while all were listed is left out.
fn absent(name: &str, all: bool) -> Option<DescribeTopicPartitionsResponseTopic<'static>> {
    let code = if validate_topic_name(name).is_ok() {
        ErrorCode::UnknownTopicOrPartition
    } else {
        ErrorCode::InvalidTopicException
    };
    (!all).then(|| DescribeTopicPartitionsResponseTopic {
        error_code: code.code(),
        name: Some(name.to_owned().into()),
        topic_authorized_operations: TOPIC_OPERATIONS,
        ..Default::default()
    })
}

fn present(
    view: &View,
    topic: &Topic,
    start: i32,
    end: i32,
) -> DescribeTopicPartitionsResponseTopic<'static> {
    let describe = |index| {
        let state = view.state(topic, index, topic.partitions.get(index)?);
        Some(describe(&view.committed, index, &state))
    };
    let partitions = (start..end).filter_map(describe).collect();
    DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::None.code(),
        name: Some(topic.name.to_string().into()),
        topic_id: topic.id.0,
        is_internal: is_internal(&topic.name),
        partitions,
        topic_authorized_operations: TOPIC_OPERATIONS,
    }
}

fn describe(
    image: &Image,
    index: i32,
    partition: &Partition,
) -> DescribeTopicPartitionsResponsePartition {
    let ids = |list: &[BrokerId]| list.iter().map(|id| id.0).collect::<Vec<_>>();
    let led = partition.has_leader() && image.is_active(partition.leader);
    let code = if led { ErrorCode::None } else { ErrorCode::LeaderNotAvailable };
    let offline = partition.replicas.iter().filter(|id| !image.is_active(**id)).map(|id| id.0);
    let last_known = partition.extra().map_or(&[][..], |extra| &extra.last_known_elr);
    DescribeTopicPartitionsResponsePartition {
        error_code: code.code(),
        partition_index: index,
        leader_id: if led { partition.leader.0 } else { BrokerId::NONE.0 },
        leader_epoch: partition.leader_epoch.0,
        replica_nodes: ids(&partition.replicas),
        isr_nodes: ids(&partition.isr),
        eligible_leader_replicas: Some(ids(partition.elr())),
        last_known_elr: Some(ids(last_known)),
        offline_replicas: offline.collect(),
    }
}
