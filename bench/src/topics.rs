//! How fast topics are created.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chronik_protocol::header::decode_response;
use chronik_protocol::messages::{CreatableTopic, CreateTopicsRequest};

use crate::client::{Client, Failed};
use crate::stats::Times;

const CREATE_TOPICS_VERSION: i16 = 7;

#[derive(Clone)]
pub struct Load {
    pub topics: usize,
    pub partitions: i32,
    pub per_request: usize,
    pub clients: usize,
    pub prefix: String,
}

pub async fn run(bootstrap: SocketAddr, load: Load) -> Result<(), Failed> {
    let start = Instant::now();
    let mut tasks = Vec::new();
    for client in 0..load.clients {
        tasks.push(tokio::spawn(create(bootstrap, load.clone(), client)));
    }
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    let over = start.elapsed();
    let created = load.topics / load.clients * load.clients;
    println!(
        "{created} topics of {} partitions, {} per request, {} clients: {:.0} topics/s",
        load.partitions,
        load.per_request,
        load.clients,
        created as f64 / over.as_secs_f64()
    );
    println!("requests: {}", Times::new(times).line(over));
    Ok(())
}

async fn create(to: SocketAddr, load: Load, number: usize) -> Result<Vec<Duration>, Failed> {
    let mut client = Client::connect(to).await?;
    let names: Vec<String> = (0..load.topics / load.clients)
        .map(|topic| format!("{}-{number}-{topic}", load.prefix))
        .collect();
    let mut times = Vec::new();
    for names in names.chunks(load.per_request) {
        let topics = names.iter().map(|name| CreatableTopic {
            name: name.as_str().into(),
            num_partitions: load.partitions,
            replication_factor: 1,
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
