//! ListGroups, DescribeGroups, DeleteGroups, OffsetDelete: split by shard and put together again.

use std::collections::BTreeSet;
use std::sync::Arc;

use chronik_coordinator::{ClientInfo, Reply, Request};
use chronik_protocol::messages::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest,
    DescribeGroupsResponse, DescribedGroup, ListGroupsRequest, ListGroupsResponse,
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};
use chronik_types::ErrorCode;

use crate::Broker;
use crate::api::context::Context;
use crate::api::group_membership::ask;
use crate::coordinator_runtime::Groups;

/// Every operation a group has, as bits of Kafka's numbers: read, delete, describe, describe
/// configs, alter configs. Without an authorizer nobody is refused anything.
const GROUP_OPERATIONS: i32 = 0b1101_0100_1000;

/// Serves ListGroups: the groups of every shard of this broker.
pub(crate) async fn list(
    broker: &Arc<Broker>,
    ctx: &Context,
    request: ListGroupsRequest<'_>,
) -> ListGroupsResponse<'static> {
    let mut all = ListGroupsResponse::default();
    let host = ctx.host();
    let client = ClientInfo {
        client_id: ctx.client_id.as_deref().unwrap_or_default(),
        host: &host,
        api_version: ctx.version,
    };
    for partition in Groups::partitions(broker) {
        let what = Request::ListGroups(&request);
        let Ok(answer) = Groups::submit_to(broker, partition, what, &client).await else {
            continue;
        };
        if let Ok(Reply::ListGroups(part)) = answer.await {
            if part.error_code != ErrorCode::None.code() {
                all.error_code = part.error_code;
            }
            all.groups.extend(part.groups);
        }
    }
    all
}

/// Serves DescribeGroups.
pub(crate) async fn describe(
    broker: &Arc<Broker>,
    ctx: &Context,
    request: DescribeGroupsRequest<'_>,
) -> DescribeGroupsResponse<'static> {
    let mut groups = Vec::with_capacity(request.groups.len());
    let asked = request.include_authorized_operations;
    let with_operations = |group: DescribedGroup<'static>| {
        let known = group.error_code == ErrorCode::None.code();
        let operations =
            if asked && known { GROUP_OPERATIONS } else { group.authorized_operations };
        DescribedGroup { authorized_operations: operations, ..group }
    };
    for group in request.groups {
        let one = DescribeGroupsRequest {
            groups: vec![group.clone()],
            include_authorized_operations: request.include_authorized_operations,
        };
        let code = match ask(broker, ctx, &group, Request::DescribeGroups(&one)).await {
            Ok(Reply::DescribeGroups(response)) => {
                groups.extend(response.groups.into_iter().map(with_operations));
                continue;
            }
            Ok(_) => ErrorCode::UnknownServerError,
            Err(code) => code,
        };
        groups.push(DescribedGroup {
            error_code: code.code(),
            group_id: group.into_owned().into(),
            ..Default::default()
        });
    }
    DescribeGroupsResponse { groups, ..Default::default() }
}

/// Serves DeleteGroups.
pub(crate) async fn delete(
    broker: &Arc<Broker>,
    ctx: &Context,
    request: DeleteGroupsRequest<'_>,
) -> DeleteGroupsResponse<'static> {
    let mut results = Vec::with_capacity(request.groups_names.len());
    // Whoever is named twice is answered for once.
    let names: BTreeSet<_> = request.groups_names.into_iter().collect();
    for group in names {
        let one = DeleteGroupsRequest { groups_names: vec![group.clone()] };
        let code = match ask(broker, ctx, &group, Request::DeleteGroups(&one)).await {
            Ok(Reply::DeleteGroups(response)) => {
                results.extend(response.results);
                continue;
            }
            Ok(_) => ErrorCode::UnknownServerError,
            Err(code) => code,
        };
        let group_id = group.into_owned().into();
        results.push(DeletableGroupResult { group_id, error_code: code.code() });
    }
    DeleteGroupsResponse { results, ..Default::default() }
}

/// Serves OffsetDelete: partitions that do not exist are refused one by one.
pub(crate) async fn delete_offsets(
    broker: &Arc<Broker>,
    ctx: &Context,
    mut request: OffsetDeleteRequest<'_>,
) -> OffsetDeleteResponse<'static> {
    let unknown: Vec<_> = request
        .topics
        .iter()
        .map(|topic| OffsetDeleteResponseTopic {
            name: topic.name.to_string().into(),
            partitions: topic
                .partitions
                .iter()
                .filter(|part| !broker.exists(&topic.name, part.partition_index))
                .map(|part| OffsetDeleteResponsePartition {
                    partition_index: part.partition_index,
                    error_code: ErrorCode::UnknownTopicOrPartition.code(),
                })
                .collect(),
        })
        .filter(|topic| !topic.partitions.is_empty())
        .collect();
    for topic in &mut request.topics {
        topic.partitions.retain(|part| broker.exists(&topic.name, part.partition_index));
    }
    request.topics.retain(|topic| !topic.partitions.is_empty());
    let code = match ask(broker, ctx, &request.group_id, Request::OffsetDelete(&request)).await {
        Ok(Reply::OffsetDelete(mut response)) => {
            if response.error_code == ErrorCode::None.code() {
                merge(&mut response.topics, unknown);
            }
            return response;
        }
        Ok(_) => ErrorCode::UnknownServerError,
        Err(code) => code,
    };
    OffsetDeleteResponse { error_code: code.code(), ..Default::default() }
}

fn merge(
    topics: &mut Vec<OffsetDeleteResponseTopic<'static>>,
    others: Vec<OffsetDeleteResponseTopic<'static>>,
) {
    for other in others {
        match topics.iter_mut().find(|topic| topic.name == other.name) {
            Some(topic) => topic.partitions.extend(other.partitions),
            None => topics.push(other),
        }
    }
}
