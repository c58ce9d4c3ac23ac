//! What clients did and saw. The checks that need nothing but an event and those before it are made
//! when it arrives; the others at the end (`checks`).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use chronik_types::{Acks, Offset, TopicPartition, Uuid};

use super::trace;

/// The number of a broker.
pub type NodeId = u64;
/// A record's content: no two records that are ever sent have the same.
pub type Token = u64;

/// What became of a record that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nobody knows.
    Unknown,
    /// It was refused: it must never be seen.
    Refused,
    /// It was acknowledged at this offset.
    Acked(Offset),
    /// It was acknowledged as one that is there already.
    AckedBefore,
}

/// A record that was sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub tp: TopicPartition,
    pub acks: Acks,
    /// The producer's session and the record's place in it, for an idempotent one.
    pub sequence: Option<(i64, i32)>,
    pub outcome: Outcome,
}

/// A topic that somebody wanted.
#[derive(Clone, Debug, Default)]
pub struct Topic {
    pub name: String,
    /// It was acknowledged, at this time.
    pub created: Option<u64>,
    /// Somebody asked for its end.
    pub delete_sent: bool,
    /// Its end was acknowledged.
    pub deleted: bool,
}

/// What a group has committed for a partition.
#[derive(Clone, Copy, Debug, Default)]
pub struct Committed {
    /// The last offset that was acknowledged.
    pub acked: i64,
    /// The last one that was sent.
    pub sent: i64,
}

/// Everything that clients did and saw.
#[derive(Default)]
pub struct History {
    next_token: Cell<Token>,
    pub sent: RefCell<BTreeMap<Token, Sent>>,
    /// What readers were shown.
    pub seen: RefCell<BTreeMap<TopicPartition, BTreeMap<Offset, Token>>>,
    places: RefCell<BTreeMap<(TopicPartition, Token), Offset>>,
    leaders: RefCell<BTreeMap<(TopicPartition, i32), NodeId>>,
    pub topics: RefCell<BTreeMap<Uuid, Topic>>,
    pub groups: RefCell<BTreeMap<(String, TopicPartition), Committed>>,
    /// The producer to whom each producer id was given.
    sessions: RefCell<BTreeMap<i64, String>>,
    /// How far each partition was read at the end.
    pub ends: RefCell<BTreeMap<TopicPartition, i64>>,
    /// The topics there were at the end.
    pub final_topics: RefCell<Option<BTreeSet<Uuid>>>,
    /// Their names.
    pub final_names: RefCell<BTreeMap<Uuid, String>>,
}

impl History {
    /// Takes note of a record that is about to be sent.
    pub fn send(&self, tp: TopicPartition, acks: Acks, sequence: Option<(i64, i32)>) -> Token {
        let token = self.next_token.get() + 1;
        self.next_token.set(token);
        let sent = Sent { tp, acks, sequence, outcome: Outcome::Unknown };
        self.sent.borrow_mut().insert(token, sent);
        token
    }

    /// What became of a record.
    pub fn settle(&self, token: Token, outcome: Outcome) {
        if matches!(outcome, Outcome::Acked(_) | Outcome::AckedBefore) {
            trace::count("acked");
        }
        let (tp, acks) = {
            let mut sent = self.sent.borrow_mut();
            let sent = sent.get_mut(&token).expect("only what was sent is settled");
            sent.outcome = outcome;
            (sent.tp, sent.acks)
        };
        // With `acks=1` a leader may acknowledge what it appended after another had been elected.
        if let Outcome::Acked(offset) = outcome
            && acks == Acks::All
        {
            let seen = self.seen.borrow();
            let other = seen.get(&tp).and_then(|seen| seen.get(&offset)).copied();
            if other.is_some_and(|other| other != token) {
                trace::violation(format_args!(
                    "record {token} was acknowledged at {tp} {offset}, where record {} was seen",
                    other.unwrap_or_default()
                ));
            }
        }
    }

    /// A reader was shown a record.
    pub fn see(&self, who: &str, tp: TopicPartition, offset: Offset, token: Token) {
        trace::count("seen");
        let sent = self.sent.borrow().get(&token).copied();
        match sent {
            None => trace::violation(format_args!(
                "{who} was shown record {token} at {tp} {offset}, which nobody sent"
            )),
            Some(sent) if sent.tp != tp => trace::violation(format_args!(
                "{who} was shown record {token} at {tp} {offset}, which was sent to {}",
                sent.tp
            )),
            Some(Sent { outcome: Outcome::Refused, .. }) => trace::violation(format_args!(
                "{who} was shown record {token} at {tp} {offset}, which was refused"
            )),
            Some(Sent { outcome: Outcome::Acked(acked), .. }) if acked != offset => {
                trace::violation(format_args!(
                    "{who} was shown record {token} at {tp} {offset}, acknowledged at {acked}"
                ));
            }
            Some(_) => {}
        }
        let before = self.seen.borrow_mut().entry(tp).or_default().insert(offset, token);
        if before.is_some_and(|before| before != token) {
            trace::violation(format_args!(
                "{who} was shown record {token} at {tp} {offset}, where record {} was seen before",
                before.unwrap_or_default()
            ));
        }
        let place = self.places.borrow_mut().insert((tp, token), offset);
        if place.is_some_and(|place| place != offset) {
            trace::violation(format_args!(
                "{who} was shown record {token} at {tp} {offset} and before at {}",
                place.unwrap_or_default()
            ));
        }
    }

    /// Somebody was told who leads a partition.
    pub fn leads(&self, tp: TopicPartition, epoch: i32, node: NodeId) {
        let leader = *self.leaders.borrow_mut().entry((tp, epoch)).or_insert(node);
        if leader != node {
            trace::violation(format_args!(
                "nodes {leader} and {node} both lead {tp} in epoch {epoch}"
            ));
        }
    }

    /// A producer was given its id.
    pub fn begin_session(&self, who: &str, id: i64) {
        let before = self.sessions.borrow_mut().insert(id, who.to_owned());
        if let Some(before) = before {
            trace::violation(format_args!("producer id {id} was given to {before} and to {who}"));
        }
    }

    /// A partition was read to its end.
    pub fn read_to_end(&self, tp: TopicPartition, end: i64) {
        self.ends.borrow_mut().insert(tp, end);
    }

    /// The topics whose end nobody has asked for.
    pub fn live_topics(&self) -> BTreeSet<Uuid> {
        let topics = self.topics.borrow();
        let live = topics.iter().filter(|(_, topic)| topic.created.is_some() && !topic.delete_sent);
        live.map(|(id, _)| *id).collect()
    }
}
