//! OffsetFetch: one or several groups, each asked of its own shard.

use std::sync::Arc;

use chronik_coordinator::offset_fetch::{groups_of, response_of};
use chronik_coordinator::{Reply, Request};
use chronik_protocol::messages::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchResponse, OffsetFetchResponseGroup,
};
use chronik_types::ErrorCode;

use crate::Broker;
use crate::api::context::Context;
use crate::api::group_membership::ask;

/// Serves one request.
pub(crate) async fn handle<'r>(
    broker: &Arc<Broker>,
    ctx: &Context,
    request: OffsetFetchRequest<'r>,
) -> OffsetFetchResponse<'r> {
    let require_stable = request.require_stable;
    let asked = groups_of(request, ctx.version);
    let mut found = Vec::with_capacity(asked.len());
    for group in &asked {
        found.push(fetch(broker, ctx, group, require_stable).await);
    }
    response_of(found, &asked, ctx.version)
}

async fn fetch(
    broker: &Arc<Broker>,
    ctx: &Context,
    group: &OffsetFetchRequestGroup<'_>,
    require_stable: bool,
) -> OffsetFetchResponseGroup<'static> {
    let what = Request::OffsetFetch { group, require_stable };
    let code = match ask(broker, ctx, &group.group_id, what).await {
        Ok(Reply::OffsetFetch(response)) => return response,
        Ok(_) => ErrorCode::UnknownServerError,
        Err(code) => code,
    };
    OffsetFetchResponseGroup {
        group_id: group.group_id.to_string().into(),
        error_code: code.code(),
        ..Default::default()
    }
}
