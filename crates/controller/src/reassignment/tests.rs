use chronik_types::TopicPartition;

use crate::request::*;
use crate::testing::{Cluster, brokers, refusal};
use chronik_types::ErrorCode;

fn ask(
    cluster: &mut Cluster,
    n: u8,
    replicas: Option<&[i32]>,
    allow_replication_factor_change: bool,
) -> Result<(), (ErrorCode, String)> {
    let asked =
        ReassignPartition { topic: format!("t{n}"), partition: 0, replicas: replicas.map(brokers) };
    let request =
        AlterPartitionReassignments { partitions: vec![asked], allow_replication_factor_change };
    match cluster.ask(Request::AlterPartitionReassignments(request)) {
        Response::AlterPartitionReassignments(mut results) => {
            let result = results.remove(0).result;
            if result.is_ok() { Ok(()) } else { Err(refusal(result)) }
        }
        other => panic!("{other:?}"),
    }
}

/// Replicas, those coming, those going.
fn places(cluster: &Cluster, partition: TopicPartition) -> (Vec<i32>, Vec<i32>, Vec<i32>) {
    let partition = cluster.partition(partition);
    let ids = |list: &[chronik_types::BrokerId]| list.iter().map(|id| id.0).collect();
    (ids(&partition.replicas), ids(partition.adding()), ids(partition.removing()))
}

#[test]
fn a_replica_moves_and_the_old_one_goes_when_the_new_one_is_in_sync() {
    let mut cluster = Cluster::of(4);
    let partition = cluster.create_on(1, &[1, 2, 3]);
    assert_eq!(ask(&mut cluster, 1, Some(&[2, 3, 4]), false), Ok(()));
    assert_eq!(places(&cluster, partition), (vec![2, 3, 4, 1], vec![4], vec![1]));
    assert_eq!(cluster.led(partition), (1, 0, vec![1, 2, 3]));
    // The leader itself goes: it is told that there is another one.
    let told = cluster.propose_isr(partition, &[1, 2, 3, 4]);
    assert_eq!(told, Err(ErrorCode::NewLeaderElected));
    assert_eq!(places(&cluster, partition), (vec![2, 3, 4], vec![], vec![]));
    assert_eq!(cluster.led(partition), (2, 1, vec![2, 3, 4]));
}

#[test]
fn a_reassignment_that_takes_a_follower_away_bumps_the_epoch_of_its_leader() {
    let mut cluster = Cluster::of(4);
    let partition = cluster.create_on(1, &[1, 2, 3]);
    assert_eq!(ask(&mut cluster, 1, Some(&[1, 2, 4]), false), Ok(()));
    let state = cluster.propose_isr(partition, &[1, 2, 3, 4]).unwrap();
    assert_eq!((state.leader.0, state.leader_epoch.0), (1, 1));
    assert_eq!(cluster.led(partition), (1, 1, vec![1, 2, 4]));
}

#[test]
fn what_only_changes_the_order_is_done_at_once() {
    let mut cluster = Cluster::of(3);
    let partition = cluster.create_on(1, &[1, 2, 3]);
    assert_eq!(ask(&mut cluster, 1, Some(&[3, 2, 1]), false), Ok(()));
    assert_eq!(places(&cluster, partition), (vec![3, 2, 1], vec![], vec![]));
    assert_eq!(cluster.led(partition), (1, 0, vec![1, 2, 3]));
}

#[test]
fn replicas_that_only_go_go_at_once() {
    let mut cluster = Cluster::of(3);
    let partition = cluster.create_on(1, &[1, 2, 3]);
    let (code, message) = ask(&mut cluster, 1, Some(&[2]), false).unwrap_err();
    assert_eq!(code, ErrorCode::InvalidReplicationFactor);
    assert_eq!(message, "The replication factor is changed from 3 to 1");
    assert_eq!(ask(&mut cluster, 1, Some(&[2]), true), Ok(()));
    assert_eq!(places(&cluster, partition), (vec![2], vec![], vec![]));
    assert_eq!(cluster.led(partition), (2, 1, vec![2]));
}

#[test]
fn a_move_that_is_cancelled_leaves_everything_as_it_was() {
    let mut cluster = Cluster::of(5);
    let partition = cluster.create_on(1, &[1, 2]);
    ask(&mut cluster, 1, Some(&[4, 5]), false).unwrap();
    cluster.join(partition, 4);
    assert_eq!(places(&cluster, partition), (vec![4, 5, 1, 2], vec![4, 5], vec![1, 2]));
    assert_eq!(ask(&mut cluster, 1, None, false), Ok(()));
    assert_eq!(places(&cluster, partition), (vec![1, 2], vec![], vec![]));
    assert_eq!(cluster.led(partition), (1, 1, vec![1, 2]));
    let (code, _) = ask(&mut cluster, 1, None, false).unwrap_err();
    assert_eq!(code, ErrorCode::NoReassignmentInProgress);
}

#[test]
fn a_move_whose_old_replicas_are_all_out_of_sync_cannot_be_cancelled() {
    let mut cluster = Cluster::of(3);
    let partition = cluster.create_on(1, &[1, 2]);
    ask(&mut cluster, 1, Some(&[3, 2]), false).unwrap();
    cluster.fence(2);
    cluster.join(partition, 3);
    cluster.fence(1);
    assert_eq!(cluster.led(partition), (3, 1, vec![3]));
    let (code, _) = ask(&mut cluster, 1, None, false).unwrap_err();
    assert_eq!(code, ErrorCode::InvalidReplicaAssignment);
    cluster.configure("t1", "unclean.leader.election.enable", "true");
    assert_eq!(ask(&mut cluster, 1, None, false), Ok(()));
    let (replicas, adding, removing) = places(&cluster, partition);
    assert_eq!((replicas.len(), adding, removing), (2, vec![], vec![]));
}

#[test]
fn a_fenced_goer_does_not_hold_up_the_move() {
    let mut cluster = Cluster::of(4);
    let partition = cluster.create_on(1, &[1, 2, 3]);
    cluster.fence(3);
    ask(&mut cluster, 1, Some(&[1, 2, 4]), false).unwrap();
    cluster.join(partition, 4);
    assert_eq!(places(&cluster, partition), (vec![1, 2, 4], vec![], vec![]));
}

#[test]
fn eligible_replicas_that_go_are_eligible_no_more() {
    let mut cluster = Cluster::new_cluster(&[("min.insync.replicas", "2")]);
    (2..=4).for_each(|broker| cluster.start(broker, None));
    let partition = cluster.create_on(1, &[1, 2, 3]);
    cluster.fence(3);
    cluster.fence(2);
    assert_eq!(cluster.partition(partition).elr(), brokers(&[2]));
    ask(&mut cluster, 1, Some(&[1]), true).unwrap();
    assert_eq!(places(&cluster, partition), (vec![1], vec![], vec![]));
    assert_eq!(cluster.partition(partition).elr(), []);
}

#[test]
fn moves_that_cannot_be_are_refused() {
    let mut cluster = Cluster::of(2);
    cluster.create_on(1, &[1, 2]);
    let mut code = |n, replicas| ask(&mut cluster, n, replicas, true).unwrap_err().0;
    assert_eq!(code(9, None), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(code(1, Some(&[][..])), ErrorCode::InvalidReplicaAssignment);
    assert_eq!(code(1, Some(&[1, 1][..])), ErrorCode::InvalidReplicaAssignment);
    assert_eq!(code(1, Some(&[1, 7][..])), ErrorCode::InvalidReplicaAssignment);
}
