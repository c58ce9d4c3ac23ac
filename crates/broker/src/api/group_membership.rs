//! JoinGroup, SyncGroup, Heartbeat, LeaveGroup: handed to the group's shard as they are.
//!
//! Join and sync may park until other members have come; heartbeat and leave never do.

use std::sync::Arc;

use chronik_coordinator::{ClientInfo, Reply as Coordinated, Request};
use chronik_net::Reply;
use chronik_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use chronik_types::ErrorCode;

use crate::Broker;
use crate::api::context::Context;
use crate::coordinator_runtime::{Answer, Groups};

/// Serves JoinGroup.
pub(crate) async fn join(broker: &Arc<Broker>, ctx: Context, body: &[u8]) -> Reply {
    let Some(request) = ctx.decode::<JoinGroupRequest<'_>>(body) else { return Reply::Close };
    let member_uuid = broker.env.rng.uuid();
    let what = Request::JoinGroup { request: &request, member_uuid };
    let refused = |code: ErrorCode| JoinGroupResponse {
        error_code: code.code(),
        // Version 7 allows null here, and Kafka sends it.
        protocol_name: if ctx.version >= 7 { None } else { Some("".into()) },
        ..Default::default()
    };
    match submit(broker, &ctx, &request.group_id, what).await {
        Err(code) => ctx.reply(&refused(code)),
        Ok(answer) => {
            later(ctx.clone(), answer, refused(ErrorCode::NotCoordinator), |coordinated| {
                match coordinated {
                    Coordinated::JoinGroup(response) => Some(response),
                    _ => None,
                }
            })
        }
    }
}

/// Serves SyncGroup.
pub(crate) async fn sync(broker: &Arc<Broker>, ctx: Context, body: &[u8]) -> Reply {
    let Some(request) = ctx.decode::<SyncGroupRequest<'_>>(body) else { return Reply::Close };
    let refused =
        |code: ErrorCode| SyncGroupResponse { error_code: code.code(), ..Default::default() };
    match submit(broker, &ctx, &request.group_id, Request::SyncGroup(&request)).await {
        Err(code) => ctx.reply(&refused(code)),
        Ok(answer) => {
            later(ctx.clone(), answer, refused(ErrorCode::NotCoordinator), |coordinated| {
                match coordinated {
                    Coordinated::SyncGroup(response) => Some(response),
                    _ => None,
                }
            })
        }
    }
}

/// Serves Heartbeat.
pub(crate) async fn heartbeat(
    broker: &Arc<Broker>,
    ctx: &Context,
    request: HeartbeatRequest<'_>,
) -> HeartbeatResponse {
    let what = Request::Heartbeat(&request);
    match ask(broker, ctx, &request.group_id, what).await {
        Ok(Coordinated::Heartbeat(response)) => response,
        Ok(_) => HeartbeatResponse {
            error_code: ErrorCode::UnknownServerError.code(),
            ..Default::default()
        },
        Err(code) => HeartbeatResponse { error_code: code.code(), ..Default::default() },
    }
}

/// Serves LeaveGroup.
pub(crate) async fn leave(
    broker: &Arc<Broker>,
    ctx: &Context,
    request: LeaveGroupRequest<'_>,
) -> LeaveGroupResponse<'static> {
    let what = Request::LeaveGroup(&request);
    let code = match ask(broker, ctx, &request.group_id, what).await {
        Ok(Coordinated::LeaveGroup(response)) => return response,
        Ok(_) => ErrorCode::UnknownServerError,
        Err(code) => code,
    };
    LeaveGroupResponse { error_code: code.code(), ..Default::default() }
}

/// Hands a request to the shard of `group`.
async fn submit(
    broker: &Arc<Broker>,
    ctx: &Context,
    group: &str,
    request: Request<'_>,
) -> Result<Answer, ErrorCode> {
    let host = ctx.host();
    let client = ClientInfo {
        client_id: ctx.client_id.as_deref().unwrap_or_default(),
        host: &host,
        api_version: ctx.version,
    };
    Groups::submit(broker, group, request, &client).await
}

/// Hands a request to the shard of `group` and waits for its answer.
///
/// # Errors
/// When this broker does not coordinate the group, or ceases to while the request is under way.
pub(crate) async fn ask(
    broker: &Arc<Broker>,
    ctx: &Context,
    group: &str,
    request: Request<'_>,
) -> Result<Coordinated, ErrorCode> {
    let answer = submit(broker, ctx, group, request).await?;
    answer.await.map_err(|_| ErrorCode::NotCoordinator)
}

fn later<M: chronik_protocol::codec::Encode + Send + Sync + 'static>(
    ctx: Context,
    answer: Answer,
    lost: M,
    of: fn(Coordinated) -> Option<M>,
) -> Reply {
    Reply::Later(Box::pin(async move {
        let response = answer.await.ok().and_then(of).unwrap_or(lost);
        ctx.encode(&response)
    }))
}
