//! Random histories of several clients, with crashes, failing appends and lost clients.

use std::collections::BTreeMap;

use chronik_protocol::messages::*;
use proptest::prelude::*;

use super::bench::{Bench, Event, at, join_request};
use crate::record;
use crate::shard::GroupShard;
use crate::{AppendFailure, Reply, Request};

const CLIENTS: usize = 5;
const TOPICS: [&str; 2] = ["t", "u"];
const PROTOCOLS: [&[(&str, &[&str])]; 3] = [
    &[("range", &["t"])],
    &[("range", &["t"]), ("sticky", &["t"])],
    &[("sticky", &["t", "u"]), ("range", &["t", "u"])],
];

#[derive(Clone, Debug)]
enum Step {
    Join {
        client: usize,
        version: i16,
        protocols: usize,
        forgets: bool,
    },
    /// Some clients do what the protocol wants: all join, all sync.
    Round {
        clients: u8,
        version: i16,
    },
    Sync {
        client: usize,
    },
    Heartbeat {
        client: usize,
    },
    Leave {
        client: usize,
        version: i16,
    },
    Commit {
        client: usize,
        topic: usize,
        offset: i64,
    },
    SimpleCommit {
        topic: usize,
        offset: i64,
    },
    Fetch,
    DeleteGroup,
    DeleteOffsets {
        topic: usize,
    },
    TopicDeleted {
        topic: usize,
    },
    Wait {
        ms: u64,
    },
    FailNextAppend,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    prop_oneof![
        8 => (client.clone(), 0..10i16, 0..PROTOCOLS.len(), prop::bool::weighted(0.1)).prop_map(
            |(client, version, protocols, forgets)| Step::Join { client, version, protocols, forgets }
        ),
        6 => (1..32u8, 0..10i16).prop_map(|(clients, version)| Step::Round { clients, version }),
        8 => client.clone().prop_map(|client| Step::Sync { client }),
        4 => client.clone().prop_map(|client| Step::Heartbeat { client }),
        2 => (client.clone(), 0..6i16).prop_map(|(client, version)| Step::Leave { client, version }),
        8 => (client, 0..2usize, 0..100i64)
            .prop_map(|(client, topic, offset)| Step::Commit { client, topic, offset }),
        1 => (0..2usize, 0..100i64)
            .prop_map(|(topic, offset)| Step::SimpleCommit { topic, offset }),
        2 => Just(Step::Fetch),
        1 => Just(Step::DeleteGroup),
        1 => (0..2usize).prop_map(|topic| Step::DeleteOffsets { topic }),
        1 => (0..2usize).prop_map(|topic| Step::TopicDeleted { topic }),
        4 => prop_oneof![6 => 0..100u64, 4 => 2_000..4_000u64, 1 => 9_000..70_000u64]
            .prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::FailNextAppend),
        1 => Just(Step::Restart),
    ]
}

#[derive(Clone, Default)]
struct Client {
    member: String,
    generation: i32,
    /// Who is in the generation, if this client is its group leader.
    members: Vec<String>,
    /// Clients 3 and 4 are static.
    instance: Option<&'static str>,
}

struct History {
    bench: Bench,
    clients: Vec<Client>,
    /// What a fetch must say, by topic.
    committed: BTreeMap<&'static str, i64>,
    /// Who was assigned what, by incarnation of the group, generation, and part.
    owners: BTreeMap<(usize, i32, String), String>,
    incarnation: usize,
    assignments: usize,
}

