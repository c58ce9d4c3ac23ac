//! Streams: order, backpressure, ends.

use std::time::Duration;

use bytes::Bytes;
use tokio::{io::AsyncReadExt, time::Instant};

use super::support::{ECHO, Node, Served, is_pending, message, soon};
use crate::{
    Channel, Closed, Message, Options, PeerStream, Purpose, TrySendError, frame::FrameType,
};

/// A stream between two nodes: both ends of it.
async fn pair(options: Options) -> (Node, Node, PeerStream, PeerStream) {
    let one = Node::start_as(super::support::identity(1), options.clone()).await;
    let mut two = Node::start_as(super::support::identity(2), options).await;
    one.knows(&two);
    let near = one.open(&two).await.unwrap();
    let (channel, first, far) = two.streams.recv().await.unwrap();
    assert_eq!((channel, first), (Channel::Live, message(ECHO)));
    assert_eq!((&near.peer, &far.peer), (&two.identity.get(), &one.identity.get()));
    (one, two, near, far)
}

fn numbered(number: u32, bytes: usize) -> Message {
    Message::new(7, number.to_be_bytes().to_vec()).with_payload(vec![Bytes::from(vec![1; bytes])])
}

fn number(message: &Message) -> u32 {
    u32::from_be_bytes(message.head[..].try_into().unwrap())
}

#[tokio::test]
async fn messages_arrive_in_order_both_ways_at_once() {
    let (_one, _two, near, far) = pair(Options::default()).await;
    let talk = async |mut stream: PeerStream| {
        let sends = async {
            for n in 0..500 {
                stream.sender.send(numbered(n, (n as usize * 37) % 9000)).await.unwrap();
            }
        };
        let hears = async {
            for n in 0..500 {
                let message = stream.receiver.next().await.unwrap();
                assert_eq!(number(&message), n);
                assert_eq!(message.body().len(), (n as usize * 37) % 9000);
            }
        };
        tokio::join!(sends, hears);
    };
    tokio::join!(talk(near), talk(far));
}

#[tokio::test]
async fn a_sender_that_is_dropped_ends_its_side_behind_what_it_sent() {
    let (_one, _two, near, mut far) = pair(Options::default()).await;
    let PeerStream { mut sender, mut receiver, .. } = near;
    sender.send(numbered(1, 100_000)).await.unwrap();
    drop(sender);
    assert_eq!(number(&far.receiver.next().await.unwrap()), 1);
    assert_eq!(far.receiver.next().await, None);
    assert_eq!(far.receiver.next().await, None);
    far.sender.send(numbered(2, 0)).await.unwrap();
    assert_eq!(number(&receiver.next().await.unwrap()), 2);
    drop(far);
    assert_eq!(receiver.next().await, None);
}

