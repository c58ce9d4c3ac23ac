//! The cluster as a client knows it: brokers, topics, leaders; one connection for each broker.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use chronik_env::Rng;
use chronik_protocol::codec::Request;
use chronik_protocol::header::decode_response;
use chronik_protocol::messages::{
    FindCoordinatorRequest, MetadataRequest, MetadataResponse, MetadataResponsePartition,
    MetadataResponseTopic,
};
use chronik_types::{ErrorCode, TopicId, TopicPartition, Uuid};

use super::client::{Connection, Lost};
use super::history::{History, NodeId};
use super::node::{CLIENT_PORT, host_name};

/// How long metadata may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// A topic as some broker told of it.
#[derive(Clone, Debug)]
pub struct TopicView {
    pub name: String,
    /// The leader of each partition, if there is one.
    pub leaders: Vec<Option<NodeId>>,
    /// The epoch of each partition.
    pub epochs: Vec<i32>,
    /// Whether every replica of every partition is in sync.
    pub in_sync: bool,
}

/// See the module.
pub struct Cluster {
    pub rng: Rng,
    history: Rc<History>,
    /// All brokers there ever were.
    nodes: Vec<NodeId>,
    connections: BTreeMap<NodeId, Connection>,
    pub topics: BTreeMap<Uuid, TopicView>,
    /// The latest epoch that was heard of, and its leader: a broker that was cut off knows less.
    latest: BTreeMap<TopicPartition, (i32, Option<NodeId>)>,
    /// The partitions of the topic that holds what groups have committed.
    offsets: Vec<TopicPartition>,
    /// The last coordinator of each group.
    coordinators: BTreeMap<String, NodeId>,
}

impl Cluster {
    pub fn new(rng: Rng, history: Rc<History>, nodes: Vec<NodeId>) -> Self {
        let (connections, topics, latest) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (offsets, coordinators) = (Vec::new(), BTreeMap::new());
        Self { rng, history, nodes, connections, topics, latest, offsets, coordinators }
    }

    /// Some broker, dead or alive.
    pub fn any_node(&self) -> NodeId {
        self.nodes[self.rng.below(self.nodes.len() as u64) as usize]
    }

    /// Asks `node`; the connection is closed when there is no answer.
    pub async fn call<'m, M: Request<'m>>(
        &mut self,
        node: NodeId,
        version: i16,
        request: &M,
        patience: Duration,
    ) -> Result<Bytes, Lost> {
        let mut connection = self.connection(node).await?;
        let answer = connection.call(version, request, patience).await?;
        self.connections.insert(node, connection);
        Ok(answer)
    }

    /// Sends `node` what nobody answers.
    pub async fn send<'m, M: Request<'m>>(
        &mut self,
        node: NodeId,
        version: i16,
        request: &M,
    ) -> Result<(), Lost> {
        let mut connection = self.connection(node).await?;
        connection.send(version, request).await?;
        self.connections.insert(node, connection);
        Ok(())
    }

    /// The connection to a broker, out of its place.
    async fn connection(&mut self, node: NodeId) -> Result<Connection, Lost> {
        match self.connections.remove(&node) {
            Some(connection) => Ok(connection),
            None => Connection::open(&host_name(node), CLIENT_PORT).await,
        }
    }

    /// Learns topics and leaders from some broker.
    pub async fn refresh(&mut self) -> bool {
        let node = self.any_node();
        self.refresh_from(node).await
    }

