//! From text to a typed value, with Kafka's rules and Kafka's words when it cannot be done.
//!
//! **Invariants:** a value that parses for a key obeys the key's [`Check`]; parsing allocates no
//! more than the text.
//!
//! **Not here:** rules between keys of a topic ([`super::topic_config`]) or of a node.

use std::fmt;

use super::types::{Check, ConfigKey, ConfigType};

/// A value of a key, by the key's type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a `Bool` key.
    Bool(bool),
    /// Of an `Int`, `Short` or `Long` key; within the range of that type.
    Number(i64),
    /// Of a `Double` key; not NaN.
    Double(f64),
    /// Of a `String`, `Class` or `Password` key; trimmed.
    Text(String),
    /// Of a `List` key; elements trimmed, none for an empty text.
    List(Vec<String>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            // `Debug` keeps the ".0" of a whole number, as Java does.
            Self::Double(value) => fmt::Debug::fmt(value, f),
            Self::Text(value) => f.write_str(value),
            Self::List(value) => write!(f, "[{}]", value.join(", ")),
        }
    }
}

/// A value that its key does not take; shown as Kafka shows it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid value {value} for configuration {name}: {reason}")]
pub struct InvalidValue {
    /// The key.
    pub name: String,
    /// The value, as given or as parsed; hidden if the key is a secret.
    pub value: String,
    /// Why not.
    pub reason: String,
}

impl ConfigKey {
    /// Reads `text` as a value of this key.
    ///
    /// # Errors
    /// [`InvalidValue`] in Kafka's words if the text is not of the key's type or breaks its rule.
    pub fn parse(&self, text: &str) -> Result<Value, InvalidValue> {
        let value = self
            .parse_type(text)
            .ok_or_else(|| self.invalid(text.to_owned(), type_message(self.config_type)))?;
        match check_message(self, &value) {
            None => Ok(value),
            Some(reason) => Err(self.invalid(culprit(self, &value), reason)),
        }
    }

    fn parse_type(&self, text: &str) -> Option<Value> {
        let text = text.trim();
        match self.config_type {
            ConfigType::Bool if text.eq_ignore_ascii_case("true") => Some(Value::Bool(true)),
            ConfigType::Bool if text.eq_ignore_ascii_case("false") => Some(Value::Bool(false)),
            ConfigType::Bool => None,
            ConfigType::Short => text.parse::<i16>().ok().map(|n| Value::Number(n.into())),
            ConfigType::Int => text.parse::<i32>().ok().map(|n| Value::Number(n.into())),
            ConfigType::Long => text.parse::<i64>().ok().map(Value::Number),
            ConfigType::Double => {
                text.parse::<f64>().ok().filter(|n| n.is_finite()).map(Value::Double)
            }
            ConfigType::List => Some(Value::List(split_list(text))),
            ConfigType::String | ConfigType::Class | ConfigType::Password => {
                Some(Value::Text(text.to_owned()))
            }
        }
    }

    fn invalid(&self, value: String, reason: String) -> InvalidValue {
        let value = if self.is_sensitive() { "[hidden]".to_owned() } else { value };
        InvalidValue { name: self.name.to_owned(), value, reason }
    }
}

/// The elements of a list, as Kafka splits them: at commas, blanks trimmed, none for an empty text.
#[must_use]
pub fn split_list(text: &str) -> Vec<String> {
    let text = text.trim();
    if text.is_empty() {
        return Vec::new();
    }
    text.split(',').map(|element| element.trim().to_owned()).collect()
}

/// The list `current` with every element of `addition` that it does not hold yet (APPEND).
#[must_use]
pub fn append_to_list(current: Option<&str>, addition: &str) -> String {
    let mut elements = split_list(current.unwrap_or_default());
    for element in split_list(addition) {
        if !elements.contains(&element) {
            elements.push(element);
        }
    }
    elements.join(",")
}

/// The list `current` without the elements of `removal`, each taken away once (SUBTRACT).
#[must_use]
pub fn subtract_from_list(current: Option<&str>, removal: &str) -> String {
    let mut elements = split_list(current.unwrap_or_default());
    for element in split_list(removal) {
        if let Some(at) = elements.iter().position(|held| *held == element) {
            elements.remove(at);
        }
    }
    elements.join(",")
}

