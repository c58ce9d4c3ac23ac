//! A cluster of nodes in one process, on real sockets and files: it comes into being, takes changes
//! at any node, and goes on when its controller stops.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test ends where something is not as expected"
)]

mod support;

use std::time::{Duration, Instant};

use chronik_protocol::messages::*;
use support::{Cluster, Node, multi_threaded};

fn create(name: &str, partitions: i32, factor: i16) -> CreateTopicsRequest<'static> {
    let topic = CreatableTopic {
        name: name.to_owned().into(),
        num_partitions: partitions,
        replication_factor: factor,
        ..Default::default()
    };
    CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, validate_only: false }
}

async fn created(node: &Node, name: &str) {
    let code = node.ask(7, &create(name, 2, 2)).await.topics[0].error_code;
    assert_eq!(code, 0, "{name}");
}

/// Controller, brokers, topics.
async fn metadata(node: &Node) -> (i32, Vec<i32>, Vec<String>) {
    let request = MetadataRequest { topics: None, ..Default::default() };
    let told = node.ask(12, &request).await;
    let brokers = told.brokers.iter().map(|broker| broker.node_id).collect();
    let names = told.topics.iter().map(|topic| topic.name.as_deref().unwrap().to_owned());
    (told.controller_id, brokers, names.collect())
}

async fn quorum(node: &Node) -> (i32, i64, Vec<(i32, i64)>, usize) {
    let partitions = vec![DescribeQuorumRequestPartitionData { partition_index: 0 }];
    let topic_name = "__cluster_metadata".into();
    let topics = vec![DescribeQuorumRequestTopicData { topic_name, partitions }];
    let told = node.ask(2, &DescribeQuorumRequest { topics }).await;
    let state = &told.topics[0].partitions[0];
    let voters = state.current_voters.iter().map(|v| (v.replica_id, v.log_end_offset));
    (state.leader_id, state.high_watermark, voters.collect(), state.observers.len())
}

/// Voters and observers, with the ids of their directories.
async fn members(node: &Node) -> [Vec<(i32, chronik_types::Uuid)>; 2] {
    let partitions = vec![DescribeQuorumRequestPartitionData { partition_index: 0 }];
    let topic_name = "__cluster_metadata".into();
    let topics = vec![DescribeQuorumRequestTopicData { topic_name, partitions }];
    let told = node.ask(2, &DescribeQuorumRequest { topics }).await;
    let state = &told.topics[0].partitions[0];
    [&state.current_voters, &state.observers]
        .map(|those| those.iter().map(|r| (r.replica_id, r.replica_directory_id)).collect())
}

/// Waits until node 4 is in the first or the second list of [`members`].
async fn becomes(node: &Node, list: usize) -> chronik_types::Uuid {
    loop {
        let found = members(node).await[list].iter().find(|(id, _)| *id == 4).copied();
        if let Some((_, directory)) = found {
            return directory;
        }
        tokio::task::yield_now().await;
    }
}

#[test]
fn three_nodes_take_changes_anywhere_and_show_them_where_they_were_made() {
    multi_threaded(async {
        let cluster = Cluster::start(3, &[]).await;
        for node in cluster.nodes() {
            let name = format!("made-at-{}", node.id);
            created(node, &name).await;
            let (_, brokers, topics) = metadata(node).await;
            assert_eq!(brokers, [1, 2, 3]);
            assert!(topics.contains(&name), "{topics:?}");
        }
        let mut controllers = Vec::new();
        for node in cluster.nodes() {
            controllers.push(metadata(node).await.0);
            let (leader, _, voters, observers) = quorum(node).await;
            assert_eq!(leader, controllers[0]);
            assert_eq!((voters.len(), observers), (3, 0));
            assert!(voters.iter().all(|(_, end)| *end > 0), "{voters:?}");
        }
        assert!(controllers.iter().all(|controller| *controller == controllers[0]));
        cluster.stop().await;
    });
}

#[test]
fn another_node_controls_when_the_controller_stops_and_it_comes_back_as_one_of_them() {
    multi_threaded(async {
        let mut cluster = Cluster::start(3, &["metadata.acks=leader"]).await;
        created(cluster.node(1), "before").await;
        let controller = metadata(cluster.node(1)).await.0;
        cluster.stop_node(controller).await;
        for node in cluster.nodes() {
            created(node, &format!("without-{controller}-at-{}", node.id)).await;
            let (now, brokers, _) = metadata(node).await;
            assert_ne!(now, controller);
            assert!(!brokers.contains(&controller), "{brokers:?}");
        }
        cluster.start_node(controller).await;
        let back = cluster.node(controller);
        created(back, "after").await;
        // What the controller has acknowledged comes to the others in its own time.
        let (mut brokers, mut topics) = (Vec::new(), Vec::new());
        while topics.len() < 4 {
            (_, brokers, topics) = metadata(back).await;
        }
        assert_eq!(brokers, [1, 2, 3]);
        cluster.stop().await;
    });
}

