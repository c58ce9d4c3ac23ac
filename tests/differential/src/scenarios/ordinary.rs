//! An ordinary request of every API in every version.

use std::fmt::Debug;

use chronik_protocol::api::{ApiKey, SERVED};
use chronik_protocol::codec::Request;
use chronik_protocol::compression::Codec;
use chronik_protocol::header;
use chronik_protocol::messages::*;
use chronik_types::Uuid;

use super::{cluster, setup};
use crate::batches;
use crate::session::{CLIENT_ID, CORRELATION_ID, Failure, Session};

/// The topic that ordinary requests are about.
const TOPIC: &str = "ordinary";
/// The group that ordinary requests are about.
const GROUP: &str = "ordinary-group";

pub fn every_api_and_version(s: &mut Session) -> Result<(), Failure> {
    let facts = prepare(s)?;
    for (key, _) in SERVED {
        for version in setup::versions(*key) {
            if *key == ApiKey::DeleteTopics {
                recreate_doomed(s)?;
            }
            visit(*key, version, &facts, &mut Ask { session: s })?;
        }
    }
    Ok(())
}

/// What ordinary requests must know.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    topic: Uuid,
}

/// The topic with records, and the coordinator of the group.
pub fn prepare(s: &mut Session) -> Result<Facts, Failure> {
    let topic = match setup::topic(s, TOPIC, 2, &[]) {
        Ok(id) => id,
        Err(Failure::Preparation(_)) => known_id(s)?,
        Err(error) => return Err(error),
    };
    setup::coordinator(s, GROUP)?;
    setup::producer_ids(s)?;
    setup::produce(s, TOPIC, 0, &batches::records(3, Codec::None))?;
    Ok(Facts { topic })
}

fn known_id(s: &mut Session) -> Result<Uuid, Failure> {
    let reply = s.prepare(12, &setup::metadata_of(TOPIC, false))?;
    let response = reply.read::<MetadataRequest<'_>>()?;
    let id = response.topics.first().ok_or(Failure::NoAnswer)?.topic_id;
    s.masks.learn_topic(id, TOPIC);
    Ok(id)
}

fn recreate_doomed(s: &mut Session) -> Result<(), Failure> {
    setup::await_no_topic(s, "doomed")?;
    setup::topic(s, "doomed", 1, &[]).map(|_| ())
}

/// Does something with a request of any type.
pub trait Visitor {
    /// Called once.
    fn visit<'q, M>(&mut self, version: i16, request: M) -> Result<(), Failure>
    where
        M: Request<'q>,
        for<'r> M::Response<'r>: Debug;
}

struct Ask<'s> {
    session: &'s mut Session,
}

impl Visitor for Ask<'_> {
    fn visit<'q, M>(&mut self, version: i16, request: M) -> Result<(), Failure>
    where
        M: Request<'q>,
        for<'r> M::Response<'r>: Debug,
    {
        let label = format!("{} v{version}", M::KEY.name());
        self.session.ask(&label, version, &request).map(|_| ())
    }
}

/// Keeps the request's frame, with its length.
#[derive(Debug, Default)]
pub struct Frame(pub Vec<u8>);

impl Visitor for Frame {
    fn visit<'q, M>(&mut self, version: i16, request: M) -> Result<(), Failure>
    where
        M: Request<'q>,
        for<'r> M::Response<'r>: Debug,
    {
        self.0 =
            header::encode_request(CORRELATION_ID, Some(CLIENT_ID), version, &request)?.to_vec();
        Ok(())
    }
}

/// Shows `visitor` the ordinary request of an API in a version.
pub fn visit(
    key: ApiKey,
    version: i16,
    facts: &Facts,
    visitor: &mut impl Visitor,
) -> Result<(), Failure> {
    match key {
        ApiKey::Produce => {
            let batch = batches::records(2, Codec::None);
            visitor.visit(version, produce(version, facts, &batch))
        }
        ApiKey::Fetch => visitor.visit(version, fetch(version, facts)),
        ApiKey::ListOffsets => visitor.visit(version, list_offsets()),
        ApiKey::Metadata => visitor.visit(version, setup::metadata_of(TOPIC, true)),
        ApiKey::OffsetCommit => visitor.visit(version, offset_commit()),
        ApiKey::OffsetFetch => visitor.visit(version, offset_fetch(version)),
        ApiKey::FindCoordinator => visitor.visit(version, find_coordinator(version)),
        ApiKey::JoinGroup => visitor.visit(version, join_group()),
        ApiKey::Heartbeat => visitor.visit(version, heartbeat()),
        ApiKey::LeaveGroup => visitor.visit(version, leave_group(version)),
        ApiKey::SyncGroup => visitor.visit(version, sync_group()),
        _ => visit_admin(key, version, facts, visitor),
    }
}

