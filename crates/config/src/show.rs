//! The effective configuration as a table.

use crate::{
    NodeConfig,
    keys::{ConfigSource, Layers, broker_keys},
};

/// One key of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The key.
    pub key: &'static str,
    /// Its type, as Kafka names it.
    pub kind: &'static str,
    /// Its default; `None` where there is none.
    pub default: Option<&'static str>,
    /// The value this node runs with; secrets are hidden.
    pub value: Option<String>,
    /// Where it was set.
    pub source: String,
    /// One sentence that says what it does.
    pub doc: &'static str,
}

/// Every key with its effective value, in alphabetical order. A key that takes its value from
/// others names the strongest of those as its source.
#[must_use]
pub fn rows(config: &NodeConfig) -> Vec<Row> {
    let layers = Layers { static_broker: &config.static_configs, ..Layers::defaults() };
    let mut rows: Vec<_> = broker_keys()
        .map(|key| {
            let effective = layers.broker_value(key);
            let derived = config.derived.get(key.name);
            let value = derived.cloned().or(effective.value);
            let hidden = key.is_sensitive() && value.is_some();
            let setter = effective
                .synonyms
                .first()
                .filter(|synonym| synonym.source != ConfigSource::Default)
                .map_or(key.name, |synonym| synonym.name);
            let origin = config.settings.get(setter).map(|setting| setting.origin.to_string());
            let source = match origin {
                Some(origin) if setter == key.name => origin,
                Some(origin) => format!("{origin} ({setter})"),
                None if derived.is_some() => "derived".to_owned(),
                None => "default".to_owned(),
            };
            Row {
                key: key.name,
                kind: key.config_type.name(),
                default: key.default,
                value: if hidden { Some("[hidden]".to_owned()) } else { value },
                source,
                doc: key.doc,
            }
        })
        .collect();
    rows.sort_by_key(|row| row.key);
    rows
}
