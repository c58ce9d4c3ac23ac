//! AlterConfigs and IncrementalAlterConfigs: what is set for topics, brokers and groups.

use std::sync::Arc;
use std::time::Duration;

use chronik_controller::{
    AlterConfigs, AlterConfigsResult, ConfigChange, IncrementalAlterConfigs, Request, ResourceName,
    Response,
};
use chronik_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResourceResponse, AlterConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResourceResponse,
    IncrementalAlterConfigsResponse,
};
use chronik_types::{BrokerId, ErrorCode};

use crate::Broker;
use crate::controller_runtime::code_of;

/// The requests carry no timeout; Kafka's clients give up after this time (`request.timeout.ms`).
const PATIENCE: Duration = Duration::from_secs(30);

/// Kafka's number of the resource type.
const BROKER: i8 = 4;

/// Code and words for one resource.
type Answer = (ResourceName, ErrorCode, Option<String>);

/// Serves AlterConfigs: replaces everything that is set for a resource.
pub(crate) async fn replace(
    broker: &Arc<Broker>,
    request: AlterConfigsRequest<'_>,
) -> AlterConfigsResponse<'static> {
    let resources: Vec<_> = request
        .resources
        .into_iter()
        .map(|resource| {
            let name = ResourceName {
                resource_type: resource.resource_type,
                name: resource.resource_name.into_owned(),
            };
            let value = |v: Option<std::borrow::Cow<'_, str>>| v.map(|v| v.into_owned());
            let configs = resource.configs.into_iter();
            (name, configs.map(|c| (c.name.into_owned(), value(c.value))).collect())
        })
        .collect();
    let validate_only = request.validate_only;
    let make = |resources| Request::AlterConfigs(AlterConfigs { resources, validate_only });
    let responses = answers(broker, resources, make)
        .await
        .into_iter()
        .map(|(resource, code, message)| AlterConfigsResourceResponse {
            error_code: code.code(),
            error_message: message.map(Into::into),
            resource_type: resource.resource_type,
            resource_name: resource.name.into(),
        })
        .collect();
    AlterConfigsResponse { responses, ..Default::default() }
}

/// Serves IncrementalAlterConfigs: changes single values.
pub(crate) async fn incremental(
    broker: &Arc<Broker>,
    request: IncrementalAlterConfigsRequest<'_>,
) -> IncrementalAlterConfigsResponse<'static> {
    let resources: Vec<_> = request
        .resources
        .into_iter()
        .map(|resource| {
            let name = ResourceName {
                resource_type: resource.resource_type,
                name: resource.resource_name.into_owned(),
            };
            let changes = resource.configs.into_iter().map(|config| ConfigChange {
                name: config.name.into_owned(),
                operation: config.config_operation,
                value: config.value.map(|value| value.into_owned()),
            });
            (name, changes.collect())
        })
        .collect();
    let validate_only = request.validate_only;
    let make = |resources| {
        Request::IncrementalAlterConfigs(IncrementalAlterConfigs { resources, validate_only })
    };
    let responses = answers(broker, resources, make)
        .await
        .into_iter()
        .map(|(resource, code, message)| IncrementalAlterConfigsResourceResponse {
            error_code: code.code(),
            error_message: message.map(Into::into),
            resource_type: resource.resource_type,
            resource_name: resource.name.into(),
        })
        .collect();
    IncrementalAlterConfigsResponse { responses, ..Default::default() }
}

/// Asks the controller for the resources that this broker may speak for.
async fn answers<C>(
    broker: &Arc<Broker>,
    resources: Vec<(ResourceName, Vec<C>)>,
    make: impl FnOnce(Vec<(ResourceName, Vec<C>)>) -> Request,
) -> Vec<Answer> {
    let mut refused = Vec::new();
    let mut asked = Vec::with_capacity(resources.len());
    for (resource, changes) in resources {
        match another_broker(broker, &resource) {
            Some(why) => refused.push((resource, ErrorCode::InvalidRequest, Some(why))),
            None => asked.push((resource, changes)),
        }
    }
    let names: Vec<_> = asked.iter().map(|(name, _)| name.clone()).collect();
    let deadline = broker.env.clock.monotonic().after(PATIENCE);
    let answer = |result: AlterConfigsResult| match result.result {
        Ok(()) => (result.resource, ErrorCode::None, None),
        Err(error) => (result.resource, error.code, error.message),
    };
    let answered: Vec<_> = match broker.controller.ask(make(asked), deadline).await {
        Ok(Response::AlterConfigs(results) | Response::IncrementalAlterConfigs(results)) => {
            results.into_iter().map(answer).collect()
        }
        other => {
            let code = code_of(&other);
            names.into_iter().map(|resource| (resource, code, None)).collect()
        }
    };
    refused.into_iter().chain(answered).collect()
}

/// Why `resource` is refused, if it is a broker other than this one: each is asked itself, since
/// only it knows what its own values must fit.
fn another_broker(broker: &Broker, resource: &ResourceName) -> Option<String> {
    let BrokerId(own) = broker.options.node_id;
    let id = resource.name.parse::<i32>().ok().filter(|_| resource.resource_type == BROKER)?;
    (id != own)
        .then(|| format!("Unexpected broker id, expected {own} or empty string, but received {id}"))
}
