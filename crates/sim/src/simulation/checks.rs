//! What must hold at the end, over everything that clients did and saw.

use std::collections::BTreeMap;

use chronik_types::{Acks, Offset, TopicPartition, Uuid};

use super::history::{History, Outcome, Sent, Token};
use super::plan::Plan;
use super::trace;

/// Checks the whole history. Violations go to the trace.
pub fn at_the_end(plan: &Plan, history: &History) {
    acknowledged_records_are_there(plan, history);
    what_was_seen_is_still_there(history);
    idempotent_producers_are_in_order(history);
    topics_are_what_they_were_made(plan, history);
}

/// Whether somebody has asked for the end of this partition's topic.
fn is_gone(history: &History, tp: TopicPartition) -> bool {
    history.topics.borrow().get(&tp.topic_id.0).is_some_and(|topic| topic.delete_sent)
}

/// Whether an acknowledgement with these acks promises that the record stays. The leader alone
/// promises that only when it is the only replica.
fn promises(plan: &Plan, acks: Acks) -> bool {
    match acks {
        Acks::None => false,
        Acks::Leader => plan.nodes == 1,
        Acks::All => true,
    }
}

fn acknowledged_records_are_there(plan: &Plan, history: &History) {
    let seen = history.seen.borrow();
    let ends = history.ends.borrow();
    for (token, sent) in history.sent.borrow().iter() {
        if is_gone(history, sent.tp) || !promises(plan, sent.acks) {
            continue;
        }
        match sent.outcome {
            Outcome::Acked(offset) => {
                let found = seen.get(&sent.tp).and_then(|seen| seen.get(&offset));
                if found != Some(token) {
                    lost(*token, sent, Some(offset), ends.get(&sent.tp).copied());
                }
            }
            Outcome::AckedBefore => {
                let found =
                    seen.get(&sent.tp).is_some_and(|seen| seen.values().any(|t| t == token));
                if !found {
                    lost(*token, sent, None, ends.get(&sent.tp).copied());
                }
            }
            Outcome::Unknown | Outcome::Refused => {}
        }
    }
}

fn lost(token: Token, sent: &Sent, offset: Option<Offset>, end: Option<i64>) {
    trace::violation(format_args!(
        "record {token}, acknowledged at {} {offset:?} with acks={:?}, is not there; the partition \
         was read up to {end:?}",
        sent.tp, sent.acks
    ));
}

fn what_was_seen_is_still_there(history: &History) {
    let ends = history.ends.borrow();
    for (tp, seen) in history.seen.borrow().iter() {
        if is_gone(history, *tp) {
            continue;
        }
        let end = ends.get(tp).copied().unwrap_or(0);
        // The final reader has read everything up to the end, and a conflict was told of then.
        if let Some((last, token)) = seen.last_key_value()
            && last.0 >= end
        {
            trace::violation(format_args!(
                "record {token} was seen at {tp} {last}, and now the partition ends at {end}"
            ));
        }
        let count = seen.len() as i64;
        if seen.last_key_value().is_some_and(|(last, _)| last.0 + 1 != count) {
            trace::violation(format_args!("the offsets of {tp} have gaps"));
        }
    }
}

fn idempotent_producers_are_in_order(history: &History) {
    let sent = history.sent.borrow();
    for (tp, seen) in history.seen.borrow().iter() {
        let mut last: BTreeMap<i64, i32> = BTreeMap::new();
        for (offset, token) in seen {
            let Some((producer, sequence)) = sent.get(token).and_then(|sent| sent.sequence) else {
                continue;
            };
            let before = last.insert(producer, sequence);
            let expected = before.map_or(0, |before| before + 1);
            if sequence != expected {
                trace::violation(format_args!(
                    "at {tp} {offset} producer {producer} has sequence {sequence} instead of \
                     {expected}"
                ));
            }
        }
    }
}

/// Whether a record of this topic was acknowledged or seen: then it must not be lost.
fn held_a_record(history: &History, id: Uuid) -> bool {
    let acked = |sent: &Sent| matches!(sent.outcome, Outcome::Acked(_) | Outcome::AckedBefore);
    history.sent.borrow().values().any(|sent| sent.tp.topic_id.0 == id && acked(sent))
        || history.seen.borrow().keys().any(|tp| tp.topic_id.0 == id)
}

fn topics_are_what_they_were_made(plan: &Plan, history: &History) {
    let Some(found) = history.final_topics.borrow().clone() else { return };
    for (id, topic) in history.topics.borrow().iter() {
        let there = found.contains(id);
        if topic.created.is_some() && !topic.delete_sent && !there {
            if plan.fast_path && !held_a_record(history, *id) {
                trace::count("topics_lost");
                continue;
            }
            trace::violation(format_args!(
                "topic {} ({id}), acknowledged, is not there",
                topic.name
            ));
        }
        if topic.deleted && there && !plan.fast_path {
            trace::violation(format_args!(
                "topic {} ({id}), acknowledged as deleted, is there",
                topic.name
            ));
        }
    }
}
