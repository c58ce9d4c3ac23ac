//! ListConfigResources: every resource that may have configuration (version 0: client metrics
//! only, of which there are none).

use chronik_protocol::messages::{
    ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse,
};
use chronik_types::ErrorCode;

use crate::Broker;
use crate::api::context::Context;

/// Kafka's numbers of resource types.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

/// Serves one request.
pub(crate) fn handle(
    broker: &Broker,
    ctx: &Context,
    request: ListConfigResourcesRequest,
) -> ListConfigResourcesResponse<'static> {
    let all = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];
    let wanted = match (ctx.version, request.resource_types.is_empty()) {
        (0, _) => vec![CLIENT_METRICS],
        (_, true) => all.to_vec(),
        (_, false) => request.resource_types,
    };
    if wanted.iter().any(|kind| !all.contains(kind)) {
        let error_code = ErrorCode::UnsupportedVersion.code();
        return ListConfigResourcesResponse { error_code, ..Default::default() };
    }
    let image = broker.committed.borrow().image.clone();
    let mut config_resources = Vec::new();
    let mut add = |resource_type: i8, name: String| {
        config_resources.push(ConfigResource { resource_name: name.into(), resource_type });
    };
    if wanted.contains(&GROUP) {
        for (resource, _) in image.configured_resources() {
            if let chronik_metadata::ConfigResource::Group(name) = resource {
                add(GROUP, name.clone());
            }
        }
    }
    for kind in [BROKER_LOGGER, BROKER] {
        if wanted.contains(&kind) {
            for registration in image.brokers() {
                add(kind, registration.id.to_string());
            }
        }
    }
    if wanted.contains(&TOPIC) {
        for topic in image.topics_by_name() {
            add(TOPIC, topic.name.to_string());
        }
    }
    ListConfigResourcesResponse { config_resources, ..Default::default() }
}
