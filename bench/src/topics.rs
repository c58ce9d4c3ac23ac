//! How fast topics are created.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chronik_protocol::header::decode_response;
use chronik_protocol::messages::{CreatableTopic, CreateTopicsRequest};
use tokio::sync::Barrier;

use crate::client::{Client, Failed};
use crate::cluster;
use crate::stats::Times;

const CREATE_TOPICS_VERSION: i16 = 7;

#[derive(Clone, clap::Args)]
pub struct Load {
    #[arg(long, default_value_t = 1000)]
    pub topics: usize,
    #[arg(long, default_value_t = 1)]
    pub partitions: i32,
    #[arg(long, default_value_t = 100)]
    pub per_request: usize,
    #[arg(long, default_value_t = 1)]
    pub clients: usize,
    /// Replicas of each partition; -1 is the cluster's default.
    #[arg(long, default_value_t = 1, allow_hyphen_values = true)]
    pub replication_factor: i16,
    /// First part of the topics' names.
    #[arg(long, default_value = "bench")]
    pub prefix: String,
    /// Delete the topics afterwards.
    #[arg(long)]
    pub delete: bool,
}

pub async fn run(bootstrap: SocketAddr, load: Load) -> Result<(), Failed> {
    let controller = cluster::nodes(bootstrap).await?.controller;
    let start = Arc::new(Barrier::new(load.clients + 1));
    let mut tasks = Vec::new();
    for client in 0..load.clients {
        tasks.push(tokio::spawn(create(controller, load.clone(), client, Arc::clone(&start))));
    }
    start.wait().await;
    let begin = Instant::now();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    let over = begin.elapsed();
    let created = load.topics / load.clients * load.clients;
    println!(
        "{created} topics of {} partitions, {} per request, {} clients: {:.0} topics/s",
        load.partitions,
        load.per_request,
        load.clients,
        created as f64 / over.as_secs_f64()
    );
    println!("requests: {}", Times::new(times).line(over));
    if load.delete {
        let names: Vec<_> = (0..load.clients).flat_map(|client| names(&load, client)).collect();
        cluster::delete_topics(controller, &names).await?;
    }
    Ok(())
}

/// The topics of one client.
fn names(load: &Load, client: usize) -> Vec<String> {
    (0..load.topics / load.clients)
        .map(|topic| format!("{}-{client}-{topic}", load.prefix))
        .collect()
}

async fn create(
    to: SocketAddr,
    load: Load,
    number: usize,
    start: Arc<Barrier>,
) -> Result<Vec<Duration>, Failed> {
    let connected = Client::connect(to).await;
    start.wait().await;
    let mut client = connected?;
    let names = names(&load, number);
    let mut times = Vec::new();
    for names in names.chunks(load.per_request) {
        let topics = names.iter().map(|name| CreatableTopic {
            name: name.as_str().into(),
            num_partitions: load.partitions,
            replication_factor: load.replication_factor,
            ..Default::default()
        });
        let request = CreateTopicsRequest {
            topics: topics.collect(),
            timeout_ms: 60_000,
            validate_only: false,
        };
        let before = Instant::now();
        let frame = client.call(CREATE_TOPICS_VERSION, &request).await?;
        times.push(before.elapsed());
        let (_, response) =
            decode_response::<CreateTopicsRequest<'_>>(&frame, CREATE_TOPICS_VERSION)?;
        let failed = response.topics.iter().map(|topic| topic.error_code).find(|code| *code != 0);
        if let Some(code) = failed {
            return Err(Failed(format!("a topic was not created: error {code}")));
        }
    }
    Ok(times)
}
