use std::collections::BTreeMap;

use super::*;
use crate::testing::Cluster;

fn cluster(racks: &[(i32, &str)], fenced: &[i32]) -> Image {
    let mut cluster = Cluster::empty(&[]);
    for (broker, rack) in racks {
        cluster.start(*broker, Some(rack).copied().filter(|rack| !rack.is_empty()));
    }
    fenced.iter().for_each(|broker| cluster.fence(*broker));
    cluster.committed
}

fn place(image: &Image, seed: u64, partitions: usize, factor: usize) -> Vec<Vec<i32>> {
    let placement = Placement::new(image, seed);
    let replicas = |number| placement.replicas(number, factor).iter().map(|b| b.0).collect();
    (0..partitions).map(replicas).collect()
}

#[test]
fn partitions_go_round_and_followers_shift_each_round() {
    let image = cluster(&[(1, ""), (2, ""), (3, "")], &[]);
    let placed = place(&image, 0, 6, 2);
    assert_eq!(placed, [[1, 2], [2, 3], [3, 1], [1, 3], [2, 1], [3, 2]]);
}

#[test]
fn leaders_and_replicas_are_even_from_any_start() {
    let image = cluster(&[(1, "a"), (2, "a"), (3, "b"), (4, "b"), (5, "c"), (6, "c")], &[]);
    for seed in 0..20 {
        let mut leaders = BTreeMap::new();
        let mut replicas = BTreeMap::new();
        for partition in place(&image, seed, 60, 3) {
            *leaders.entry(partition[0]).or_insert(0) += 1;
            let racks: std::collections::BTreeSet<_> =
                partition.iter().map(|broker| (broker + 1) / 2).collect();
            assert_eq!(racks.len(), 3, "{partition:?}");
            for broker in partition {
                *replicas.entry(broker).or_insert(0) += 1;
            }
        }
        assert!(leaders.values().all(|count| *count == 10), "{leaders:?}");
        assert!(replicas.values().all(|count| (20..=40).contains(count)), "{replicas:?}");
    }
}

#[test]
fn a_rack_is_used_twice_only_when_every_rack_has_been_used() {
    let image = cluster(&[(1, "a"), (2, "a"), (3, "a"), (4, "b")], &[]);
    for partition in place(&image, 3, 12, 3) {
        assert!(partition.contains(&4), "{partition:?}");
    }
}

#[test]
fn fenced_brokers_come_last_and_only_if_needed() {
    let image = cluster(&[(1, ""), (2, ""), (3, "")], &[2]);
    assert!(place(&image, 0, 6, 2).iter().all(|partition| !partition.contains(&2)));
    assert!(place(&image, 0, 6, 3).iter().all(|partition| partition[2] == 2));
}

#[test]
fn too_few_brokers_are_refused_in_kafkas_words() {
    let message = |image: &Image, factor| Placement::new(image, 0).check(factor).unwrap_err();
    let image = cluster(&[(1, "")], &[]);
    assert_eq!(
        message(&image, 3).message.unwrap(),
        "Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be \
         reached because only 1 broker(s) are registered."
    );
    let image = cluster(&[(1, "")], &[1]);
    assert_eq!(
        message(&image, 1).message.unwrap(),
        "Unable to replicate the partition 1 time(s): All brokers are currently fenced."
    );
    assert_eq!(message(&image, 1).code, ErrorCode::InvalidReplicationFactor);
}
