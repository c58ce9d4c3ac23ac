//! Who votes on the metadata changes while the cluster serves.

use std::rc::Rc;
use std::time::Duration;

use chronik_env::Rng;
use chronik_protocol::header::decode_response;
use chronik_protocol::messages::{
    AddRaftVoterListener, AddRaftVoterRequest, DescribeQuorumRequest,
    DescribeQuorumRequestPartitionData, DescribeQuorumRequestTopicData, RemoveRaftVoterRequest,
};
use chronik_types::{ErrorCode, Uuid};

use super::{Phase, Stage, note, pause};
use crate::simulation::cluster::Cluster;
use crate::simulation::history::NodeId;
use crate::simulation::node::{CONTROLLER_PORT, host_name};
use crate::simulation::trace;

/// How long a change may take; then nobody knows.
const PATIENCE: Duration = Duration::from_secs(6);
const NAME: &str = "voters";

/// Nodes with their directories.
type Members = Vec<(NodeId, Uuid)>;

/// Takes voters away and gives them back for as long as things go wrong.
pub async fn run(stage: Rc<Stage>, rng: Rng) {
    let mut cluster = stage.client(&rng, NAME);
    note(NAME, "come and go");
    while stage.phase.get() <= Phase::Chaos {
        pause(&rng, Duration::from_millis(1_500)).await;
        let Some((voters, observers)) = members(&mut cluster).await else { continue };
        // Those that were made to vote, and do not.
        let former: Members =
            observers.into_iter().filter(|(node, _)| *node <= stage.plan.voters).collect();
        // One of two must not be taken away: it would leave the other without a way back.
        if former.is_empty() && voters.len() > 2 {
            remove(&mut cluster, some(&rng, &voters)).await;
        } else if !former.is_empty() {
            add(&mut cluster, some(&rng, &former)).await;
        }
    }
}

fn some(rng: &Rng, members: &Members) -> (NodeId, Uuid) {
    members[rng.below(members.len() as u64) as usize]
}

/// Voters and observers.
async fn members(cluster: &mut Cluster) -> Option<(Members, Members)> {
    const VERSION: i16 = 2;
    let request = DescribeQuorumRequest {
        topics: vec![DescribeQuorumRequestTopicData {
            topic_name: "__cluster_metadata".into(),
            partitions: vec![DescribeQuorumRequestPartitionData { partition_index: 0 }],
        }],
    };
    let node = cluster.any_node();
    let frame = cluster.call(node, VERSION, &request, PATIENCE).await.ok()?;
    let (_, response) = decode_response::<DescribeQuorumRequest<'_>>(&frame, VERSION)
        .expect("an answer to DescribeQuorum can be read");
    let state = response.topics.first()?.partitions.first()?;
    let [voters, observers] = [&state.current_voters, &state.observers].map(|replicas| {
        let known = |id: i32, directory| Some((u64::try_from(id).ok()?, directory));
        replicas.iter().filter_map(|r| known(r.replica_id, r.replica_directory_id)).collect()
    });
    Some((voters, observers))
}

async fn remove(cluster: &mut Cluster, (voter, directory): (NodeId, Uuid)) {
    const VERSION: i16 = 0;
    let request = RemoveRaftVoterRequest {
        cluster_id: None,
        voter_id: voter as i32,
        voter_directory_id: directory,
    };
    let node = cluster.any_node();
    let Ok(frame) = cluster.call(node, VERSION, &request, PATIENCE).await else {
        return note(NAME, format_args!("takes the vote of {voter} away at {node}: no answer"));
    };
    let (_, response) = decode_response::<RemoveRaftVoterRequest<'_>>(&frame, VERSION)
        .expect("an answer to RemoveRaftVoter can be read");
    told(format_args!("takes the vote of {voter} away at {node}"), response.error_code);
}

async fn add(cluster: &mut Cluster, (voter, directory): (NodeId, Uuid)) {
    const VERSION: i16 = 0;
    let request = AddRaftVoterRequest {
        cluster_id: None,
        timeout_ms: PATIENCE.as_millis() as i32 - 1_000,
        voter_id: voter as i32,
        voter_directory_id: directory,
        listeners: vec![AddRaftVoterListener {
            name: "CONTROLLER".into(),
            host: host_name(voter).into(),
            port: CONTROLLER_PORT,
        }],
    };
    let node = cluster.any_node();
    let Ok(frame) = cluster.call(node, VERSION, &request, PATIENCE).await else {
        return note(NAME, format_args!("gives {voter} a vote at {node}: no answer"));
    };
    let (_, response) = decode_response::<AddRaftVoterRequest<'_>>(&frame, VERSION)
        .expect("an answer to AddRaftVoter can be read");
    told(format_args!("gives {voter} a vote at {node}"), response.error_code);
}

fn told(what: std::fmt::Arguments<'_>, code: i16) {
    let code = ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError);
    if code == ErrorCode::None {
        trace::count("voters_changed");
    }
    note(NAME, format_args!("{what}: {code}"));
}