/// What the message quotes: of a list with a rule for each element, the first that breaks it.
fn culprit(key: &ConfigKey, value: &Value) -> String {
    match (key.check, value) {
        (Check::EachOf(allowed), Value::List(list)) => {
            let foreign = list.iter().find(|element| !allowed.contains(&element.as_str()));
            foreign.cloned().unwrap_or_default()
        }
        _ => value.to_string(),
    }
}

fn type_message(config_type: ConfigType) -> String {
    match config_type {
        ConfigType::Bool => "Expected value to be either true or false".to_owned(),
        other => format!("Not a number of type {other}"),
    }
}

fn check_message(key: &ConfigKey, value: &Value) -> Option<String> {
    match (key.check, value) {
        (Check::AtLeast(min), Value::Number(n)) if *n < min => {
            Some(format!("Value must be at least {min}"))
        }
        (Check::AtLeast(min), Value::Double(n)) if *n < min as f64 => {
            Some(format!("Value must be at least {min}"))
        }
        (Check::Between(min, max), Value::Number(n)) => outside(*n as f64, min, max),
        (Check::Between(min, max), Value::Double(n)) => outside(*n, min, max),
        (Check::GzipLevel, Value::Number(n)) if *n != -1 && !(1..=9).contains(n) => {
            Some("Value must be between 1 and 9 or equal to -1".to_owned())
        }
        (Check::OneOf(allowed), Value::Text(text)) if !allowed.contains(&text.as_str()) => {
            Some(one_of(allowed))
        }
        (Check::OneOfIgnoringCase(allowed), Value::Text(text))
            if !allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(text)) =>
        {
            Some(format!("String must be one of (case insensitive): {}", allowed.join(", ")))
        }
        (Check::EachOf(allowed), Value::List(list))
            if !list.iter().all(|element| allowed.contains(&element.as_str())) =>
        {
            Some(one_of(allowed))
        }
        (Check::NonEmpty, Value::Text(text)) if text.is_empty() => {
            Some("String must be non-empty".to_owned())
        }
        (Check::ThrottledReplicas, Value::List(list)) if !are_throttled_replicas(list) => {
            Some(format!(
                "{} must be the literal '*' or a list of replicas in the following format: \
                 [partitionId]:[brokerId],[partitionId]:[brokerId],...",
                key.name
            ))
        }
        _ => None,
    }
}

fn one_of(allowed: &[&str]) -> String {
    format!("String must be one of: {}", allowed.join(", "))
}

fn outside(n: f64, min: f64, max: f64) -> Option<String> {
    if n < min {
        Some(format!("Value must be at least {min}"))
    } else if n > max {
        Some(format!("Value must be no more than {max}"))
    } else {
        None
    }
}

