//! Who the voters of the metadata quorum are, asked of `controller.quorum.bootstrap.servers`.

use std::time::Duration;

use chronik_config::{HostPort, Voter};
use chronik_env::Env;
use chronik_protocol::messages::{DescribeClusterRequest, DescribeClusterResponse};
use chronik_types::BrokerId;

use crate::kafka_client::{Client, ClientError, decode};

/// Between two rounds of questions.
const PAUSE: Duration = Duration::from_millis(200);
/// Why it takes so long is said this often.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);
/// What DescribeCluster is asked for.
const CONTROLLERS: i8 = 2;

/// The voters, as the first server says that knows any. Asks for as long as it takes: the cluster
/// may be about to start.
pub(crate) async fn voters(env: &Env, servers: &[HostPort]) -> Vec<Voter> {
    let mut complained = env.clock.monotonic();
    loop {
        for server in servers {
            let why = match ask(server).await {
                Ok(voters) if !voters.is_empty() => {
                    tracing::info!(%server, voters = ?voters, "the metadata quorum is found");
                    return voters;
                }
                Ok(_) => format!("{server} knows of no quorum yet"),
                Err(error) => error.to_string(),
            };
            let now = env.clock.monotonic();
            if now.since(complained) >= COMPLAIN_EVERY {
                complained = now;
                tracing::warn!(
                    why,
                    "waiting for the metadata quorum; controller.quorum.bootstrap.servers says \
                     where it is looked for"
                );
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn ask(server: &HostPort) -> Result<Vec<Voter>, ClientError> {
    let mut client = Client::connect(server).await?;
    let request = DescribeClusterRequest { endpoint_type: CONTROLLERS, ..Default::default() };
    let (frame, version) = client.call(&request).await?;
    Ok(voters_of(&decode::<DescribeClusterRequest>(server, &frame, version)?))
}

fn voters_of(response: &DescribeClusterResponse<'_>) -> Vec<Voter> {
    let voters = response.brokers.iter().filter_map(|voter| {
        let port = u16::try_from(voter.port).ok().filter(|port| *port != 0)?;
        let address = HostPort { host: voter.host.to_string(), port };
        Some(Voter { id: BrokerId(voter.broker_id), address })
    });
    voters.collect()
}

#[cfg(test)]
mod tests {
    use chronik_protocol::messages::DescribeClusterBroker;

    use super::*;

    #[test]
    fn voters_are_taken_with_their_addresses() {
        let voter = |id, port| DescribeClusterBroker {
            broker_id: id,
            host: "h".into(),
            port,
            ..Default::default()
        };
        let response = DescribeClusterResponse {
            brokers: vec![voter(1, 9093), voter(2, 0), voter(3, 70_000)],
            ..Default::default()
        };
        let address = HostPort { host: "h".into(), port: 9093 };
        assert_eq!(voters_of(&response), [Voter { id: BrokerId(1), address }]);
    }
}
