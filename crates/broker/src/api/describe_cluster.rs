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
    if request.endpoint_type != BROKERS {
        return refused(request.endpoint_type);
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

fn refused(endpoint_type: i8) -> DescribeClusterResponse<'static> {
    let (code, message) = if endpoint_type == CONTROLLERS {
        (
            ErrorCode::MismatchedEndpointType,
            "The request was sent to an endpoint of the wrong type: this is a broker.",
        )
    } else {
        (ErrorCode::UnsupportedEndpointType, "Unsupported endpoint type.")
    };
    DescribeClusterResponse {
        error_code: code.code(),
        error_message: Some(message.into()),
        endpoint_type: BROKERS,
        ..Default::default()
    }
}
