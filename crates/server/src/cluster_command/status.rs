//! The state of a cluster, put together from what its nodes answer.

use std::collections::BTreeMap;

use chronik_config::HostPort;
use chronik_protocol::messages::{
    DescribeClusterResponse, DescribeQuorumReplicaState, DescribeQuorumResponse,
    DescribeQuorumResponsePartitionData, MetadataResponse,
};

/// The name that clients of Kafka ask for.
pub(super) const METADATA_TOPIC: &str = "__cluster_metadata";

/// What the nodes answered.
pub(super) struct Answers<'a> {
    pub cluster: DescribeClusterResponse<'a>,
    pub metadata: MetadataResponse<'a>,
    /// The leader's, if it could be asked: others may not know how far its followers are.
    pub quorum: DescribeQuorumResponse<'a>,
}

/// A cluster.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub cluster_id: String,
    /// Who leads the metadata.
    pub leader: Option<i32>,
    /// The term of its leadership.
    pub term: i32,
    /// The end of its metadata log.
    pub log_end: Option<i64>,
    pub nodes: Vec<Node>,
    pub partitions: usize,
    /// Every partition that lacks something.
    pub wanting: Vec<Wanting>,
}

/// A node of the cluster.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    pub id: i32,
    pub broker: bool,
    pub controller: bool,
    /// Whether clients are sent elsewhere; `None` for a node that is no broker.
    pub fenced: Option<bool>,
    /// What it is to the metadata; `None` if the quorum does not know it.
    pub metadata: Option<MetadataRole>,
    pub lag: Option<Lag>,
    pub address: Option<HostPort>,
    pub rack: Option<String>,
    /// Partitions that it leads.
    pub leads: usize,
    /// Partitions of which it has a replica, and of these those where it is in sync.
    pub replicas: usize,
    pub in_sync: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetadataRole {
    Leader,
    Voter,
    Observer,
}

/// How far a node's metadata is behind the leader's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lag {
    pub entries: i64,
    /// For how long; `None` if unknown.
    pub millis: Option<i64>,
}

/// A partition without leader or with fewer in-sync replicas than replicas.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanting {
    pub topic: String,
    pub partition: i32,
    pub leader: Option<i32>,
    pub replicas: Vec<i32>,
    pub isr: Vec<i32>,
}

impl Status {
    pub(super) fn new(answers: &Answers<'_>) -> Self {
        let Answers { cluster, metadata, quorum } = answers;
        let mut nodes: BTreeMap<i32, Node> = BTreeMap::new();
        for broker in &cluster.brokers {
            let node = entry(&mut nodes, broker.broker_id);
            node.broker = true;
            node.fenced = Some(broker.is_fenced);
            node.address = address(&broker.host, broker.port);
            node.rack = broker.rack.as_ref().map(ToString::to_string);
        }
        let quorum = metadata_partition(quorum);
        let leader = quorum.map_or(cluster.controller_id, |quorum| quorum.leader_id);
        let mut log_end = None;
        if let Some(quorum) = quorum {
            log_end = add_quorum(&mut nodes, quorum);
        }
        let mut status = Self {
            cluster_id: cluster.cluster_id.to_string(),
            leader: Some(leader).filter(|leader| *leader >= 0),
            term: quorum.map_or(-1, |quorum| quorum.leader_epoch),
            log_end,
            nodes: Vec::new(),
            partitions: 0,
            wanting: Vec::new(),
        };
        status.add_partitions(&mut nodes, metadata);
        status.nodes = nodes.into_values().collect();
        status
    }

    fn add_partitions(&mut self, nodes: &mut BTreeMap<i32, Node>, metadata: &MetadataResponse<'_>) {
        for topic in &metadata.topics {
            for partition in &topic.partitions {
                self.partitions += 1;
                let leader = Some(partition.leader_id).filter(|leader| *leader >= 0);
                if let Some(leader) = leader {
                    entry(nodes, leader).leads += 1;
                }
                for replica in &partition.replica_nodes {
                    let node = entry(nodes, *replica);
                    node.replicas += 1;
                    node.in_sync += usize::from(partition.isr_nodes.contains(replica));
                }
                if leader.is_none() || partition.isr_nodes.len() < partition.replica_nodes.len() {
                    self.wanting.push(Wanting {
                        topic: topic.name.as_deref().unwrap_or_default().to_owned(),
                        partition: partition.partition_index,
                        leader,
                        replicas: partition.replica_nodes.clone(),
                        isr: partition.isr_nodes.clone(),
                    });
                }
            }
        }
        self.wanting.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    }