fn are_throttled_replicas(list: &[String]) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_pair = |text: &str| {
        text.split_once(':')
            .is_some_and(|(partition, broker)| is_number(partition) && is_number(broker))
    };
    match list {
        [only] if only == "*" => true,
        list => list.iter().all(|element| is_pair(element)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{topic_key, topic_keys};

    /// What Kafka 4.1 answers to these values of topic keys.
    const REFUSED: &[(&str, &str, &str)] = &[
        (
            "retention.ms",
            "abc",
            "Invalid value abc for configuration retention.ms: Not a number of type LONG",
        ),
        (
            "retention.ms",
            "-2",
            "Invalid value -2 for configuration retention.ms: Value must be at least -1",
        ),
        (
            "segment.bytes",
            "100",
            "Invalid value 100 for configuration segment.bytes: Value must be at least 1048576",
        ),
        (
            "segment.bytes",
            "99999999999",
            "Invalid value 99999999999 for configuration segment.bytes: Not a number of type INT",
        ),
        (
            "segment.bytes",
            "",
            "Invalid value  for configuration segment.bytes: Not a number of type INT",
        ),
        (
            "cleanup.policy",
            "foo",
            "Invalid value foo for configuration cleanup.policy: String must be one of: compact, delete",
        ),
        (
            "cleanup.policy",
            "Delete",
            "Invalid value Delete for configuration cleanup.policy: String must be one of: compact, delete",
        ),
        (
            "preallocate",
            "yes",
            "Invalid value yes for configuration preallocate: Expected value to be either true or false",
        ),
        (
            "min.cleanable.dirty.ratio",
            "2",
            "Invalid value 2.0 for configuration min.cleanable.dirty.ratio: Value must be no more than 1",
        ),
        (
            "min.cleanable.dirty.ratio",
            "x",
            "Invalid value x for configuration min.cleanable.dirty.ratio: Not a number of type DOUBLE",
        ),
        (
            "compression.type",
            "foo",
            "Invalid value foo for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer",
        ),
        (
            "compression.gzip.level",
            "0",
            "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1",
        ),
        (
            "compression.lz4.level",
            "18",
            "Invalid value 18 for configuration compression.lz4.level: Value must be no more than 17",
        ),
        (
            "compression.zstd.level",
            "23",
            "Invalid value 23 for configuration compression.zstd.level: Value must be no more than 22",
        ),
        (
            "message.timestamp.type",
            "x",
            "Invalid value x for configuration message.timestamp.type: String must be one of: CreateTime, LogAppendTime",
        ),
        (
            "leader.replication.throttled.replicas",
            "1:x",
            "Invalid value [1:x] for configuration leader.replication.throttled.replicas: leader.replication.throttled.replicas must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
        ),
        (
            "max.compaction.lag.ms",
            "0",
            "Invalid value 0 for configuration max.compaction.lag.ms: Value must be at least 1",
        ),
        (
            "min.insync.replicas",
            "0",
            "Invalid value 0 for configuration min.insync.replicas: Value must be at least 1",
        ),
        (
            "min.compaction.lag.ms",
            "9223372036854775808",
            "Invalid value 9223372036854775808 for configuration min.compaction.lag.ms: Not a number of type LONG",
        ),
        (
            "local.retention.ms",
            "-3",
            "Invalid value -3 for configuration local.retention.ms: Value must be at least -2",
        ),
        (
            "retention.bytes",
            "1.5",
            "Invalid value 1.5 for configuration retention.bytes: Not a number of type LONG",
        ),
    ];

    const ACCEPTED: &[(&str, &str)] = &[
        ("retention.ms", " 5 "),
        ("retention.bytes", "-100"),
        ("segment.ms", "+5"),
        ("cleanup.policy", ""),
        ("cleanup.policy", "delete,delete"),
        ("cleanup.policy", "compact, delete"),
        ("preallocate", "TRUE"),
        ("min.cleanable.dirty.ratio", "1e-1"),
        ("compression.zstd.level", "-131072"),
        ("leader.replication.throttled.replicas", "*"),
        ("leader.replication.throttled.replicas", "1:2,3:4"),
        ("leader.replication.throttled.replicas", ""),
    ];

    #[test]
    fn refusals_are_worded_as_kafka_words_them() {
        for (name, text, message) in REFUSED {
            let refused = topic_key(name).unwrap().parse(text).unwrap_err();
            assert_eq!(refused.to_string(), *message);
        }
    }

    #[test]
    fn what_kafka_takes_is_taken() {
        for (name, text) in ACCEPTED {
            assert!(topic_key(name).unwrap().parse(text).is_ok(), "{name}={text}");
        }
    }

    #[test]
    fn lists_are_appended_without_doubles_and_subtracted() {
        assert_eq!(append_to_list(None, "a,b"), "a,b");
        assert_eq!(append_to_list(Some("a,b"), "b, c"), "a,b,c");
        assert_eq!(subtract_from_list(Some("a,b,c"), "b,x"), "a,c");
        assert_eq!(subtract_from_list(Some("a"), "a"), "");
        assert_eq!(subtract_from_list(None, "a"), "");
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_a_parser(text in ".{0,40}") {
            for key in topic_keys() {
                let _ = key.parse(&text);
            }
        }
    }
}
