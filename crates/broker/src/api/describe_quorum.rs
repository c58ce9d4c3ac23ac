//! DescribeQuorum: leader, voters and observers of the metadata log, and how far each has come,
//! which only the leader knows.

use std::borrow::Cow;
use std::time::Duration;

use chronik_protocol::messages::{
    DescribeQuorumReplicaState, DescribeQuorumRequest, DescribeQuorumResponse,
    DescribeQuorumResponsePartitionData, DescribeQuorumResponseTopicData, Listener, Node,
};
use chronik_raft::{FollowerLag, QuorumMember};
use chronik_types::{BrokerId, ErrorCode, Uuid};

use crate::Broker;
use crate::api::context::Context;
use crate::quorum_relay::{self, Answer};

/// The name clients ask for: Kafka's own metadata topic.
const KAFKA_METADATA_TOPIC: &str = "__cluster_metadata";

/// The first version that tells of directories and endpoints.
const WITH_NODES: i16 = 2;

/// Kafka leaves the words empty here, not null.
const NOTHING_TO_SAY: Option<Cow<'_, str>> = Some(Cow::Borrowed(""));
const UNKNOWN: &str = "This server does not host this topic-partition.";
/// How long another node may take to answer before this one answers with what it knows.
const PATIENCE: Duration = Duration::from_secs(3);

/// Serves one request.
pub(crate) async fn handle(
    broker: &Broker,
    ctx: &Context,
    body: &[u8],
    request: DescribeQuorumRequest<'_>,
) -> Answer<DescribeQuorumResponse<'static>> {
    if !broker.leads_quorum() {
        let deadline = broker.env.clock.monotonic().after(PATIENCE);
        if let Some(answer) = quorum_relay::ask(broker, ctx, body, deadline).await {
            return Answer::Relayed(answer);
        }
    }
    Answer::Here(here(broker, ctx.version, request))
}

/// Answers with what this node knows.
pub(crate) fn here(
    broker: &Broker,
    version: i16,
    request: DescribeQuorumRequest<'_>,
) -> DescribeQuorumResponse<'static> {
    let single = match request.topics.as_slice() {
        [topic] => match topic.partitions.as_slice() {
            [part] => topic.topic_name == KAFKA_METADATA_TOPIC && part.partition_index == 0,
            _ => false,
        },
        _ => false,
    };
    if !single {
        return unknown(request);
    }
    let members = broker.metadata.members();
    let followers = broker.metadata.followers();
    let leadership = broker.metadata.leadership();
    let states = |voter: bool| {
        let members = members.iter().filter(|member| member.voter == voter);
        members.map(|member| state(broker, version, member, &followers)).collect()
    };
    let partition = DescribeQuorumResponsePartitionData {
        partition_index: 0,
        error_code: ErrorCode::None.code(),
        error_message: NOTHING_TO_SAY,
        leader_id: leadership.leader.unwrap_or(BrokerId::NONE).0,
        leader_epoch: leadership.epoch.0,
        high_watermark: broker.committed.borrow().end().0,
        current_voters: states(true),
        observers: states(false),
    };
    let topic = DescribeQuorumResponseTopicData {
        topic_name: KAFKA_METADATA_TOPIC.into(),
        partitions: vec![partition],
    };
    let nodes = if version >= WITH_NODES {
        members.iter().map(|member| node(broker, member)).collect()
    } else {
        Vec::new()
    };
    DescribeQuorumResponse {
        error_message: NOTHING_TO_SAY,
        topics: vec![topic],
        nodes,
        ..Default::default()
    }
}

fn state(
    broker: &Broker,
    version: i16,
    member: &QuorumMember,
    followers: &[FollowerLag],
) -> DescribeQuorumReplicaState {
    let now = broker.env.clock.wall().0;
    let before_now =
        |ago: Duration| now.saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX));
    let follower = followers.iter().find(|follower| follower.node_id == member.node_id);
    let (fetched, caught_up) = match follower {
        Some(follower) => {
            let contact = follower.last_contact.map(before_now);
            let caught_up = contact.map(|_| before_now(follower.lag));
            (contact.unwrap_or(-1), caught_up.unwrap_or(-1))
        }
        // A leader is always caught up with itself; of others only the leader knows.
        None if member.node_id == broker.options.node_id => (now, now),
        None => (-1, -1),
    };
    DescribeQuorumReplicaState {
        replica_id: member.node_id.0,
        replica_directory_id: if version >= WITH_NODES {
            member.member.directory.0
        } else {
            Uuid::ZERO
        },
        log_end_offset: member.log_end.map_or(-1, |end| end.0),
        last_fetch_timestamp: fetched,
        last_caught_up_timestamp: caught_up,
    }
}

/// A voter or observer with where it is reached by the others: its controller listener, or what
/// stands for that. A node that is alone has only the listeners of its clients.
fn node(broker: &Broker, member: &QuorumMember) -> Node<'static> {
    let committed = broker.committed.borrow();
    let registration = committed.image.broker(member.node_id);
    let listener = |name: &str, host: &str, port| Listener {
        name: name.to_owned().into(),
        host: host.to_owned().into(),
        port,
    };
    let controller = broker.options.controller_listeners.first();
    let listeners = registration.map(|registration| match (&registration.internal, controller) {
        (Some(internal), Some(name)) => vec![listener(name, &internal.host, internal.port)],
        _ => registration.listeners.iter().map(|l| listener(&l.name, &l.host, l.port)).collect(),
    });
    Node { node_id: member.node_id.0, listeners: listeners.unwrap_or_default() }
}

fn unknown(request: DescribeQuorumRequest<'_>) -> DescribeQuorumResponse<'static> {
    let topics = request
        .topics
        .into_iter()
        .map(|topic| DescribeQuorumResponseTopicData {
            topic_name: topic.topic_name.into_owned().into(),
            partitions: topic
                .partitions
                .into_iter()
                .map(|part| DescribeQuorumResponsePartitionData {
                    partition_index: part.partition_index,
                    error_code: ErrorCode::UnknownTopicOrPartition.code(),
                    error_message: Some(UNKNOWN.into()),
                    ..Default::default()
                })
                .collect(),
        })
        .collect();
    DescribeQuorumResponse { error_message: NOTHING_TO_SAY, topics, ..Default::default() }
}
