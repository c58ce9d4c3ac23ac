//! Scenarios as text: `testdata/*.txt` hold commands (`> ...`) and, below each, what the shard did.
//!
//! `UPDATE_SCENARIOS=1 cargo test -p chronik-coordinator scenarios` writes what happens now.
//!
//! A client remembers the member id, generation and instance it was last told or used, so a line
//! reads as the client would say it; `member=`, `generation=`, `instance=` say something else.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use chronik_protocol::messages::*;
use chronik_types::ErrorCode;

use super::bench::{Bench, Event, join_request};
use crate::record::{self, Fact};
use crate::{AppendFailure, Reply, Request};

#[derive(Clone, Default)]
struct Client {
    member: String,
    generation: i32,
    instance: Option<String>,
}

struct Scenario {
    bench: Bench,
    clients: BTreeMap<String, Client>,
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a test reads its own data")]
fn scenarios() {
    let update = std::env::var("UPDATE_SCENARIOS").is_ok();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut ran = 0;
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        let written = String::from_utf8(std::fs::read(&path).unwrap()).unwrap();
        let happened = run(&written);
        if update {
            std::fs::write(&path, happened).unwrap();
        } else {
            assert_eq!(written, happened, "{} is not what happens", path.display());
        }
        ran += 1;
    }
    assert!(ran >= 8, "the scenarios are there");
}

fn run(text: &str) -> String {
    let mut scenario = Scenario { bench: Bench::new(), clients: BTreeMap::new() };
    let mut out = String::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("> ") {
            writeln!(out, "{line}").unwrap();
            let trace = scenario.run(command);
            out.push_str(if trace.is_empty() { "  (nothing)\n" } else { &trace });
            scenario.bench.check_log();
        } else if line.starts_with('#') || line.is_empty() {
            writeln!(out, "{line}").unwrap();
        }
    }
    out
}

/// The words of a command: `name`, then bare words and `key=value` pairs.
struct Words<'t> {
    bare: Vec<&'t str>,
    pairs: BTreeMap<&'t str, &'t str>,
}

impl<'t> Words<'t> {
    fn of(command: &'t str) -> Self {
        let (mut bare, mut pairs) = (Vec::new(), BTreeMap::new());
        for word in command.split_whitespace() {
            match word.split_once('=') {
                Some((key, value)) => _ = pairs.insert(key, value),
                None => bare.push(word),
            }
        }
        Self { bare, pairs }
    }

    fn take(&mut self, key: &str) -> Option<&'t str> {
        self.pairs.remove(key)
    }

    fn number(&mut self, key: &str, default: i32) -> i32 {
        self.take(key).map_or(default, |text| text.parse().unwrap())
    }
}

impl Scenario {
    fn run(&mut self, command: &str) -> String {
        let words = Words::of(command);
        let (verb, who) = (words.bare[0], words.bare.get(1).copied().unwrap_or_default());
        let events = match verb {
            "join" => self.join(who, words),
            "sync" => self.sync(who, words),
            "heartbeat" => self.heartbeat(who, words),
            "leave" => self.leave(who, words),
            "commit" => self.commit(who, words),
            "fetch" => self.fetch(words),
            "describe" | "list" | "delete-group" | "delete-offsets" => self.admin(verb, words),
            "wait" => return self.wait(who.parse().unwrap()),
            "restart" => self.bench.restart(),
            "resign" => {
                let effects = self.bench.shard.resign();
                self.bench.act(effects)
            }
            "fail-append" => {
                self.bench.fail_next = Some(AppendFailure::Unavailable);
                Vec::new()
            }
            "topic-deleted" => {
                let now = self.bench.now();
                let (effects, more) = self.bench.shard.topics_deleted(now, &[who]);
                assert!(!more);
                self.bench.act(effects)
            }
            other => panic!("no command {other}"),
        };
        self.trace(&events)
    }

    fn client(&mut self, who: &str, words: &mut Words<'_>) -> Client {
        let client = self.clients.entry(who.to_owned()).or_default();
        if let Some(member) = words.take("member") {
            client.member = if member == "none" { String::new() } else { full_id(member) };
        }
        if let Some(generation) = words.take("generation") {
            client.generation = generation.parse().unwrap();
        }
        if let Some(instance) = words.take("instance") {
            client.instance = Some(instance.to_owned());
        }
        client.clone()
    }

