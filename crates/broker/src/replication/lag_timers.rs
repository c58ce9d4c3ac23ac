//! When which led partition has to be looked at again: one set of deadlines for the whole broker.
//!
//! **Invariants**: only partitions that lag, or wait to repeat a proposal, have a deadline; a
//! deadline that has become needless is not taken back but found so when it is due, so that a busy
//! partition costs one timer per `replica.lag.time.max.ms`, not one per record.

use std::collections::BTreeSet;
use std::sync::Arc;

use chronik_types::{Monotonic, TopicPartition};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::Broker;

/// See the module.
#[derive(Default)]
pub(crate) struct LagTimers {
    due: Mutex<BTreeSet<(Monotonic, TopicPartition)>>,
    sooner: Notify,
}

impl LagTimers {
    /// `partition` is to be looked at when it is `at`.
    pub fn add(&self, at: Monotonic, partition: TopicPartition) {
        let mut due = self.due.lock();
        let is_first = due.first().is_none_or(|(first, _)| at < *first);
        due.insert((at, partition));
        if is_first {
            self.sooner.notify_one();
        }
    }

    fn take_due(&self, now: Monotonic) -> Vec<TopicPartition> {
        let mut due = self.due.lock();
        let mut taken = Vec::new();
        while due.first().is_some_and(|(at, _)| *at <= now) {
            taken.extend(due.pop_first().map(|(_, partition)| partition));
        }
        taken
    }

    fn next(&self) -> Option<Monotonic> {
        self.due.lock().first().map(|(at, _)| *at)
    }
}

/// Lets deadlines fire.
pub(crate) async fn run(broker: Arc<Broker>) {
    let timers = &broker.replication.leading.timers;
    loop {
        let sooner = timers.sooner.notified();
        match timers.next() {
            None => sooner.await,
            Some(at) => {
                let _ = broker.until(at, sooner).await;
            }
        }
        for tp in timers.take_due(broker.env.clock.monotonic()) {
            if let Some(partition) = broker.partitions.opened(tp) {
                partition.progress.lag_deadline();
            }
            broker.partitions.rest_if_idle(tp);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chronik_types::TopicId;

    use super::*;

    #[test]
    fn what_is_due_is_taken_in_order_and_once() {
        let at = |millis| Monotonic(Duration::from_millis(millis));
        let tp = |partition| TopicPartition { topic_id: TopicId::METADATA, partition };
        let timers = LagTimers::default();
        for (millis, partition) in [(30, 1), (10, 2), (20, 3)] {
            timers.add(at(millis), tp(partition));
        }
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.take_due(at(25)), [tp(2), tp(3)]);
        assert!(timers.take_due(at(25)).is_empty());
        assert_eq!(timers.take_due(at(30)), [tp(1)]);
    }
}
