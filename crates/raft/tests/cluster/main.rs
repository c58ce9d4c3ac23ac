//! Three members in one process, with power cuts, empty disks and lost majorities.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests, of real time and threads"
)]

mod harness;

use std::time::{Duration, Instant};

use chronik_raft::{LogKept, Member, MembershipError, MetadataNode, TransferError};
use chronik_types::{BrokerId, Monotonic};
use harness::{Cluster, Proposer, eventually};

fn voters(node: &MetadataNode) -> Vec<i32> {
    node.members().into_iter().filter(|m| m.voter).map(|m| m.node_id.0).collect()
}

#[test]
fn a_cluster_elects_commits_and_outlives_its_leader() {
    let mut cluster = Cluster::started(1, 3, 0);
    let first = cluster.leader();
    let mut proposer = Proposer::new(first.clone());
    cluster.run(proposer.applied(200));
    cluster.settle();
    assert_eq!(voters(&first), [1, 2, 3]);
    let (old, epoch) = (cluster.leader_id(), first.gate().epoch);
    let begun = Instant::now();
    cluster.host(old).cut();
    let second = cluster.leader();
    assert!(begun.elapsed() < Duration::from_secs(4), "failover took {:?}", begun.elapsed());
    assert!(second.gate().epoch > epoch);
    let mut proposer = Proposer::new(second);
    cluster.run(proposer.applied(200));
    cluster.host(old).start();
    cluster.settle();
}

#[test]
fn an_acknowledged_entry_outlives_a_power_cut_of_all() {
    let mut cluster = Cluster::started(2, 3, 0);
    let mut proposer = Proposer::new(cluster.leader());
    let last = cluster.run(proposer.applied(50));
    for round in 0..3 {
        cluster.hosts.iter_mut().for_each(harness::Host::cut);
        cluster.hosts.iter_mut().for_each(harness::Host::start);
        let begun = Instant::now();
        let leader = cluster.leader();
        assert!(begun.elapsed() < Duration::from_secs(4), "round {round}: {:?}", begun.elapsed());
        assert!(leader.committed().borrow().end() > last);
        cluster.settle();
    }
}

#[test]
fn a_minority_commits_nothing_and_loses_its_lease() {
    let mut cluster = Cluster::started(3, 3, 0);
    let leader = cluster.leader();
    let mut proposer = Proposer::new(leader.clone());
    cluster.run(proposer.applied(10));
    let others: Vec<i32> = (1..=3).filter(|id| *id != cluster.leader_id()).collect();
    others.iter().for_each(|id| cluster.host(*id).cut());
    let one = cluster.run(proposer.propose());
    let synced = cluster.run(one.leader_synced).unwrap();
    eventually("the lease runs out", || !leader.gate().has_lease);
    assert!(leader.gate().backlog_age > Duration::ZERO);
    let refused = cluster.run(async { proposer.propose().await.applied.await });
    assert_eq!(refused, Err(chronik_raft::ProposeError::NotLeader), "no lease, no proposal");
    assert!(leader.committed().borrow().end() <= synced);
    others.iter().for_each(|id| cluster.host(*id).start());
    cluster.leader();
    cluster.settle();
}

#[test]
fn leadership_is_handed_over() {
    let cluster = Cluster::started(4, 3, 0);
    let first = cluster.leader();
    let mut proposer = Proposer::new(first.clone());
    cluster.run(proposer.applied(20));
    let (old, epoch) = (cluster.leader_id(), first.gate().epoch);
    assert_eq!(first.succeeded(epoch), None, "nobody led before");
    let begun = Instant::now();
    cluster.run(first.transfer_leadership(|_| true, Monotonic(Duration::MAX))).unwrap();
    let second = cluster.leader();
    assert!(begun.elapsed() < Duration::from_millis(1_500), "it took {:?}", begun.elapsed());
    assert_ne!(second.leadership().leader, Some(BrokerId(old)));
    assert!(second.gate().epoch > epoch);
    // The new leader knows who led before, and is told once.
    let heard = second.succeeded(second.gate().epoch);
    assert_eq!(heard.map(|heard| heard.leader), Some(BrokerId(old)));
    assert_eq!(second.succeeded(second.gate().epoch), None);
    cluster.settle();
}