    fn join(&mut self, who: &str, mut words: Words<'_>) -> Vec<Event> {
        let client = self.client(who, &mut words);
        let version = i16::try_from(words.number("v", 9)).unwrap();
        let protocols = words.take("protocols").unwrap_or("range:t");
        let protocols: Vec<(&str, Vec<&str>)> = protocols
            .split(';')
            .map(|protocol| protocol.split_once(':').unwrap())
            .map(|(name, topics)| (name, topics.split(',').collect()))
            .collect();
        let protocols: Vec<_> = protocols.iter().map(|(n, topics)| (*n, &topics[..])).collect();
        let group = words.take("group").unwrap_or("g");
        let mut request = join_request(group, &client.member, &protocols);
        request.session_timeout_ms = words.number("session", 10_000);
        request.rebalance_timeout_ms = words.number("rebalance", 60_000);
        request.group_instance_id = client.instance.as_deref().map(Into::into);
        let member_uuid = self.bench.uuid();
        self.bench.send(who, version, Request::JoinGroup { request: &request, member_uuid })
    }

    fn sync(&mut self, who: &str, mut words: Words<'_>) -> Vec<Event> {
        let client = self.client(who, &mut words);
        let version = i16::try_from(words.number("v", 5)).unwrap();
        let assignments = words.pairs.iter().map(|(to, assignment)| SyncGroupRequestAssignment {
            member_id: self.clients[*to].member.clone().into(),
            assignment: assignment.as_bytes().to_vec().into(),
        });
        let request = SyncGroupRequest {
            group_id: "g".into(),
            generation_id: client.generation,
            member_id: client.member.as_str().into(),
            group_instance_id: client.instance.as_deref().map(Into::into),
            assignments: assignments.collect(),
            ..Default::default()
        };
        self.bench.send(who, version, Request::SyncGroup(&request))
    }

    fn heartbeat(&mut self, who: &str, mut words: Words<'_>) -> Vec<Event> {
        let client = self.client(who, &mut words);
        let request = HeartbeatRequest {
            group_id: "g".into(),
            generation_id: client.generation,
            member_id: client.member.as_str().into(),
            group_instance_id: client.instance.as_deref().map(Into::into),
        };
        self.bench.send(who, 4, Request::Heartbeat(&request))
    }

    fn leave(&mut self, who: &str, mut words: Words<'_>) -> Vec<Event> {
        let client = self.client(who, &mut words);
        let version = i16::try_from(words.number("v", 5)).unwrap();
        let mut request =
            LeaveGroupRequest { group_id: "g".into(), ..LeaveGroupRequest::default() };
        if version < 3 {
            request.member_id = client.member.as_str().into();
        } else {
            request.members = vec![MemberIdentity {
                member_id: client.member.as_str().into(),
                group_instance_id: client.instance.as_deref().map(Into::into),
                reason: None,
            }];
        }
        self.bench.send(who, version, Request::LeaveGroup(&request))
    }

    fn commit(&mut self, who: &str, mut words: Words<'_>) -> Vec<Event> {
        let client = self.client(who, &mut words);
        let version = i16::try_from(words.number("v", 9)).unwrap();
        let retention = words.take("retention").map_or(-1, |text| text.parse().unwrap());
        let metadata = words.take("metadata").unwrap_or_default();
        let epoch = words.number("epoch", -1);
        let group = words.take("group").unwrap_or("g").to_owned();
        let topics = words.pairs.iter().map(|(partition, offset)| {
            let (topic, index) = partition.rsplit_once('-').unwrap();
            OffsetCommitRequestTopic {
                name: topic.into(),
                partitions: vec![OffsetCommitRequestPartition {
                    partition_index: index.parse().unwrap(),
                    committed_offset: offset.parse().unwrap(),
                    committed_leader_epoch: epoch,
                    committed_metadata: Some(metadata.into()),
                }],
            }
        });
        let request = OffsetCommitRequest {
            group_id: group.as_str().into(),
            generation_id_or_member_epoch: match client.member.is_empty() {
                true => -1,
                false => client.generation,
            },
            member_id: client.member.as_str().into(),
            group_instance_id: client.instance.as_deref().map(Into::into),
            retention_time_ms: retention,
            topics: topics.collect(),
        };
        self.bench.send(who, version, Request::OffsetCommit(&request))
    }

