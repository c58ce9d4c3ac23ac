//! A response as a flat list of fields: `path = value`, made from its Debug form.
//!
//! Elements of a list are named by what identifies them (`topics[orders].partitions[0]`), so that
//! two lists of the same elements in another order are the same.

use std::collections::HashMap;

/// The Debug form of a value, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number, string, unit or anything else on one line.
    Leaf(String),
    /// Named fields, in order.
    Struct(Vec<(String, Value)>),
    /// Elements, in order.
    List(Vec<Value>),
}

/// Which fields identify an element of a list; the first one that is there and not empty.
const IDENTITIES: &[&str] = &[
    "name",
    "topic",
    "topic_name",
    "topic_id",
    "partition_index",
    "index",
    "partition",
    "partition_id",
    "group_id",
    "key",
    "api_key",
    "resource_name",
    "node_id",
    "broker_id",
    "replica_id",
    "member_id",
    "producer_id",
    "batch_index",
    "log_dir",
    "feature",
];

/// Takes the text of `{:#?}` apart.
pub fn parse(debug: &str) -> Value {
    let mut lines = debug.lines().map(str::trim);
    let head = lines.next().unwrap_or_default();
    value(head, &mut lines)
}

fn value<'d>(head: &'d str, lines: &mut impl Iterator<Item = &'d str>) -> Value {
    let head = head.strip_suffix(',').unwrap_or(head);
    match head.chars().last() {
        Some('{') => Value::Struct(fields(lines)),
        Some('[') => Value::List(elements(lines, ']')),
        // `Some(…)` and the variants of records: what is inside counts.
        Some('(') => elements(lines, ')').into_iter().next().unwrap_or(Value::Leaf("()".into())),
        _ => Value::Leaf(unwrapped(head).to_owned()),
    }
}

/// `Some("x")` on one line, as Debug never writes it in its long form, but for empty lists.
fn unwrapped(leaf: &str) -> &str {
    ["Some(", "Borrowed(", "Chunks("]
        .iter()
        .find_map(|name| leaf.strip_prefix(name)?.strip_suffix(')'))
        .unwrap_or(leaf)
}

fn fields<'d>(lines: &mut impl Iterator<Item = &'d str>) -> Vec<(String, Value)> {
    let mut fields = Vec::new();
    while let Some(line) = lines.next() {
        if line.trim_end_matches(',') == "}" {
            break;
        }
        let (name, rest) = line.split_once(": ").unwrap_or((line, ""));
        fields.push((name.to_owned(), value(rest, lines)));
    }
    fields
}

fn elements<'d>(lines: &mut impl Iterator<Item = &'d str>, end: char) -> Vec<Value> {
    let mut elements = Vec::new();
    while let Some(line) = lines.next() {
        if line.trim_end_matches(',').chars().eq([end]) {
            break;
        }
        elements.push(value(line, lines));
    }
    elements
}

/// The fields as `path, value` lines; structs without fields and empty lists have one, too.
pub fn flatten(tree: &Value) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    flatten_into("", tree, &mut lines);
    lines
}

fn flatten_into(path: &str, tree: &Value, lines: &mut Vec<(String, String)>) {
    match tree {
        Value::Leaf(text) => lines.push((path.to_owned(), text.clone())),
        Value::Struct(fields) => {
            for (name, value) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                flatten_into(&format!("{path}{dot}{name}"), value, lines);
            }
        }
        Value::List(elements) => match one_line(elements) {
            Some(text) => lines.push((path.to_owned(), text)),
            None => {
                let mut seen: HashMap<String, usize> = HashMap::new();
                for element in elements {
                    let name = identity(element);
                    let times = seen.entry(name.clone()).or_default();
                    *times += 1;
                    let again = if *times > 1 { format!("#{times}") } else { String::new() };
                    flatten_into(&format!("{path}[{name}]{again}"), element, lines);
                }
            }
        },
    }
}

fn one_line(elements: &[Value]) -> Option<String> {
    let leaves: Option<Vec<&str>> = elements
        .iter()
        .map(|element| match element {
            Value::Leaf(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    Some(format!("[{}]", leaves?.join(", ")))
}

/// The identities of the elements of the top-level list `field`, in the order they came.
pub fn order_of(tree: &Value, field: &str) -> Option<String> {
    let Value::Struct(fields) = tree else { return None };
    let (_, Value::List(elements)) = fields.iter().find(|(name, _)| name == field)? else {
        return None;
    };
    Some(elements.iter().map(identity).collect::<Vec<_>>().join(", "))
}

fn identity(element: &Value) -> String {
    let Value::Struct(fields) = element else { return "-".to_owned() };
    let leaf = |wanted: &str| {
        fields.iter().find_map(|(name, value)| match value {
            Value::Leaf(text) if name == wanted => Some(text.trim_matches('"')),
            _ => None,
        })
    };
    let named = IDENTITIES
        .iter()
        .find_map(|name| leaf(name).filter(|text| !text.is_empty() && *text != "None"));
    match (leaf("resource_type"), named) {
        (Some(kind), Some(name)) => format!("{kind}:{name}"),
        (Some(kind), None) => format!("{kind}:"),
        (None, Some(name)) => name.to_owned(),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    #[allow(dead_code, reason = "read by Debug")]
    struct Topic {
        name: &'static str,
        id: Option<i32>,
        partitions: Vec<i32>,
        inner: Vec<Inner>,
    }

    #[derive(Debug)]
    #[allow(dead_code, reason = "read by Debug")]
    struct Inner {
        index: i32,
        text: Option<&'static str>,
    }

    fn lines(topics: &[Topic]) -> Vec<String> {
        let tree = parse(&format!("{topics:#?}"));
        flatten(&tree).into_iter().map(|(path, value)| format!("{path} = {value}")).collect()
    }

    #[test]
    fn fields_have_paths_that_name_their_elements() {
        let topic = |name, text| Topic {
            name,
            id: Some(7),
            partitions: vec![1, 2],
            inner: vec![Inner { index: 0, text }, Inner { index: 0, text: None }],
        };
        assert_eq!(
            lines(&[topic("a", Some("x: {"))]),
            [
                "[a].name = \"a\"",
                "[a].id = 7",
                "[a].partitions = [1, 2]",
                "[a].inner[0].index = 0",
                "[a].inner[0].text = \"x: {\"",
                "[a].inner[0]#2.index = 0",
                "[a].inner[0]#2.text = None",
            ]
        );
    }

    #[test]
    fn empty_lists_and_units_are_lines_too() {
        let topic = Topic { name: "", id: None, partitions: vec![], inner: vec![] };
        assert_eq!(
            lines(&[topic]),
            ["[].name = \"\"", "[].id = None", "[].partitions = []", "[].inner = []"]
        );
    }
}