fn visit_admin(
    key: ApiKey,
    version: i16,
    facts: &Facts,
    visitor: &mut impl Visitor,
) -> Result<(), Failure> {
    match key {
        ApiKey::DescribeGroups => visitor.visit(
            version,
            DescribeGroupsRequest { groups: vec![GROUP.into()], ..Default::default() },
        ),
        ApiKey::ListGroups => visitor.visit(version, ListGroupsRequest::default()),
        ApiKey::ApiVersions => visitor.visit(
            version,
            ApiVersionsRequest {
                client_software_name: "differential".into(),
                client_software_version: "1.0".into(),
            },
        ),
        ApiKey::CreateTopics => visitor.visit(version, create_topics(version)),
        ApiKey::DeleteTopics => visitor.visit(version, delete_topics(version)),
        ApiKey::DeleteRecords => visitor.visit(version, delete_records()),
        ApiKey::InitProducerId => visitor.visit(
            version,
            InitProducerIdRequest {
                transactional_id: None,
                transaction_timeout_ms: 60_000,
                ..Default::default()
            },
        ),
        ApiKey::OffsetForLeaderEpoch => visitor.visit(version, offset_for_leader_epoch(version)),
        ApiKey::CreatePartitions => visitor.visit(version, create_partitions()),
        ApiKey::DeleteGroups => visitor
            .visit(version, DeleteGroupsRequest { groups_names: vec!["no-such-group".into()] }),
        ApiKey::OffsetDelete => visitor.visit(version, offset_delete()),
        _ => visit_describe(key, version, facts, visitor),
    }
}

fn visit_describe(
    key: ApiKey,
    version: i16,
    _facts: &Facts,
    visitor: &mut impl Visitor,
) -> Result<(), Failure> {
    match key {
        ApiKey::ElectLeaders => visitor.visit(version, cluster::elect(0, &[(TOPIC, &[0])])),
        ApiKey::AlterPartitionReassignments => {
            visitor.visit(version, cluster::reassign(TOPIC, &[(0, Some(&[1]))]))
        }
        ApiKey::ListPartitionReassignments => {
            visitor.visit(version, cluster::list(Some(&[(TOPIC, &[0])])))
        }
        ApiKey::UpdateFeatures => {
            visitor.visit(version, cluster::update(&[("metadata.version", 27, 1)]))
        }
        ApiKey::UnregisterBroker => {
            visitor.visit(version, UnregisterBrokerRequest { broker_id: 7 })
        }
        ApiKey::AddRaftVoter => visitor.visit(version, cluster::add_voter("wrong", 2)),
        ApiKey::RemoveRaftVoter => visitor.visit(version, cluster::remove_voter("wrong", 2)),
        ApiKey::DescribeConfigs => visitor.visit(version, describe_configs(version)),
        ApiKey::AlterConfigs => visitor.visit(version, alter_configs()),
        ApiKey::IncrementalAlterConfigs => visitor.visit(version, incremental_alter_configs()),
        ApiKey::DescribeLogDirs => visitor.visit(version, describe_log_dirs()),
        ApiKey::DescribeQuorum => visitor.visit(version, describe_quorum()),
        ApiKey::DescribeCluster => visitor.visit(version, DescribeClusterRequest::default()),
        ApiKey::DescribeProducers => visitor.visit(
            version,
            DescribeProducersRequest {
                topics: vec![DescribeProducersTopicRequest {
                    name: TOPIC.into(),
                    partition_indexes: vec![0],
                }],
            },
        ),
        ApiKey::ListConfigResources => {
            visitor.visit(version, ListConfigResourcesRequest::default())
        }
        ApiKey::DescribeTopicPartitions => visitor.visit(
            version,
            DescribeTopicPartitionsRequest {
                topics: vec![DescribeTopicPartitionsTopicRequest { name: TOPIC.into() }],
                ..Default::default()
            },
        ),
        other => Err(Failure::Preparation(format!("no ordinary request of {}", other.name()))),
    }
}

