//! Whoever waits has a deadline. The clock is paused, so hours pass at once.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::AsyncWriteExt,
    time::{Instant, sleep},
};

use super::support::{Ask, Bench, expect_ids, request, send};
use crate::{CloseReason, Options, RequestMemory};

const MIB: usize = 1 << 20;

/// Asserts that at least `least` and at most half as much again has passed.
fn assert_passed(start: Instant, least: Duration) {
    let passed = start.elapsed();
    assert!(passed >= least && passed <= least * 3 / 2, "{passed:?} passed instead of {least:?}");
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed() {
    let mut bench = Bench::new(Options::default());
    send(&mut bench.client, &[(Ask::Now, 1)]).await;
    expect_ids(&mut bench.client, &[1]).await;
    let start = Instant::now();
    bench.expect_closed(CloseReason::Idle).await;
    assert_passed(start, Duration::from_secs(600));
}

#[tokio::test(start_paused = true)]
async fn a_connection_with_a_request_in_flight_is_not_idle() {
    let mut bench = Bench::new(Options::default());
    send(&mut bench.client, &[(Ask::Later, 1)]).await;
    sleep(Duration::from_secs(7200)).await;
    bench.answers.release(1);
    expect_ids(&mut bench.client, &[1]).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_be_open_for_ever_if_the_operator_says_so() {
    let mut bench = Bench::new(Options { connections_max_idle: None, ..Options::default() });
    sleep(Duration::from_secs(90 * 24 * 3600)).await;
    send(&mut bench.client, &[(Ask::Now, 1)]).await;
    expect_ids(&mut bench.client, &[1]).await;
}

#[tokio::test(start_paused = true)]
async fn half_a_frame_is_not_waited_for() {
    for sent in [1, 4, 20] {
        let mut bench = Bench::new(Options::default());
        let frame = request(Ask::Now, 1, &[0; 100]);
        bench.client.write_all(&frame[..sent]).await.unwrap();
        let start = Instant::now();
        bench.expect_closed(CloseReason::SlowFrame).await;
        assert_passed(start, Duration::from_secs(30));
    }
}

#[tokio::test(start_paused = true)]
async fn a_byte_a_second_is_too_slow_and_a_slow_line_is_not() {
    let frame = request(Ask::Now, 1, &vec![0; 200_000]);

    let Bench { mut client, task, .. } = Bench::new(Options::default());
    tokio::spawn({
        let frame = frame.clone();
        async move {
            for byte in frame {
                if client.write_all(&[byte]).await.is_err() {
                    break;
                }
                sleep(Duration::from_secs(1)).await;
            }
        }
    });
    assert_eq!(task.await.unwrap(), CloseReason::SlowFrame);

    let mut bench = Bench::new(Options::default());
    for part in frame.chunks(1100) {
        bench.client.write_all(part).await.unwrap();
        sleep(Duration::from_secs(1)).await;
    }
    expect_ids(&mut bench.client, &[1]).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_frame_must_hurry_once_others_wait_for_its_memory() {
    let memory = RequestMemory::new(0, MIB);
    let options = Options {
        socket_request_max_bytes: MIB,
        memory_wait: Duration::from_secs(300),
        ..Options::default()
    };
    let frame = request(Ask::Now, 1, &vec![0; MIB - 8]);

    let slow = Bench::with_memory(options.clone(), Arc::clone(&memory));
    let mut trickle = slow.client;
    let trickled = frame.clone();
    tokio::spawn(async move {
        for part in trickled.chunks(2048) {
            if trickle.write_all(part).await.is_err() {
                break;
            }
            sleep(Duration::from_secs(1)).await;
        }
    });
    // The first step has arrived by then, and the slow frame holds the whole pool.
    sleep(Duration::from_secs(40)).await;
    assert!(memory.try_whole(1).is_none());

    let mut quick = Bench::with_memory(options, memory);
    quick.client.write_all(&frame).await.unwrap();
    expect_ids(&mut quick.client, &[1]).await;
    assert_eq!(slow.task.await.unwrap(), CloseReason::SlowFrame);
}

#[tokio::test(start_paused = true)]
async fn a_frame_waits_for_memory_and_goes_on_when_there_is_some() {
    let memory = RequestMemory::new(0, MIB);
    let options = Options { socket_request_max_bytes: MIB, ..Options::default() };
    let mut first = Bench::with_memory(options.clone(), Arc::clone(&memory));
    first.client.write_all(&request(Ask::Keep, 1, &vec![0; MIB - 8])).await.unwrap();
    expect_ids(&mut first.client, &[1]).await;

    let Bench { mut client, answers, .. } = Bench::with_memory(options, Arc::clone(&memory));
    let (mut reader, mut writer) = tokio::io::split(&mut client);
    let frame = request(Ask::Now, 2, &vec![0; MIB - 8]);
    let writing = async {
        writer.write_all(&frame).await.unwrap();
    };
    let waiting = async {
        sleep(Duration::from_secs(30)).await;
        assert_eq!(answers.calls(), [] as [i32; 0]);
        first.answers.forget_kept();
        expect_ids(&mut reader, &[2]).await;
    };
    tokio::join!(writing, waiting);
    assert_eq!(memory.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_frame_does_not_wait_for_memory_for_ever() {
    let memory = RequestMemory::new(0, MIB);
    let options = Options { socket_request_max_bytes: MIB, ..Options::default() };
    let _hog = memory.try_whole(MIB).unwrap();
    let Bench { mut client, task, .. } = Bench::with_memory(options, Arc::clone(&memory));
    let start = Instant::now();
    tokio::spawn(async move { client.write_all(&request(Ask::Now, 1, &vec![0; MIB - 8])).await });
    assert_eq!(task.await.unwrap(), CloseReason::MemoryTimeout);
    assert_passed(start, Duration::from_secs(60));
    assert_eq!(memory.used(), MIB, "only the hog is left");
}

#[tokio::test(start_paused = true)]
async fn short_frames_pass_while_long_ones_wait() {
    let memory = RequestMemory::new(0, MIB);
    let options = Options { socket_request_max_bytes: MIB, ..Options::default() };
    let _hog = memory.try_whole(MIB).unwrap();
    let mut bench = Bench::with_memory(options, memory);
    send(&mut bench.client, &[(Ask::Now, 1)]).await;
    expect_ids(&mut bench.client, &[1]).await;
}

#[tokio::test(start_paused = true)]
async fn frames_already_received_wait_for_memory_too() {
    let memory = RequestMemory::new(0, MIB);
    let hogs: Vec<_> = std::iter::from_fn(|| memory.try_first_step(8)).collect();
    let mut bench = Bench::with_memory(Options::default(), memory);
    let requests: Vec<_> = (1..=100).map(|id| (Ask::Now, id)).collect();
    send(&mut bench.client, &requests).await;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(bench.requests(), 0);
    drop(hogs);
    expect_ids(&mut bench.client, &(1..=100).collect::<Vec<_>>()).await;
}

#[tokio::test(start_paused = true)]
async fn the_beginnings_of_frames_keep_no_memory_from_others() {
    let memory = RequestMemory::new(0, MIB);
    let options = Options { socket_request_max_bytes: MIB, ..Options::default() };
    let mut rude = Vec::new();
    for n in 0..600 {
        let mut bench = Bench::with_memory(options.clone(), Arc::clone(&memory));
        let length = [100, 4_000, MIB - 8][n % 3];
        bench.client.write_all(&request(Ask::Now, 1, &vec![0; length])[..50]).await.unwrap();
        rude.push(bench);
    }
    let mut bench = Bench::with_memory(options, Arc::clone(&memory));
    bench.client.write_all(&request(Ask::Now, 1, &vec![0; MIB - 8])).await.unwrap();
    expect_ids(&mut bench.client, &[1]).await;
    assert_eq!(memory.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn half_frames_that_hold_memory_give_way_to_those_who_wait_for_it() {
    let memory = RequestMemory::new(0, MIB);
    let frame = request(Ask::Now, 1, &[0; 60_000]);
    let mut rude = Vec::new();
    while memory.try_first_step(60_000).is_some() {
        let mut bench = Bench::with_memory(Options::default(), Arc::clone(&memory));
        bench.client.write_all(&frame[..10_000]).await.unwrap();
        sleep(Duration::from_millis(1)).await;
        rude.push(bench);
    }
    let start = Instant::now();
    // A short one does not even wait.
    let mut short = Bench::with_memory(Options::default(), Arc::clone(&memory));
    send(&mut short.client, &[(Ask::Now, 1)]).await;
    expect_ids(&mut short.client, &[1]).await;
    assert_eq!(start.elapsed(), Duration::ZERO);

    let mut long = Bench::with_memory(Options::default(), memory);
    long.client.write_all(&frame).await.unwrap();
    expect_ids(&mut long.client, &[1]).await;
    assert_passed(start, Duration::from_secs(4));
    for bench in rude {
        bench.expect_closed(CloseReason::SlowFrame).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_is_closed() {
    let Bench { mut client, task, .. } = Bench::new(Options::default());
    send(&mut client, &[(Ask::Big, 1)]).await;
    let start = Instant::now();
    assert_eq!(task.await.unwrap(), CloseReason::SendStalled);
    assert_passed(start, Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_half_closed_connection_does_not_wait_for_ever_for_its_response() {
    let mut bench = Bench::new(Options::default());
    send(&mut bench.client, &[(Ask::Later, 1)]).await;
    bench.client.shutdown().await.unwrap();
    let start = Instant::now();
    bench.expect_closed(CloseReason::PeerClosed).await;
    assert_passed(start, Duration::from_secs(10));
}
