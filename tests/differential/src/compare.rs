//! Two transcripts side by side, and the list of differences that are allowed.
//!
//! The list is `docs/differences.md`: prose for people, with lines that begin with "- `" for this
//! test: `` - `scenario` `step` `field` `Kafka's value` `ours` ``, where `*` stands for anything.

use std::collections::BTreeSet;
use std::fmt;

use crate::transcript::{Fields, Transcript};

/// One field that differs; a field that is not there is `absent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub scenario: String,
    /// After which request.
    pub step: String,
    /// In which field.
    pub field: String,
    /// What Kafka said.
    pub kafka: String,
    /// What we said.
    pub ours: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, step, field, kafka, ours } = self;
        write!(f, "- `{scenario}` `{step}` `{field}` `{kafka}` `{ours}`")
    }
}

const ABSENT: &str = "absent";
/// An element of a list, all of it.
const PRESENT: &str = "present";

/// Every field in which two transcripts of a scenario differ. Where one has no fields in common
/// with the other (an answer against a closed connection) only what kind they are is told.
pub fn differences(scenario: &str, kafka: &Transcript, ours: &Transcript) -> Vec<Difference> {
    let difference = |step: &str, field: &str, kafka: &str, ours: &str| Difference {
        scenario: scenario.to_owned(),
        step: step.to_owned(),
        field: field.to_owned(),
        kafka: kafka.to_owned(),
        ours: ours.to_owned(),
    };
    let mut found = Vec::new();
    let labels: Vec<&String> = kafka.steps.iter().map(|(label, _)| label).collect();
    let extra = ours.steps.iter().map(|(label, _)| label).filter(|label| !labels.contains(label));
    for label in labels.iter().copied().chain(extra) {
        match (fields_of(kafka, label), fields_of(ours, label)) {
            (Some(k), Some(o)) if kind(k) != kind(o) => {
                found.push(difference(label, "outcome", kind(k), kind(o)));
            }
            (Some(k), Some(o)) => {
                for (field, k, o) in fields_that_differ(k, o) {
                    found.push(difference(label, &field, &k, &o));
                }
            }
            (k, o) => {
                let (k, o) = (k.map_or(ABSENT, kind), o.map_or(ABSENT, kind));
                found.push(difference(label, "outcome", k, o));
            }
        }
    }
    found
}

/// Fields with both values. An element of a list that only one side has counts once, as a whole.
fn fields_that_differ(kafka: &Fields, ours: &Fields) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let paths: BTreeSet<&String> = kafka.keys().chain(ours.keys()).collect();
    for path in paths {
        let difference = match (kafka.get(path), ours.get(path)) {
            (k, o) if k == o => continue,
            (Some(k), Some(o)) => (path.clone(), k.clone(), o.clone()),
            (Some(k), None) if is_empty_list(path, k, ours) => continue,
            (None, Some(o)) if is_empty_list(path, o, kafka) => continue,
            (Some(k), None) => match missing_element(path, ours) {
                Some(element) => (element, PRESENT.to_owned(), ABSENT.to_owned()),
                None => (path.clone(), k.clone(), ABSENT.to_owned()),
            },
            (None, o) => match missing_element(path, kafka) {
                Some(element) => (element, ABSENT.to_owned(), PRESENT.to_owned()),
                None => (path.clone(), ABSENT.to_owned(), o.cloned().unwrap_or_default()),
            },
        };
        if found.last() != Some(&difference) {
            found.push(difference);
        }
    }
    found
}

/// Whether `path` is an empty list here and has elements there: those are told instead.
fn is_empty_list(path: &str, value: &str, there: &Fields) -> bool {
    let element = format!("{path}[");
    value == "[]" && there.keys().any(|path| path.starts_with(&element))
}

/// The outermost list element on `path` of which `there` has nothing.
fn missing_element(path: &str, there: &Fields) -> Option<String> {
    path.match_indices("].")
        .map(|(at, _)| path.split_at(at + 1).0)
        .chain(path.match_indices('.').map(|(at, _)| path.split_at(at).0))
        .filter(|prefix| prefix.contains('[') && !prefix.ends_with(|c: char| c.is_alphabetic()))
        .filter(|prefix| {
            let dot = format!("{prefix}.");
            path.starts_with(&dot) && !there.keys().any(|path| path.starts_with(&dot))
        })
        .min_by_key(|prefix| prefix.len())
        .map(str::to_owned)
}

