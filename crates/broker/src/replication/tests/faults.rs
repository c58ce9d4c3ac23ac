//! Power cuts, deaf brokers and changes of leaders while records are written: nothing that was
//! acknowledged is lost, and in the end all replicas agree.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chronik_env::Rng;
use chronik_types::{Offset, TopicPartition};
use parking_lot::Mutex;

use super::{isr, logs_agree};
use crate::latch::Latch;
use crate::partition::Partition;
use crate::progress::ReleaseWhen;
use crate::testing::{Cluster, append_to, batch, content, eventually, eventually_or};

/// What was acknowledged, by partition: the text of each record.
type Acknowledged = Arc<Mutex<BTreeMap<i32, Vec<String>>>>;

/// Waits for the acknowledgement of what was appended, without holding anybody up.
fn note(noted: &Acknowledged, partition: Arc<Partition>, end: Offset, text: String) {
    let noted = Arc::clone(noted);
    tokio::spawn(async move {
        let latch = Arc::new(Latch::new(1));
        let when = ReleaseWhen::Replicated(end);
        if !partition.progress.notify(when, &latch) {
            return;
        }
        let waited = tokio::time::timeout(Duration::from_secs(5), latch.opened()).await;
        if waited.is_ok() && partition.progress.reached().satisfies(when) {
            noted.lock().entry(partition.tp.partition).or_default().push(text);
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_whatever_happens() {
    let seed = chronik_env::env_var("CHRONIK_SEED").and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| Rng::from_os().u64());
    println!("CHRONIK_SEED={seed}");
    let rng = Rng::from_seed(seed);
    let mut cluster = Cluster::start(3, Duration::from_millis(200)).await;
    let partitions = 4;
    let configs = [("min.insync.replicas", "2")];
    let topic_id = cluster.create_topic_with("t", partitions, &[1, 2, 3], &configs);
    let acknowledged = Acknowledged::default();
    let mut written = 0;
    for step in 0..400 {
        let partition = i32::try_from(rng.below(partitions as u64)).unwrap();
        let tp = TopicPartition { topic_id, partition };
        match rng.below(40) {
            0 => disturb(&mut cluster, &rng).await,
            1..10 => tokio::time::sleep(Duration::from_millis(rng.below(8))).await,
            _ => {
                let leader = cluster.state(tp).leader.0;
                if !cluster.nodes().contains(&(leader, true)) {
                    continue;
                }
                let broker = cluster.broker(leader);
                let Ok(found) = broker.partitions.by_id(tp) else { continue };
                let text =
                    format!("{step}-{}", "y".repeat(usize::try_from(rng.below(300)).unwrap()));
                if let Ok(end) = append_to(broker, &found, batch(&text, 1)) {
                    written += 1;
                    note(&acknowledged, found, end, text);
                }
            }
        }
    }
    for (id, runs) in cluster.nodes() {
        if !runs {
            cluster.start_node(id).await;
        }
        cluster.deafen(id);
        cluster.listen_again(id).await;
        cluster.unfence(id);
    }
    for partition in 0..partitions {
        let tp = TopicPartition { topic_id, partition };
        eventually_or(
            &format!("full in-sync sets of {tp}"),
            || isr(&cluster, tp) == [1, 2, 3],
            || describe(&cluster, tp),
        )
        .await;
        let leader = cluster.state(tp).leader.0;
        let led = || cluster.broker(leader).partitions.by_id(tp);
        eventually("a leader", || led().is_ok()).await;
        let log = Arc::clone(&led().unwrap().log);
        if log.end() == Offset::ZERO {
            continue;
        }
        logs_agree(&cluster, tp, &[1, 2, 3], log.end()).await;
        let all = content(&log);
        let noted = acknowledged.lock().get(&partition).cloned().unwrap_or_default();
        for text in &noted {
            let wanted = format!("{text}-0");
            let found = all.windows(wanted.len()).any(|window| window == wanted.as_bytes());
            assert!(found, "{text} was acknowledged, and is gone");
        }
        println!("partition {partition}: {} acknowledged, {} there", noted.len(), log.end());
    }
    assert!(written > 100, "only {written} records were written");
    cluster.stop().await;
}

/// What every broker makes of a partition.
fn describe(cluster: &Cluster, tp: TopicPartition) -> String {
    let of = |(id, _): (i32, bool)| {
        let partition = cluster.broker(id).partitions.opened(tp);
        let partition = partition.map(|p| (p.role(), p.progress.reached(), p.progress.describe()));
        format!("{id}: {partition:?}\n")
    };
    let nodes: String = cluster.nodes().into_iter().map(of).collect();
    format!("{:?}\n{nodes}", cluster.state(tp))
}

/// One thing that goes wrong, or is mended.
async fn disturb(cluster: &mut Cluster, rng: &Rng) {
    let id = 1 + i32::try_from(rng.below(3)).unwrap();
    let down = cluster.nodes().into_iter().find(|(_, runs)| !runs).map(|(id, _)| id);
    match (rng.below(4), down) {
        (0 | 1, Some(down)) => cluster.start_node(down).await,
        (0, None) => {
            cluster.power_cut(id).await;
            cluster.fence(id);
        }
        (1, None) => {
            cluster.deafen(id);
            tokio::time::sleep(Duration::from_millis(rng.below(300))).await;
            cluster.listen_again(id).await;
        }
        (_, Some(down)) if down == id => {}
        (_, _) => {
            cluster.fence(id);
            tokio::time::sleep(Duration::from_millis(rng.below(30))).await;
            cluster.unfence(id);
        }
    }
}
