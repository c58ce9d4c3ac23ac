//! How long a produce request takes, and how many there are a second.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use chronik_protocol::batch::BatchBuilder;
use chronik_protocol::codec::Records;
use chronik_protocol::header;
use chronik_protocol::messages::{PartitionProduceData, ProduceRequest, TopicProduceData};
use chronik_types::Timestamp;
use tokio::io::AsyncWriteExt;

use crate::client::{Client, Failed};
use crate::cluster;
use crate::stats::Times;

/// The newest version that names topics, so that no metadata request is needed.
const PRODUCE_VERSION: i16 = 12;
/// A new partition serves long before this, or something is wrong.
const SERVING_WITHIN: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);

#[derive(Clone, Copy)]
pub struct Load {
    pub producers: usize,
    pub in_flight: usize,
    pub bytes: usize,
    pub acks: i16,
    pub replication_factor: i16,
    pub warmup: Duration,
    pub measured: Duration,
}

pub async fn run(bootstrap: SocketAddr, load: Load) -> Result<(), Failed> {
    let topic = format!("bench-produce-{}", std::process::id());
    let factor = load.replication_factor;
    let leaders = cluster::create_topic(bootstrap, &topic, load.producers, factor).await?;
    let mut tasks = Vec::new();
    for (partition, leader) in leaders.iter().enumerate() {
        tasks.push(tokio::spawn(produce(leader.address, topic.clone(), partition, load)));
    }
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    let times = Times::new(times);
    println!(
        "{} producers, {} in flight, {} bytes, acks={}: {}",
        load.producers,
        load.in_flight,
        load.bytes,
        load.acks,
        times.line(load.measured)
    );
    Ok(())
}

/// One producer; gives the times of the requests answered within the measured span.
async fn produce(
    to: SocketAddr,
    topic: String,
    partition: usize,
    load: Load,
) -> Result<Vec<Duration>, Failed> {
    let mut client = Client::connect(to).await?;
    let frame = request(&topic, partition, load.bytes, load.acks)?;
    open(&mut client, &frame).await?;
    let begin = Instant::now();
    let (from, until) = (begin + load.warmup, begin + load.warmup + load.measured);
    let mut sent = VecDeque::new();
    let mut times = Vec::new();
    loop {
        while sent.len() < load.in_flight && Instant::now() < until {
            sent.push_back(Instant::now());
            client.stream.write_all(&frame).await?;
        }
        let Some(at) = sent.pop_front() else { return Ok(times) };
        let response = client.receive().await?;
        let now = Instant::now();
        check(&response)?;
        if now >= from && now < until {
            times.push(now - at);
        }
    }
}

/// Writes once: a leader serves a moment after it is named.
async fn open(client: &mut Client, frame: &BytesMut) -> Result<(), Failed> {
    let begin = Instant::now();
    loop {
        client.stream.write_all(frame).await?;
        match check(&client.receive().await?) {
            Err(_) if begin.elapsed() < SERVING_WITHIN => tokio::time::sleep(PAUSE).await,
            done => return done,
        }
    }
}

/// A request with one record of so many bytes.
pub fn request(topic: &str, partition: usize, bytes: usize, acks: i16) -> Result<BytesMut, Failed> {
    let mut builder = BatchBuilder::new();
    let value: Vec<u8> = (0..bytes).map(|at| (at * 31 % 251) as u8).collect();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    builder.append(Timestamp(i64::try_from(now.as_millis())?), None, Some(&value), &[])?;
    let batch = builder.build()?;
    let data = PartitionProduceData {
        index: i32::try_from(partition)?,
        records: Records::Borrowed(&batch),
    };
    let request = ProduceRequest {
        acks,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: topic.into(),
            partition_data: vec![data],
            ..Default::default()
        }],
        ..Default::default()
    };
    Ok(header::encode_request(1, Some("chronik-bench"), PRODUCE_VERSION, &request)?)
}

/// Whether every batch was taken.
pub fn check(response: &[u8]) -> Result<(), Failed> {
    let (_, response) = header::decode_response::<ProduceRequest<'_>>(response, PRODUCE_VERSION)?;
    let parts = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    match parts.map(|part| part.error_code).find(|code| *code != 0) {
        None => Ok(()),
        Some(code) => Err(Failed(format!("a batch was refused: error {code}"))),
    }
}
