//! Where an effective value comes from: the layers above a default, and the chain of synonyms
//! that DescribeConfigs shows.
//!
//! ```text
//! topic  >  dynamic broker  >  dynamic default (cluster)  >  static broker  >  default
//! ```
//! Within a layer, the strongest synonym wins (`log.retention.ms` before `.minutes` before
//! `.hours`).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::types::ConfigKey;
use super::{broker_key, broker_synonyms};

/// The values set in one layer, by key.
pub type ConfigMap = BTreeMap<String, String>;

/// Which layer a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigSource {
    /// Set for the topic.
    Topic,
    /// Set for this broker at run time.
    DynamicBroker,
    /// Set for every broker at run time.
    DynamicDefault,
    /// Set in this broker's file, environment or command line.
    StaticBroker,
    /// Nowhere set.
    Default,
}

impl ConfigSource {
    /// The number DescribeConfigs gives this source on the wire.
    #[must_use]
    pub fn wire(self) -> i8 {
        match self {
            Self::Topic => 1,
            Self::DynamicBroker => 2,
            Self::DynamicDefault => 3,
            Self::StaticBroker => 4,
            Self::Default => 5,
        }
    }
}

/// The layers above the defaults, strongest first.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'a> {
    /// What the topic sets; empty when no topic is looked at.
    pub topic: &'a ConfigMap,
    /// What is set for this broker at run time.
    pub dynamic_broker: &'a ConfigMap,
    /// What is set for every broker at run time.
    pub dynamic_default: &'a ConfigMap,
    /// What this broker was started with.
    pub static_broker: &'a ConfigMap,
}

impl Layers<'static> {
    /// Nothing set anywhere.
    #[must_use]
    pub fn defaults() -> Self {
        static EMPTY: LazyLock<ConfigMap> = LazyLock::new(ConfigMap::new);
        Self {
            topic: &EMPTY,
            dynamic_broker: &EMPTY,
            dynamic_default: &EMPTY,
            static_broker: &EMPTY,
        }
    }
}

/// One value in the chain of synonyms of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SynonymValue<'a> {
    /// The key that sets it.
    pub name: &'static str,
    /// As it was set; in the unit of `name`.
    pub value: &'a str,
    /// Where it was set.
    pub source: ConfigSource,
    /// How many units of the described key one unit of `name` is.
    factor: i64,
}

/// The effective value of a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Effective<'a> {
    /// The key.
    pub key: &'static ConfigKey,
    /// The value in the key's own unit, as text; `None` where there is none. Secrets are shown:
    /// whoever sends it on hides them ([`ConfigKey::is_sensitive`]).
    pub value: Option<String>,
    /// Where it comes from: the source of the first synonym.
    pub source: ConfigSource,
    /// Every value there is, strongest first. Empty for a topic key that no broker key stands
    /// behind and that the topic does not set.
    pub synonyms: Vec<SynonymValue<'a>>,
}

impl<'a> Effective<'a> {
    /// The chain and the source as Kafka's DescribeConfigs tells them: what other names set above
    /// the first value of the key itself (of the first broker key behind a topic's) is left out.
    #[must_use]
    pub fn described(&self) -> (Vec<&SynonymValue<'a>>, ConfigSource) {
        let (own, chain): (Vec<_>, Vec<_>) =
            self.synonyms.iter().partition(|synonym| synonym.source == ConfigSource::Topic);
        let first = self.key.synonyms.first().map_or(self.key.name, |synonym| synonym.name);
        let told = chain.into_iter().skip_while(|synonym| synonym.name != first);
        let told: Vec<_> = own.into_iter().chain(told).collect();
        let source = told.first().map_or(ConfigSource::Default, |synonym| synonym.source);
        (told, source)
    }
}

impl<'a> Layers<'a> {
    /// The effective value of a topic key.
    #[must_use]
    pub fn topic_value(&self, key: &'static ConfigKey) -> Effective<'a> {
        let own = set_in(self.topic, key.name).map(|value| SynonymValue {
            name: key.name,
            value,
            source: ConfigSource::Topic,
            factor: 1,
        });
        let names = key.synonyms.iter().map(|synonym| (synonym.name, synonym.factor));
        effective(key, own.into_iter().chain(self.broker_chain(names)).collect())
    }

    /// The effective value of a broker key. The chain shows its whole family, the value is the
    /// key's own: one of another unit may count instead of it, but is not its value.
    #[must_use]
    pub fn broker_value(&self, key: &'static ConfigKey) -> Effective<'a> {
        let family = broker_synonyms(key.name);
        let own = [key.name];
        let names = if family.is_empty() { own.as_slice() } else { family };
        let chain = self.broker_chain(names.iter().map(|name| (*name, 1)));
        let mut effective = effective(key, chain.collect());
        let own = effective.synonyms.iter().find(|synonym| synonym.name == key.name);
        effective.value = own.map(|synonym| synonym.value.to_owned());
        effective
    }

    /// Every value of these broker keys, by layer and within a layer by strength.
    fn broker_chain(
        &self,
        names: impl Iterator<Item = (&'static str, i64)> + Clone,
    ) -> impl Iterator<Item = SynonymValue<'a>> {
        let layers = [
            (self.dynamic_broker, ConfigSource::DynamicBroker),
            (self.dynamic_default, ConfigSource::DynamicDefault),
            (self.static_broker, ConfigSource::StaticBroker),
        ];
        let defaults = names.clone();
        let set = layers.into_iter().flat_map(move |(layer, source)| {
            names.clone().filter_map(move |(name, factor)| {
                let value = set_in(layer, name)?;
                Some(SynonymValue { name, value, source, factor })
            })
        });
        set.chain(defaults.filter_map(|(name, factor)| {
            let value = broker_key(name)?.default?;
            Some(SynonymValue { name, value, source: ConfigSource::Default, factor })
        }))
    }
}

fn set_in<'a>(layer: &'a ConfigMap, name: &str) -> Option<&'a str> {
    layer.get(name).map(String::as_str)
}

