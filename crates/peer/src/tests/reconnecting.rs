//! Connections come back, at once when there is reason to.

use std::time::Duration;

use chronik_env::net::TcpListener;
use chronik_types::{BrokerId, DirectoryId, Uuid};
use tokio::time::Instant;

use super::support::{CLUSTER, ECHO, Node, identity, message, nowhere, soon};
use crate::{Address, CallError, Channel, Identity, Options, RefusalCode};

/// So long that a test that waits for it does not end.
const FOREVER: Duration = Duration::from_secs(3600);

fn patient() -> Options {
    Options { backoff_min: FOREVER, backoff_max: FOREVER, ..Options::default() }
}

#[tokio::test]
async fn another_address_is_tried_at_once() {
    let one = Node::start_as(identity(1), patient()).await;
    let two = Node::start(2).await;
    one.peers.set_address(two.id(), nowhere().await);
    assert!(one.call(&two, ECHO).await.is_err());
    let (answer, ()) = tokio::join!(one.call(&two, ECHO), async {
        tokio::task::yield_now().await;
        one.knows(&two);
    });
    assert_eq!(answer, Ok(message(ECHO)));
}

#[tokio::test]
async fn a_peer_that_connects_here_is_tried_at_once() {
    let one = Node::start_as(identity(1), patient()).await;
    let two = Node::start(2).await;
    two.knows(&one);
    // The attempt fails, since another directory is expected there.
    let wrong = Address { directory_id: Some(DirectoryId(Uuid([9; 16]))), ..two.address.clone() };
    one.peers.set_address(two.id(), wrong);
    let refused = one.call(&two, ECHO).await;
    assert!(
        matches!(refused, Err(CallError::Refused(refusal)) if refusal.code == RefusalCode::OtherDirectory)
    );

    let tries = one.call(&two, ECHO);
    let (again, back) = tokio::join!(tries, two.call(&one, ECHO));
    assert_eq!(back, Ok(message(ECHO)));
    assert!(matches!(again, Err(CallError::Refused(_))), "the second attempt was made");
}

#[tokio::test]
async fn a_node_that_comes_back_is_reached_again() {
    let one = Node::start(1).await;
    let two = Node::start(2).await;
    one.knows(&two);
    one.call(&two, ECHO).await.unwrap();
    let id = two.stop().await;
    let two = Node::start(2).await;
    assert_eq!(two.id(), id);
    one.knows(&two);
    // The first call may still find the old connection.
    let deadline = Instant::now() + Duration::from_secs(10);
    while one.call(&two, ECHO).await.is_err() {
        assert!(Instant::now() < deadline);
    }
}

#[tokio::test]
async fn an_attempt_at_an_address_that_is_given_up_is_not_waited_for() {
    let one = Node::start_as(identity(1), Options { connect_timeout: FOREVER, ..patient() }).await;
    let two = Node::start(2).await;
    // Takes connections and never answers.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    one.peers.set_address(two.id(), super::support::at(mute.local_addr().unwrap()));
    let (answer, _held) = tokio::join!(one.call(&two, ECHO), async {
        let held = mute.accept().await.unwrap();
        one.knows(&two);
        held
    });
    assert_eq!(answer, Ok(message(ECHO)));
}

#[tokio::test]
async fn a_node_that_finds_its_cluster_says_so_on_new_connections() {
    let one =
        Node::start_as(Identity { cluster_id: None, ..identity(1) }, Options::default()).await;
    let two = Node::start(2).await;
    one.knows(&two);
    two.knows(&one);
    one.call(&two, ECHO).await.unwrap();
    two.call(&one, ECHO).await.unwrap();
    assert_eq!(two.answers.calls()[0].0.cluster_id, None);

    one.identity.set_cluster_id(CLUSTER);
    one.identity.set_cluster_id(Uuid([9; 16]));
    assert_eq!(one.identity.get().cluster_id, Some(CLUSTER));
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        assert!(Instant::now() < deadline);
        let _ = one.call(&two, ECHO).await;
        let last = two.answers.calls().pop().unwrap();
        if last.0.cluster_id == Some(CLUSTER) {
            break;
        }
    }
    // The connections to it are replaced as well.
    let mut accepted = one.accepted.clone();
    let again = async {
        while *accepted.borrow_and_update() < 2 {
            let _ = two.call(&one, ECHO).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), again).await.unwrap();
}

#[tokio::test]
async fn dropping_the_peers_ends_their_connections() {
    let two = Node::start(2).await;
    let one = Node::start(1).await;
    one.knows(&two);
    one.call(&two, ECHO).await.unwrap();
    one.stop().await;
    let mut open = two.open.clone();
    let all_closed = open.wait_for(|open| *open == 0);
    tokio::time::timeout(Duration::from_secs(10), all_closed).await.unwrap().unwrap();
}

#[tokio::test]
async fn calls_fail_fast_enough_to_be_tried_again() {
    let one = Node::start(1).await;
    one.peers.set_address(BrokerId(2), nowhere().await);
    let before = Instant::now();
    for _ in 0..4 {
        let call = one.peers.call(BrokerId(2), Channel::Raft, message(ECHO), soon());
        assert!(matches!(call.await, Err(CallError::NotSent(_))));
    }
    // The three waits between the attempts: at most 50, 100 and 200 ms.
    let least = Duration::from_millis((50 + 100 + 200) / 2);
    assert!(before.elapsed() >= least, "{:?}", before.elapsed());
}
