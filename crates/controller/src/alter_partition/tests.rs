use chronik_types::{BrokerEpoch, LeaderEpoch, TopicPartition};

use super::*;
use crate::request::{Request, Response};
use crate::testing::{Cluster, brokers};

fn ask(
    cluster: &mut Cluster,
    leader: i32,
    partition: TopicPartition,
    edit: impl FnOnce(&mut AlterPartitionData),
) -> Result<Vec<i32>, ErrorCode> {
    let state = cluster.partition(partition);
    let mut data = AlterPartitionData {
        topic_id: partition.topic_id,
        partition: partition.partition,
        leader_epoch: state.leader_epoch,
        partition_epoch: state.partition_epoch,
        new_isr: vec![],
        recovering: false,
    };
    edit(&mut data);
    let request = AlterPartition {
        broker_id: BrokerId(leader),
        broker_epoch: cluster.committed.broker(BrokerId(leader)).unwrap().epoch,
        partitions: vec![data],
    };
    match cluster.ask(Request::AlterPartition(request)) {
        Response::AlterPartition(Ok(mut results)) => {
            results.remove(0).result.map(|state| state.isr.to_wire()).map_err(|error| error.code)
        }
        other => panic!("{other:?}"),
    }
}

fn members(ids: &[i32]) -> Vec<(BrokerId, BrokerEpoch)> {
    brokers(ids).into_iter().map(|id| (id, BrokerEpoch::NONE)).collect()
}

#[test]
fn a_leader_shrinks_and_grows_its_in_sync_set() {
    let mut cluster = Cluster::of(3);
    let partition = cluster.create_on(1, &[1, 2, 3]);
    assert_eq!(ask(&mut cluster, 1, partition, |d| d.new_isr = members(&[1, 3])), Ok(vec![1, 3]));
    assert_eq!(cluster.led(partition), (1, 0, vec![1, 3]));
    assert_eq!(cluster.partition(partition).partition_epoch, 1);
    let all = members(&[1, 3, 2]);
    assert_eq!(ask(&mut cluster, 1, partition, |d| d.new_isr = all), Ok(vec![1, 3, 2]));
}

/// A leader that does not know what became of a proposal has to be able to end it.
#[test]
fn the_set_as_it_is_moves_the_partition_epoch() {
    let mut cluster = Cluster::of(3);
    let partition = cluster.create_on(1, &[1, 2, 3]);
    let all = members(&[1, 2, 3]);
    assert_eq!(ask(&mut cluster, 1, partition, |d| d.new_isr = all), Ok(vec![1, 2, 3]));
    assert_eq!(cluster.partition(partition).partition_epoch, 1);
    let late = ask(&mut cluster, 1, partition, |d| {
        d.partition_epoch = 0;
        d.new_isr = members(&[1, 2]);
    });
    assert_eq!(late, Err(ErrorCode::InvalidUpdateVersion));
}

#[test]
pub(crate) fn what_a_leader_must_not_propose_is_refused() {
    let mut cluster = Cluster::of(3);
    let partition = cluster.create_on(1, &[1, 2]);
    let mut refused = |leader, edit: fn(&mut AlterPartitionData)| {
        ask(&mut cluster, leader, partition, |data| {
            data.new_isr = members(&[1, 2]);
            edit(data);
        })
        .unwrap_err()
    };
    use ErrorCode as E;
    assert_eq!(refused(1, |d| d.leader_epoch = LeaderEpoch(5)), E::NotController);
    assert_eq!(refused(1, |d| d.partition_epoch = 5), E::NotController);
    assert_eq!(refused(1, |d| d.leader_epoch = LeaderEpoch(-1)), E::FencedLeaderEpoch);
    assert_eq!(refused(1, |d| d.partition_epoch = -1), E::InvalidUpdateVersion);
    assert_eq!(refused(2, |_| ()), E::InvalidRequest);
    assert_eq!(refused(1, |d| d.new_isr = members(&[2])), E::InvalidRequest);
    assert_eq!(refused(1, |d| d.new_isr = members(&[1, 3])), E::InvalidRequest);
    assert_eq!(refused(1, |d| d.new_isr = members(&[1, 1])), E::InvalidRequest);
    assert_eq!(refused(1, |d| d.recovering = true), E::InvalidRequest);
    assert_eq!(refused(1, |d| d.partition = 1), E::UnknownTopicOrPartition);
    assert_eq!(refused(1, |d| d.topic_id = Default::default()), E::UnknownTopicId);
}

#[test]
fn a_member_that_restarted_or_is_fenced_cannot_join() {
    let mut cluster = Cluster::of(2);
    let partition = cluster.create_on(1, &[1, 2]);
    let old = cluster.committed.broker(BrokerId(2)).unwrap().epoch;
    cluster.start(2, None);
    let join = |epoch| {
        move |data: &mut AlterPartitionData| {
            data.new_isr = vec![(BrokerId(1), BrokerEpoch::NONE), (BrokerId(2), epoch)];
        }
    };
    assert_eq!(ask(&mut cluster, 1, partition, join(old)), Err(ErrorCode::IneligibleReplica));
    let new = cluster.committed.broker(BrokerId(2)).unwrap().epoch;
    assert_eq!(ask(&mut cluster, 1, partition, join(new)), Ok(vec![1, 2]));
    cluster.fence(2);
    assert_eq!(ask(&mut cluster, 1, partition, join(new)), Err(ErrorCode::IneligibleReplica));
}
