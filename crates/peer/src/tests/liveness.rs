//! Peers that are alive are kept, peers that are mute or mad are not.

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex},
    time::{Instant, sleep, timeout},
};

use super::support::{ECHO, HELD, Script, Served, hello, message};
use crate::{
    CallError, Hello, Message, Options, Purpose, caller::converse, frame::FrameType, link::Link,
    wire::Wire,
};

const MUTE: Duration = Duration::from_secs(2);

fn is_soon_after(mute: Duration, elapsed: Duration) -> bool {
    (mute..=mute + mute / 8 + Duration::from_millis(2)).contains(&elapsed)
}

#[tokio::test(start_paused = true)]
async fn a_mute_peer_is_closed() {
    for purpose in [Purpose::Calls, Purpose::Stream] {
        let mut served = Served::start(purpose, Options::default()).await;
        if purpose == Purpose::Stream {
            served.script.say(FrameType::Item, 0, &message(ECHO)).await;
        }
        let before = Instant::now();
        let stream = served.streams.recv();
        let stream = if purpose == Purpose::Stream { stream.await } else { None };
        served.script.expect_end().await;
        assert!(is_soon_after(MUTE, before.elapsed()), "{:?}", before.elapsed());
        if let Some((_, _, mut stream)) = stream {
            assert_eq!(stream.receiver.next().await, None);
        }
        served.task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_mute_peer_leaves_its_calls_unknown() {
    let options = Options::default();
    let link = Arc::new(Link::new(&options));
    let (mut peer, ours) = duplex(4096);
    let wire = Wire::new(ours, BytesMut::new(), options.mute_after, &options);
    let before = Instant::now();
    let calling = converse(&link, wire, std::future::pending());
    let mut call = link.queue(message(ECHO)).await.unwrap();
    let (answer, ()) = tokio::join!(call.answer(), calling);
    assert!(matches!(answer, Err(CallError::Unknown(text)) if text.contains("nothing was heard")));
    assert!(is_soon_after(MUTE, before.elapsed()));
    assert!(peer.read_u8().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_says_anything_is_alive() {
    let mut served = Served::start(Purpose::Calls, Options::default()).await;
    for _ in 0..20 {
        sleep(MUTE - Duration::from_millis(1)).await;
        served.script.say(FrameType::Ping, 0, &Message::default()).await;
    }
    served.script.say(FrameType::Call, 1, &message(ECHO)).await;
    served.script.expect(FrameType::Answer).await;

    // A frame that takes its time, a byte at a time.
    let frame = crate::frame::Encoded::new(FrameType::Call, 2, &message(ECHO), 1000).unwrap();
    for byte in frame.pieces().flatten() {
        sleep(MUTE - Duration::from_millis(1)).await;
        served.script.io.write_all(&[*byte]).await.unwrap();
    }
    served.script.expect(FrameType::Answer).await;
}

#[tokio::test(start_paused = true)]
async fn who_has_nothing_to_say_pings_about_four_times_in_the_shorter_silence() {
    for (its, ours) in [(MUTE, MUTE), (Duration::from_millis(400), MUTE), (MUTE, MUTE / 4)] {
        let said = Hello { mute_after: its, ..hello(2, 1, Purpose::Calls) };
        let options = Options { mute_after: ours, ..Options::default() };
        let mut served = Served::greeted(&said, options).await;
        // A call in flight is no reason to be silent.
        served.script.say(FrameType::Call, 1, &message(HELD)).await;
        let most = its.min(ours) / 4 + Duration::from_millis(5);
        for _ in 0..100 {
            let frame = timeout(most, served.script.hear()).await.expect("not in time").unwrap();
            assert_eq!(frame.unwrap().frame_type, FrameType::Ping);
            served.script.say(FrameType::Ping, 0, &Message::default()).await;
        }
    }
}

/// Frames without end, faster than anybody can take them.
async fn flood(mut io: impl AsyncWrite + Unpin, frame: &[u8]) {
    let many = frame.repeat((4 << 20) / frame.len());
    while io.write_all(&many).await.is_ok() {}
}

#[tokio::test]
async fn whoever_is_flooded_still_answers_and_shows_that_it_is_alive() {
    // Real time, on a machine that may be busy.
    let mute = Duration::from_secs(1);
    for (purpose, frame_type) in
        [(Purpose::Calls, FrameType::Call), (Purpose::Stream, FrameType::Item)]
    {
        let options = Options { mute_after: mute, ..Options::default() };
        let mut served = Served::greeted_over(16 << 20, &hello(2, 1, purpose), options).await;
        served.script.say(frame_type, 1, &message(ECHO)).await;
        if purpose == Purpose::Stream {
            let (_, _, mut stream) = served.streams.recv().await.unwrap();
            tokio::spawn(async move { while stream.receiver.next().await.is_some() {} });
        }
        let (reads, writes) = tokio::io::split(served.script.io);
        let flooded = frame(frame_type, |_| {});
        let flooding = tokio::spawn(async move { flood(writes, &flooded).await });
        let mut script = Script::new(tokio::io::join(reads, tokio::io::sink()));
        let until = Instant::now() + mute * 3;
        while Instant::now() < until {
            let heard = timeout(mute, script.hear()).await.expect("it is alive");
            assert!(heard.unwrap().is_some(), "the connection is kept");
        }
        flooding.abort();
    }
}

/// What ends a connection of this purpose.
async fn ends(purpose: Purpose, bytes: &[u8]) {
    let mut served = Served::start(purpose, Options::default()).await;
    let _stream = if purpose == Purpose::Stream {
        served.script.say(FrameType::Item, 0, &message(ECHO)).await;
        served.streams.recv().await
    } else {
        None
    };
    let before = Instant::now();
    let _ = served.script.io.write_all(bytes).await;
    served.task.await.unwrap();
    assert_eq!(before.elapsed(), Duration::ZERO, "at once, not for being mute");
}

fn frame(frame_type: FrameType, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let frame = crate::frame::Encoded::new(frame_type, 1, &message(ECHO), 1000).unwrap();
    let mut bytes: Vec<u8> = frame.pieces().flatten().copied().collect();
    change(&mut bytes);
    bytes
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_frame_and_frames_without_a_place_end_the_connection() {
    for purpose in [Purpose::Calls, Purpose::Stream] {
        let right = if purpose == Purpose::Calls { FrameType::Call } else { FrameType::Item };
        for bytes in [
            frame(right, |bytes| bytes[30] ^= 1),
            frame(right, |bytes| bytes[0] ^= 1),
            frame(right, |bytes| bytes[4..8].copy_from_slice(&23u32.to_le_bytes())),
            frame(right, |bytes| bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes())),
            frame(right, |bytes| bytes[8] = 0),
            frame(right, |bytes| bytes[8] = 99),
            frame(right, |bytes| bytes[9] = 1),
            frame(right, |bytes| bytes[12..16].copy_from_slice(&u32::MAX.to_le_bytes())),
            frame(FrameType::Goodbye, |_| {}),
            frame(FrameType::Answer, |_| {}),
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        ] {
            ends(purpose, &bytes).await;
        }
    }
    ends(Purpose::Calls, &frame(FrameType::Item, |_| {})).await;
    ends(Purpose::Stream, &frame(FrameType::Call, |_| {})).await;
    let mut after_the_end = frame(FrameType::End, |_| {});
    after_the_end.extend(frame(FrameType::Item, |_| {}));
    ends(Purpose::Stream, &after_the_end).await;
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_the_limit_are_not_read_until_there_are_fewer() {
    let options = Options { calls_in_flight_max: 3, ..Options::default() };
    let mut served = Served::start(Purpose::Calls, options).await;
    for id in 1..=5u16 {
        served.script.say(FrameType::Call, id.into(), &message(HELD + id)).await;
    }
    served.answers.wait_for_calls(3).await;
    // Not read, so not mute either.
    sleep(MUTE * 10).await;
    assert_eq!(served.answers.calls().len(), 3);
    let before = Instant::now();
    served.answers.release(HELD + 2);
    assert_eq!(served.script.expect(FrameType::Answer).await.id, 2);
    served.answers.wait_for_calls(4).await;
    assert_eq!(served.answers.calls().len(), 4);
    assert_eq!(before.elapsed(), Duration::ZERO, "no timer had to help");

    let options = Options { calls_in_flight_max: 1, ..Options::default() };
    let mut served = Served::start(Purpose::Calls, options).await;
    served.script.say(FrameType::Call, 1, &message(HELD)).await;
    served.script.say(FrameType::Call, 2, &message(ECHO)).await;
    served.answers.wait_for_calls(1).await;
    let before = Instant::now();
    served.answers.release(HELD);
    served.answers.wait_for_calls(2).await;
    assert_eq!(before.elapsed(), Duration::ZERO, "no timer had to help");
}
