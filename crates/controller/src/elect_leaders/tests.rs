use super::*;
use crate::request::{Request, Response};
use crate::testing::Cluster;

fn elect(
    cluster: &mut Cluster,
    election: ElectionType,
    partitions: Option<Vec<(String, Vec<i32>)>>,
) -> Vec<(String, i32, String)> {
    let request = ElectLeaders { election, partitions };
    let Response::ElectLeaders(results) = cluster.ask(Request::ElectLeaders(request)) else {
        panic!()
    };
    let text = |result: Result<(), ApiError>| match result {
        Ok(()) => "ok".to_owned(),
        Err(error) => error.code.name().to_owned(),
    };
    results.into_iter().map(|r| (r.topic, r.partition, text(r.result))).collect()
}

#[test]
fn preferred_leaders_return_when_they_are_in_sync_again() {
    let mut cluster = Cluster::of(2);
    let partition = cluster.create_on(1, &[1, 2]);
    let one = || Some(vec![("t1".to_owned(), vec![0, 7]), ("none".to_owned(), vec![0])]);
    let answers = |results: Vec<(String, i32, String)>| {
        results.into_iter().map(|(_, _, answer)| answer).collect::<Vec<_>>()
    };
    let unknown = "UNKNOWN_TOPIC_OR_PARTITION";
    let results = elect(&mut cluster, ElectionType::Preferred, one());
    assert_eq!(answers(results), ["ELECTION_NOT_NEEDED", unknown, unknown]);
    cluster.fence(1);
    assert_eq!(cluster.led(partition), (2, 1, vec![2]));
    cluster.beat(1);
    let results = elect(&mut cluster, ElectionType::Preferred, one());
    assert_eq!(answers(results), ["PREFERRED_LEADER_NOT_AVAILABLE", unknown, unknown]);
    assert!(elect(&mut cluster, ElectionType::Unclean, None).is_empty());
}

#[test]
fn an_unclean_election_elects_who_is_alive() {
    let mut cluster = Cluster::of(2);
    let partition = cluster.create_on(1, &[1, 2]);
    cluster.fence(2);
    cluster.fence(1);
    cluster.beat(2);
    assert_eq!(cluster.led(partition), (-1, 1, vec![1]));
    let results = elect(&mut cluster, ElectionType::Unclean, None);
    assert_eq!(results, [("t1".to_owned(), 0, "ok".to_owned())]);
    assert_eq!(cluster.led(partition), (2, 2, vec![2]));
    assert!(cluster.partition(partition).recovering);
}