    /// Partitions that nobody leads.
    pub(super) fn offline(&self) -> usize {
        self.wanting.iter().filter(|partition| partition.leader.is_none()).count()
    }

    /// Partitions with fewer in-sync replicas than replicas.
    pub(super) fn under_replicated(&self) -> usize {
        self.wanting
            .iter()
            .filter(|partition| partition.isr.len() < partition.replicas.len())
            .count()
    }
}

/// The node of this number; a node that only others mention is in the list all the same.
fn entry(nodes: &mut BTreeMap<i32, Node>, id: i32) -> &mut Node {
    nodes.entry(id).or_insert_with(|| Node { id, ..Node::default() })
}

fn address(host: &str, port: i32) -> Option<HostPort> {
    Some(HostPort { host: host.to_owned(), port: u16::try_from(port).ok()? })
}

fn metadata_partition<'q>(
    quorum: &'q DescribeQuorumResponse<'_>,
) -> Option<&'q DescribeQuorumResponsePartitionData<'q>> {
    let topic = quorum.topics.iter().find(|topic| topic.topic_name == METADATA_TOPIC)?;
    topic.partitions.first().filter(|partition| partition.error_code == 0)
}

/// Where the leader of the metadata serves clients; `None` if it does not.
pub(super) fn address_of_leader(
    quorum: &DescribeQuorumResponse<'_>,
    cluster: &DescribeClusterResponse<'_>,
) -> Option<HostPort> {
    let leader = metadata_partition(quorum).map_or(cluster.controller_id, |found| found.leader_id);
    let broker = cluster.brokers.iter().find(|broker| broker.broker_id == leader)?;
    address(&broker.host, broker.port)
}

/// Enters what each node is to the quorum; the end of the leader's log.
fn add_quorum(
    nodes: &mut BTreeMap<i32, Node>,
    quorum: &DescribeQuorumResponsePartitionData<'_>,
) -> Option<i64> {
    let everybody = || quorum.current_voters.iter().chain(&quorum.observers);
    let leader = everybody().find(|member| member.replica_id == quorum.leader_id);
    let known = leader.filter(|leader| leader.log_end_offset >= 0);
    for member in everybody() {
        let node = entry(nodes, member.replica_id);
        node.lag = known.and_then(|leader| lag(member, leader));
    }
    for member in &quorum.observers {
        entry(nodes, member.replica_id).metadata = Some(MetadataRole::Observer);
    }
    for member in &quorum.current_voters {
        let node = entry(nodes, member.replica_id);
        node.controller = true;
        node.metadata = Some(if member.replica_id == quorum.leader_id {
            MetadataRole::Leader
        } else {
            MetadataRole::Voter
        });
    }
    known.map(|leader| leader.log_end_offset)
}

fn lag(member: &DescribeQuorumReplicaState, leader: &DescribeQuorumReplicaState) -> Option<Lag> {
    if member.log_end_offset < 0 {
        return None;
    }
    let known = member.last_caught_up_timestamp >= 0 && leader.last_caught_up_timestamp >= 0;
    let millis = leader.last_caught_up_timestamp.saturating_sub(member.last_caught_up_timestamp);
    Some(Lag {
        entries: leader.log_end_offset.saturating_sub(member.log_end_offset).max(0),
        millis: known.then_some(millis.max(0)),
    })
}

#[cfg(test)]
mod tests {
    use chronik_protocol::messages::{
        DescribeClusterBroker, DescribeQuorumResponseTopicData, MetadataResponsePartition,
        MetadataResponseTopic,
    };

    use super::*;

    fn state(id: i32, end: i64, caught_up: i64) -> DescribeQuorumReplicaState {
        DescribeQuorumReplicaState {
            replica_id: id,
            log_end_offset: end,
            last_caught_up_timestamp: caught_up,
            ..Default::default()
        }
    }

