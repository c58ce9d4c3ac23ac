//! Order, pipelining and the ends of a connection.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    task::Poll,
    time::Duration,
};

use tokio::{io::AsyncWriteExt, time::sleep};

use super::support::{Ask, Bench, expect_ids, send};
use crate::{CloseReason, Options};

/// Lets everything that can happen without further input happen; the clock is paused.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn responses_leave_in_request_order_whatever_is_ready_first() {
    let mut bench = Bench::new(Options::default());
    let requests = [
        (Ask::Later, 1),
        (Ask::Now, 2),
        (Ask::Later, 3),
        (Ask::Nothing, 4),
        (Ask::LaterNothing, 5),
        (Ask::Now, 6),
    ];
    send(&mut bench.client, &requests).await;
    bench.answers.wait_for_calls(6).await;
    for id in [3, 5, 1] {
        bench.answers.release(id);
        settle().await;
    }
    expect_ids(&mut bench.client, &[1, 2, 3, 6]).await;
    send(&mut bench.client, &[(Ask::Now, 7)]).await;
    expect_ids(&mut bench.client, &[7]).await;
}

#[tokio::test(start_paused = true)]
async fn a_response_that_comes_later_holds_up_no_processing() {
    let mut bench = Bench::new(Options::default());
    send(&mut bench.client, &[(Ask::Later, 1), (Ask::Now, 2)]).await;
    bench.answers.wait_for_calls(2).await;
    bench.answers.release(1);
    expect_ids(&mut bench.client, &[1, 2]).await;
}

#[tokio::test(start_paused = true)]
async fn calls_run_one_at_a_time() {
    let mut bench = Bench::new(Options::default());
    send(&mut bench.client, &[(Ask::Held, 1), (Ask::Now, 2)]).await;
    settle().await;
    assert_eq!(bench.answers.calls(), [1]);
    bench.answers.release(1);
    expect_ids(&mut bench.client, &[1, 2]).await;
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_are_taken_than_may_be_in_flight() {
    let mut bench = Bench::new(Options { in_flight_max: 3, ..Options::default() });
    let requests: Vec<_> = (1..=200).map(|id| (Ask::Later, id)).collect();
    send(&mut bench.client, &requests).await;
    settle().await;
    assert_eq!(bench.answers.calls(), [1, 2, 3]);
    for id in 1..=200 {
        bench.answers.release(id);
    }
    expect_ids(&mut bench.client, &(1..=200).collect::<Vec<_>>()).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_not_read_either() {
    let mut bench = Bench::new(Options::default());
    let requests: Vec<_> = (1..=20).map(|id| (Ask::Big, id)).collect();
    send(&mut bench.client, &requests).await;
    settle().await;
    assert!(bench.requests() <= 2, "{} requests taken", bench.requests());
    expect_ids(&mut bench.client, &(1..=20).collect::<Vec<_>>()).await;
}

#[tokio::test(start_paused = true)]
async fn close_lets_earlier_responses_leave_and_executes_nothing_after() {
    let mut bench = Bench::new(Options::default());
    send(&mut bench.client, &[(Ask::Later, 1), (Ask::Close, 2), (Ask::Now, 3)]).await;
    bench.answers.wait_for_calls(2).await;
    bench.answers.release(1);
    expect_ids(&mut bench.client, &[1]).await;
    assert_eq!(bench.answers.calls(), [1, 2]);
    bench.expect_closed(CloseReason::Service).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_sent_before_it_ended_is_executed_and_answered() {
    let mut bench = Bench::new(Options::default());
    let requests = [(Ask::Held, 1), (Ask::Nothing, 2), (Ask::Now, 3)];
    send(&mut bench.client, &requests).await;
    bench.client.shutdown().await.unwrap();
    settle().await;
    assert_eq!(bench.answers.calls(), [1]);
    bench.answers.release(1);
    expect_ids(&mut bench.client, &[1, 3]).await;
    bench.expect_closed(CloseReason::PeerClosed).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_sent_before_it_vanished_is_executed() {
    let Bench { mut client, answers, task, .. } = Bench::new(Options::default());
    let requests = [(Ask::Now, 1), (Ask::Held, 2), (Ask::Nothing, 3), (Ask::Nothing, 4)];
    send(&mut client, &requests).await;
    drop(client);
    answers.wait_for_calls(2).await;
    answers.release(2);
    answers.wait_for_calls(4).await;
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_drained_connection_finishes_what_it_started() {
    let mut bench = Bench::new(Options::default());
    send(&mut bench.client, &[(Ask::Later, 1)]).await;
    bench.answers.wait_for_calls(1).await;
    bench.connection.drain();
    send(&mut bench.client, &[(Ask::Now, 2)]).await;
    settle().await;
    bench.answers.release(1);
    expect_ids(&mut bench.client, &[1]).await;
    assert_eq!(bench.answers.calls(), [1]);
    bench.expect_closed(CloseReason::Shutdown).await;
}

#[tokio::test(start_paused = true)]
async fn a_closed_connection_waits_for_nothing() {
    let mut bench = Bench::new(Options::default());
    send(&mut bench.client, &[(Ask::Held, 1)]).await;
    bench.answers.wait_for_calls(1).await;
    bench.connection.close();
    bench.expect_closed(CloseReason::Shutdown).await;
}

#[tokio::test(start_paused = true)]
async fn many_small_requests_do_not_keep_the_thread() {
    let mut bench = Bench::new(Options::default());
    let requests: Vec<_> = (0..2000).map(|id| (Ask::Now, id)).collect();
    send(&mut bench.client, &requests).await;
    let metrics = Arc::clone(&bench.metrics);
    let (mut turns, mut last) = (0, 0);
    let neighbour = std::future::poll_fn(move |cx| {
        let taken = metrics.requests.load(Relaxed);
        assert!(taken - last <= 64, "{} requests in one turn", taken - last);
        (turns, last) = (turns + 1, taken);
        if taken == 2000 {
            return Poll::Ready(turns);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    });
    let turns = tokio::spawn(neighbour).await.unwrap();
    assert!(turns > 30, "{turns} turns");
    expect_ids(&mut bench.client, &(0..2000).collect::<Vec<_>>()).await;
}
