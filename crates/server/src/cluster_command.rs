//! `chronik-server cluster`: what a running cluster says of itself, over the Kafka protocol.

mod show;
mod status;

use std::io::{self, Write};

use chronik_config::HostPort;
use chronik_protocol::messages::{
    DescribeClusterRequest, DescribeQuorumRequest, DescribeQuorumRequestPartitionData,
    DescribeQuorumRequestTopicData, MetadataRequest,
};

use self::status::{Answers, METADATA_TOPIC, Status};
use crate::{
    Exit,
    cli::{ClusterCommand, Format},
    kafka_client::{Client, ClientError, decode},
};

/// Why a cluster's state is not known.
#[derive(Debug, thiserror::Error)]
enum ClusterError {
    #[error("`{0}` is not of the form host:port; `--bootstrap` takes several, with commas between")]
    Bootstrap(String),
    #[error("the runtime could not be started: {0}")]
    Runtime(io::Error),
    #[error("no node answers:{}", lines(.0))]
    Unreachable(Vec<ClientError>),
    #[error(transparent)]
    Client(#[from] ClientError),
}

fn lines(errors: &[ClientError]) -> String {
    errors.iter().map(|error| format!("\n  {error}")).collect()
}

/// Runs one of the cluster's commands.
pub(crate) fn run(command: &ClusterCommand) -> Exit {
    let ClusterCommand::Status { bootstrap, format } = command;
    match look(bootstrap) {
        Ok(status) => {
            let text = match format {
                Format::Table => show::table(&status),
                Format::Json => show::json(&status),
            };
            // A reader that has seen enough, as `head` does, is no error.
            let _ = io::stdout().lock().write_all(text.as_bytes());
            Exit::Done
        }
        Err(error) => {
            eprintln!("chronik-server: {error}");
            match error {
                ClusterError::Bootstrap(_) => Exit::Usage,
                _ => Exit::NotStarted,
            }
        }
    }
}

fn look(bootstrap: &str) -> Result<Status, ClusterError> {
    let addresses = bootstrap.split(',').map(str::trim).filter(|part| !part.is_empty());
    let addresses: Vec<_> = addresses
        .map(|part| HostPort::parse(part).ok_or_else(|| ClusterError::Bootstrap(part.to_owned())))
        .collect::<Result<_, _>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(ClusterError::Runtime)?.block_on(ask(&addresses))
}

/// Asks the first node that answers, and for how far the others are, the leader.
async fn ask(addresses: &[HostPort]) -> Result<Status, ClusterError> {
    let mut client = first(addresses).await?;
    let cluster = DescribeClusterRequest { include_fenced_brokers: true, ..Default::default() };
    let (cluster, cluster_version) = client.call(&cluster).await?;
    let everything =
        MetadataRequest { topics: None, allow_auto_topic_creation: false, ..Default::default() };
    let (metadata, metadata_version) = client.call(&everything).await?;
    let (mut quorum, mut quorum_version) = client.call(&quorum_request()).await?;
    let cluster = decode::<DescribeClusterRequest>(&client.address, &cluster, cluster_version)?;
    let first = decode::<DescribeQuorumRequest<'_>>(&client.address, &quorum, quorum_version)?;
    if let Some(leader) = status::address_of_leader(&first, &cluster)
        && let Ok(mut client) = Client::connect(&leader).await
        && let Ok(answer) = client.call(&quorum_request()).await
    {
        (quorum, quorum_version) = answer;
    }
    let answers = Answers {
        cluster,
        metadata: decode::<MetadataRequest<'_>>(&client.address, &metadata, metadata_version)?,
        quorum: decode::<DescribeQuorumRequest<'_>>(&client.address, &quorum, quorum_version)?,
    };
    Ok(Status::new(&answers))
}

async fn first(addresses: &[HostPort]) -> Result<Client, ClusterError> {
    let mut errors = Vec::new();
    for address in addresses {
        match Client::connect(address).await {
            Ok(client) => return Ok(client),
            Err(error) => errors.push(error),
        }
    }
    Err(ClusterError::Unreachable(errors))
}

fn quorum_request() -> DescribeQuorumRequest<'static> {
    let partition = DescribeQuorumRequestPartitionData { partition_index: 0 };
    let topic = DescribeQuorumRequestTopicData {
        topic_name: METADATA_TOPIC.into(),
        partitions: vec![partition],
    };
    DescribeQuorumRequest { topics: vec![topic] }
}
