//! One match on the API key: from a frame to the handler that answers it.
//!
//! **Invariants**
//! - What is served is what [`ApiKey`]'s table says; a request outside it never reaches a handler.
//! - A handler that parks (fetch, produce, join, sync) returns [`Reply::Later`] and holds up
//!   nobody; every other one finishes before the next request of its connection is looked at, as
//!   in Kafka.

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;

use chronik_net::{Connection, Frame, Reply};
use chronik_protocol::api::ApiKey;
use chronik_protocol::codec::{Decode, Encode};
use chronik_protocol::header::{RequestPrefix, parse_request_header};

use crate::Broker;
use crate::api::context::Context;
use crate::api::{
    self, create_topics, delete_records, delete_topics, describe_log_dirs, find_coordinator,
    group_admin, group_membership, init_producer_id, list_offsets, metadata, offset_commit,
    offset_fetch,
};

/// Answers one request.
pub(crate) async fn route(broker: &Arc<Broker>, conn: &Arc<Connection>, frame: Frame) -> Reply {
    let Some(opened) = open(broker, conn, &frame.bytes) else { return Reply::Close };
    let (ctx, body) = match opened {
        Opened::Request(ctx, body) => (ctx, body),
        Opened::UnknownVersion(ctx) => return api::api_versions::unsupported(&ctx),
    };
    let (name, received) = (ctx.api_key.name(), ctx.received);
    let reply = match ctx.api_key {
        ApiKey::Produce => api::produce::handle(broker, ctx, frame, body).await,
        _ => dispatch(broker, ctx, frame.bytes.get(body..).unwrap_or_default()).await,
    };
    count(broker, name, received, reply)
}

/// A request whose header is understood.
enum Opened {
    /// To be served; the body begins at this place of the frame.
    Request(Context, usize),
    /// ApiVersions in a version that is not served: the one request that is answered all the same.
    UnknownVersion(Context),
}

/// Reads the header. `None` closes the connection: Kafka does so for what it does not serve,
/// since no answer could be understood.
fn open(broker: &Broker, conn: &Arc<Connection>, frame: &[u8]) -> Option<Opened> {
    let prefix = RequestPrefix::parse(frame).ok()?;
    let api_key = ApiKey::from_i16(prefix.api_key)?;
    let mut ctx = Context {
        api_key,
        version: prefix.api_version,
        correlation_id: prefix.correlation_id,
        client_id: None,
        connection: Arc::clone(conn),
        received: broker.env.clock.monotonic(),
    };
    let on_controllers = broker.is_controller_listener(&conn.listener.name);
    if on_controllers && !api_key.on_controllers() {
        return None;
    }
    if !api_key.api().serves(prefix.api_version) {
        return (api_key == ApiKey::ApiVersions).then_some(Opened::UnknownVersion(ctx));
    }
    let (header, body) = parse_request_header(frame).ok()?;
    ctx.client_id = header.client_id.map(Cow::into_owned);
    Some(Opened::Request(ctx, body))
}

/// Counts the request when its response is there.
fn count(
    broker: &Arc<Broker>,
    name: &'static str,
    received: chronik_types::Monotonic,
    reply: Reply,
) -> Reply {
    let broker = Arc::clone(broker);
    let answered = move || {
        let took = broker.env.clock.monotonic().since(received);
        broker.metrics.answered(name, took.as_secs_f64());
    };
    match reply {
        Reply::Later(later) => Reply::Later(Box::pin(async move {
            let response = later.await;
            answered();
            response
        })),
        other => {
            answered();
            other
        }
    }
}

/// Decodes a request, hands it to its handler and encodes the answer.
async fn answer<'b, M, R, F>(ctx: &Context, body: &'b [u8], handle: impl FnOnce(M) -> F) -> Reply
where
    M: Decode<'b>,
    R: Encode,
    F: Future<Output = R>,
{
    match ctx.decode::<M>(body) {
        Some(request) => ctx.reply(&handle(request).await),
        None => Reply::Close,
    }
}