fn produce<'a>(version: i16, facts: &Facts, batch: &'a [u8]) -> ProduceRequest<'a> {
    let mut request = setup::produce_request(TOPIC, 0, batch);
    if version >= 13 {
        request.topic_data[0].topic_id = facts.topic;
    }
    request
}

fn fetch(version: i16, facts: &Facts) -> FetchRequest<'static> {
    let partition =
        FetchPartition { fetch_offset: 0, partition_max_bytes: 1 << 20, ..Default::default() };
    let topic = FetchTopic {
        topic: TOPIC.into(),
        topic_id: if version >= 13 { facts.topic } else { Uuid::ZERO },
        partitions: vec![partition],
    };
    FetchRequest {
        max_wait_ms: 100,
        min_bytes: 1,
        topics: vec![topic],
        session_epoch: -1,
        ..Default::default()
    }
}

fn list_offsets() -> ListOffsetsRequest<'static> {
    let partition = |partition_index, timestamp| ListOffsetsPartition {
        partition_index,
        timestamp,
        ..Default::default()
    };
    ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: TOPIC.into(),
            partitions: vec![partition(0, batches::T0 + 1), partition(1, -1)],
        }],
        ..Default::default()
    }
}

fn offset_commit() -> OffsetCommitRequest<'static> {
    let partition = OffsetCommitRequestPartition {
        partition_index: 0,
        committed_offset: 2,
        committed_metadata: Some("a note".into()),
        ..Default::default()
    };
    OffsetCommitRequest {
        group_id: GROUP.into(),
        topics: vec![OffsetCommitRequestTopic { name: TOPIC.into(), partitions: vec![partition] }],
        ..Default::default()
    }
}

fn offset_fetch(version: i16) -> OffsetFetchRequest<'static> {
    if version < 8 {
        return OffsetFetchRequest {
            group_id: GROUP.into(),
            topics: Some(vec![OffsetFetchRequestTopic {
                name: TOPIC.into(),
                partition_indexes: vec![0, 1],
            }]),
            ..Default::default()
        };
    }
    let group = OffsetFetchRequestGroup {
        group_id: GROUP.into(),
        topics: Some(vec![OffsetFetchRequestTopics {
            name: TOPIC.into(),
            partition_indexes: vec![0, 1],
        }]),
        ..Default::default()
    };
    OffsetFetchRequest { groups: vec![group], ..Default::default() }
}

fn find_coordinator(version: i16) -> FindCoordinatorRequest<'static> {
    if version < 4 {
        return FindCoordinatorRequest { key: GROUP.into(), ..Default::default() };
    }
    FindCoordinatorRequest { coordinator_keys: vec![GROUP.into()], ..Default::default() }
}

fn join_group() -> JoinGroupRequest<'static> {
    JoinGroupRequest {
        group_id: "ordinary-members".into(),
        session_timeout_ms: 6000,
        rebalance_timeout_ms: 6000,
        member_id: "nobody".into(),
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".into(),
            metadata: vec![0, 1].into(),
        }],
        ..Default::default()
    }
}

fn heartbeat() -> HeartbeatRequest<'static> {
    HeartbeatRequest {
        group_id: GROUP.into(),
        generation_id: 1,
        member_id: "nobody".into(),
        ..Default::default()
    }
}

fn leave_group(version: i16) -> LeaveGroupRequest<'static> {
    if version < 3 {
        return LeaveGroupRequest {
            group_id: GROUP.into(),
            member_id: "nobody".into(),
            ..Default::default()
        };
    }
    let member = MemberIdentity { member_id: "nobody".into(), ..Default::default() };
    LeaveGroupRequest { group_id: GROUP.into(), members: vec![member], ..Default::default() }
}