impl History {
    fn new() -> Self {
        let mut clients = vec![Client::default(); CLIENTS];
        clients[3].instance = Some("i3");
        clients[4].instance = Some("i4");
        Self {
            bench: Bench::new(),
            clients,
            committed: BTreeMap::new(),
            owners: BTreeMap::new(),
            incarnation: 0,
            assignments: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Join { client, version, protocols, forgets } => {
                // Instances exist from version 5 on.
                let is_static = self.clients[client].instance.is_some();
                let version = if is_static { version.max(5) } else { version };
                if forgets {
                    self.clients[client].member.clear();
                }
                self.join(client, version, PROTOCOLS[protocols]);
            }
            Step::Round { clients, version } => {
                let clients = (0..CLIENTS).filter(|client| clients & (1 << client) != 0);
                let clients: Vec<_> = clients.collect();
                for _ in 0..2 {
                    for client in &clients {
                        let is_static = self.clients[*client].instance.is_some();
                        let version = if is_static { version.max(5) } else { version };
                        if !self.bench.waiting.values().any(|who| *who == client.to_string()) {
                            self.join(*client, version, PROTOCOLS[1]);
                        }
                    }
                }
                self.step(&Step::Wait { ms: 6_000 });
                for client in &clients {
                    self.sync(*client);
                }
            }
            Step::Sync { client } => self.sync(client),
            Step::Heartbeat { client } => {
                let me = self.clients[client].clone();
                let request = HeartbeatRequest {
                    group_id: "g".into(),
                    generation_id: me.generation,
                    member_id: me.member.as_str().into(),
                    group_instance_id: me.instance.map(Into::into),
                };
                let events = self.bench.send(&client.to_string(), 4, Request::Heartbeat(&request));
                self.learn(events);
            }
            Step::Leave { client, version } => self.leave(client, version),
            Step::Commit { client, topic, offset } => self.commit(Some(client), topic, offset),
            Step::SimpleCommit { topic, offset } => self.commit(None, topic, offset),
            Step::Fetch => self.fetch(),
            Step::DeleteGroup => {
                let request = DeleteGroupsRequest { groups_names: vec!["g".into()] };
                let events = self.bench.send("admin", 2, Request::DeleteGroups(&request));
                if matches!(&events.last(), Some(Event::Reply(_, Reply::DeleteGroups(response)))
                    if response.results[0].error_code == 0)
                {
                    self.committed.clear();
                }
                self.learn(events);
            }
            Step::DeleteOffsets { topic } => self.delete_offsets(TOPICS[topic]),
            Step::TopicDeleted { topic } => {
                let now = self.bench.now();
                let (effects, more) = self.bench.shard.topics_deleted(now, &[TOPICS[topic]]);
                assert!(!more);
                let events = self.bench.act(effects);
                if !events.contains(&Event::AppendFailed) {
                    self.committed.remove(TOPICS[topic]);
                }
                self.learn(events);
            }
            Step::Wait { ms } => {
                for (_, events) in self.bench.advance(ms) {
                    self.learn(events);
                }
            }
            Step::FailNextAppend => self.bench.fail_next = Some(AppendFailure::Unavailable),
            Step::Restart => {
                self.bench.check_log();
                let events = self.bench.restart();
                self.learn(events);
            }
        }
    }

    fn join(&mut self, client: usize, version: i16, protocols: &[(&str, &[&str])]) {
        let me = self.clients[client].clone();
        let mut request = join_request("g", &me.member, protocols);
        request.group_instance_id = me.instance.map(Into::into);
        let member_uuid = self.bench.uuid();
        let request = Request::JoinGroup { request: &request, member_uuid };
        let events = self.bench.send(&client.to_string(), version, request);
        self.learn(events);
    }

    fn sync(&mut self, client: usize) {
        let me = self.clients[client].clone();
        // An exclusive assignment: everybody gets a part of its own.
        let assignments =
            me.members.iter().enumerate().map(|(part, member)| SyncGroupRequestAssignment {
                member_id: member.as_str().into(),
                assignment: part.to_string().into_bytes().into(),
            });
        let request = SyncGroupRequest {
            group_id: "g".into(),
            generation_id: me.generation,
            member_id: me.member.as_str().into(),
            group_instance_id: me.instance.map(Into::into),
            assignments: assignments.collect(),
            ..Default::default()
        };
        let events = self.bench.send(&client.to_string(), 5, Request::SyncGroup(&request));
        self.learn(events);
    }

