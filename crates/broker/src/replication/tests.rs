//! Replication between brokers in one process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is not as expected"
)]

mod faults;

use std::time::Duration;

use chronik_controller::{AlterPartitionReassignments, ReassignPartition, Request};
use chronik_log::{Origin, Read, ReadLimit};
use chronik_types::{BrokerId, ErrorCode, Offset, TopicId, TopicPartition};

use crate::testing::{Cluster, append, append_to, batch, content, eventually, replicated};

/// Longer than any test: nobody leaves an in-sync set for being slow.
const PATIENT: Duration = Duration::from_secs(300);
/// Nobody waits long for a slow one.
const BRISK: Duration = Duration::from_millis(300);

fn first(topic_id: TopicId) -> TopicPartition {
    TopicPartition { topic_id, partition: 0 }
}

fn isr(cluster: &Cluster, tp: TopicPartition) -> Vec<i32> {
    let mut isr: Vec<_> = cluster.state(tp).isr.iter().map(|id| id.0).collect();
    isr.sort_unstable();
    isr
}

async fn isr_becomes(cluster: &Cluster, tp: TopicPartition, expected: &[i32]) {
    eventually(&format!("an in-sync set of {expected:?}"), || isr(cluster, tp) == expected).await;
}

/// Every replica has the same records, which are these many.
async fn logs_agree(cluster: &Cluster, tp: TopicPartition, replicas: &[i32], end: Offset) {
    let log = |id: i32| cluster.broker(id).storage.log(tp);
    for id in replicas {
        let reached = || log(*id).is_some_and(|l| l.end() == end && l.high_watermark() == end);
        eventually(&format!("broker {id} at {end}: {:?}", log(*id).map(|l| l.offsets())), reached)
            .await;
    }
    let contents: Vec<_> = replicas.iter().map(|id| content(&log(*id).unwrap())).collect();
    for (id, content) in replicas.iter().zip(&contents) {
        let first = contents.first().unwrap();
        let same = content == first;
        assert!(same, "{id} has {:#?}\nbut {:?} has {:#?}", lines(content), replicas, lines(first));
    }
}