    fn quorum(
        voters: Vec<DescribeQuorumReplicaState>,
        observers: Vec<DescribeQuorumReplicaState>,
    ) -> DescribeQuorumResponse<'static> {
        let partition = DescribeQuorumResponsePartitionData {
            leader_id: 1,
            leader_epoch: 7,
            current_voters: voters,
            observers,
            ..Default::default()
        };
        let topic = DescribeQuorumResponseTopicData {
            topic_name: METADATA_TOPIC.into(),
            partitions: vec![partition],
        };
        DescribeQuorumResponse { topics: vec![topic], ..Default::default() }
    }

    fn cluster(brokers: &[(i32, bool)]) -> DescribeClusterResponse<'static> {
        let broker = |&(id, is_fenced): &(i32, bool)| DescribeClusterBroker {
            broker_id: id,
            host: "h".into(),
            port: 9091 + id,
            is_fenced,
            ..Default::default()
        };
        DescribeClusterResponse {
            cluster_id: "c".into(),
            controller_id: 1,
            brokers: brokers.iter().map(broker).collect(),
            ..Default::default()
        }
    }

    fn metadata(partitions: &[(i32, &[i32], &[i32])]) -> MetadataResponse<'static> {
        let one = |(index, (leader, replicas, isr)): (usize, &(i32, &[i32], &[i32]))| {
            MetadataResponsePartition {
                partition_index: i32::try_from(index).unwrap(),
                leader_id: *leader,
                replica_nodes: replicas.to_vec(),
                isr_nodes: isr.to_vec(),
                ..Default::default()
            }
        };
        let topic = MetadataResponseTopic {
            name: Some("t".into()),
            partitions: partitions.iter().enumerate().map(one).collect(),
            ..Default::default()
        };
        MetadataResponse { topics: vec![topic], ..Default::default() }
    }

    #[test]
    fn nodes_have_the_roles_and_the_lag_that_the_quorum_tells_of() {
        let voters = vec![state(1, 100, 5000), state(2, 100, 5000), state(3, 90, 3500)];
        let answers = Answers {
            cluster: cluster(&[(1, false), (2, true), (4, false)]),
            metadata: metadata(&[]),
            quorum: quorum(voters, vec![state(4, -1, -1)]),
        };
        let status = Status::new(&answers);
        assert_eq!((status.leader, status.term, status.log_end), (Some(1), 7, Some(100)));
        let shown: Vec<_> = status
            .nodes
            .iter()
            .map(|node| (node.id, node.broker, node.controller, node.fenced, node.metadata))
            .collect();
        assert_eq!(
            shown,
            [
                (1, true, true, Some(false), Some(MetadataRole::Leader)),
                (2, true, true, Some(true), Some(MetadataRole::Voter)),
                (3, false, true, None, Some(MetadataRole::Voter)),
                (4, true, false, Some(false), Some(MetadataRole::Observer)),
            ]
        );
        let lags: Vec<_> = status.nodes.iter().map(|node| node.lag).collect();
        let lag = |entries, millis| Some(Lag { entries, millis });
        assert_eq!(lags, [lag(0, Some(0)), lag(0, Some(0)), lag(10, Some(1500)), None]);
        let leader = address_of_leader(&answers.quorum, &answers.cluster).unwrap();
        assert_eq!(leader.to_string(), "h:9092");
    }

    #[test]
    fn partitions_that_lack_something_are_told_apart() {
        let answers = Answers {
            cluster: cluster(&[(1, false), (2, false)]),
            metadata: metadata(&[
                (1, &[1, 2], &[1, 2]),
                (2, &[2, 1], &[2]),
                (-1, &[1], &[]),
                (-1, &[1], &[1]),
            ]),
            quorum: DescribeQuorumResponse::default(),
        };
        let status = Status::new(&answers);
        assert_eq!((status.partitions, status.wanting.len()), (4, 3));
        assert_eq!((status.offline(), status.under_replicated()), (2, 2));
        assert_eq!((status.leader, status.term, status.log_end), (Some(1), -1, None));
        let shown: Vec<_> = status.nodes.iter().map(|n| (n.leads, n.replicas, n.in_sync)).collect();
        assert_eq!(shown, [(1, 4, 2), (1, 2, 2)]);
    }
}