fn fields_of<'t>(transcript: &'t Transcript, label: &str) -> Option<&'t Fields> {
    transcript.steps.iter().find(|(found, _)| found == label).map(|(_, fields)| fields)
}

fn kind(fields: &Fields) -> &str {
    fields.get("outcome").or_else(|| fields.get("undecodable")).map_or("answer", String::as_str)
}

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The line as it stands.
    pub line: String,
    patterns: [String; 5],
}

impl Allowed {
    /// Whether the line speaks of this difference.
    pub fn covers(&self, difference: &Difference) -> bool {
        let Difference { scenario, step, field, kafka, ours } = difference;
        self.patterns
            .iter()
            .zip([scenario, step, field, kafka, ours])
            .all(|(pattern, text)| matches(pattern, text))
    }
}

/// The lines of the list in a document.
///
/// # Errors
/// A line that begins as one of the list and is none.
pub fn allowed(document: &str) -> Result<Vec<Allowed>, String> {
    document.lines().filter(|line| line.starts_with("- `")).map(parse_line).collect()
}

fn parse_line(line: &str) -> Result<Allowed, String> {
    let parts: Vec<String> = line.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let patterns = parts.try_into().map_err(|_| format!("not five parts in backquotes: {line}"))?;
    Ok(Allowed { line: line.to_owned(), patterns })
}

/// Whether `text` is `pattern`, in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.split_at(at + part.len()).1,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript(text: &str) -> Transcript {
        Transcript::parse(text)
    }

    #[test]
    fn a_difference_names_its_field_and_both_values() {
        let kafka = transcript("-- one\na = 1\nb = 2\n-- two\noutcome = closed\n");
        let ours = transcript("-- one\na = 1\nb = 3\nc = 4\n-- two\na = 1\n-- three\na = 1\n");
        let lines: Vec<String> =
            differences("s", &kafka, &ours).iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "- `s` `one` `b` `2` `3`",
                "- `s` `one` `c` `absent` `4`",
                "- `s` `two` `outcome` `closed` `answer`",
                "- `s` `three` `outcome` `absent` `answer`",
            ]
        );
        assert_eq!(differences("s", &kafka, &kafka), []);
    }

    #[test]
    fn an_element_that_is_missing_is_one_difference() {
        let kafka = transcript("-- s\nt[a].x = 1\nt[b].p[0].x = 1\nt[b].p[0].y = 1\nt[b].z = 1\n");
        let ours = transcript("-- s\nt[a].x = 1\nt[b].p = []\nt[b].z = 1\n");
        let none = transcript("-- s\nt = []\n");
        let fields = |a: &Transcript, b: &Transcript| -> Vec<String> {
            let all = differences("s", a, b);
            all.into_iter().map(|d| format!("{} {} {}", d.field, d.kafka, d.ours)).collect()
        };
        assert_eq!(fields(&kafka, &ours), ["t[b].p[0] present absent"]);
        assert_eq!(fields(&none, &kafka), ["t[a] absent present", "t[b] absent present"]);
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, expected) in [
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "ac", true),
            ("a*b*c", "a b c d", false),
            ("*.port", "brokers[1].port", true),
            ("v*", "w", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn the_list_is_read_from_prose() {
        let text = "# Title\nWords.\n- plain item\n- `s` `*` `a` `1` `2`: because\n";
        let list = allowed(text).expect("a good list");
        assert_eq!(list.len(), 1);
        let kafka = transcript("-- x\na = 1\n");
        let ours = transcript("-- x\na = 2\n");
        assert!(list[0].covers(&differences("s", &kafka, &ours)[0]));
        assert!(!list[0].covers(&differences("t", &kafka, &ours)[0]));
        assert!(allowed("- `s` `x`").is_err());
    }
}
