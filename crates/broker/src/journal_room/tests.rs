#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is not as expected"
)]

use std::path::Path;

use chronik_controller::{AlterPartitionReassignments, ReassignPartition, Request};
use chronik_env::Disk as _;
use chronik_log::{AdmitError, Origin};
use chronik_types::{BrokerId, Offset, TopicId};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::*;
use crate::metrics::register_parts;
use crate::testing::{Cluster, append, batch, content, eventually, replicated};

const PATIENT: Duration = Duration::from_secs(300);
const JOURNAL_BYTES: u64 = 4 << 20;

fn first(topic_id: TopicId) -> TopicPartition {
    TopicPartition { topic_id, partition: 0 }
}

/// Writes so many times what the journal takes, unless there is no room within `patience`.
async fn write(
    cluster: &Cluster,
    tp: TopicPartition,
    times: u64,
    patience: Duration,
) -> Result<(), AdmitError> {
    let broker = cluster.broker(1);
    let partition = broker.partitions.by_id(tp).expect("led here");
    let begun = broker.storage.stats().journal.bytes;
    while broker.storage.stats().journal.bytes < begun + times * JOURNAL_BYTES {
        let batch = batch(&"x".repeat(1 << 10), 32);
        let deadline = broker.env.clock.monotonic().after(patience);
        let mut permit = broker.admit_client(batch.batch.len(), deadline).await?;
        let appended = partition.append(&mut permit, batch, Origin::Client).expect("appended");
        replicated(broker, tp, appended.last_offset.next()).await;
    }
    Ok(())
}

/// A topic of which broker 1 has a record in a segment and one in the journal, and which nobody
/// uses after that broker's restart.
async fn with_an_idle_topic(
    cluster: &mut Cluster,
    replicas: &[i32],
    meanwhile: impl FnOnce(&Cluster),
) -> [TopicPartition; 2] {
    let idle = first(cluster.create_topic("idle", 1, replicas));
    let busy = first(cluster.create_topic("busy", 1, &[1]));
    let leader = Arc::clone(cluster.broker(*replicas.first().unwrap()));
    append(&leader, idle, "in a segment").unwrap();
    replicated(&leader, idle, Offset(1)).await;
    cluster.broker(1).storage.flush_all().unwrap();
    append(&leader, idle, "in the journal").unwrap();
    replicated(&leader, idle, Offset(2)).await;
    drop(leader);
    cluster.power_cut(1).await;
    meanwhile(cluster);
    cluster.start_node(1).await;
    [idle, busy]
}

fn lose_the_directory(cluster: &Cluster) {
    cluster.disk(1).remove_dir_all(Path::new("/data/idle-0")).unwrap();
}

fn reassign(cluster: &Cluster, replicas: &[i32]) {
    let moved = ReassignPartition {
        topic: "idle".to_owned(),
        partition: 0,
        replicas: Some(replicas.iter().copied().map(BrokerId).collect()),
    };
    let request = AlterPartitionReassignments {
        partitions: vec![moved],
        allow_replication_factor_change: false,
    };
    let answer = cluster.controller.ask(Request::AlterPartitionReassignments(request));
    assert!(format!("{answer:?}").contains("result: Ok"), "{answer:?}");
}

fn held_by(cluster: &Cluster) -> String {
    let mut registry = Registry::default();
    register_parts(&mut registry, cluster.broker(1));
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    let name = "chronik_journal_held_by_unopened_logs ";
    assert!(text.lines().any(|line| line == "chronik_journal_direct_io 1"), "{text}");
    text.lines().find_map(|line| line.strip_prefix(name)).expect("it is shown").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_nobody_uses_after_a_restart_does_not_fill_the_journal() {
    let mut cluster = Cluster::with_journal(1, PATIENT, JOURNAL_BYTES).await;
    let [idle, busy] = with_an_idle_topic(&mut cluster, &[1], |_| {}).await;
    assert!(cluster.broker(1).partitions.opened(idle).is_none(), "nobody has used it");
    write(&cluster, busy, 3, Duration::from_secs(20)).await.expect("there is room");
    assert_eq!(cluster.broker(1).storage.log(idle).unwrap().end(), Offset(2));
    assert_eq!(held_by(&cluster), "0");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_log_that_fills_the_journal_is_shown_and_its_removal_makes_room() {
    let mut cluster = Cluster::with_journal(1, PATIENT, JOURNAL_BYTES).await;
    let [idle, busy] = with_an_idle_topic(&mut cluster, &[1], lose_the_directory).await;
    assert_eq!(held_by(&cluster), "0", "the journal is nearly empty");
    let full = write(&cluster, busy, 3, Duration::from_secs(1)).await;
    assert_eq!(full, Err(AdmitError::Expired));
    assert_eq!(held_by(&cluster), "1");
    assert_eq!(cluster.broker(1).storage.journal_holders(), [idle]);
    cluster.delete_topic("idle");
    eventually("nothing holds the journal", || held_by(&cluster) == "0").await;
    write(&cluster, busy, 3, Duration::from_secs(20)).await.expect("there is room");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_replica_that_is_reassigned_away_makes_room_and_comes_back_whole() {
    let mut cluster = Cluster::with_journal(3, PATIENT, JOURNAL_BYTES).await;
    let [idle, busy] = with_an_idle_topic(&mut cluster, &[2, 1], lose_the_directory).await;
    let full = write(&cluster, busy, 3, Duration::from_secs(1)).await;
    assert_eq!(full, Err(AdmitError::Expired));
    assert_eq!(held_by(&cluster), "1");
    reassign(&cluster, &[2, 3]);
    eventually("nothing holds the journal", || held_by(&cluster) == "0").await;
    write(&cluster, busy, 3, Duration::from_secs(20)).await.expect("there is room");
    reassign(&cluster, &[2, 1]);
    let is_back = || {
        let state = cluster.state(idle);
        state.replicas.len() == 2 && state.isr.contains(&BrokerId(1))
    };
    eventually("it is in sync again", is_back).await;
    let log = |id| cluster.broker(id).storage.log(idle).expect("it has records");
    assert_eq!(log(1).end(), Offset(2));
    assert!(content(&log(1)) == content(&log(2)), "the same records");
    cluster.stop().await;
}

#[test]
fn what_could_not_be_opened_is_said_and_tried_once_a_minute() {
    let at = |seconds| Monotonic::default().after(Duration::from_secs(seconds));
    let log = |partition| TopicPartition { topic_id: TopicId::default(), partition };
    let mut stuck = Stuck::default();
    assert!(stuck.is_due(at(1)));
    assert_eq!(stuck.untried(vec![log(1)], at(1)), [log(1)]);
    stuck.logs.insert(log(1));
    stuck.said = Some(at(1));
    assert!(!stuck.is_due(at(60)));
    assert_eq!(stuck.untried(vec![log(1), log(2)], at(60)), [log(2)], "the others at once");
    assert!(stuck.is_due(at(61)));
    assert_eq!(stuck.untried(vec![log(1), log(2)], at(61)), [log(1), log(2)]);
}

#[test]
fn ten_are_named_and_the_others_counted() {
    let names = |count| (0..count).map(|n| format!("t-{n}")).collect::<Vec<_>>();
    assert_eq!(and_more(&names(2), 2), "t-0, t-1");
    assert_eq!(and_more(&names(2), 34), "t-0, t-1 and 32 more");
}