    /// Learns topics and leaders from this broker.
    pub async fn refresh_from(&mut self, node: NodeId) -> bool {
        const VERSION: i16 = 13;
        let request = MetadataRequest {
            topics: None,
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let Ok(frame) = self.call(node, VERSION, &request, PATIENCE).await else { return false };
        let (_, response) = decode_response::<MetadataRequest<'_>>(&frame, VERSION)
            .expect("an answer to Metadata can be read");
        self.learn(&response);
        true
    }

    fn learn(&mut self, response: &MetadataResponse<'_>) {
        self.topics.clear();
        for topic in &response.topics {
            if topic.error_code != ErrorCode::None.code() {
                continue;
            }
            if topic.is_internal {
                self.learn_offsets(topic);
            } else {
                self.learn_topic(topic);
            }
        }
    }

    fn learn_offsets(&mut self, topic: &MetadataResponseTopic<'_>) {
        let topic_id = TopicId(topic.topic_id);
        self.offsets.clear();
        for partition in &topic.partitions {
            let tp = TopicPartition { topic_id, partition: partition.partition_index };
            let told = (partition.leader_epoch, u64::try_from(partition.leader_id).ok());
            let latest = self.latest.entry(tp).or_insert(told);
            if told.0 >= latest.0 {
                *latest = told;
            }
            self.offsets.push(tp);
        }
        self.offsets.sort();
    }

    fn learn_topic(&mut self, topic: &MetadataResponseTopic<'_>) {
        let mut partitions = topic.partitions.clone();
        partitions.sort_by_key(|partition| partition.partition_index);
        let (mut leaders, mut epochs) = (Vec::new(), Vec::new());
        let complete = |partition: &MetadataResponsePartition| {
            partition.isr_nodes.len() == partition.replica_nodes.len()
        };
        let in_sync = partitions.iter().all(complete);
        for partition in partitions {
            let told = (partition.leader_epoch, u64::try_from(partition.leader_id).ok());
            let topic_id = TopicId(topic.topic_id);
            let tp = TopicPartition { topic_id, partition: partition.partition_index };
            if let (epoch, Some(leader)) = told {
                self.history.leads(tp, epoch, leader);
            }
            let latest = self.latest.entry(tp).or_insert(told);
            if told.0 >= latest.0 {
                *latest = told;
            }
            epochs.push(latest.0);
            leaders.push(latest.1);
        }
        let name = topic.name.clone().unwrap_or_default().into_owned();
        self.topics.insert(topic.topic_id, TopicView { name, leaders, epochs, in_sync });
    }

    /// The leader of a partition, as far as is known.
    pub fn leader(&self, tp: TopicPartition) -> Option<NodeId> {
        let topic = self.topics.get(&tp.topic_id.0)?;
        *topic.leaders.get(usize::try_from(tp.partition).ok()?)?
    }

    /// The epoch in which it leads, or none that is known.
    pub fn epoch(&self, tp: TopicPartition) -> i32 {
        let topic = self.topics.get(&tp.topic_id.0);
        let at = usize::try_from(tp.partition).unwrap_or(usize::MAX);
        topic.and_then(|topic| topic.epochs.get(at)).copied().unwrap_or(-1)
    }

    /// The broker that coordinates a group. One that was cut off, and may have been succeeded, is not
    /// believed.
    pub async fn coordinator(&mut self, group: &str) -> Option<NodeId> {
        const VERSION: i16 = 6;
        let request = FindCoordinatorRequest {
            coordinator_keys: vec![group.to_owned().into()],
            ..FindCoordinatorRequest::default()
        };
        let node = self.any_node();
        let frame = self.call(node, VERSION, &request, PATIENCE).await.ok()?;
        let (_, response) = decode_response::<FindCoordinatorRequest<'_>>(&frame, VERSION)
            .expect("an answer to FindCoordinator can be read");
        let found = response.coordinators.first()?;
        if found.error_code != ErrorCode::None.code() {
            return None;
        }
        let found = u64::try_from(found.node_id).ok()?;
        if self.coordinators.get(group) != Some(&found) {
            // In which epoch it leads, it knows best.
            self.refresh_from(found).await;
            if self.offsets_leader(group).is_some_and(|leader| leader != found) {
                return None;
            }
            self.coordinators.insert(group.to_owned(), found);
        }
        Some(found)
    }

    /// The latest known leader of the partition that holds what this group has committed.
    fn offsets_leader(&self, group: &str) -> Option<NodeId> {
        let step = |hash: i32, unit: u16| hash.wrapping_mul(31).wrapping_add(i32::from(unit));
        let hash = group.encode_utf16().fold(0, step) & i32::MAX;
        let at = usize::try_from(hash).ok()?.checked_rem(self.offsets.len())?;
        self.latest.get(self.offsets.get(at)?)?.1
    }
}
