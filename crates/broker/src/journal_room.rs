//! Logs that hold the journal because nobody has opened them.
//!
//! A log is opened when it is first used. Until then what the journal had of it at the start stays
//! where it is, and every file from there on: a topic that nobody uses would in the end fill the
//! journal. So it is opened when the journal wants its room back; and if it cannot be, because it
//! is damaged, then whoever operates this broker is told, before the journal is full.
//!
//! **Invariants**
//! - Nothing is thrown away here, however full the journal gets.
//! - A log that could not be opened is tried again after a while and not before.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chronik_types::{Monotonic, TopicPartition};

use crate::Broker;
use crate::api::error::Refusal;

/// How often it is said which logs cannot be opened, and how often that is tried.
const AGAIN: Duration = Duration::from_secs(60);
/// How many are named.
const NAMED_MAX: usize = 10;

/// Opens the logs that hold the journal whenever a flush could not make room in it.
pub(crate) async fn open_holders(broker: Arc<Broker>) {
    let mut stuck = Stuck::default();
    loop {
        broker.storage.journal_held().await;
        let now = broker.env.clock.monotonic();
        let is_due = stuck.is_due(now);
        let untried = stuck.untried(broker.storage.journal_holders(), now);
        let failed = open(&broker, untried).await;
        stuck.logs.extend(failed.iter().map(|(tp, _)| *tp));
        if is_due {
            let mut holders = broker.storage.journal_holders();
            holders.retain(|tp| stuck.logs.contains(tp));
            if let Some((_, why)) = failed.first().filter(|_| !holders.is_empty()) {
                say(&broker, &holders, why);
                stuck.said = Some(now);
            }
        }
    }
}

/// Opens logs; returns those that could not be.
async fn open(broker: &Arc<Broker>, logs: Vec<TopicPartition>) -> Vec<(TopicPartition, Refusal)> {
    let broker = Arc::clone(broker);
    let open = move |tp| broker.partitions.replica_by_id(tp).err().map(|why| (tp, why));
    chronik_env::blocking(move || logs.into_iter().filter_map(open).collect()).await
}

fn say(broker: &Broker, holders: &[TopicPartition], why: &Refusal) {
    let image = broker.committed.borrow().image.clone();
    let name = |tp: &TopicPartition| match image.topic(tp.topic_id) {
        Some(topic) => format!("{}-{}", topic.name, tp.partition),
        None => tp.to_string(),
    };
    let names: Vec<_> = holders.iter().take(NAMED_MAX).map(name).collect();
    let code = format!("{:?}", why.code);
    tracing::warn!(
        partitions = %and_more(&names, holders.len()),
        used_bytes = broker.storage.stats().journal.used_bytes,
        max_bytes = broker.options.journal_max_bytes,
        error = %why.message.as_deref().unwrap_or(&code),
        "logs that cannot be opened hold the journal; once it is full, all records sent to this \
         broker are refused. Reassign these replicas to other brokers and back, or delete their \
         topics"
    );
}

/// The names, and how many of `count` they are not.
fn and_more(names: &[String], count: usize) -> String {
    let all = names.join(", ");
    match count.saturating_sub(names.len()) {
        0 => all,
        more => format!("{all} and {more} more"),
    }
}

/// What could not be opened, and when that was last said.
#[derive(Default)]
struct Stuck {
    logs: BTreeSet<TopicPartition>,
    said: Option<Monotonic>,
}

impl Stuck {
    fn is_due(&self, now: Monotonic) -> bool {
        self.said.is_none_or(|said| now.since(said) >= AGAIN)
    }

    /// Those of `holders` to be tried now: the ones that have not been, and all when it is due.
    fn untried(&mut self, mut holders: Vec<TopicPartition>, now: Monotonic) -> Vec<TopicPartition> {
        if self.is_due(now) {
            self.logs.clear();
        }
        holders.retain(|tp| !self.logs.contains(tp));
        holders
    }
}

#[cfg(test)]
mod tests;
