//! A shard on a bench: a log that keeps what it emits, clients that remember what they were told.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use chronik_protocol::messages::*;
use chronik_types::{Monotonic, Timestamp, Uuid};

use super::super::*;
use crate::Reply;
use crate::member::Member;

/// A shard with the log behind it.
pub(super) struct Bench {
    pub(super) shard: GroupShard,
    pub(super) log: Vec<(Bytes, Option<Bytes>)>,
    pub(super) now_ms: u64,
    next_id: u64,
    next_uuid: u128,
    /// The requests not answered yet, by who sent them.
    pub(super) waiting: BTreeMap<RequestId, String>,
    /// The next append fails so.
    pub(super) fail_next: Option<AppendFailure>,
}

/// One thing that happened in a call.
#[derive(Debug, PartialEq)]
pub(super) enum Event {
    Record(Bytes, Option<Bytes>),
    Reply(String, Reply),
    AppendFailed,
}

impl Bench {
    pub(super) fn new() -> Self {
        let mut shard = GroupShard::new(config());
        let effects = shard.loaded(at(0));
        assert!(effects.is_empty());
        Self {
            shard,
            log: Vec::new(),
            now_ms: 0,
            next_id: 0,
            next_uuid: 0,
            waiting: BTreeMap::new(),
            fail_next: None,
        }
    }

    pub(super) fn now(&self) -> Now {
        at(self.now_ms)
    }

    pub(super) fn uuid(&mut self) -> Uuid {
        self.next_uuid += 1;
        Uuid(self.next_uuid.to_be_bytes())
    }

    /// Sends a request and runs what follows.
    pub(super) fn send(&mut self, who: &str, version: i16, request: Request<'_>) -> Vec<Event> {
        self.next_id += 1;
        let id = RequestId(self.next_id);
        self.waiting.insert(id, who.to_owned());
        let client = ClientInfo { client_id: who, host: "/127.0.0.1", api_version: version };
        let effects = self.shard.handle(self.now(), id, request, &client);
        self.act(effects)
    }

    /// Does what a driver does with effects.
    pub(super) fn act(&mut self, effects: Effects) -> Vec<Event> {
        let mut events = Vec::new();
        let mut effects = effects;
        if !effects.records.is_empty()
            && let Some(why) = self.fail_next.take()
        {
            events.push(Event::AppendFailed);
            effects = self.shard.append_failed(self.now(), effects, why);
        }
        self.shard.check();
        if !effects.records.is_empty() {
            assert_eq!(effects.release, crate::Release::WhenDurable, "a reply waits for records");
        }
        for (key, value) in effects.records {
            self.log.push((key.clone(), value.clone()));
            events.push(Event::Record(key, value));
        }
        for (id, reply) in effects.replies {
            let who = self.waiting.remove(&id).expect("a request is answered once");
            events.push(Event::Reply(who, reply));
        }
        events
    }

    /// Lets time pass, timer by timer.
    pub(super) fn advance(&mut self, ms: u64) -> Vec<(u64, Vec<Event>)> {
        let end = self.now_ms + ms;
        let mut all = Vec::new();
        let mut fired = 0;
        while let Some(deadline) = self.shard.next_deadline()
            && deadline <= at(end).monotonic
        {
            let due = u64::try_from(deadline.0.as_millis()).unwrap();
            self.now_ms = self.now_ms.max(due);
            let effects = self.shard.on_deadline(self.now());
            let events = self.act(effects);
            all.push((self.now_ms, events));
            fired += 1;
            assert!(fired < 100_000, "timers come to rest");
        }
        self.now_ms = end;
        all
    }

    /// A shard that has read the log.
    pub(super) fn reloaded(&self) -> GroupShard {
        let mut shard = GroupShard::new(self.shard.config.clone());
        for (key, value) in &self.log {
            shard.replay(key, value.as_ref()).unwrap();
        }
        shard
    }

    /// Crashes and starts again: what waits is lost, the log is not.
    pub(super) fn restart(&mut self) -> Vec<Event> {
        self.waiting.clear();
        self.shard = self.reloaded();
        let effects = self.shard.loaded(self.now());
        self.act(effects)
    }

    /// Asserts that the log says what memory says of replayed state.
    pub(super) fn check_log(&self) {
        if self.shard.phase() == Phase::Resigned {
            return;
        }
        let mut reloaded = self.reloaded();
        let said = |shard: &GroupShard| {
            let groups = shard.groups.values();
            let groups = groups.filter(|group| group.stored.is_some() || !group.offsets.is_empty());
            groups
                .map(|group| (group.id.clone(), group.stored.clone(), group.offsets.clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(said(&self.shard), said(&reloaded), "replay of the log gives what memory holds");
        let _ = reloaded.loaded(self.now());
        for (id, group) in &self.shard.groups {
            if group.state() == GroupState::Stable {
                assert_eq!(generation(group), generation(&reloaded.groups[id]), "a stable group");
            }
        }
    }
}

/// What makes a generation: who is in it, with what.
fn generation(group: &Group) -> (i32, Option<&str>, Option<&str>, Option<&str>, Vec<Member>) {
    let protocol = group.protocol.as_deref();
    let members = group.members().map(|member| Member {
        protocols: member
            .protocols
            .iter()
            .filter(|(name, _)| Some(&**name) == protocol)
            .cloned()
            .collect(),
        ..member.clone()
    });
    let (kind, leader) = (group.protocol_type.as_deref(), group.leader.as_deref());
    (group.generation, kind, protocol, leader, members.collect())
}

pub(super) fn at(ms: u64) -> Now {
    Now {
        monotonic: Monotonic(Duration::from_millis(ms)),
        wall: Timestamp(i64::try_from(ms).unwrap()),
    }
}

/// Kafka's settings, with a group size that a test can reach.
pub(super) fn config() -> CoordinatorConfig {
    CoordinatorConfig { group_members_max: 6, ..CoordinatorConfig::default() }
}

/// Metadata of a consumer that subscribes to the topics.
pub(super) fn subscription(topics: &[&str]) -> Vec<u8> {
    let subscription = chronik_protocol::records::ConsumerProtocolSubscription {
        topics: topics.iter().map(|topic| (*topic).into()).collect(),
        ..Default::default()
    };
    chronik_protocol::records::encode_versioned(&subscription, 0).unwrap().to_vec()
}

/// A JoinGroup of a consumer with the usual timeouts.
pub(super) fn join_request<'a>(
    group: &'a str,
    member: &'a str,
    protocols: &[(&'a str, &[&str])],
) -> JoinGroupRequest<'a> {
    JoinGroupRequest {
        group_id: group.into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        member_id: member.into(),
        protocol_type: "consumer".into(),
        protocols: protocols
            .iter()
            .map(|(name, topics)| JoinGroupRequestProtocol {
                name: (*name).into(),
                metadata: subscription(topics).into(),
            })
            .collect(),
        ..Default::default()
    }
}