    fn leave(&mut self, client: usize, version: i16) {
        let me = self.clients[client].clone();
        let mut request = LeaveGroupRequest { group_id: "g".into(), ..Default::default() };
        if version < 3 {
            request.member_id = me.member.as_str().into();
        } else {
            request.members = vec![MemberIdentity {
                member_id: me.member.as_str().into(),
                group_instance_id: me.instance.map(Into::into),
                reason: None,
            }];
        }
        let request = Request::LeaveGroup(&request);
        let events = self.bench.send(&client.to_string(), version, request);
        self.learn(events);
    }

    fn commit(&mut self, client: Option<usize>, topic: usize, offset: i64) {
        let me = client.map(|client| self.clients[client].clone()).unwrap_or_default();
        let generation = if client.is_some() { me.generation } else { -1 };
        let request = OffsetCommitRequest {
            group_id: "g".into(),
            generation_id_or_member_epoch: generation,
            member_id: me.member.as_str().into(),
            group_instance_id: me.instance.map(Into::into),
            topics: vec![OffsetCommitRequestTopic {
                name: TOPICS[topic].into(),
                partitions: vec![OffsetCommitRequestPartition {
                    committed_offset: offset,
                    ..Default::default()
                }],
            }],
            ..Default::default()
        };
        let events = self.bench.send("commit", 9, Request::OffsetCommit(&request));
        let Some(Event::Reply(_, Reply::OffsetCommit(response))) = events.last() else {
            panic!("a commit is answered at once: {events:?}");
        };
        if response.topics[0].partitions[0].error_code == 0 {
            let group = &self.bench.shard.groups["g"];
            if generation >= 0 {
                assert_eq!(group.generation, generation, "no commit of an old generation");
                assert!(group.member(&me.member).is_some(), "no commit of a stranger");
            } else {
                assert_eq!(group.members().len(), 0, "members own the offsets");
            }
            self.committed.insert(TOPICS[topic], offset);
        }
        self.learn(events);
    }

    fn delete_offsets(&mut self, topic: &'static str) {
        let request = OffsetDeleteRequest {
            group_id: "g".into(),
            topics: vec![OffsetDeleteRequestTopic {
                name: topic.into(),
                partitions: vec![OffsetDeleteRequestPartition { partition_index: 0 }],
            }],
        };
        let events = self.bench.send("admin", 0, Request::OffsetDelete(&request));
        if let Some(Event::Reply(_, Reply::OffsetDelete(response))) = events.last()
            && response.error_code == 0
            && response.topics[0].partitions[0].error_code == 0
        {
            self.committed.remove(topic);
        }
        self.learn(events);
    }

    fn fetch(&mut self) {
        let group =
            OffsetFetchRequestGroup { group_id: "g".into(), topics: None, ..Default::default() };
        let request = Request::OffsetFetch { group: &group, require_stable: true };
        let events = self.bench.send("admin", 9, request);
        let [Event::Reply(_, Reply::OffsetFetch(response))] = &events[..] else {
            panic!("a fetch is answered: {events:?}");
        };
        let told: Vec<_> = response.topics.iter().map(|topic| (&*topic.name, topic)).collect();
        let told = told.iter().map(|(name, t)| (*name, t.partitions[0].committed_offset));
        let expected = self.committed.iter().map(|(topic, offset)| (*topic, *offset));
        assert_eq!(told.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "last commit wins");
    }