async fn dispatch(broker: &Arc<Broker>, ctx: Context, body: &[u8]) -> Reply {
    let c = &ctx;
    match ctx.api_key {
        ApiKey::Produce => Reply::Close,
        ApiKey::Fetch => api::fetch::handle(broker, ctx, body),
        ApiKey::JoinGroup => group_membership::join(broker, ctx, body).await,
        ApiKey::SyncGroup => group_membership::sync(broker, ctx, body).await,
        ApiKey::ApiVersions => {
            answer(c, body, |r| async { api::api_versions::handle(broker, c, r) }).await
        }
        ApiKey::ListOffsets => answer(c, body, |r| list_offsets::handle(broker, c, r)).await,
        ApiKey::Metadata => answer(c, body, |r| metadata::handle(broker, c, r)).await,
        ApiKey::OffsetCommit => answer(c, body, |r| offset_commit::handle(broker, c, r)).await,
        ApiKey::OffsetFetch => answer(c, body, |r| offset_fetch::handle(broker, c, r)).await,
        ApiKey::FindCoordinator => {
            answer(c, body, |r| find_coordinator::handle(broker, c, r)).await
        }
        ApiKey::Heartbeat => answer(c, body, |r| group_membership::heartbeat(broker, c, r)).await,
        ApiKey::LeaveGroup => answer(c, body, |r| group_membership::leave(broker, c, r)).await,
        ApiKey::DescribeGroups => answer(c, body, |r| group_admin::describe(broker, c, r)).await,
        ApiKey::ListGroups => answer(c, body, |r| group_admin::list(broker, c, r)).await,
        ApiKey::DeleteGroups => answer(c, body, |r| group_admin::delete(broker, c, r)).await,
        ApiKey::OffsetDelete => {
            answer(c, body, |r| group_admin::delete_offsets(broker, c, r)).await
        }
        ApiKey::CreateTopics => answer(c, body, |r| create_topics::handle(broker, r)).await,
        ApiKey::DeleteTopics => answer(c, body, |r| delete_topics::handle(broker, c, r)).await,
        ApiKey::CreatePartitions => {
            answer(c, body, |r| api::create_partitions::handle(broker, r)).await
        }
        ApiKey::DeleteRecords => answer(c, body, |r| delete_records::handle(broker, r)).await,
        ApiKey::InitProducerId => answer(c, body, |r| init_producer_id::handle(broker, r)).await,
        ApiKey::OffsetForLeaderEpoch => {
            answer(c, body, |r| async { api::offset_for_leader_epoch::handle(broker, r) }).await
        }
        ApiKey::DescribeConfigs => {
            answer(c, body, |r| async { api::describe_configs::handle(broker, c, r) }).await
        }
        ApiKey::AlterConfigs => answer(c, body, |r| api::alter_configs::replace(broker, r)).await,
        ApiKey::IncrementalAlterConfigs => {
            answer(c, body, |r| api::alter_configs::incremental(broker, r)).await
        }
        ApiKey::DescribeLogDirs => answer(c, body, |r| describe_log_dirs::handle(broker, r)).await,
        ApiKey::DescribeQuorum => {
            answer(c, body, |r| api::describe_quorum::handle(broker, c, body, r)).await
        }
        ApiKey::AddRaftVoter => {
            answer(c, body, |r| api::raft_voters::add(broker, c, body, r)).await
        }
        ApiKey::RemoveRaftVoter => {
            answer(c, body, |r| api::raft_voters::remove(broker, c, body, r)).await
        }
        ApiKey::ElectLeaders => answer(c, body, |r| api::elect_leaders::handle(broker, c, r)).await,
        ApiKey::AlterPartitionReassignments => {
            answer(c, body, |r| api::partition_reassignments::alter(broker, r)).await
        }
        ApiKey::ListPartitionReassignments => {
            answer(c, body, |r| async { api::partition_reassignments::list(broker, r) }).await
        }
        ApiKey::UpdateFeatures => {
            answer(c, body, |r| api::update_features::handle(broker, c, r)).await
        }
        ApiKey::UnregisterBroker => {
            answer(c, body, |r| api::unregister_broker::handle(broker, r)).await
        }
        ApiKey::DescribeCluster => {
            answer(c, body, |r| async { api::describe_cluster::handle(broker, c, r) }).await
        }
        ApiKey::DescribeProducers => {
            answer(c, body, |r| async { api::describe_producers::handle(broker, r) }).await
        }
        ApiKey::ListConfigResources => {
            answer(c, body, |r| async { api::list_config_resources::handle(broker, c, r) }).await
        }
        ApiKey::DescribeTopicPartitions => {
            answer(c, body, |r| async { api::describe_topic_partitions::handle(broker, r) }).await
        }
    }
}
