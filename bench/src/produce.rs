//! How long a produce request takes, and how many there are a second.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use chronik_protocol::batch::BatchBuilder;
use chronik_protocol::codec::Records;
use chronik_protocol::header;
use chronik_protocol::messages::{
    CreatableTopic, CreateTopicsRequest, PartitionProduceData, ProduceRequest, TopicProduceData,
};
use chronik_types::Timestamp;
use tokio::io::AsyncWriteExt;

use crate::client::{Client, Failed};
use crate::stats::Times;

const CREATE_TOPICS_VERSION: i16 = 7;
/// The newest version that names topics, so that no metadata request is needed.
const PRODUCE_VERSION: i16 = 12;

#[derive(Clone, Copy)]
pub struct Load {
    pub producers: usize,
    pub in_flight: usize,
    pub bytes: usize,
    pub acks: i16,
    pub warmup: Duration,
    pub measured: Duration,
}

pub async fn run(bootstrap: SocketAddr, load: Load) -> Result<(), Failed> {
    let topic = format!("bench-produce-{}", std::process::id());
    create_topic(bootstrap, &topic, load.producers).await?;
    let mut tasks = Vec::new();
    for partition in 0..load.producers {
        let topic = topic.clone();
        tasks.push(tokio::spawn(produce(bootstrap, topic, partition, load)));
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

async fn create_topic(to: SocketAddr, name: &str, partitions: usize) -> Result<(), Failed> {
    let mut client = Client::connect(to).await?;
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: i32::try_from(partitions)?,
        replication_factor: 1,
        ..Default::default()
    };
    let request =
        CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, validate_only: false };
    let frame = client.call(CREATE_TOPICS_VERSION, &request).await?;
    let (_, response) =
        header::decode_response::<CreateTopicsRequest<'_>>(&frame, CREATE_TOPICS_VERSION)?;
    match response.topics.first().map(|topic| topic.error_code) {
        Some(0) => Ok(()),
        other => Err(Failed(format!("the topic was not created: {other:?}"))),
    }
}

/// One producer; gives the times of the requests answered within the measured span.
async fn produce(
    to: SocketAddr,
    topic: String,
    partition: usize,
    load: Load,
) -> Result<Vec<Duration>, Failed> {
    let mut client = Client::connect(to).await?;
    let frame = request(&topic, partition, load)?;
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

fn request(topic: &str, partition: usize, load: Load) -> Result<BytesMut, Failed> {
    let mut builder = BatchBuilder::new();
    let value: Vec<u8> = (0..load.bytes).map(|at| (at * 31 % 251) as u8).collect();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    builder.append(Timestamp(i64::try_from(now.as_millis())?), None, Some(&value), &[])?;
    let batch = builder.build()?;
    let data = PartitionProduceData {
        index: i32::try_from(partition)?,
        records: Records::Borrowed(&batch),
    };
    let request = ProduceRequest {
        acks: load.acks,
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

fn check(response: &[u8]) -> Result<(), Failed> {
    let (_, response) = header::decode_response::<ProduceRequest<'_>>(response, PRODUCE_VERSION)?;
    let parts = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    match parts.map(|part| part.error_code).find(|code| *code != 0) {
        None => Ok(()),
        Some(code) => Err(Failed(format!("a batch was refused: error {code}"))),
    }
}
