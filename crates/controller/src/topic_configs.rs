//! What the values that topics set come to: whether they may be set, and the effective
//! configuration that the answer to a creation describes.
//!
//! Topic after topic is created with the same values, most with none, and there are some thirty
//! keys to resolve: so the last result is kept, together with everything that it follows from.
//!
//! **Invariants:** a result is used again only for inputs equal to those it was made from.
//!
//! **Not here:** rules that look at the topic itself (`configs`).

use std::borrow::Cow;
use std::sync::Arc;

use chronik_config::keys::{ConfigMap, Layers, TopicConfig};
use chronik_metadata::{ConfigResource, Image};

use crate::configs::check_topic_values;
use crate::error::ApiError;
use crate::options::Options;
use crate::request::EffectiveConfig;

/// What the values of a topic come to.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    /// Whether they may be set.
    pub(crate) check: Result<(), ApiError>,
    /// Every topic key, by name.
    pub(crate) described: Arc<[EffectiveConfig]>,
}

/// All that a result follows from.
#[derive(Debug, PartialEq, Eq)]
struct Inputs {
    topic: ConfigMap,
    dynamic_broker: Arc<ConfigMap>,
    dynamic_default: Arc<ConfigMap>,
    static_broker: Arc<ConfigMap>,
}

/// The last result.
#[derive(Debug, Default)]
pub(crate) struct TopicConfigs {
    last: Option<(Inputs, Resolved)>,
}

impl TopicConfigs {
    /// What `topic` comes to, under what is set for brokers in `image` and `options`.
    pub(crate) fn resolve(
        &mut self,
        options: &Options,
        image: &Image,
        topic: &ConfigMap,
    ) -> Resolved {
        let dynamic_broker = image.configs(&ConfigResource::Broker(options.node_id));
        let dynamic_default = image.configs(&ConfigResource::DefaultBroker);
        if let Some((inputs, resolved)) = &self.last
            && inputs.topic == *topic
            && inputs.dynamic_broker == dynamic_broker
            && inputs.dynamic_default == dynamic_default
            && inputs.static_broker == options.static_config
        {
            return resolved.clone();
        }
        let layers = Layers {
            topic,
            dynamic_broker: &dynamic_broker,
            dynamic_default: &dynamic_default,
            static_broker: &options.static_config,
        };
        let resolved = Resolved { check: check_topic_values(&layers), described: describe(layers) };
        // What is refused is as large as whoever asks likes it.
        if resolved.check.is_ok() {
            let static_broker = Arc::clone(&options.static_config);
            let topic = topic.clone();
            let inputs = Inputs { topic, dynamic_broker, dynamic_default, static_broker };
            self.last = Some((inputs, resolved.clone()));
        }
        resolved
    }
}

fn describe(layers: Layers<'_>) -> Arc<[EffectiveConfig]> {
    let effective = TopicConfig::describe(layers).map(|effective| {
        let key = effective.key;
        let shown = effective.value.filter(|_| !key.is_sensitive());
        EffectiveConfig {
            name: key.name,
            is_sensitive: key.is_sensitive(),
            source: effective.source.wire(),
            value: shown.map(|value| match key.default {
                Some(default) if default == value => Cow::Borrowed(default),
                _ => Cow::Owned(value),
            }),
        }
    });
    let mut configs: Vec<_> = effective.collect();
    configs.sort_by_key(|config| config.name);
    configs.into()
}
