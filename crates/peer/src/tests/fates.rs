//! What is known of a call that has no answer.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use chronik_types::BrokerId;
use tokio::{
    io::{AsyncReadExt, DuplexStream, duplex},
    task::JoinHandle,
};

use super::support::{
    ECHO, HELD, Node, Script, Served, is_pending, message, nowhere, soon, within,
};
use crate::{
    CallError, Channel, Message, Options, Purpose, caller::converse, frame::FrameType, link::Link,
    wire::Wire,
};

/// The calling side of one connection, over an in-memory stream that takes `room` bytes.
struct Calling {
    link: Arc<Link>,
    script: Script<DuplexStream>,
    task: JoinHandle<()>,
}

impl Calling {
    fn start(room: usize) -> Self {
        let options = Options::default();
        let link = Arc::new(Link::new(&options));
        let (io, ours) = duplex(room);
        let task = tokio::spawn({
            let link = Arc::clone(&link);
            let wire = Wire::new(ours, BytesMut::new(), options.mute_after, &options);
            async move { converse(&link, wire, std::future::pending()).await }
        });
        Self { link, script: Script::new(io), task }
    }

    /// Queues a call of this many bytes; its outcome.
    fn call(&self, bytes: usize) -> JoinHandle<Result<Message, CallError>> {
        let link = Arc::clone(&self.link);
        let request = Message::new(ECHO, vec![0; bytes]);
        tokio::spawn(async move { link.queue(request).await?.answer().await })
    }

    async fn lose(self) {
        drop(self.script);
        self.task.await.unwrap();
    }
}

fn is_not_sent(outcome: &Result<Message, CallError>) -> bool {
    matches!(outcome, Err(CallError::NotSent(_)))
}