fn sync_group() -> SyncGroupRequest<'static> {
    SyncGroupRequest {
        group_id: GROUP.into(),
        generation_id: 1,
        member_id: "nobody".into(),
        assignments: vec![SyncGroupRequestAssignment {
            member_id: "nobody".into(),
            assignment: vec![1].into(),
        }],
        ..Default::default()
    }
}

fn create_topics(version: i16) -> CreateTopicsRequest<'static> {
    let topic = CreatableTopic {
        name: format!("created-v{version}").into(),
        num_partitions: 3,
        replication_factor: 1,
        configs: vec![CreatableTopicConfig {
            name: "retention.ms".into(),
            value: Some("86400000".into()),
        }],
        ..Default::default()
    };
    CreateTopicsRequest { topics: vec![topic], timeout_ms: 5000, validate_only: false }
}

fn delete_topics(version: i16) -> DeleteTopicsRequest<'static> {
    if version < 6 {
        return DeleteTopicsRequest {
            topic_names: vec!["doomed".into()],
            timeout_ms: 5000,
            ..Default::default()
        };
    }
    let topic = DeleteTopicState { name: Some("doomed".into()), topic_id: Uuid::ZERO };
    DeleteTopicsRequest { topics: vec![topic], timeout_ms: 5000, ..Default::default() }
}

fn delete_records() -> DeleteRecordsRequest<'static> {
    let partition = DeleteRecordsPartition { partition_index: 0, offset: 1 };
    DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic { name: TOPIC.into(), partitions: vec![partition] }],
        timeout_ms: 5000,
    }
}

fn offset_for_leader_epoch(version: i16) -> OffsetForLeaderEpochRequest<'static> {
    let partition =
        OffsetForLeaderPartition { partition: 0, current_leader_epoch: -1, leader_epoch: 0 };
    OffsetForLeaderEpochRequest {
        replica_id: if version >= 3 { -1 } else { -2 },
        topics: vec![OffsetForLeaderTopic { topic: TOPIC.into(), partitions: vec![partition] }],
    }
}

fn create_partitions() -> CreatePartitionsRequest<'static> {
    let topic = CreatePartitionsTopic { name: TOPIC.into(), count: 4, assignments: None };
    CreatePartitionsRequest { topics: vec![topic], timeout_ms: 5000, validate_only: true }
}

fn offset_delete() -> OffsetDeleteRequest<'static> {
    OffsetDeleteRequest {
        group_id: GROUP.into(),
        topics: vec![OffsetDeleteRequestTopic {
            name: TOPIC.into(),
            partitions: vec![OffsetDeleteRequestPartition { partition_index: 1 }],
        }],
    }
}

fn describe_configs(version: i16) -> DescribeConfigsRequest<'static> {
    DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: 2,
            resource_name: TOPIC.into(),
            configuration_keys: None,
        }],
        include_synonyms: true,
        include_documentation: version >= 3,
    }
}

fn alter_configs() -> AlterConfigsRequest<'static> {
    AlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: 2,
            resource_name: TOPIC.into(),
            configs: vec![AlterConfigsAlterableConfig {
                name: "segment.ms".into(),
                value: Some("1000000".into()),
            }],
        }],
        validate_only: true,
    }
}

fn incremental_alter_configs() -> IncrementalAlterConfigsRequest<'static> {
    IncrementalAlterConfigsRequest {
        resources: vec![IncrementalAlterConfigsResource {
            resource_type: 2,
            resource_name: TOPIC.into(),
            configs: vec![IncrementalAlterConfigsAlterableConfig {
                name: "segment.ms".into(),
                config_operation: 0,
                value: Some("1000000".into()),
            }],
        }],
        validate_only: true,
    }
}

fn describe_log_dirs() -> DescribeLogDirsRequest<'static> {
    let topic = DescribableLogDirTopic { topic: TOPIC.into(), partitions: vec![0] };
    DescribeLogDirsRequest { topics: Some(vec![topic]) }
}

fn describe_quorum() -> DescribeQuorumRequest<'static> {
    DescribeQuorumRequest {
        topics: vec![DescribeQuorumRequestTopicData {
            topic_name: "__cluster_metadata".into(),
            partitions: vec![DescribeQuorumRequestPartitionData { partition_index: 0 }],
        }],
    }
}
