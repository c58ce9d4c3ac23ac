//! Typed access to settings by key, with the key table's defaults.
//!
//! **Invariant:** a key whose value is invalid has been reported by `sources::gather` already; it
//! reads as its default here, so that one fault is reported once.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    ConfigError, Origin,
    keys::{Value, broker_key},
    sources::Setting,
};

pub(super) struct Values<'s> {
    settings: &'s BTreeMap<String, Setting>,
    errors: Vec<ConfigError>,
    pub(super) notices: Vec<String>,
    pub(super) derived: BTreeMap<&'static str, String>,
}

impl<'s> Values<'s> {
    pub(super) fn new(settings: &'s BTreeMap<String, Setting>) -> Self {
        Self { settings, errors: Vec::new(), notices: Vec::new(), derived: BTreeMap::new() }
    }

    /// Notes that the value of `key` cannot stand, and why.
    pub(super) fn refuse(&mut self, key: &'static str, reason: String) {
        let origin = self.settings.get(key).map_or(Origin::Default, |set| set.origin.clone());
        self.errors.push(ConfigError::Rule { origin, key, reason });
    }

    pub(super) fn into_errors(self) -> Vec<ConfigError> {
        self.errors
    }

    /// The keys that were set.
    pub(super) fn set_keys(&self) -> impl Iterator<Item = &'s str> + use<'s> {
        self.settings.keys().map(String::as_str)
    }

    pub(super) fn is_set(&self, key: &str) -> bool {
        self.settings.contains_key(key)
    }

    fn own(&self, key: &'static str) -> Option<Value> {
        let set = self.settings.get(key)?;
        table(key).parse(&set.value).ok()
    }

    /// The value of a key that has a default.
    fn value(&self, key: &'static str) -> Value {
        let default = || table(key).parse(table(key).default.unwrap_or_default()).ok();
        let value = self.own(key).or_else(default);
        assert!(value.is_some(), "{key} has no default");
        value.unwrap_or(Value::Text(String::new()))
    }

    /// A text key's value if it is set and not empty.
    pub(super) fn set_text(&self, key: &'static str) -> Option<String> {
        match self.own(key)? {
            Value::Text(text) => Some(text).filter(|text| !text.is_empty()),
            other => wrong_type(key, &other),
        }
    }

    /// A number key's value if it is set and not negative.
    pub(super) fn set_number(&self, key: &'static str) -> Option<u64> {
        match self.own(key)? {
            Value::Number(number) => u64::try_from(number).ok(),
            other => wrong_type(key, &other),
        }
    }

    pub(super) fn text(&self, key: &'static str) -> String {
        match self.value(key) {
            Value::Text(text) => text,
            other => wrong_type(key, &other),
        }
    }

    pub(super) fn list(&self, key: &'static str) -> Vec<String> {
        match self.value(key) {
            Value::List(list) => list,
            other => wrong_type(key, &other),
        }
    }

    pub(super) fn flag(&self, key: &'static str) -> bool {
        match self.value(key) {
            Value::Bool(flag) => flag,
            other => wrong_type(key, &other),
        }
    }

    pub(super) fn number(&self, key: &'static str) -> i64 {
        match self.value(key) {
            Value::Number(number) => number,
            other => wrong_type(key, &other),
        }
    }

    /// A number that is not negative by its key's rule; zero where the rule is laxer.
    pub(super) fn count(&self, key: &'static str) -> u64 {
        u64::try_from(self.number(key)).unwrap_or(0)
    }

    pub(super) fn size(&self, key: &'static str) -> usize {
        usize::try_from(self.count(key)).unwrap_or(usize::MAX)
    }

    pub(super) fn int(&self, key: &'static str) -> i32 {
        i32::try_from(self.number(key)).unwrap_or(i32::MAX)
    }

    pub(super) fn millis(&self, key: &'static str) -> Duration {
        Duration::from_millis(self.count(key))
    }
}

fn table(key: &'static str) -> &'static crate::keys::ConfigKey {
    match broker_key(key) {
        Some(key) => key,
        None => unreachable!("{key} is not in the key table"),
    }
}

fn wrong_type<T>(key: &str, value: &Value) -> T {
    unreachable!("{key} is not of the type that is asked for: {value}")
}