#[test]
fn leadership_goes_to_a_voter_that_serves_on() {
    let cluster = Cluster::started(7, 3, 0);
    for _ in 0..3 {
        let leader = cluster.leader();
        cluster.settle();
        // The one that would come last.
        let stays = (1..=3).rev().find(|id| *id != cluster.leader_id()).map(BrokerId).unwrap();
        let serves_on = |id| id == stays;
        cluster.run(leader.transfer_leadership(serves_on, Monotonic(Duration::MAX))).unwrap();
        assert_eq!(cluster.leader().leadership().leader, Some(stays));
    }
    let leader = cluster.leader();
    let epoch = leader.gate().epoch;
    let nobody = cluster.run(leader.transfer_leadership(|_| false, Monotonic(Duration::MAX)));
    assert_eq!(nobody, Err(TransferError::NoHeir));
    // It leads on, and takes changes.
    cluster.run(Proposer::new(leader.clone()).applied(10));
    assert_eq!(leader.gate().epoch, epoch);
}

#[test]
fn an_heir_that_has_gone_is_not_waited_for() {
    let mut cluster = Cluster::started(8, 3, 0);
    let first = cluster.leader();
    cluster.settle();
    let old = cluster.leader_id();
    let others: Vec<i32> = (1..=3).filter(|id| *id != old).collect();
    let [gone, stays] = others[..] else { panic!("two others") };
    cluster.host(gone).cut();
    cluster.run(first.transfer_leadership(|_| true, Monotonic(Duration::MAX))).unwrap();
    let second = cluster.leader();
    assert_eq!(second.leadership().leader, Some(BrokerId(stays)));
    // Now nobody is left to take over; without a deadline, only knowing that ends the wait.
    cluster.host(old).cut();
    let nobody = cluster.run(second.transfer_leadership(|_| true, Monotonic(Duration::MAX)));
    assert_eq!(nobody, Err(TransferError::NoHeir));
}

#[test]
fn a_member_that_was_away_gets_a_snapshot() {
    let kept = LogKept { snapshot_every: 500, behind_snapshot: 100 };
    let mut cluster = Cluster::with(5, 3, 0, kept);
    cluster.hosts.iter_mut().for_each(harness::Host::start);
    let leader = cluster.leader();
    let mut proposer = Proposer::new(leader.clone());
    cluster.run(proposer.applied(10));
    let away = (1..=3).find(|id| *id != cluster.leader_id()).unwrap();
    cluster.host(away).cut();
    for _ in 0..40 {
        cluster.run(proposer.applied(100));
    }
    eventually("the leader drops what a snapshot holds", || leader.log_range().start.0 > 1_000);
    cluster.host(away).start();
    cluster.settle();
    let node = cluster.host(away).node();
    eventually("it came as a snapshot", || node.log_range().start.0 > 1_000);
    // What came by snapshot survives a restart, and so does what came after it.
    cluster.run(proposer.applied(30));
    cluster.settle();
    cluster.host(away).cut();
    cluster.host(away).start();
    cluster.settle();
}

