//! The state of a cluster as text: columns for people, JSON for programs.

use std::fmt::Write as _;

use chronik_config::HostPort;
use serde_json::{Value, json};

use super::status::{Lag, MetadataRole, Node, Status, Wanting};
use crate::columns;

/// People do not read more of them.
const WANTING_SHOWN_MAX: usize = 20;

pub(super) fn table(status: &Status) -> String {
    let leader = status.leader.map_or("nobody leads".to_owned(), |id| format!("leader {id}"));
    let mut text = format!("cluster {}: {leader}, term {}", status.cluster_id, status.term);
    if let Some(end) = status.log_end {
        let _ = write!(text, ", metadata log end {end}");
    }
    text.push_str("\n\n");
    let head = ["NODE", "ROLES", "STATE", "METADATA", "LAG", "ADDRESS", "RACK", "LEADS", "IN SYNC"];
    let nodes = status.nodes.iter().map(node_cells);
    text.push_str(&columns::align(std::iter::once(head.map(str::to_owned)).chain(nodes)));
    let _ = writeln!(
        text,
        "\n{} partitions, {} without a leader, {} under-replicated",
        status.partitions,
        status.offline(),
        status.under_replicated()
    );
    if !status.wanting.is_empty() {
        text.push('\n');
        let head = ["PARTITION", "LEADER", "REPLICAS", "IN SYNC"].map(str::to_owned);
        let shown = status.wanting.iter().take(WANTING_SHOWN_MAX).map(wanting_cells);
        text.push_str(&columns::align(std::iter::once(head).chain(shown)));
        let more = status.wanting.len().saturating_sub(WANTING_SHOWN_MAX);
        if more > 0 {
            let _ = writeln!(text, "and {more} more, which `--format json` lists");
        }
    }
    text
}

fn node_cells(node: &Node) -> [String; 9] {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    [
        node.id.to_string(),
        roles(node).join(","),
        state(node).to_owned(),
        or_none(node.metadata.map(|role| role_name(role).to_owned())),
        or_none(node.lag.map(lag_text)),
        or_none(node.address.as_ref().map(HostPort::to_string)),
        or_none(node.rack.clone()),
        node.leads.to_string(),
        format!("{}/{}", node.in_sync, node.replicas),
    ]
}

fn lag_text(lag: Lag) -> String {
    match (lag.entries, lag.millis) {
        (0, _) => "0".to_owned(),
        (entries, None) => entries.to_string(),
        (entries, Some(millis)) => format!("{entries} ({millis} ms)"),
    }
}

fn roles(node: &Node) -> Vec<&'static str> {
    let roles = [(node.broker, "broker"), (node.controller, "controller")];
    roles.into_iter().filter(|(has, _)| *has).map(|(_, name)| name).collect()
}

/// A node that is no broker has no state that others hold of it; one that nobody but a partition's
/// list of replicas mentions is gone.
fn state(node: &Node) -> &'static str {
    match node.fenced {
        Some(false) => "active",
        Some(true) => "fenced",
        None if node.controller => "-",
        None => "unknown",
    }
}

fn role_name(role: MetadataRole) -> &'static str {
    match role {
        MetadataRole::Leader => "leader",
        MetadataRole::Voter => "voter",
        MetadataRole::Observer => "observer",
    }
}

fn wanting_cells(partition: &Wanting) -> [String; 4] {
    let list = |ids: &[i32]| {
        let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
        if ids.is_empty() { "-".to_owned() } else { ids.join(",") }
    };
    [
        format!("{}-{}", partition.topic, partition.partition),
        partition.leader.map_or_else(|| "-".to_owned(), |leader| leader.to_string()),
        list(&partition.replicas),
        list(&partition.isr),
    ]
}

pub(super) fn json(status: &Status) -> String {
    let nodes: Vec<Value> = status.nodes.iter().map(node_json).collect();
    let wanting: Vec<Value> = status.wanting.iter().map(wanting_json).collect();
    let value = json!({
        "cluster_id": status.cluster_id,
        "leader": status.leader,
        "term": status.term,
        "metadata_log_end": status.log_end,
        "nodes": nodes,
        "partitions": {
            "total": status.partitions,
            "offline": status.offline(),
            "under_replicated": status.under_replicated(),
            "wanting": wanting,
        },
    });
    format!("{value:#}\n")
}

fn node_json(node: &Node) -> Value {
    json!({
        "id": node.id,
        "roles": roles(node),
        "state": state(node),
        "metadata": node.metadata.map(role_name),
        "lag_entries": node.lag.map(|lag| lag.entries),
        "lag_ms": node.lag.and_then(|lag| lag.millis),
        "address": node.address.as_ref().map(HostPort::to_string),
        "rack": node.rack,
        "leads": node.leads,
        "replicas": node.replicas,
        "in_sync": node.in_sync,
    })
}

fn wanting_json(partition: &Wanting) -> Value {
    json!({
        "topic": partition.topic,
        "partition": partition.partition,
        "leader": partition.leader,
        "replicas": partition.replicas,
        "isr": partition.isr,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(wanting: i32) -> Status {
        let node = Node {
            id: 1,
            broker: true,
            controller: true,
            fenced: Some(false),
            metadata: Some(MetadataRole::Leader),
            lag: Some(Lag { entries: 0, millis: Some(0) }),
            address: HostPort::parse("localhost:9092"),
            rack: None,
            leads: 2,
            replicas: 3,
            in_sync: 3,
        };
        let away = Node {
            id: 2,
            controller: true,
            metadata: Some(MetadataRole::Voter),
            lag: Some(Lag { entries: 12, millis: Some(1500) }),
            replicas: 3,
            ..Node::default()
        };
        let partition = |partition| Wanting {
            topic: "t".into(),
            partition,
            leader: (partition > 0).then_some(1),
            replicas: vec![1, 2],
            isr: if partition > 0 { vec![1] } else { vec![] },
        };
        Status {
            cluster_id: "abc".into(),
            leader: Some(1),
            term: 3,
            log_end: Some(40),
            nodes: vec![node, away],
            partitions: 3,
            wanting: (0..wanting).map(partition).collect(),
        }
    }

    #[test]
    fn people_see_columns() {
        let expected = "\
cluster abc: leader 1, term 3, metadata log end 40

NODE  ROLES              STATE   METADATA  LAG           ADDRESS         RACK  LEADS  IN SYNC
1     broker,controller  active  leader    0             localhost:9092  -     2      3/3
2     controller         -       voter     12 (1500 ms)  -               -     0      0/3

3 partitions, 1 without a leader, 2 under-replicated

PARTITION  LEADER  REPLICAS  IN SYNC
t-0        -       1,2       -
t-1        1       1,2       1
";
        assert_eq!(table(&status(2)), expected);
        assert!(table(&status(25)).ends_with("and 5 more, which `--format json` lists\n"));
        assert!(table(&status(0)).ends_with("0 under-replicated\n"));
    }

    #[test]
    fn programs_see_everything() {
        let shown: Value = serde_json::from_str(&json(&status(25))).unwrap();
        assert_eq!(shown["nodes"][1]["lag_ms"], 1500);
        assert_eq!(shown["nodes"][0]["roles"], json!(["broker", "controller"]));
        assert_eq!(shown["partitions"]["wanting"].as_array().unwrap().len(), 25);
        assert_eq!(shown["partitions"]["offline"], 1);
    }
}
