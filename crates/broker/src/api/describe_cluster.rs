//! DescribeCluster: the cluster, its controller and its brokers.

use std::borrow::Cow;

use chronik_protocol::messages::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};
use chronik_types::ErrorCode;

use crate::Broker;
use crate::api::context::Context;
use crate::api::metadata::CLUSTER_OPERATIONS;

/// What is asked for: brokers or controllers.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

/// Serves one request.
pub(crate) fn handle(
    broker: &Broker,
    ctx: &Context,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse<'static> {
    let on_controllers = broker.is_controller_listener(&ctx.connection.listener.name);
    match request.endpoint_type {
        CONTROLLERS if on_controllers => return controllers(broker),
        BROKERS if !on_controllers => {}
        other => return refused(other, on_controllers),
    }
    let image = broker.committed.borrow().image.clone();
    let wanted = image.brokers().filter(|b| request.include_fenced_brokers || !b.fenced);
    let brokers = wanted
        .filter_map(|registration| {
            let node = broker.endpoint_of(registration.id, ctx)?;
            Some(DescribeClusterBroker {
                broker_id: node.id.0,
                host: node.host.into(),
                port: i32::from(node.port),
                rack: node.rack.map(Cow::Owned),
                is_fenced: registration.fenced,
            })
        })
        .collect();
    let operations = request.include_cluster_authorized_operations;
    DescribeClusterResponse {
        error_message: None,
        endpoint_type: BROKERS,
        cluster_id: broker.cluster_id.to_string().into(),
        controller_id: broker.controller_id().0,
        brokers,
        cluster_authorized_operations: if operations { CLUSTER_OPERATIONS } else { i32::MIN },
        ..Default::default()
    }
}

/// The voters of the metadata quorum, where other nodes reach them.
fn controllers(broker: &Broker) -> DescribeClusterResponse<'static> {
    let members = broker.metadata.members();
    let voters = members.iter().filter(|member| member.voter);
    let brokers = voters.filter_map(|voter| {
        let (host, port) = voter.member.endpoint.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some(DescribeClusterBroker {
            broker_id: voter.node_id.0,
            host: host.to_owned().into(),
            port: port.parse().ok()?,
            rack: None,
            is_fenced: false,
        })
    });
    DescribeClusterResponse {
        error_message: None,
        endpoint_type: CONTROLLERS,
        cluster_id: broker.cluster_id.to_string().into(),
        controller_id: broker.controller_id().0,
        brokers: brokers.collect(),
        cluster_authorized_operations: i32::MIN,
        ..Default::default()
    }
}

fn refused(endpoint_type: i8, on_controllers: bool) -> DescribeClusterResponse<'static> {
    let (code, message) = match endpoint_type {
        CONTROLLERS | BROKERS if on_controllers => (
            ErrorCode::MismatchedEndpointType,
            "The request was sent to an endpoint of the wrong type: this is a controller.",
        ),
        CONTROLLERS => (
            ErrorCode::MismatchedEndpointType,
            "The request was sent to an endpoint of the wrong type: this is a broker.",
        ),
        _ => (ErrorCode::UnsupportedEndpointType, "Unsupported endpoint type."),
    };
    DescribeClusterResponse {
        error_code: code.code(),
        error_message: Some(message.into()),
        endpoint_type: BROKERS,
        ..Default::default()
    }
}