    /// What clients learn from replies, and what must hold of it.
    fn learn(&mut self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Record(key, None) => {
                    if matches!(record::decode(&key, None), Ok(record::Fact::Group { .. })) {
                        self.incarnation += 1;
                    }
                }
                Event::Reply(who, Reply::JoinGroup(response)) => self.joined(&who, &response),
                Event::Reply(who, Reply::SyncGroup(response)) if response.error_code == 0 => {
                    self.assigned(&who, &response);
                }
                _ => {}
            }
        }
    }

    fn joined(&mut self, who: &str, response: &JoinGroupResponse<'_>) {
        let me = &mut self.clients[who.parse::<usize>().unwrap()];
        me.members.clear();
        match response.error_code {
            0 => {
                me.member = response.member_id.to_string();
                me.generation = response.generation_id;
                let members = response.members.iter().map(|member| member.member_id.to_string());
                me.members = members.collect();
                assert!(me.members.is_empty() || me.members.contains(&me.member));
            }
            // MEMBER_ID_REQUIRED
            79 => me.member = response.member_id.to_string(),
            // UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID
            25 | 82 => me.member.clear(),
            _ => {}
        }
    }

    fn assigned(&mut self, who: &str, response: &SyncGroupResponse<'_>) {
        if response.assignment.is_empty() {
            return;
        }
        self.assignments += 1;
        let part = String::from_utf8(response.assignment.to_vec()).unwrap();
        let me = &self.clients[who.parse::<usize>().unwrap()];
        let owner = me.instance.map_or(me.member.clone(), ToOwned::to_owned);
        let key = (self.incarnation, me.generation, part);
        let before = self.owners.entry(key).or_insert_with(|| owner.clone());
        assert_eq!(*before, owner, "one owner in one generation");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_history_keeps_the_promises(steps in prop::collection::vec(step(), 1..120)) {
        let mut history = History::new();
        for step in &steps {
            history.step(step);
        }
        history.step(&Step::Fetch);
        history.bench.check_log();
        // Nobody comes back; whoever waits is answered and the members expire.
        history.step(&Step::Wait { ms: 3_600_000 });
        prop_assert!(history.bench.waiting.is_empty(), "no reply is lost");
        for group in history.bench.shard.groups.values() {
            prop_assert_eq!(group.members().len(), 0, "sessions end");
        }
        // Offsets expire, and then nothing is left.
        history.step(&Step::Wait { ms: 8 * 24 * 3_600_000 });
        prop_assert_eq!(history.bench.shard.groups(), 0);
        prop_assert_eq!(history.bench.shard.next_deadline(), None);
        history.bench.check_log();
    }

    #[test]
    fn any_beginning_of_a_log_can_be_loaded(
        steps in prop::collection::vec(step(), 1..60),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut history = History::new();
        for step in &steps {
            history.step(step);
        }
        let mut shard = GroupShard::new(super::bench::config());
        let end = cut.index(history.bench.log.len() + 1);
        for (key, value) in &history.bench.log[..end] {
            shard.replay(key, value.as_ref()).unwrap();
        }
        let _ = shard.loaded(at(history.bench.now_ms));
        shard.check();
    }

    #[test]
    fn garbage_in_the_log_is_an_error_or_nothing(
        key in prop::collection::vec(any::<u8>(), 0..40),
        kind in 0..3u8,
        value in prop::option::of(prop::collection::vec(any::<u8>(), 0..80)),
        version in 0..5u8,
    ) {
        let key = [&[0, kind][..], &key].concat();
        let value = value.map(|value| [&[0, version][..], &value].concat().into());
        let mut shard = GroupShard::new(super::bench::config());
        let _ = shard.replay(&key, value.as_ref());
        let _ = shard.loaded(at(0));
        shard.check();
    }
}

/// The random histories mean something only if clients get as far as assignments.
#[test]
fn histories_reach_assignments() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut assignments = 0;
    for _ in 0..50 {
        let steps = prop::collection::vec(step(), 100).new_tree(&mut runner).unwrap().current();
        let mut history = History::new();
        for step in &steps {
            history.step(step);
        }
        assignments += history.assignments;
    }
    assert!(assignments > 50, "only {assignments} assignments");
}