#[tokio::test]
async fn what_was_sent_before_both_halves_were_dropped_arrives() {
    let (_one, _two, mut near, mut far) = pair(Options::default()).await;
    // Unread bytes at the side that closes must not take back what it sent.
    far.sender.send(numbered(0, 1_000_000)).await.unwrap();
    near.sender.send(numbered(1, 3_000_000)).await.unwrap();
    drop(near);
    assert_eq!(number(&far.receiver.next().await.unwrap()), 1);
    assert_eq!(far.receiver.next().await, None);
    while far.sender.send(numbered(2, 1000)).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_end_of_a_node_ends_its_streams() {
    let (_one, two, mut near, mut far) = pair(Options::default()).await;
    two.stop().await;
    assert_eq!(far.receiver.next().await, None);
    assert_eq!(near.receiver.next().await, None);
    assert_eq!(near.sender.send(numbered(1, 1)).await, Err(Closed));
    assert!(matches!(near.sender.try_send(numbered(1, 1)), Err(TrySendError::Closed(_))));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_takes_nothing_stops_the_sender_and_not_the_pings() {
    let limit = 100_000;
    let options = Options {
        send_queue_bytes_max: limit,
        receive_queue_bytes_max: limit,
        ..Options::default()
    };
    let mut served = Served::start(Purpose::Stream, options).await;
    served.script.say(FrameType::Item, 0, &message(ECHO)).await;
    let (_, _, mut stream) = served.streams.recv().await.unwrap();

    let before = Instant::now();
    // Sending: the script reads nothing but the stream's own 64 KiB and the limit are taken.
    let mut sent = 0;
    while let Ok(()) = stream.sender.try_send(numbered(sent, 10_000)) {
        sent += 1;
        tokio::task::yield_now().await;
    }
    assert!((15..=45).contains(&sent), "{sent} messages of 10,000 bytes are queued");
    let mut sender = stream.sender;
    let mut waits = tokio::spawn(async move { sender.send(numbered(sent, 10_000)).await });
    assert!(is_pending(&mut waits).await);
    for n in 0..sent {
        assert_eq!(number(&served.script.expect(FrameType::Item).await.message), n);
    }
    waits.await.unwrap().unwrap();
    assert_eq!(before.elapsed(), Duration::ZERO, "no timer had to help");

    // Receiving: what the service does not take is not read from the socket.
    let mut taken = 0;
    let before = loop {
        let item = numbered(taken, 10_000);
        let mut said = Box::pin(served.script.say(FrameType::Item, 0, &item));
        if is_pending(&mut said).await {
            // Alive all the same, for much longer than a mute peer would be.
            tokio::time::sleep(Duration::from_secs(60)).await;
            let before = Instant::now();
            assert_eq!(number(&stream.receiver.next().await.unwrap()), 0);
            said.await;
            break before;
        }
        taken += 1;
    };
    assert!((10..=25).contains(&taken), "{taken} messages of 10,000 bytes are queued");
    for n in 1..=taken {
        assert_eq!(number(&stream.receiver.next().await.unwrap()), n);
    }
    assert_eq!(before.elapsed(), Duration::ZERO, "no timer had to help");
}

#[tokio::test]
async fn a_message_larger_than_the_queue_passes_alone() {
    let options =
        Options { send_queue_bytes_max: 10, receive_queue_bytes_max: 10, ..Options::default() };
    let (_one, _two, mut near, mut far) = pair(options).await;
    let send = async {
        for n in 0..20 {
            near.sender.send(numbered(n, 100_000)).await.unwrap();
        }
    };
    let receive = async {
        for n in 0..20 {
            assert_eq!(number(&far.receiver.next().await.unwrap()), n);
        }
    };
    tokio::join!(send, receive);
}

#[tokio::test]
async fn a_message_that_fits_no_frame_ends_the_stream() {
    let options = Options { frame_bytes_max: 10_000, ..Options::default() };
    let (_one, _two, mut near, mut far) = pair(options).await;
    assert_eq!(near.sender.send(numbered(1, 10_000)).await, Err(Closed));
    assert_eq!(far.receiver.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_begins_with_nothing_is_not_kept() {
    let mut served = Served::start(Purpose::Stream, Options::default()).await;
    served.task.await.unwrap();
    assert_eq!(served.script.io.read(&mut [0]).await.unwrap(), 0);
    assert!(served.streams.try_recv().is_err());
}

#[tokio::test]
async fn opening_a_stream_to_nowhere_says_so() {
    let one = Node::start(1).await;
    let open = one.peers.open(chronik_types::BrokerId(9), Channel::Live, message(ECHO), soon());
    assert!(matches!(open.await, Err(crate::OpenError::Unreachable(_))));
}

#[tokio::test(start_paused = true)]
async fn who_listens_no_more_throws_away_what_still_comes_and_ends_with_the_peer() {
    let mut served = Served::start(Purpose::Stream, Options::default()).await;
    served.script.say(FrameType::Item, 0, &message(ECHO)).await;
    let (_, _, mut stream) = served.streams.recv().await.unwrap();
    stream.sender.send(numbered(1, 10)).await.unwrap();
    drop(stream);
    assert_eq!(number(&served.script.expect(FrameType::Item).await.message), 1);
    served.script.expect(FrameType::End).await;
    // No ping either: the side is at its end, which a peer sees at once.
    assert!(served.script.hear().await.unwrap().is_none());
    for n in 0..1000 {
        served.script.say(FrameType::Item, 0, &numbered(n, 10_000)).await;
    }
    served.script.say(FrameType::End, 0, &Message::default()).await;
    served.task.await.unwrap();
}