    /// `fetch GROUP` asks for all offsets, `fetch GROUP t-0 ...` for some.
    fn fetch(&mut self, words: Words<'_>) -> Vec<Event> {
        let topics = words.bare[2..].iter().map(|partition| {
            let (topic, index) = partition.rsplit_once('-').unwrap();
            OffsetFetchRequestTopics {
                name: topic.into(),
                partition_indexes: vec![index.parse().unwrap()],
            }
        });
        let topics: Vec<_> = topics.collect();
        let group = OffsetFetchRequestGroup {
            group_id: words.bare[1].into(),
            topics: (!topics.is_empty()).then_some(topics),
            ..Default::default()
        };
        let request = Request::OffsetFetch { group: &group, require_stable: false };
        self.bench.send("admin", 9, request)
    }

    fn admin(&mut self, verb: &str, words: Words<'_>) -> Vec<Event> {
        let name = words.bare.get(1).copied().unwrap_or_default();
        match verb {
            "describe" => {
                let request =
                    DescribeGroupsRequest { groups: vec![name.into()], ..Default::default() };
                self.bench.send("admin", 6, Request::DescribeGroups(&request))
            }
            "list" => {
                let states_filter = words.bare[1..].iter().map(|state| (*state).into()).collect();
                let request = ListGroupsRequest { states_filter, ..Default::default() };
                self.bench.send("admin", 5, Request::ListGroups(&request))
            }
            "delete-group" => {
                let request = DeleteGroupsRequest { groups_names: vec![name.into()] };
                self.bench.send("admin", 2, Request::DeleteGroups(&request))
            }
            _ => {
                let topics = words.bare[2..].iter().map(|partition| {
                    let (topic, index) = partition.rsplit_once('-').unwrap();
                    let partition_index = index.parse().unwrap();
                    OffsetDeleteRequestTopic {
                        name: topic.into(),
                        partitions: vec![OffsetDeleteRequestPartition { partition_index }],
                    }
                });
                let request =
                    OffsetDeleteRequest { group_id: name.into(), topics: topics.collect() };
                self.bench.send("admin", 0, Request::OffsetDelete(&request))
            }
        }
    }

    fn wait(&mut self, ms: u64) -> String {
        let start = self.bench.now_ms;
        let mut out = String::new();
        for (at, events) in self.bench.advance(ms) {
            if !events.is_empty() {
                writeln!(out, "  after {} ms:", at - start).unwrap();
            }
            out.push_str(&self.trace(&events));
        }
        out
    }

    fn trace(&mut self, events: &[Event]) -> String {
        let mut out = String::new();
        for event in events {
            let line = match event {
                Event::AppendFailed => "the append fails".to_owned(),
                Event::Record(key, value) => format!("record {}", record_text(key, value)),
                Event::Reply(who, reply) => {
                    self.remember(who, reply);
                    format!("{who} <- {}", reply_text(reply))
                }
            };
            writeln!(out, "  {}", short_ids(&line)).unwrap();
        }
        out
    }

    fn remember(&mut self, who: &str, reply: &Reply) {
        let Reply::JoinGroup(response) = reply else { return };
        let client = self.clients.entry(who.to_owned()).or_default();
        if response.error_code == 0 {
            client.generation = response.generation_id;
        }
        if !response.member_id.is_empty() {
            client.member = response.member_id.clone().into_owned();
        }
    }
}

const UUID_ZEROS: &str = "-00000000-0000-0000-0000-00000000000";

/// Member ids end in a uuid; in scenarios, in its last digit.
fn short_ids(text: &str) -> String {
    text.replace(UUID_ZEROS, "-")
}

fn full_id(short: &str) -> String {
    let (name, digit) = short.rsplit_once('-').unwrap();
    format!("{name}{UUID_ZEROS}{digit}")
}

fn record_text(key: &[u8], value: &Option<bytes::Bytes>) -> String {
    match record::decode(key, value.as_ref()).unwrap() {
        Fact::Offset { group, topic, partition, value: Some(value) } => format!(
            "{group} {topic}-{partition} = {} epoch {} {:?}{}",
            value.offset,
            value.leader_epoch,
            value.metadata,
            value.expires_at.map(|at| format!(" expires at {}", at.0)).unwrap_or_default()
        ),
        Fact::Offset { group, topic, partition, value: None } => {
            format!("{group} {topic}-{partition} tombstone")
        }
        Fact::Group { group, value: None } => format!("{group} tombstone"),
        Fact::Group { group, value: Some(value) } => {
            let members = value.members.iter().map(|member| {
                format!("{}={:?}", member.id, String::from_utf8_lossy(&member.assignment))
            });
            format!(
                "{group} generation {} protocol {} leader {} since {} members [{}]",
                value.generation,
                value.protocol.as_deref().unwrap_or("none"),
                value.leader.as_deref().unwrap_or("none"),
                value.state_since.map_or(-1, |since| since.0),
                members.collect::<Vec<_>>().join(" ")
            )
        }
    }
}