fn is_unknown(outcome: &Result<Message, CallError>) -> bool {
    matches!(outcome, Err(CallError::Unknown(_)))
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_makes_unknown_what_was_written_whole_and_nothing_else() {
    let mut calling = Calling::start(200);
    let whole = calling.call(10);
    calling.script.expect(FrameType::Call).await;
    let half = calling.call(1000);
    let mut some = [0; 100];
    calling.script.io.read_exact(&mut some).await.unwrap();
    let mut queued = calling.call(10);
    assert!(is_pending(&mut queued).await);

    let link = Arc::clone(&calling.link);
    calling.lose().await;
    assert!(is_unknown(&whole.await.unwrap()));
    assert!(is_not_sent(&half.await.unwrap()));
    assert!(is_pending(&mut queued).await, "the next connection may take it");
    link.not_connected(CallError::NotSent("nobody there".into()));
    assert!(is_not_sent(&queued.await.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_written_to_the_last_byte_but_one_was_not_seen() {
    // The header and the head, less one byte.
    let calling = Calling::start(24 + 1000 - 1);
    let mut call = calling.call(1000);
    assert!(is_pending(&mut call).await);
    calling.lose().await;
    assert!(is_not_sent(&call.await.unwrap()));

    let calling = Calling::start(24 + 1000);
    let mut call = calling.call(1000);
    assert!(is_pending(&mut call).await);
    calling.lose().await;
    assert!(is_unknown(&call.await.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_in_the_queue_is_never_sent() {
    let mut calling = Calling::start(100);
    let mut stuck = calling.call(1000);
    assert!(is_pending(&mut stuck).await);
    let link = Arc::clone(&calling.link);
    let call = link.queue(message(ECHO)).await.unwrap();
    let mut next = calling.call(1);
    assert!(is_pending(&mut next).await);
    assert!(matches!(call.timed_out(), CallError::NotSent(_)));
    calling.script.expect(FrameType::Call).await;
    let frame = calling.script.expect(FrameType::Call).await;
    assert_eq!((frame.id, frame.message.head.len()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_a_call_that_is_being_written_cannot_know() {
    let calling = Calling::start(100);
    let link = Arc::clone(&calling.link);
    let call = link.queue(Message::new(ECHO, vec![0; 1000])).await.unwrap();
    let mut other = calling.call(1);
    assert!(is_pending(&mut other).await);
    assert!(matches!(call.timed_out(), CallError::Unknown(_)));
}

#[tokio::test]
async fn the_deadline_makes_a_call_unknown_and_harms_no_other() {
    let (one, two) = (Node::start(1).await, Node::start(2).await);
    one.knows(&two);
    let deadline = within(Duration::from_millis(20));
    let late = one.peers.call(two.id(), Channel::Control, message(HELD), deadline).await;
    assert!(is_unknown(&late), "{late:?}");
    two.answers.release(HELD);
    assert_eq!(one.call(&two, ECHO).await, Ok(message(ECHO)));
    assert_eq!(*two.accepted.borrow(), 1);
}

#[tokio::test]
async fn without_a_connection_a_call_is_not_sent() {
    let one = Node::start(1).await;
    let to = BrokerId(2);
    let call = |deadline| one.peers.call(to, Channel::Control, message(ECHO), deadline);
    assert!(is_not_sent(&call(soon()).await), "no address");
    one.peers.set_address(to, nowhere().await);
    let refused = call(soon()).await;
    let Err(CallError::NotSent(text)) = refused else { panic!("{refused:?}") };
    assert!(text.contains("node 2 at 127.0.0.1:"), "{text}");
    // The next attempt is not due yet.
    assert!(is_not_sent(&call(within(Duration::ZERO)).await));
}

#[tokio::test]
async fn a_call_that_fits_no_frame_is_not_sent() {
    let options = Options { frame_bytes_max: 1000, ..Options::default() };
    let one = Node::start_as(super::support::identity(1), options).await;
    let two = Node::start(2).await;
    one.knows(&two);
    let request = message(ECHO).with_payload(vec![Bytes::from(vec![0; 1000])]);
    assert!(is_not_sent(&one.peers.call(two.id(), Channel::Raft, request, soon()).await));
}

#[tokio::test]
async fn a_peer_that_stops_finishes_what_it_took_and_says_what_it_did_not() {
    let (one, two) = (Node::start(1).await, Node::start(2).await);
    one.knows(&two);
    let held = one.call(&two, HELD);
    let rest = async {
        two.answers.wait_for_calls(1).await;
        two.drain();
        two.answers.release(HELD);
    };
    let (held, ()) = tokio::join!(held, rest);
    assert_eq!(held, Ok(message(HELD)));
}

#[tokio::test(start_paused = true)]
async fn calls_above_a_goodbye_are_not_sent_and_those_below_are_awaited() {
    let mut calling = Calling::start(10_000);
    let mut calls = Vec::new();
    for _ in 0..3 {
        calls.push(calling.call(1));
        calling.script.expect(FrameType::Call).await;
    }
    calling.script.say(FrameType::Goodbye, 1, &Message::default()).await;
    assert!(is_not_sent(&calls.pop().unwrap().await.unwrap()));
    assert!(is_not_sent(&calls.pop().unwrap().await.unwrap()));
    let mut waits = calling.call(1);
    assert!(is_pending(&mut waits).await, "it waits for another connection");
    calling.script.say(FrameType::Answer, 1, &message(ECHO)).await;
    assert_eq!(calls.pop().unwrap().await.unwrap(), Ok(message(ECHO)));
    calling.lose().await;
    assert!(is_pending(&mut waits).await);
}

#[tokio::test(start_paused = true)]
async fn a_draining_node_reads_no_further_call() {
    let mut served = Served::start(Purpose::Calls, Options::default()).await;
    served.script.say(FrameType::Call, 5, &message(HELD)).await;
    served.answers.wait_for_calls(1).await;
    served.draining.send_replace(true);
    assert_eq!(served.script.expect(FrameType::Goodbye).await.id, 5);
    served.script.say(FrameType::Call, 6, &message(ECHO)).await;
    served.answers.release(HELD);
    assert_eq!(served.script.expect(FrameType::Answer).await.id, 5);
    served.script.expect_end().await;
    served.task.await.unwrap();
    assert_eq!(served.answers.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn callers_wait_when_the_queue_is_full() {
    let mut calling = Calling::start(100);
    let bytes = Options::default().send_queue_bytes_max / 2;
    let mut calls =
        [calling.call(10), calling.call(bytes), calling.call(bytes), calling.call(bytes)];
    for call in &mut calls {
        assert!(is_pending(call).await);
    }
    // The second is being written, the third is in the queue, the fourth waits for room.
    assert_eq!(calling.link.queued(), 1);
    for id in 1..=4 {
        calling.script.expect(FrameType::Call).await;
        calling.script.say(FrameType::Answer, id, &message(ECHO)).await;
    }
    for call in calls {
        assert_eq!(call.await.unwrap(), Ok(message(ECHO)));
    }
}
