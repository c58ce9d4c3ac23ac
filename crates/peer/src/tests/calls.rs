//! Calls that are answered.

use std::time::Duration;

use bytes::Bytes;

use super::support::{ECHO, HELD, Node, message, nowhere, soon, within};
use crate::{CallError, Channel, Message};

async fn pair() -> (Node, Node) {
    let (one, two) = (Node::start(1).await, Node::start(2).await);
    one.knows(&two);
    (one, two)
}

#[tokio::test]
async fn an_answer_comes_back_and_the_service_learns_who_asks() {
    let (one, two) = pair().await;
    assert_eq!(one.call(&two, ECHO).await, Ok(message(ECHO)));
    assert_eq!(two.answers.calls(), [(one.identity.get(), message(ECHO))]);
}

#[tokio::test]
async fn calls_are_answered_side_by_side() {
    let (one, two) = pair().await;
    let held = one.call(&two, HELD);
    let other = async {
        two.answers.wait_for_calls(1).await;
        assert_eq!(one.call(&two, ECHO).await, Ok(message(ECHO)));
        two.answers.release(HELD);
    };
    let (held, ()) = tokio::join!(held, other);
    assert_eq!(held, Ok(message(HELD)));
}

#[tokio::test]
async fn calls_of_a_channel_share_a_connection_and_channels_do_not() {
    let (one, two) = pair().await;
    for _ in 0..3 {
        for channel in [Channel::Raft, Channel::Control] {
            let answer = one.peers.call(two.id(), channel, message(ECHO), soon());
            assert_eq!(answer.await, Ok(message(ECHO)));
        }
    }
    assert_eq!(*two.accepted.borrow(), 2);
}

#[tokio::test]
async fn many_calls_at_once_each_get_their_own_answer() {
    let (one, two) = pair().await;
    let calls = (0..2_000u32).map(|number| {
        let request = Message::new(ECHO, number.to_be_bytes().to_vec());
        let (peers, to) = (one.peers.clone(), two.id());
        async move {
            let answer = peers.call(to, Channel::Control, request, soon()).await.unwrap();
            assert_eq!(answer.head[..], number.to_be_bytes());
        }
    });
    futures_util::future::join_all(calls).await;
}

#[tokio::test]
async fn large_payloads_travel_whole_in_both_directions() {
    let (one, two) = pair().await;
    let piece = |seed: u32, bytes: u32| -> Bytes {
        (0..bytes).map(|n| (n.wrapping_mul(seed) >> 5) as u8).collect::<Vec<_>>().into()
    };
    let payload =
        vec![piece(3, 10), piece(5, 3_000_000), Bytes::new(), piece(7, 2_000), piece(9, 5)];
    let request = message(ECHO).with_payload(payload.clone());
    let answer = one.peers.call(two.id(), Channel::Raft, request, soon()).await.unwrap();
    assert!(answer.body() == payload.concat());
    assert_eq!(answer.payload.len(), 1);
}

#[tokio::test]
async fn a_node_that_is_not_known_any_more_is_not_called() {
    let (one, two) = pair().await;
    one.call(&two, ECHO).await.unwrap();
    one.peers.remove(two.id());
    assert!(matches!(one.call(&two, ECHO).await, Err(CallError::NotSent(_))));
    assert!(one.peers.addresses().is_empty());
    one.knows(&two);
    assert_eq!(one.call(&two, ECHO).await, Ok(message(ECHO)));
}

#[tokio::test]
async fn whoever_is_at_an_address_can_be_asked() {
    let (one, two) = (Node::start(1).await, Node::start(2).await);
    let ask =
        |kind, deadline| one.peers.call_at(&two.address, Channel::Raft, message(kind), deadline);
    assert_eq!(ask(ECHO, soon()).await, Ok((two.identity.get(), message(ECHO))));
    let late = ask(HELD, within(Duration::from_millis(50))).await;
    assert!(matches!(late, Err(CallError::Unknown(_))), "{late:?}");
    let nobody = nowhere().await;
    let nobody = one.peers.call_at(&nobody, Channel::Raft, message(ECHO), soon()).await;
    assert!(matches!(nobody, Err(CallError::NotSent(_))), "{nobody:?}");
    let mut open = two.open.clone();
    open.wait_for(|open| *open == 0).await.unwrap();
    assert!(one.peers.addresses().is_empty());
}
