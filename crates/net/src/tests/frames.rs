//! Frames of every size, cut at every byte, and bytes that are no frames.

use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

use super::support::{Ask, Bench, expect_ids, request, response, send};
use crate::{CloseReason, Options};

/// Sends `frames` as one stream cut at `cuts`, and expects each one echoed.
async fn echoes(frames: &[Vec<u8>], cuts: &[usize]) {
    let Bench { client, .. } = Bench::new(Options::default());
    let (mut reader, mut writer) = tokio::io::split(client);
    let stream: Vec<u8> =
        (0..).zip(frames).flat_map(|(id, payload)| request(Ask::Now, id, payload)).collect();
    let writing = async {
        let mut rest = &stream[..];
        for cut in cuts {
            let (now, later) = rest.split_at(*cut.min(&rest.len()));
            writer.write_all(now).await.unwrap();
            tokio::task::yield_now().await;
            rest = later;
        }
        writer.write_all(rest).await.unwrap();
    };
    let reading = async {
        for (id, payload) in (0..).zip(frames) {
            let (got_id, got) = response(&mut reader).await.unwrap();
            assert_eq!(got_id, id);
            assert!(got == *payload, "payload of {id} differs");
        }
    };
    tokio::join!(writing, reading);
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test);
}

/// Sizes around every border: header, one read, first step, several steps.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let size = prop_oneof![
        8 => 0usize..200,
        2 => 32_000usize..33_500,
        2 => 65_000usize..66_500,
        1 => 300_000usize..300_100,
    ];
    (size, any::<u8>()).prop_map(|(size, seed)| {
        (0..size).map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed)).collect()
    })
}

/// Random bytes; in half of the cases behind a length that a frame could have.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop::collection::vec(any::<u8>(), 0..300);
    (prop::option::of(8u32..200), bytes).prop_map(|(length, bytes)| {
        let mut all = length.map_or(vec![], |length| length.to_be_bytes().to_vec());
        all.extend(bytes);
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn frames_survive_any_cut(
        frames in prop::collection::vec(payload(), 1..8),
        cuts in prop::collection::vec(prop_oneof![1usize..12, 1usize..70_000], 0..60),
    ) {
        run(echoes(&frames, &cuts));
    }

    #[test]
    fn arbitrary_bytes_end_in_an_orderly_way(bytes in noise()) {
        run(async {
            let Bench { mut client, task, .. } = Bench::new(Options::default());
            client.write_all(&bytes).await.unwrap();
            client.shutdown().await.unwrap();
            let reason = task.await.unwrap();
            let ends = [CloseReason::FrameLength, CloseReason::PeerClosed, CloseReason::Service];
            assert!(ends.contains(&reason), "{reason:?}");
        });
    }
}

#[test]
fn frames_survive_being_cut_after_every_byte() {
    run(echoes(&[vec![1; 30], vec![], vec![2; 5]], &[1; 70]));
}

#[test]
fn a_frame_that_needs_several_buffers_arrives_whole() {
    let payload: Vec<u8> = (0..20_000_000u32).map(|i| (i >> 3) as u8).collect();
    run(echoes(&[vec![7; 9], payload, vec![8; 9]], &[]));
}

#[tokio::test(start_paused = true)]
async fn an_impossible_length_closes_after_earlier_responses() {
    let max = 1000;
    let options = Options { socket_request_max_bytes: max, ..Options::default() };
    for length in [0, 7, -1, i32::MIN, i32::MAX, 1001] {
        let mut bench = Bench::new(options.clone());
        send(&mut bench.client, &[(Ask::Later, 1)]).await;
        bench.client.write_all(&i32::to_be_bytes(length)).await.unwrap();
        send(&mut bench.client, &[(Ask::Now, 2)]).await;
        bench.answers.wait_for_calls(1).await;
        bench.answers.release(1);
        expect_ids(&mut bench.client, &[1]).await;
        assert_eq!(bench.answers.calls(), [1]);
        bench.expect_closed(CloseReason::FrameLength).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_largest_length_is_allowed() {
    let options = Options { socket_request_max_bytes: 1000, ..Options::default() };
    let mut bench = Bench::new(options);
    bench.client.write_all(&request(Ask::Now, 1, &[0; 992])).await.unwrap();
    expect_ids(&mut bench.client, &[1]).await;
}