fn code(code: i16) -> &'static str {
    ErrorCode::from_code(code).unwrap().name()
}

fn reply_text(reply: &Reply) -> String {
    match reply {
        Reply::JoinGroup(r) if r.error_code != 0 => {
            let member = if r.member_id.is_empty() { "none" } else { &r.member_id };
            format!("join: {} member {member}", code(r.error_code))
        }
        Reply::JoinGroup(r) => {
            let members: Vec<_> = r.members.iter().map(|m| m.member_id.as_ref()).collect();
            format!(
                "join: member {} generation {} protocol {} leader {} members [{}]{}",
                r.member_id,
                r.generation_id,
                r.protocol_name.as_deref().unwrap_or("null"),
                r.leader,
                members.join(" "),
                if r.skip_assignment { " skip assignment" } else { "" }
            )
        }
        Reply::SyncGroup(r) if r.error_code != 0 => format!("sync: {}", code(r.error_code)),
        Reply::SyncGroup(r) => {
            format!("sync: assigned {:?}", String::from_utf8_lossy(&r.assignment))
        }
        Reply::Heartbeat(r) => format!("heartbeat: {}", code(r.error_code)),
        Reply::LeaveGroup(r) => {
            let members = r.members.iter().map(|member| code(member.error_code));
            let members: Vec<_> = members.collect();
            format!("leave: {} [{}]", code(r.error_code), members.join(" "))
        }
        Reply::OffsetCommit(r) => {
            let partitions = r.topics.iter().flat_map(|topic| {
                let one = |p: &OffsetCommitResponsePartition| {
                    format!("{}-{} {}", topic.name, p.partition_index, code(p.error_code))
                };
                topic.partitions.iter().map(one).collect::<Vec<_>>()
            });
            format!("commit: {}", partitions.collect::<Vec<_>>().join(", "))
        }
        Reply::OffsetFetch(r) => {
            let partitions = r.topics.iter().flat_map(|topic| {
                let one = |p: &OffsetFetchResponsePartitions<'_>| {
                    format!(
                        "{}-{} = {} epoch {} {:?} {}",
                        topic.name,
                        p.partition_index,
                        p.committed_offset,
                        p.committed_leader_epoch,
                        p.metadata.as_deref().unwrap_or("null"),
                        code(p.error_code)
                    )
                };
                topic.partitions.iter().map(one).collect::<Vec<_>>()
            });
            let partitions = partitions.collect::<Vec<_>>().join(", ");
            format!("fetch: {} [{partitions}]", code(r.error_code))
        }
        other => admin_text(other),
    }
}

fn admin_text(reply: &Reply) -> String {
    match reply {
        Reply::OffsetDelete(r) => {
            let topics = r.topics.iter().flat_map(|topic| &topic.partitions);
            let codes: Vec<_> = topics.map(|partition| code(partition.error_code)).collect();
            format!("delete offsets: {} [{}]", code(r.error_code), codes.join(" "))
        }
        Reply::DeleteGroups(r) => {
            let results =
                r.results.iter().map(|r| format!("{} {}", r.group_id, code(r.error_code)));
            format!("delete groups: {}", results.collect::<Vec<_>>().join(", "))
        }
        Reply::ListGroups(r) => {
            let groups = r.groups.iter().map(|group| {
                format!("{} {:?} {}", group.group_id, group.protocol_type, group.group_state)
            });
            let groups = groups.collect::<Vec<_>>().join(", ");
            format!("list: {} [{groups}]", code(r.error_code))
        }
        Reply::DescribeGroups(r) => {
            let groups = r.groups.iter().map(|group| {
                let members = group.members.iter().map(|member| {
                    let assignment = String::from_utf8_lossy(&member.member_assignment);
                    format!("{}={assignment:?}", member.member_id)
                });
                format!(
                    "{} {} {:?} protocol {:?} members [{}]",
                    code(group.error_code),
                    group.group_state,
                    group.protocol_type,
                    group.protocol_data,
                    members.collect::<Vec<_>>().join(" ")
                )
            });
            format!("describe: {}", groups.collect::<Vec<_>>().join(", "))
        }
        other => format!("{other:?}"),
    }
}
