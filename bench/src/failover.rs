//! How long writes stand still when the leader of a partition goes.
//!
//! One writer sends one record at a time with acks=all and asks every node for the leader when an
//! answer does not come. Whoever runs this ends the leader meanwhile: it is named on the first line.
//!
//! What is told is the longest time without an answer, from the write that found the leader gone
//! until some time after another was found, and beside it the longest of before: the disk makes
//! writes wait too, and that is not the failover's doing.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::client::{Client, Failed};
use crate::cluster::{self, Leader};
use crate::produce;

/// An answer that is not there by then is asked for again.
const PATIENCE: Duration = Duration::from_millis(500);
/// Between questions for the leader.
const PAUSE: Duration = Duration::from_millis(2);
/// What comes after a change of leader is watched so long.
const AFTERWARDS: Duration = Duration::from_secs(2);
const ALL: i16 = -1;

pub async fn run(
    bootstrap: SocketAddr,
    replication_factor: i16,
    wanted: Option<i32>,
    measured: Duration,
) -> Result<(), Failed> {
    let name = format!("bench-failover-{}", std::process::id());
    let known = cluster::nodes(bootstrap).await?.addresses;
    let created = match wanted {
        None => cluster::create_topic(bootstrap, &name, 1, replication_factor).await?,
        Some(wanted) => {
            let others = known.keys().copied().filter(|id| *id != wanted);
            let count = usize::try_from(replication_factor)?;
            let replicas = std::iter::once(wanted).chain(others).take(count).collect();
            cluster::create_on(bootstrap, &name, replicas).await?
        }
    };
    let mut leader = created.into_iter().next().ok_or_else(|| Failed("no partition".into()))?;
    let nodes: Vec<_> = known.into_values().collect();
    let frame = produce::request(&name, 0, 1024, ALL)?;
    let mut writer = Client::connect(leader.address).await?;
    // The first write opens the partition everywhere.
    while write(&mut writer, &frame).await.is_err() {
        (leader, writer) = find(&nodes, &name).await;
    }
    println!("leader {}", leader.id);
    let begin = Instant::now();
    let first_leader = leader.id;
    let (mut last, mut written, mut refused) = (begin, 0u64, 0u64);
    let (mut before, mut longest, mut latest) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let mut changed: Option<Instant> = None;
    while begin.elapsed() < measured && changed.is_none_or(|at| at.elapsed() < AFTERWARDS) {
        match write(&mut writer, &frame).await {
            Ok(()) => {
                latest = last.elapsed();
                let counted = if refused == 0 { &mut before } else { &mut longest };
                *counted = latest.max(*counted);
                last = Instant::now();
                written += 1;
                if leader.id != first_leader {
                    changed.get_or_insert(last);
                }
            }
            Err(_) => {
                if refused == 0 {
                    // The last write that the old leader took may have waited for its end already.
                    longest = latest;
                }
                refused += 1;
                (leader, writer) = find(&nodes, &name).await;
            }
        }
    }
    longest = longest.max(last.elapsed());
    println!(
        "{written} writes, {refused} refused or lost, longest standstill {:.1} ms, {:.1} ms before, leader {} at the end",
        longest.as_secs_f64() * 1e3,
        before.as_secs_f64() * 1e3,
        leader.id
    );
    Ok(())
}

async fn write(client: &mut Client, frame: &BytesMut) -> Result<(), Failed> {
    let exchange = async {
        client.stream.write_all(frame).await?;
        produce::check(&client.receive().await?)
    };
    timeout(PATIENCE, exchange).await?
}

/// Asks the nodes in turn until one names a leader that can be connected to.
async fn find(nodes: &[SocketAddr], topic: &str) -> (Leader, Client) {
    loop {
        for node in nodes {
            let asked = timeout(PATIENCE, async {
                let mut client = Client::connect(*node).await?;
                let mut leaders = cluster::leaders(&mut client, topic).await?;
                let leader = leaders.pop().flatten();
                let leader = leader.ok_or_else(|| Failed("no leader".into()))?;
                let client = Client::connect(leader.address).await?;
                Ok::<_, Failed>((leader, client))
            });
            if let Ok(Ok(found)) = asked.await {
                tokio::time::sleep(PAUSE).await;
                return found;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