#[test]
fn a_wiped_voter_does_not_vote_and_is_replaced() {
    let mut cluster = Cluster::started(6, 3, 0);
    let leader = cluster.leader();
    cluster.run(Proposer::new(leader.clone()).applied(50));
    cluster.settle();
    let old = cluster.leader_id();
    let others: Vec<i32> = (1..=3).filter(|id| *id != old).collect();
    let [wiped, kept] = others[..] else { panic!("two others") };
    for id in [old, wiped, kept] {
        cluster.host(id).cut();
    }
    cluster.host(wiped).wipe();
    cluster.host(wiped).start();
    cluster.host(kept).start();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        for host in cluster.hosts.iter().filter_map(harness::Host::try_node) {
            assert!(!host.gate().leads, "elected by a wiped voter");
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    cluster.host(old).start();
    let directory = cluster.host(wiped).directory;
    let leader = cluster.leader();
    eventually("the wiped voter is replaced", || {
        let replaced = leader.members().into_iter().any(|member| {
            member.node_id.0 == wiped && member.voter && member.member.directory == directory
        });
        replaced && !leader.voters_change()
    });
    cluster.settle();
    // It counts again.
    cluster.host(old).cut();
    let leader = cluster.leader();
    cluster.run(Proposer::new(leader).applied(5));
}

#[test]
fn an_observer_follows_and_an_operator_moves_the_vote() {
    let mut cluster = Cluster::started(7, 3, 1);
    let leader = cluster.leader();
    let mut proposer = Proposer::new(leader.clone());
    cluster.run(proposer.applied(20));
    eventually("the observer takes part", || leader.members().len() == 4);
    assert_eq!(voters(&leader), [1, 2, 3]);
    cluster.settle();
    let far = Monotonic(Duration::MAX);
    let host = cluster.host(4);
    let (directory, endpoint) = (host.directory, host.address.to_string());
    let member = Member { directory, endpoint, stands: false };
    cluster.run(leader.add_voter(BrokerId(4), member.clone(), far)).unwrap();
    assert_eq!(voters(&leader), [1, 2, 3, 4]);
    let again = cluster.run(leader.add_voter(BrokerId(4), member, far));
    assert_eq!(again, Err(MembershipError::DuplicateVoter(BrokerId(4))));
    let gone = (1..=3).find(|id| *id != cluster.leader_id()).unwrap();
    let directory = cluster.host(gone).directory;
    cluster.run(leader.remove_voter(BrokerId(gone), directory, far)).unwrap();
    assert!(!voters(&leader).contains(&gone));
    let again = cluster.run(leader.remove_voter(BrokerId(gone), directory, far));
    assert_eq!(again, Err(MembershipError::NoSuchVoter(BrokerId(gone))));
    cluster.run(proposer.applied(20));
    cluster.settle();
}

/// Entries without a snapshot that a restart has to go through; `ENTRIES` asks for another number.
fn entries() -> u64 {
    let asked = chronik_env::env_var("ENTRIES").and_then(|entries| entries.parse().ok());
    asked.unwrap_or(5_000)
}

#[test]
fn a_long_log_delays_neither_the_election_nor_the_heartbeats() {
    let kept = LogKept { snapshot_every: u64::MAX / 4, behind_snapshot: 0 };
    let mut cluster = Cluster::with(8, 3, 0, kept);
    cluster.hosts.iter_mut().for_each(harness::Host::start);
    let mut proposer = Proposer::new(cluster.leader());
    let begun = Instant::now();
    for _ in 0..entries() / 1_000 {
        cluster.run(proposer.applied(1_000));
    }
    println!("{} entries written in {:?}", entries(), begun.elapsed());
    cluster.settle();
    cluster.hosts.iter_mut().for_each(harness::Host::cut);
    cluster.hosts.iter_mut().for_each(harness::Host::start);
    let begun = Instant::now();
    let leader = cluster.leader();
    println!("leader, all applied, after {:?}", begun.elapsed());
    let epoch = leader.gate().epoch;
    cluster.settle();
    println!("everybody has applied all after {:?}", begun.elapsed());
    cluster.run(Proposer::new(leader.clone()).applied(10));
    assert_eq!(leader.gate().epoch, epoch, "one leader, one term");
    let elections: u64 = cluster
        .hosts
        .iter()
        .filter_map(harness::Host::try_node)
        .map(|n| n.vote_counts().elections)
        .sum();
    assert!(elections <= 3, "{elections} elections");
}