#[test]
fn a_cluster_that_stops_waits_for_nobody_who_stops_too() {
    // A node that waits for others to take over does so for 5 s.
    let prompt = Duration::from_secs(4);
    multi_threaded(async {
        let mut cluster = Cluster::start(3, &[]).await;
        created(cluster.node(1), "one-by-one").await;
        for id in 1..=3 {
            let begun = Instant::now();
            cluster.stop_node(id).await;
            assert!(begun.elapsed() < prompt, "node {id} took {:?}", begun.elapsed());
        }
        for round in 0..4 {
            let cluster = Cluster::start(3, &[]).await;
            created(cluster.node(1), "all-at-once").await;
            let begun = Instant::now();
            cluster.stop().await;
            assert!(begun.elapsed() < prompt, "round {round} took {:?}", begun.elapsed());
        }
    });
}

#[test]
fn a_topic_that_was_acknowledged_is_seen_at_the_controller_at_once() {
    multi_threaded(async {
        let cluster = Cluster::start(3, &["metadata.acks=leader"]).await;
        let controller = metadata(cluster.node(1)).await.0;
        let controller = cluster.node(controller);
        for n in 0..50 {
            let name = format!("t{n}");
            created(controller, &name).await;
            assert!(metadata(controller).await.2.contains(&name), "{name} is not seen");
            let topics =
                vec![DeleteTopicState { name: Some(name.clone().into()), ..Default::default() }];
            let request = DeleteTopicsRequest { topics, timeout_ms: 10_000, ..Default::default() };
            assert_eq!(controller.ask(6, &request).await.responses[0].error_code, 0);
            assert!(!metadata(controller).await.2.contains(&name), "{name} is still seen");
        }
        cluster.stop().await;
    });
}

#[test]
fn a_broker_without_a_vote_observes_the_quorum_and_serves() {
    multi_threaded(async {
        let mut cluster = Cluster::start(1, &[]).await;
        cluster.add(2, "broker", &[]).await;
        let broker = cluster.node(2);
        created(broker, "there").await;
        let (controller, brokers, _) = metadata(broker).await;
        assert_eq!((controller, brokers), (1, vec![1, 2]));
        let (_, _, voters, observers) = quorum(broker).await;
        assert_eq!((voters.len(), observers), (1, 1));
        cluster.stop().await;
    });
}

#[test]
fn nodes_that_only_control_and_nodes_that_only_serve_make_a_cluster() {
    multi_threaded(async {
        let mut cluster = Cluster::of(3, "controller", &[]).await;
        cluster.add(4, "broker", &[]).await;
        cluster.add(5, "broker", &[]).await;
        created(cluster.node(4), "there").await;
        let (_, brokers, topics) = metadata(cluster.node(5)).await;
        assert_eq!((brokers, topics), (vec![4, 5], vec!["there".to_owned()]));
        let (leader, _, voters, observers) = quorum(cluster.node(4)).await;
        assert!((1..=3).contains(&leader), "{leader}");
        assert_eq!((voters.len(), observers), (3, 2));
        cluster.stop().await;
    });
}

#[test]
fn a_voter_comes_and_goes_while_the_cluster_serves() {
    multi_threaded(async {
        let mut cluster = Cluster::start(3, &[]).await;
        let port = cluster.add_voter(4).await;
        let node = cluster.node(4);
        let voter_directory_id = becomes(node, 0).await;
        created(node, "with-four").await;
        let voter_id = 4;
        let remove = RemoveRaftVoterRequest { cluster_id: None, voter_id, voter_directory_id };
        // Any node may be asked: it answers as the leader does.
        let answer = node.ask(0, &remove).await;
        assert_eq!(answer.error_code, 0, "{answer:?}");
        assert_eq!(becomes(node, 1).await, voter_directory_id);
        assert_eq!(members(cluster.node(1)).await[0].len(), 3);
        created(node, "with-three").await;
        let (name, host) = ("CONTROLLER".into(), "127.0.0.1".into());
        let add = AddRaftVoterRequest {
            cluster_id: None,
            timeout_ms: 20_000,
            voter_id,
            voter_directory_id,
            listeners: vec![AddRaftVoterListener { name, host, port }],
        };
        assert_eq!(node.ask(0, &add).await.error_code, 0);
        becomes(node, 0).await;
        created(cluster.node(1), "with-four-again").await;
        cluster.stop().await;
    });
}
