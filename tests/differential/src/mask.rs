//! What may differ between two clusters that behave the same: ids, times, ports, paths.
//!
//! A mask replaces a value by a word for it, never by nothing: `<now>` is not `-1`, and a producer
//! id that comes twice is `<producer 1>` both times.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use chronik_protocol::api::ApiKey;
use chronik_types::{ErrorCode, Uuid};

use crate::batches;
use crate::tree::Value;

/// How far from this machine's clock a time may be and still be "now": more than the scenarios'
/// times around the present.
const NOW_WINDOW_MS: u64 = 3 * 3_600_000;

/// The words for the values of one target; a scenario has its own.
#[derive(Debug, Default)]
pub struct Masks {
    port: u16,
    /// Whether the response is about the metadata log, whose offsets and epochs are its own.
    quorum: bool,
    known: HashMap<String, String>,
    counted: HashMap<&'static str, usize>,
}

impl Masks {
    /// Without any word yet; `port` is the target's.
    pub fn new(port: u16) -> Self {
        Self { port, ..Self::default() }
    }

    /// From now on the topic id `id` is written as the id of `topic`.
    pub fn learn_topic(&mut self, id: Uuid, topic: &str) {
        self.known.insert(id.to_string(), format!("<id of {topic}>"));
    }

    /// Replaces everything in a response of `key` that is this target's own.
    pub fn apply(&mut self, key: ApiKey, tree: &mut Value) {
        self.quorum = key == ApiKey::DescribeQuorum;
        self.apply_at("", tree);
    }

    fn apply_at(&mut self, field: &str, tree: &mut Value) {
        if field == "records" {
            if let Some(bytes) = bytes_of(tree) {
                *tree = self.records(&bytes);
            }
            return;
        }
        match tree {
            Value::Leaf(text) => *text = self.leaf(field, text),
            Value::Struct(fields) => {
                for (name, value) in fields {
                    self.apply_at(name, value);
                }
            }
            Value::List(elements) => {
                for element in elements {
                    self.apply_at(field, element);
                }
            }
        }
    }

    fn records(&mut self, bytes: &[u8]) -> Value {
        let lines = batches::describe(bytes, |field, text| self.leaf(field, text));
        let numbered = |(n, line)| (format!("{n:03}"), Value::Leaf(line));
        match lines.is_empty() {
            true => Value::Leaf("[]".to_owned()),
            false => Value::Struct(lines.into_iter().enumerate().map(numbered).collect()),
        }
    }

    fn leaf(&mut self, field: &str, text: &str) -> String {
        let number = text.parse::<i64>().ok();
        match (field, number) {
            ("error_code" | "topic_config_error_code", Some(code)) => error_name(code),
            ("port", Some(port)) if port == i64::from(self.port) => "<port>".to_owned(),
            ("port", Some(1..)) if self.quorum => "<port>".to_owned(),
            ("high_watermark" | "log_end_offset", Some(1..)) if self.quorum => {
                "<offset>".to_owned()
            }
            ("leader_epoch", Some(1..)) if self.quorum => "<epoch>".to_owned(),
            ("session_id", Some(1..)) => self.counted("fetch session", text),
            ("producer_id", Some(0..)) => self.counted("producer", text),
            ("finalized_features_epoch", Some(0..)) => "<epoch>".to_owned(),
            ("total_bytes" | "usable_bytes", Some(1..)) => "<bytes>".to_owned(),
            (_, Some(number)) if is_now(number) => "<now>".to_owned(),
            (_, Some(_)) => text.to_owned(),
            (_, None) => self.text(field, text),
        }
    }

    fn text(&mut self, field: &str, text: &str) -> String {
        let quoted = text.len() > 2 && text.starts_with('"');
        match field {
            // Whether there is a message counts, not its words.
            "error_message" | "batch_index_error_message" | "documentation" if quoted => {
                "<text>".to_owned()
            }
            "cluster_id" if quoted => "<cluster id>".to_owned(),
            "log_dir" if quoted => "<path>".to_owned(),
            "topic_id" | "replica_directory_id" => self.uuid(field, text),
            _ => self.member_ids(text),
        }
    }

    fn uuid(&self, field: &str, text: &str) -> String {
        match self.known.get(text) {
            _ if text == Uuid::ZERO.to_string() => "<zero>".to_owned(),
            Some(word) => word.clone(),
            None => format!("<some {field}>"),
        }
    }

    /// A generated member id ends in a uuid of 36 characters.
    fn member_ids(&mut self, text: &str) -> String {
        let inner = text.trim_matches('"');
        let Some(at) = inner.len().checked_sub(36) else { return text.to_owned() };
        let Some((prefix, uuid)) = inner.split_at_checked(at) else { return text.to_owned() };
        if !is_uuid(uuid) {
            return text.to_owned();
        }
        format!("\"{prefix}{}\"", self.counted("uuid", uuid))
    }

    fn counted(&mut self, kind: &'static str, text: &str) -> String {
        let key = format!("{kind} {text}");
        if let Some(word) = self.known.get(&key) {
            return word.clone();
        }
        let count = self.counted.entry(kind).or_default();
        *count += 1;
        let word = format!("<{kind} {count}>");
        self.known.insert(key, word.clone());
        word
    }
}

fn is_uuid(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

fn error_name(code: i64) -> String {
    match i16::try_from(code).ok().and_then(ErrorCode::from_code) {
        Some(known) => format!("{code} {}", known.name()),
        None => code.to_string(),
    }
}

/// Whether a number is a time close to this machine's clock.
fn is_now(number: i64) -> bool {
    number.abs_diff(now_ms()) < NOW_WINDOW_MS
}

/// The wall clock in milliseconds.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn bytes_of(tree: &Value) -> Option<Vec<u8>> {
    match tree {
        Value::Leaf(text) if text == "[]" => Some(Vec::new()),
        Value::Leaf(_) | Value::Struct(_) => None,
        Value::List(elements) => elements
            .iter()
            .map(|element| match element {
                Value::Leaf(text) => text.parse().ok(),
                _ => None,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(masks: &mut Masks, field: &str, text: &str) -> String {
        masks.leaf(field, text)
    }

    #[test]
    fn the_same_value_has_the_same_word() {
        let mut masks = Masks::new(9092);
        assert_eq!(masked(&mut masks, "producer_id", "4000"), "<producer 1>");
        assert_eq!(masked(&mut masks, "producer_id", "4001"), "<producer 2>");
        assert_eq!(masked(&mut masks, "producer_id", "4000"), "<producer 1>");
        assert_eq!(masked(&mut masks, "producer_id", "-1"), "-1");
    }

    #[test]
    fn a_member_id_keeps_what_stands_before_its_uuid() {
        let mut masks = Masks::new(9092);
        let id = "\"client-01234567-89ab-cdef-0123-456789abcdef\"";
        assert_eq!(masked(&mut masks, "leader", id), "\"client-<uuid 1>\"");
        assert_eq!(masked(&mut masks, "member_id", "\"nobody\""), "\"nobody\"");
    }

    #[test]
    fn only_times_of_today_are_now() {
        let mut masks = Masks::new(9092);
        assert_eq!(masked(&mut masks, "timestamp", &now_ms().to_string()), "<now>");
        assert_eq!(masked(&mut masks, "timestamp", "1700000000000"), "1700000000000");
        assert_eq!(masked(&mut masks, "port", "9092"), "<port>");
        assert_eq!(masked(&mut masks, "port", "9093"), "9093");
        assert_eq!(masked(&mut masks, "error_code", "3"), "3 UNKNOWN_TOPIC_OR_PARTITION");
    }
}
