//! FindCoordinator: which broker keeps a group.

use std::borrow::Cow;
use std::sync::Arc;

use chronik_protocol::messages::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};
use chronik_types::{BrokerId, ErrorCode};

use crate::Broker;
use crate::api::context::Context;
use crate::api::create_topics;
use crate::coordinator_runtime::{Groups, OFFSETS_TOPIC};

/// What a key names.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

/// The first version that asks for several coordinators at once.
const BATCHED: i16 = 4;

/// Serves one request.
pub(crate) async fn handle<'r>(
    broker: &Arc<Broker>,
    ctx: &Context,
    request: FindCoordinatorRequest<'r>,
) -> FindCoordinatorResponse<'r> {
    if ctx.version >= BATCHED {
        let mut coordinators = Vec::with_capacity(request.coordinator_keys.len());
        for key in request.coordinator_keys {
            coordinators.push(find(broker, ctx, request.key_type, key).await);
        }
        return FindCoordinatorResponse { coordinators, ..Default::default() };
    }
    let found = find(broker, ctx, request.key_type, request.key).await;
    // These versions carry the code's name where there is nothing else to say, as in Kafka.
    let name = ErrorCode::from_code(found.error_code).map(ErrorCode::name);
    let message = found.error_message.filter(|message| !message.is_empty());
    FindCoordinatorResponse {
        error_code: found.error_code,
        error_message: message.or(name.map(Cow::Borrowed)),
        node_id: found.node_id,
        host: found.host,
        port: found.port,
        ..Default::default()
    }
}

async fn find<'r>(
    broker: &Arc<Broker>,
    ctx: &Context,
    key_type: i8,
    key: Cow<'r, str>,
) -> Coordinator<'r> {
    let refused = |key, code: ErrorCode, message: Option<&'static str>| Coordinator {
        key,
        node_id: BrokerId::NONE.0,
        host: "".into(),
        port: -1,
        error_code: code.code(),
        error_message: Some(message.unwrap_or_default().into()),
    };
    match key_type {
        GROUP => {}
        TRANSACTION => {
            let why = "This broker does not support transactions.";
            return refused(key, ErrorCode::UnsupportedVersion, Some(why));
        }
        SHARE => return refused(key, ErrorCode::InvalidRequest, None),
        _ => {
            // The older form of the answer has the code's name here.
            let why = (ctx.version >= BATCHED).then_some("No coordinator is of this type.");
            return refused(key, ErrorCode::InvalidRequest, why);
        }
    }
    let Some(partition) = Groups::partition_of(broker, &key) else {
        create_topics::create_offsets_topic(broker).await;
        return refused(key, ErrorCode::CoordinatorNotAvailable, None);
    };
    let leader = {
        let image = broker.committed.borrow().image.clone();
        image.topic_named(OFFSETS_TOPIC).and_then(|t| Some(t.partitions.get(partition)?.leader))
    };
    let endpoint = leader.and_then(|leader| broker.endpoint_of(leader, ctx));
    match endpoint {
        Some(node) => Coordinator {
            key,
            node_id: node.id.0,
            host: node.host.into(),
            port: i32::from(node.port),
            error_code: ErrorCode::None.code(),
            error_message: Some("".into()),
        },
        None => refused(key, ErrorCode::CoordinatorNotAvailable, None),
    }
}
