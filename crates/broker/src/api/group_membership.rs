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

/// The first version of SyncGroup that must name the group's protocol.
const WITH_PROTOCOL: i16 = 5;

/// Serves JoinGroup.
pub(crate) async fn join(broker: &Arc<Broker>, ctx: Context, body: &[u8]) -> Reply {
    let Some(request) = ctx.decode::<JoinGroupRequest<'_>>(body) else { return Reply::Close };
    let member_uuid = broker.env.rng.uuid();
    let what = Request::JoinGroup { request: &request, member_uuid };
    let version = ctx.version;
    let refused = |code: ErrorCode| {
        let response = JoinGroupResponse { error_code: code.code(), ..Default::default() };
        with_protocol_name(response, version)
    };
    match submit(broker, &ctx, &request.group_id, what).await {
        Err(code) => ctx.reply(&refused(code)),
        Ok(answer) => {
            later(ctx.clone(), answer, refused(ErrorCode::NotCoordinator), move |coordinated| {
                match coordinated {
                    Coordinated::JoinGroup(response) => Some(with_protocol_name(response, version)),
                    _ => None,
                }
            })
        }
    }
}

/// From version 7 on a refusal names no protocol; before, the name cannot be null.
fn with_protocol_name(
    response: JoinGroupResponse<'static>,
    version: i16,
) -> JoinGroupResponse<'static> {
    let refused = response.error_code != ErrorCode::None.code();
    match refused && version >= 7 {
        true => JoinGroupResponse { protocol_name: None, ..response },
        false => response,
    }
}

/// Serves SyncGroup.
pub(crate) async fn sync(broker: &Arc<Broker>, ctx: Context, body: &[u8]) -> Reply {
    let Some(request) = ctx.decode::<SyncGroupRequest<'_>>(body) else { return Reply::Close };
    let refused =
        |code: ErrorCode| SyncGroupResponse { error_code: code.code(), ..Default::default() };
    let unnamed = request.protocol_type.is_none() || request.protocol_name.is_none();
    if ctx.version >= WITH_PROTOCOL && unnamed {
        return ctx.reply(&refused(ErrorCode::InconsistentGroupProtocol));
    }
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
    of: impl FnOnce(Coordinated) -> Option<M> + Send + 'static,
) -> Reply {
    Reply::Later(Box::pin(async move {
        let response = answer.await.ok().and_then(of).unwrap_or(lost);
        ctx.encode(&response)
    }))
}