fn effective<'a>(key: &'static ConfigKey, synonyms: Vec<SynonymValue<'a>>) -> Effective<'a> {
    let (value, source) = match synonyms.first() {
        Some(first) => (Some(scaled(first)), first.source),
        None => (key.default.map(str::to_owned), ConfigSource::Default),
    };
    Effective { key, value, source, synonyms }
}

/// The value in the unit of the described key. A negative number of hours or minutes means the
/// same as -1 milliseconds: no bound.
fn scaled(value: &SynonymValue<'_>) -> String {
    if value.factor == 1 {
        return value.value.to_owned();
    }
    match value.value.trim().parse::<i64>() {
        Ok(n) if n < 0 => "-1".to_owned(),
        Ok(n) => n.saturating_mul(value.factor).to_string(),
        Err(_) => value.value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::topic_key;

    fn map(values: &[(&str, &str)]) -> ConfigMap {
        values.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn the_strongest_layer_wins_and_the_chain_shows_the_rest() {
        let topic = map(&[("retention.ms", "1")]);
        let dynamic_default = map(&[("log.retention.ms", "3")]);
        let static_broker = map(&[("log.retention.minutes", "4"), ("log.retention.hours", "5")]);
        let layers = Layers {
            topic: &topic,
            dynamic_default: &dynamic_default,
            static_broker: &static_broker,
            ..Layers::defaults()
        };
        let described = layers.topic_value(topic_key("retention.ms").unwrap());
        assert_eq!(described.value.as_deref(), Some("1"));
        assert_eq!(described.source, ConfigSource::Topic);
        let chain: Vec<_> =
            described.synonyms.iter().map(|s| (s.name, s.value, s.source.wire())).collect();
        assert_eq!(
            chain,
            [
                ("retention.ms", "1", 1),
                ("log.retention.ms", "3", 3),
                ("log.retention.minutes", "4", 4),
                ("log.retention.hours", "5", 4),
                ("log.retention.hours", "168", 5),
            ]
        );
    }

    #[test]
    fn minutes_and_hours_become_milliseconds() {
        let key = topic_key("retention.ms").unwrap();
        let value = |name: &str, value: &str| {
            let static_broker = map(&[(name, value)]);
            let layers = Layers { static_broker: &static_broker, ..Layers::defaults() };
            layers.topic_value(key).value.unwrap()
        };
        assert_eq!(value("log.retention.minutes", "2"), "120000");
        assert_eq!(value("log.retention.hours", "-7"), "-1");
        assert_eq!(value("log.segment.bytes", "2"), "604800000");
    }

    #[test]
    fn a_key_without_broker_key_has_no_chain_until_it_is_set() {
        let key = topic_key("remote.storage.enable").unwrap();
        let described = Layers::defaults().topic_value(key);
        assert_eq!((described.value.as_deref(), described.synonyms.len()), (Some("false"), 0));
        assert_eq!(described.source, ConfigSource::Default);
    }

    #[test]
    fn a_broker_key_is_described_with_its_family() {
        let static_broker = map(&[("log.roll.hours", "1")]);
        let layers = Layers { static_broker: &static_broker, ..Layers::defaults() };
        let described = layers.broker_value(broker_key("log.roll.ms").unwrap());
        assert_eq!(described.synonyms.first().unwrap().name, "log.roll.hours");
        // Hours are no milliseconds.
        assert_eq!(described.value, None);
        assert_eq!(described.described(), (vec![], ConfigSource::Default));
        let hours = layers.broker_value(broker_key("log.roll.hours").unwrap());
        assert_eq!(hours.value.as_deref(), Some("1"));
        assert_eq!(hours.described().1, ConfigSource::StaticBroker);
    }

    #[test]
    fn a_described_chain_begins_with_the_key_itself() {
        let key = topic_key("retention.ms").unwrap();
        let dynamic_default = map(&[("log.retention.ms", "3")]);
        let static_broker = map(&[("log.retention.hours", "5")]);
        let hours = Layers { static_broker: &static_broker, ..Layers::defaults() };
        assert_eq!(hours.topic_value(key).described(), (vec![], ConfigSource::Default));
        let both = Layers { dynamic_default: &dynamic_default, ..hours };
        let effective = both.topic_value(key);
        let (told, source) = effective.described();
        let names: Vec<_> = told.iter().map(|synonym| synonym.name).collect();
        assert_eq!(names, ["log.retention.ms", "log.retention.hours", "log.retention.hours"]);
        assert_eq!(source, ConfigSource::DynamicDefault);
    }
}
