//! One partition of a world: its log, and what is known of the states it may be in.

use std::collections::VecDeque;
use std::sync::Arc;

use chronik_log::{Log, LogConfig, LogListener};
use chronik_types::{Offset, TopicId, TopicPartition, Uuid};
use parking_lot::Mutex;

use super::reference::State;

#[derive(Default)]
pub(super) struct Listener {
    pub(super) told: Mutex<i64>,
}

impl LogListener for Listener {
    fn durable(&self, durable_end: Offset) {
        let mut told = self.told.lock();
        *told = (*told).max(durable_end.0);
    }
}

/// One partition: the log, and the states it may be found in after a crash.
pub(super) struct Partition {
    pub(super) id: TopicPartition,
    pub(super) name: String,
    pub(super) config: Arc<LogConfig>,
    pub(super) log: Option<Arc<Log>>,
    pub(super) listener: Arc<Listener>,
    /// The first is known durable; each later one is after one more submission. `true` marks an
    /// append.
    pub(super) history: VecDeque<(bool, State)>,
    pub(super) incarnation: u8,
}

impl Partition {
    pub(super) fn now(&self) -> &State {
        &self.history.back().unwrap().1
    }

    pub(super) fn log(&self) -> &Arc<Log> {
        self.log.as_ref().unwrap()
    }

    pub(super) fn submitted(&mut self, is_append: bool, state: State) {
        self.history.push_back((is_append, state));
    }

    /// Everything submitted is durable.
    pub(super) fn all_durable(&mut self) {
        let last = self.history.pop_back().unwrap();
        self.history.clear();
        self.history.push_back(last);
    }

    /// Appends up to the durable end are durable, if nothing was cut after them.
    pub(super) fn learn_durable(&mut self) {
        let durable = self.log().durable_end().0;
        let mut known = 0;
        for (index, (is_append, state)) in self.history.iter().enumerate().rev() {
            if index == 0 || !is_append {
                break;
            }
            if state.end <= durable {
                known = index;
                break;
            }
        }
        self.history.drain(..known);
    }
}

pub(super) fn partition_id(index: usize, incarnation: u8) -> TopicPartition {
    let topic_id = TopicId(Uuid::from_entropy([index as u8 + 10 + incarnation * 10; 16]));
    TopicPartition { topic_id, partition: index as i32 }
}