/// The batches of a log, for people.
fn lines(content: &[u8]) -> Vec<String> {
    let line = |batch: Result<(chronik_protocol::batch::BatchHeader, &[u8]), _>| match batch {
        Ok((header, bytes)) => {
            let (base, epoch) = (header.base_offset, header.leader_epoch);
            let text = String::from_utf8_lossy(bytes.get(61..).unwrap_or_default()).into_owned();
            format!("{base} in {epoch}: {text:?}")
        }
        Err::<_, chronik_protocol::batch::BatchError>(error) => format!("{error}"),
    };
    chronik_protocol::batch::batches(content).map(line).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_is_on_every_replica() {
    let cluster = Cluster::start(3, PATIENT).await;
    let tp = first(cluster.create_topic("t", 1, &[1, 2, 3]));
    let leader = cluster.broker(1);
    for n in 0..100 {
        let end = append(leader, tp, &format!("record {n}")).expect("appended");
        replicated(leader, tp, end).await;
        for follower in [2, 3] {
            let log = cluster.broker(follower).storage.log(tp).expect("it has records");
            assert!(log.durable_end() >= end, "broker {follower} has {end} on disk");
        }
    }
    logs_agree(&cluster, tp, &[1, 2, 3], Offset(100)).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_nobody_writes_have_no_log_and_one_that_is_written_has_one_on_each_replica()
{
    let cluster = Cluster::start(3, PATIENT).await;
    let topic_id = cluster.create_topic("idle", 2_000, &[1, 2, 3]);
    let tp = TopicPartition { topic_id, partition: 777 };
    let end = append(cluster.broker(1), tp, "the only one").expect("appended");
    replicated(cluster.broker(1), tp, end).await;
    for id in [1, 2, 3] {
        let stats = cluster.broker(id).storage.stats();
        // The other one is the metadata log.
        assert_eq!(stats.open_logs, 2, "on broker {id}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_gone_leaves_the_in_sync_set_and_comes_back_with_everything() {
    let mut cluster = Cluster::start(3, BRISK).await;
    let tp = first(cluster.create_topic("t", 1, &[1, 2, 3]));
    let end = append(cluster.broker(1), tp, "before").unwrap();
    replicated(cluster.broker(1), tp, end).await;
    cluster.power_cut(3).await;
    for n in 0..20 {
        append(cluster.broker(1), tp, &format!("without 3: {n}")).unwrap();
    }
    replicated(cluster.broker(1), tp, Offset(21)).await;
    // On a busy machine the other one may have been too slow as well.
    assert!(!isr(&cluster, tp).contains(&3), "it took a smaller set to go on");
    cluster.start_node(3).await;
    isr_becomes(&cluster, tp, &[1, 2, 3]).await;
    logs_agree(&cluster, tp, &[1, 2, 3], Offset(21)).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_is_told_after_its_sync_is_acknowledged() {
    let cluster = Cluster::start(3, PATIENT).await;
    let tp = first(cluster.create_topic("t", 1, &[1, 2, 3]));
    let end = append(cluster.broker(1), tp, "one").unwrap();
    replicated(cluster.broker(1), tp, end).await;
    let broker = cluster.broker(1);
    let partition = broker.partitions.by_id(tp).unwrap();
    // As if whoever appends were held up between the log and the progress.
    let untold = batch("two", 1);
    let mut permit =
        broker.storage.try_admit(chronik_journal::Class::Client, untold.batch.len()).unwrap();
    let epoch = partition.leader_epoch();
    partition.log.append_as_leader(&mut permit, untold, epoch, Origin::Client).unwrap();
    eventually("it is on the disk of the leader", || {
        partition.progress.reached().durable_end == Offset(2)
    })
    .await;
    partition.progress.appended(Offset(2));
    replicated(broker, tp, Offset(2)).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_acknowledged_is_cut_when_another_leads() {
    let mut cluster = Cluster::start(3, PATIENT).await;
    let tp = first(cluster.create_topic("t", 1, &[1, 2, 3]));
    let end = append(cluster.broker(1), tp, "acknowledged").unwrap();
    replicated(cluster.broker(1), tp, end).await;
    cluster.deafen(1);
    let former = cluster.broker(1).partitions.by_id(tp).unwrap();
    for n in 0..5 {
        append_to(cluster.broker(1), &former, batch(&format!("never sent {n}"), 3)).unwrap();
    }
    cluster.fence(1);
    eventually("broker 2 leads", || cluster.broker(2).partitions.by_id(tp).is_ok()).await;
    let end = append(cluster.broker(2), tp, "by the new leader").unwrap();
    replicated(cluster.broker(2), tp, end).await;
    assert_eq!(end, Offset(2), "what was not acknowledged is not there");
    cluster.listen_again(1).await;
    logs_agree(&cluster, tp, &[1, 2, 3], Offset(2)).await;
    let refused = append_to(cluster.broker(1), &former, batch("too late", 1));
    assert_eq!(refused, Err(ErrorCode::NotLeaderOrFollower));
    cluster.unfence(1);
    isr_becomes(&cluster, tp, &[1, 2, 3]).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_power_is_cut_has_lost_nothing_that_was_acknowledged() {
    let mut cluster = Cluster::start(3, PATIENT).await;
    let tp = first(cluster.create_topic("t", 1, &[1, 2, 3]));
    for n in 0..50 {
        let end = append(cluster.broker(1), tp, &format!("acknowledged {n}")).unwrap();
        replicated(cluster.broker(1), tp, end).await;
    }
    cluster.power_cut(1).await;
    cluster.fence(1);
    eventually("broker 2 leads", || cluster.broker(2).partitions.by_id(tp).is_ok()).await;
    let end = append(cluster.broker(2), tp, "after").unwrap();
    assert_eq!(end, Offset(51));
    replicated(cluster.broker(2), tp, end).await;
    cluster.start_node(1).await;
    isr_becomes(&cluster, tp, &[1, 2, 3]).await;
    logs_agree(&cluster, tp, &[1, 2, 3], Offset(51)).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_longer_in_memory_is_caught_up_from_segments() {
    let mut cluster = Cluster::with_cache(3, BRISK, 64 << 10).await;
    let tp = first(cluster.create_topic("t", 1, &[1, 2, 3]));
    cluster.power_cut(3).await;
    let large = "x".repeat(4 << 10);
    let mut end = Offset::ZERO;
    for _ in 0..400 {
        end = append(cluster.broker(1), tp, &large).unwrap();
    }
    replicated(cluster.broker(1), tp, end).await;
    let storage = cluster.broker(1).storage.clone();
    chronik_env::blocking(move || storage.flush_all()).await.unwrap();
    let limit = ReadLimit { max_bytes: 1, end, at_least_one: true };
    let log = cluster.broker(1).storage.log(tp).unwrap();
    assert!(matches!(log.read(Offset::ZERO, limit), Ok(Read::Segment(_))), "memory has it all");
    cluster.start_node(3).await;
    // While it catches up, more is written.
    for n in 0..200 {
        end = append(cluster.broker(1), tp, &format!("meanwhile {n}")).unwrap();
        replicated(cluster.broker(1), tp, end).await;
    }
    isr_becomes(&cluster, tp, &[1, 2, 3]).await;
    logs_agree(&cluster, tp, &[1, 2, 3], end).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_too_few_in_sync_nothing_becomes_visible() {
    let cluster = Cluster::start(3, PATIENT).await;
    let configs = [("min.insync.replicas", "2")];
    let tp = first(cluster.create_topic_with("t", 1, &[1, 2, 3], &configs));
    let end = append(cluster.broker(1), tp, "with three").unwrap();
    replicated(cluster.broker(1), tp, end).await;
    cluster.fence(2);
    cluster.fence(3);
    let partition = cluster.broker(1).partitions.by_id(tp).unwrap();
    eventually("too few replicas", || partition.lacks_replicas()).await;
    append(cluster.broker(1), tp, "acks=1 only").unwrap();
    eventually("the leader has it on disk", || {
        partition.progress.reached().durable_end == Offset(2)
    })
    .await;
    assert_eq!(partition.progress.reached().high_watermark, Offset(1));
    cluster.unfence(3);
    replicated(cluster.broker(1), tp, Offset(2)).await;
    assert!(!partition.lacks_replicas());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_of_idle_partitions_takes_back_who_was_away() {
    let mut cluster = Cluster::start(3, PATIENT).await;
    let topic_id = cluster.create_topic("idle", 300, &[1, 2, 3]);
    cluster.power_cut(2).await;
    cluster.fence(2);
    let full = |cluster: &Cluster| {
        (0..300).all(|partition| isr(cluster, TopicPartition { topic_id, partition }).len() == 3)
    };
    assert!(!full(&cluster));
    cluster.start_node(2).await;
    eventually("full in-sync sets", || full(&cluster)).await;
    for id in [1, 2, 3] {
        // The metadata log only.
        let at_rest = || cluster.broker(id).storage.stats().open_logs == 1;
        eventually("what is idle is closed", at_rest).await;
    }
    let tp = TopicPartition { topic_id, partition: 7 };
    let end = append(cluster.broker(1), tp, "awake").unwrap();
    replicated(cluster.broker(1), tp, end).await;
    logs_agree(&cluster, tp, &[1, 2, 3], end).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_fenced_without_being_gone_comes_back_to_idle_partitions_too() {
    let cluster = Cluster::start(3, PATIENT).await;
    let topic_id = cluster.create_topic("idle", 30, &[1, 2, 3]);
    let written = TopicPartition { topic_id, partition: 3 };
    let end = append(cluster.broker(1), written, "one").unwrap();
    replicated(cluster.broker(1), written, end).await;
    cluster.fence(2);
    eventually("it is out", || isr(&cluster, written) == [1, 3]).await;
    cluster.unfence(2);
    for partition in 0..30 {
        isr_becomes(&cluster, TopicPartition { topic_id, partition }, &[1, 2, 3]).await;
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_moves_is_complete_where_it_goes_and_gone_where_it_was() {
    let cluster = Cluster::start(3, PATIENT).await;
    let tp = first(cluster.create_topic("t", 1, &[1, 2]));
    for n in 0..20 {
        let end = append(cluster.broker(1), tp, &format!("record {n}")).unwrap();
        replicated(cluster.broker(1), tp, end).await;
    }
    let moved = ReassignPartition {
        topic: "t".to_owned(),
        partition: 0,
        replicas: Some(vec![BrokerId(3), BrokerId(2)]),
    };
    let request = AlterPartitionReassignments {
        partitions: vec![moved],
        allow_replication_factor_change: false,
    };
    let answer = cluster.controller.ask(Request::AlterPartitionReassignments(request));
    assert!(format!("{answer:?}").contains("result: Ok"), "{answer:?}");
    eventually("it is moved", || cluster.state(tp).replicas[..] == [BrokerId(3), BrokerId(2)])
        .await;
    isr_becomes(&cluster, tp, &[2, 3]).await;
    eventually("it is gone where it was", || cluster.broker(1).storage.log(tp).is_none()).await;
    let leader = cluster.state(tp).leader.0;
    eventually("somebody leads", || cluster.broker(leader).partitions.by_id(tp).is_ok()).await;
    let end = append(cluster.broker(leader), tp, "after").unwrap();
    assert_eq!(end, Offset(21));
    replicated(cluster.broker(leader), tp, end).await;
    logs_agree(&cluster, tp, &[2, 3], end).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_deleted_has_no_log_anywhere() {
    let cluster = Cluster::start(3, PATIENT).await;
    let tp = first(cluster.create_topic("t", 1, &[1, 2, 3]));
    let end = append(cluster.broker(1), tp, "soon gone").unwrap();
    replicated(cluster.broker(1), tp, end).await;
    cluster.delete_topic("t");
    for id in [1, 2, 3] {
        let is_gone = || cluster.broker(id).storage.log(tp).is_none();
        eventually("the log is gone", is_gone).await;
    }
    assert_eq!(append(cluster.broker(1), tp, "x"), Err(ErrorCode::UnknownTopicId));
    assert!(cluster.controller.image().broker(BrokerId(1)).is_some());
    cluster.stop().await;
}
