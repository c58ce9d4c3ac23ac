//! What clients do while things go wrong.

mod admin;
mod committer;
mod consumer;
mod producer;
mod settle;
mod setup;
mod voters;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use chronik_env::Rng;
use chronik_types::{TopicPartition, Uuid};

use super::cluster::Cluster;
use super::history::History;
use super::plan::Plan;
use super::trace;

/// How far a run is. Clients look at it between two operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The topics come into being; nothing goes wrong yet.
    Setup,
    /// Things go wrong.
    Chaos,
    /// Nothing goes wrong any more; the cluster must come to serve everything.
    Healing,
    /// The workload has ended; everything is read.
    Reading,
    /// All is read.
    Done,
}

/// What the clients share with the run.
pub struct Stage {
    pub phase: Cell<Phase>,
    /// Once things go wrong no more: whether every node serves.
    pub all_up: Cell<bool>,
    pub plan: Plan,
    pub history: Rc<History>,
}

impl Stage {
    /// Whether the workload goes on.
    pub fn works(&self) -> bool {
        self.phase.get() < Phase::Reading
    }

    pub fn client(&self, rng: &Rng, name: &str) -> Cluster {
        let nodes = (1..=self.plan.nodes).collect();
        Cluster::new(rng.fork(name), Rc::clone(&self.history), nodes)
    }
}

/// The program of a client's machine.
pub async fn run(stage: Rc<Stage>, rng: Rng, host: u64) -> turmoil::Result {
    if host == 0 {
        setup::run(&stage, &rng).await;
    }
    while stage.phase.get() == Phase::Setup {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let hosts = stage.plan.client_hosts;
    for (number, plan) in stage.plan.producers.iter().enumerate() {
        if number as u64 % hosts == host {
            let name = format!("producer-{number}");
            tokio::task::spawn_local(producer::run(
                Rc::clone(&stage),
                rng.fork(&name),
                name,
                *plan,
            ));
        }
    }
    for number in (0..stage.plan.consumers).filter(|number| number % hosts == host) {
        let name = format!("consumer-{number}");
        tokio::task::spawn_local(consumer::run(Rc::clone(&stage), rng.fork(&name), name));
    }
    for number in (0..stage.plan.committers).filter(|number| number % hosts == host) {
        let name = format!("committer-{number}");
        tokio::task::spawn_local(committer::run(Rc::clone(&stage), rng.fork(&name), name));
    }
    for (number, plan) in stage.plan.admins.iter().enumerate() {
        if host == hosts - 1 {
            let name = format!("admin-{number}");
            tokio::task::spawn_local(admin::run(Rc::clone(&stage), rng.fork(&name), name, *plan));
        }
    }
    if stage.plan.voter_changes && host == 0 {
        tokio::task::spawn_local(voters::run(Rc::clone(&stage), rng.fork("voters")));
    }
    if host == 0 {
        settle::run(&stage, &rng).await;
    }
    std::future::pending().await
}

/// A pause of this length on average.
async fn pause(rng: &Rng, mean: Duration) {
    let micros = rng.below(2 * mean.as_micros() as u64);
    tokio::time::sleep(Duration::from_micros(micros)).await;
}

/// Some partition of a topic that `wanted` takes.
fn some_partition(cluster: &Cluster, wanted: impl Fn(&Uuid) -> bool) -> Option<TopicPartition> {
    let topics: Vec<_> = cluster.topics.iter().filter(|(id, _)| wanted(id)).collect();
    let rng = &cluster.rng;
    let (id, topic) = topics.get(rng.below(topics.len() as u64) as usize)?;
    let partition = rng.below(topic.leaders.len() as u64) as i32;
    Some(TopicPartition { topic_id: chronik_types::TopicId(**id), partition })
}

/// A line of a client.
fn note(who: &str, what: impl std::fmt::Display) {
    trace::note(who, what);
}
