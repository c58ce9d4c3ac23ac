//! What the measurements need of a cluster: who leads, and which acknowledgement is in force.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chronik_protocol::header::decode_response;
use chronik_protocol::messages::{
    CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest, DeleteTopicsRequest,
    IncrementalAlterConfigsAlterableConfig, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResource, MetadataRequest, MetadataRequestTopic, MetadataResponse,
};
use tokio::net::lookup_host;

use crate::client::{Client, Failed};

const METADATA_VERSION: i16 = 9;
const CREATE_TOPICS_VERSION: i16 = 7;
const DELETE_TOPICS_VERSION: i16 = 5;
const ALTER_CONFIGS_VERSION: i16 = 1;
const BROKER_RESOURCE: i8 = 4;
const TOPICS_PER_DELETION: usize = 500;
/// A new topic's replicas are in sync long before this, or something is wrong.
const SERVING_WITHIN: Duration = Duration::from_secs(10);

/// The nodes of a cluster, and its controller.
pub struct Nodes {
    pub addresses: BTreeMap<i32, SocketAddr>,
    pub controller: SocketAddr,
}

/// Asks one node who there is.
pub async fn nodes(bootstrap: SocketAddr) -> Result<Nodes, Failed> {
    let mut client = Client::connect(bootstrap).await?;
    let request = MetadataRequest {
        topics: Some(Vec::new()),
        allow_auto_topic_creation: false,
        ..Default::default()
    };
    let frame = client.call(METADATA_VERSION, &request).await?;
    let (_, metadata) = decode_response::<MetadataRequest<'_>>(&frame, METADATA_VERSION)?;
    let addresses = addresses(&metadata).await?;
    let controller = addresses.get(&metadata.controller_id).copied();
    let controller = controller.ok_or_else(|| Failed("the cluster has no controller".into()))?;
    Ok(Nodes { addresses, controller })
}

async fn addresses(metadata: &MetadataResponse<'_>) -> Result<BTreeMap<i32, SocketAddr>, Failed> {
    let mut addresses = BTreeMap::new();
    for broker in &metadata.brokers {
        let mut found = lookup_host((&*broker.host, u16::try_from(broker.port)?)).await?;
        // Nodes of a test listen on 127.0.0.1 and are called localhost.
        let all: Vec<SocketAddr> = found.by_ref().collect();
        let v4 = all.iter().find(|address| address.is_ipv4()).or(all.first());
        let address = v4.ok_or_else(|| Failed(format!("{} is nowhere", broker.host)))?;
        addresses.insert(broker.node_id, *address);
    }
    Ok(addresses)
}

/// Who leads a partition.
pub struct Leader {
    pub id: i32,
    pub address: SocketAddr,
}

/// The leaders of a topic's partitions, in order, as one node knows them.
pub async fn leaders(client: &mut Client, topic: &str) -> Result<Vec<Option<Leader>>, Failed> {
    let topic = MetadataRequestTopic { name: Some(topic.into()), ..Default::default() };
    let request = MetadataRequest {
        topics: Some(vec![topic]),
        allow_auto_topic_creation: false,
        ..Default::default()
    };
    let frame = client.call(METADATA_VERSION, &request).await?;
    let (_, metadata) = decode_response::<MetadataRequest<'_>>(&frame, METADATA_VERSION)?;
    let addresses = addresses(&metadata).await?;
    let mut partitions: Vec<_> = metadata.topics.iter().flat_map(|t| &t.partitions).collect();
    partitions.sort_by_key(|partition| partition.partition_index);
    let leader = |partition: &&chronik_protocol::messages::MetadataResponsePartition| {
        let address = addresses.get(&partition.leader_id)?;
        Some(Leader { id: partition.leader_id, address: *address })
    };
    Ok(partitions.iter().map(leader).collect())
}

/// Creates a topic and waits until every partition has a leader; the leaders.
pub async fn create_topic(
    bootstrap: SocketAddr,
    name: &str,
    partitions: usize,
    replication_factor: i16,
) -> Result<Vec<Leader>, Failed> {
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: i32::try_from(partitions)?,
        replication_factor,
        ..Default::default()
    };
    create(bootstrap, name, topic, partitions).await
}

/// Creates a topic of one partition with these replicas, the first of which leads.
pub async fn create_on(
    bootstrap: SocketAddr,
    name: &str,
    replicas: Vec<i32>,
) -> Result<Vec<Leader>, Failed> {
    let assignment = CreatableReplicaAssignment { partition_index: 0, broker_ids: replicas };
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: -1,
        replication_factor: -1,
        assignments: vec![assignment],
        ..Default::default()
    };
    create(bootstrap, name, topic, 1).await
}

async fn create(
    bootstrap: SocketAddr,
    name: &str,
    topic: CreatableTopic<'_>,
    partitions: usize,
) -> Result<Vec<Leader>, Failed> {
    let mut client = Client::connect(nodes(bootstrap).await?.controller).await?;
    let request =
        CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, validate_only: false };
    let frame = client.call(CREATE_TOPICS_VERSION, &request).await?;
    let (_, response) = decode_response::<CreateTopicsRequest<'_>>(&frame, CREATE_TOPICS_VERSION)?;
    if let Some(code) = response.topics.iter().map(|t| t.error_code).find(|code| *code != 0) {
        return Err(Failed(format!("the topic was not created: error {code}")));
    }
    let begin = Instant::now();
    loop {
        let found: Option<Vec<_>> = leaders(&mut client, name).await?.into_iter().collect();
        match found {
            Some(found) if found.len() == partitions => return Ok(found),
            _ if begin.elapsed() > SERVING_WITHIN => {
                return Err(Failed("the topic has no leaders".into()));
            }
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Deletes topics.
pub async fn delete_topics(controller: SocketAddr, names: &[String]) -> Result<(), Failed> {
    let mut client = Client::connect(controller).await?;
    for names in names.chunks(TOPICS_PER_DELETION) {
        let request = DeleteTopicsRequest {
            topic_names: names.iter().map(|name| name.as_str().into()).collect(),
            timeout_ms: 60_000,
            ..Default::default()
        };
        let frame = client.call(DELETE_TOPICS_VERSION, &request).await?;
        let (_, response) =
            decode_response::<DeleteTopicsRequest<'_>>(&frame, DELETE_TOPICS_VERSION)?;
        if let Some(code) = response.responses.iter().map(|t| t.error_code).find(|code| *code != 0)
        {
            return Err(Failed(format!("a topic was not deleted: error {code}")));
        }
    }
    Ok(())
}

/// Sets `metadata.acks` for the whole cluster.
pub async fn set_metadata_acks(bootstrap: SocketAddr, value: &str) -> Result<(), Failed> {
    let mut client = Client::connect(nodes(bootstrap).await?.controller).await?;
    let config = IncrementalAlterConfigsAlterableConfig {
        name: "metadata.acks".into(),
        config_operation: 0,
        value: Some(value.into()),
    };
    let resource = IncrementalAlterConfigsResource {
        resource_type: BROKER_RESOURCE,
        resource_name: "".into(),
        configs: vec![config],
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    let frame = client.call(ALTER_CONFIGS_VERSION, &request).await?;
    let (_, response) =
        decode_response::<IncrementalAlterConfigsRequest<'_>>(&frame, ALTER_CONFIGS_VERSION)?;
    match response.responses.iter().map(|one| one.error_code).find(|code| *code != 0) {
        None => Ok(()),
        Some(code) => Err(Failed(format!("metadata.acks was not set: error {code}"))),
    }
}
