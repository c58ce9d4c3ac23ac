//! DescribeConfigs: effective values, where each comes from, and what it stands before.

use std::sync::Arc;

use chronik_config::keys::{self, ConfigMap, ConfigSource, Effective, Layers};
use chronik_metadata::{ConfigResource, Image};
use chronik_protocol::messages::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};
use chronik_types::{BrokerId, ErrorCode};

use crate::Broker;
use crate::api::context::Context;
use crate::api::error::Refusal;
use crate::view::View;

/// Kafka's numbers of resource types.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

/// Serves one request.
pub(crate) fn handle(
    broker: &Broker,
    _ctx: &Context,
    request: DescribeConfigsRequest<'_>,
) -> DescribeConfigsResponse<'static> {
    let image = View::of(broker).topics().clone();
    let asked =
        Asked { synonyms: request.include_synonyms, documentation: request.include_documentation };
    let results = request
        .resources
        .into_iter()
        .map(|resource| {
            let described = describe(broker, &image, &resource, asked);
            result(resource, described)
        })
        .collect();
    DescribeConfigsResponse { results, ..Default::default() }
}

/// What the request wants to see of each value.
#[derive(Clone, Copy)]
struct Asked {
    synonyms: bool,
    documentation: bool,
}

type Described = Result<Vec<DescribeConfigsResourceResult<'static>>, Refusal>;

fn result(
    resource: DescribeConfigsResource<'_>,
    described: Described,
) -> DescribeConfigsResult<'static> {
    let (code, message, configs) = match described {
        Ok(configs) => (ErrorCode::None, None, configs),
        Err(refusal) => (refusal.code, refusal.message, Vec::new()),
    };
    // Kafka leaves this empty, not null, where it has nothing to say.
    let message = Some(message.unwrap_or_default());
    DescribeConfigsResult {
        error_code: code.code(),
        error_message: message,
        resource_type: resource.resource_type,
        resource_name: resource.resource_name.into_owned().into(),
        configs,
    }
}

fn describe(
    broker: &Broker,
    image: &Image,
    resource: &DescribeConfigsResource<'_>,
    asked: Asked,
) -> Described {
    let name = &*resource.resource_name;
    let wanted = |key: &str| match &resource.configuration_keys {
        Some(keys) if !keys.is_empty() => keys.iter().any(|k| k == key),
        _ => true,
    };
    let sets = Sets::of(broker, image);
    match resource.resource_type {
        TOPIC => {
            let topic = image.topic_named(name).ok_or_else(|| unknown_topic(name))?;
            let layers = sets.layers(&topic.configs);
            let keys = keys::topic_keys().filter(|key| wanted(key.name));
            Ok(keys.map(|key| entry(&layers.topic_value(key), false, asked)).collect())
        }
        BROKER if name.is_empty() => {
            // The cluster's defaults: only what is set for them.
            let set = keys::broker_keys().filter(|key| sets.dynamic_default.contains_key(key.name));
            let nothing = ConfigMap::new();
            let layers = Layers {
                topic: &nothing,
                dynamic_broker: &nothing,
                dynamic_default: &sets.dynamic_default,
                static_broker: &nothing,
            };
            let set = set.filter(|key| wanted(key.name));
            let described = |key| {
                let mut effective = layers.broker_value(key);
                effective.synonyms.retain(|s| s.source == ConfigSource::DynamicDefault);
                entry(&effective, false, asked)
            };
            Ok(set.map(described).collect())
        }
        BROKER => {
            this_broker(broker, name)?;
            let nothing = ConfigMap::new();
            let layers = sets.layers(&nothing);
            let keys = keys::broker_keys().filter(|key| wanted(key.name));
            let described = |key: &'static keys::ConfigKey| {
                entry(&layers.broker_value(key), !key.scope.is_dynamic(), asked)
            };
            Ok(keys.map(described).collect())
        }
        BROKER_LOGGER => {
            this_broker(broker, name)?;
            Ok(Vec::new())
        }
        CLIENT_METRICS | GROUP => Ok(Vec::new()),
        other => Err(Refusal::with_message(
            ErrorCode::InvalidRequest,
            format!("Unsupported resource type: {other}"),
        )),
    }
}

fn unknown_topic(name: &str) -> Refusal {
    match chronik_controller::validate_topic_name(name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition.into(),
        Err(error) => Refusal::with_message(ErrorCode::InvalidTopicException, error.to_string()),
    }
}

/// A broker describes itself only; others are asked themselves.
fn this_broker(broker: &Broker, name: &str) -> Result<(), Refusal> {
    let BrokerId(own) = broker.options.node_id;
    match name.parse::<i32>() {
        Ok(id) if id == own => Ok(()),
        Ok(id) => Err(Refusal::with_message(
            ErrorCode::InvalidRequest,
            format!("Unexpected broker id, expected {own} or empty string, but received {id}"),
        )),
        Err(_) => Err(Refusal::with_message(
            ErrorCode::InvalidRequest,
            format!("Broker id must be an integer, but it is: {name}"),
        )),
    }
}

/// What is set for this broker, from the image and from its start.
struct Sets {
    dynamic_broker: Arc<ConfigMap>,
    dynamic_default: Arc<ConfigMap>,
    static_broker: Arc<ConfigMap>,
}

impl Sets {
    fn of(broker: &Broker, image: &Image) -> Self {
        Self {
            dynamic_broker: image.configs(&ConfigResource::Broker(broker.options.node_id)),
            dynamic_default: image.configs(&ConfigResource::DefaultBroker),
            static_broker: Arc::clone(&broker.options.static_configs),
        }
    }

    fn layers<'s>(&'s self, topic: &'s ConfigMap) -> Layers<'s> {
        Layers {
            topic,
            dynamic_broker: &self.dynamic_broker,
            dynamic_default: &self.dynamic_default,
            static_broker: &self.static_broker,
        }
    }
}

fn entry(
    effective: &Effective<'_>,
    read_only: bool,
    asked: Asked,
) -> DescribeConfigsResourceResult<'static> {
    let key = effective.key;
    let sensitive = key.is_sensitive();
    let shown = |value: &str| (!sensitive).then(|| value.to_owned().into());
    let (told, source) = effective.described();
    let synonyms = told.into_iter().map(|synonym| DescribeConfigsSynonym {
        name: synonym.name.into(),
        value: shown(synonym.value),
        source: synonym.source.wire(),
    });
    DescribeConfigsResourceResult {
        name: key.name.into(),
        value: effective.value.as_deref().and_then(shown),
        read_only,
        config_source: source.wire(),
        is_sensitive: sensitive,
        synonyms: if asked.synonyms { synonyms.collect() } else { Vec::new() },
        config_type: key.config_type.wire(),
        documentation: asked.documentation.then(|| key.doc.into()),
    }
}
