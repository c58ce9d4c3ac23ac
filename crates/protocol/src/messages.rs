//! Every message that is spoken, one file for each API; the names are those of Kafka's schemas.
//!
//! A name that several APIs of Kafka use for different structs has the API before it, as in
//! `FetchPartitionData`. Versions: [`crate::api`]. How to read the tables: `codec/schema.rs`.

mod add_raft_voter;
mod alter_configs;
mod alter_partition_reassignments;
mod api_versions;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
mod elect_leaders;
mod fetch;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod remove_raft_voter;
mod sync_group;
mod unregister_broker;
mod update_features;

mod any_request;
#[cfg(test)]
mod tests;

pub use add_raft_voter::*;
pub use alter_configs::*;
pub use alter_partition_reassignments::*;
pub use any_request::AnyRequest;
pub use api_versions::*;
pub use create_partitions::*;
pub use create_topics::*;
pub use delete_groups::*;
pub use delete_records::*;
pub use delete_topics::*;
pub use describe_cluster::*;
pub use describe_configs::*;
pub use describe_groups::*;
pub use describe_log_dirs::*;
pub use describe_producers::*;
pub use describe_quorum::*;
pub use describe_topic_partitions::*;
pub use elect_leaders::*;
pub use fetch::*;
pub use find_coordinator::*;
pub use heartbeat::*;
pub use incremental_alter_configs::*;
pub use init_producer_id::*;
pub use join_group::*;
pub use leave_group::*;
pub use list_config_resources::*;
pub use list_groups::*;
pub use list_offsets::*;
pub use list_partition_reassignments::*;
pub use metadata::*;
pub use offset_commit::*;
pub use offset_delete::*;
pub use offset_fetch::*;
pub use offset_for_leader_epoch::*;
pub use produce::*;
pub use remove_raft_voter::*;
pub use sync_group::*;
pub use unregister_broker::*;
pub use update_features::*;

/// Calls a macro with every API: `Name: Request, Response;` each.
macro_rules! each_api {
    ($call:ident) => {
        $call! {
            Produce: ProduceRequest<'a>, ProduceResponse<'a>;
            Fetch: FetchRequest<'a>, FetchResponse<'a>;
            ListOffsets: ListOffsetsRequest<'a>, ListOffsetsResponse<'a>;
            Metadata: MetadataRequest<'a>, MetadataResponse<'a>;
            OffsetCommit: OffsetCommitRequest<'a>, OffsetCommitResponse<'a>;
            OffsetFetch: OffsetFetchRequest<'a>, OffsetFetchResponse<'a>;
            FindCoordinator: FindCoordinatorRequest<'a>, FindCoordinatorResponse<'a>;
            JoinGroup: JoinGroupRequest<'a>, JoinGroupResponse<'a>;
            Heartbeat: HeartbeatRequest<'a>, HeartbeatResponse;
            LeaveGroup: LeaveGroupRequest<'a>, LeaveGroupResponse<'a>;
            SyncGroup: SyncGroupRequest<'a>, SyncGroupResponse<'a>;
            DescribeGroups: DescribeGroupsRequest<'a>, DescribeGroupsResponse<'a>;
            ListGroups: ListGroupsRequest<'a>, ListGroupsResponse<'a>;
            ApiVersions: ApiVersionsRequest<'a>, ApiVersionsResponse<'a>;
            CreateTopics: CreateTopicsRequest<'a>, CreateTopicsResponse<'a>;
            DeleteTopics: DeleteTopicsRequest<'a>, DeleteTopicsResponse<'a>;
            DeleteRecords: DeleteRecordsRequest<'a>, DeleteRecordsResponse<'a>;
            InitProducerId: InitProducerIdRequest<'a>, InitProducerIdResponse;
            OffsetForLeaderEpoch: OffsetForLeaderEpochRequest<'a>, OffsetForLeaderEpochResponse<'a>;
            DescribeConfigs: DescribeConfigsRequest<'a>, DescribeConfigsResponse<'a>;
            AlterConfigs: AlterConfigsRequest<'a>, AlterConfigsResponse<'a>;
            DescribeLogDirs: DescribeLogDirsRequest<'a>, DescribeLogDirsResponse<'a>;
            CreatePartitions: CreatePartitionsRequest<'a>, CreatePartitionsResponse<'a>;
            DeleteGroups: DeleteGroupsRequest<'a>, DeleteGroupsResponse<'a>;
            ElectLeaders: ElectLeadersRequest<'a>, ElectLeadersResponse<'a>;
            IncrementalAlterConfigs: IncrementalAlterConfigsRequest<'a>, IncrementalAlterConfigsResponse<'a>;
            AlterPartitionReassignments: AlterPartitionReassignmentsRequest<'a>, AlterPartitionReassignmentsResponse<'a>;
            ListPartitionReassignments: ListPartitionReassignmentsRequest<'a>, ListPartitionReassignmentsResponse<'a>;
            OffsetDelete: OffsetDeleteRequest<'a>, OffsetDeleteResponse<'a>;
            DescribeQuorum: DescribeQuorumRequest<'a>, DescribeQuorumResponse<'a>;
            UpdateFeatures: UpdateFeaturesRequest<'a>, UpdateFeaturesResponse<'a>;
            DescribeCluster: DescribeClusterRequest, DescribeClusterResponse<'a>;
            DescribeProducers: DescribeProducersRequest<'a>, DescribeProducersResponse<'a>;
            UnregisterBroker: UnregisterBrokerRequest, UnregisterBrokerResponse<'a>;
            ListConfigResources: ListConfigResourcesRequest, ListConfigResourcesResponse<'a>;
            DescribeTopicPartitions: DescribeTopicPartitionsRequest<'a>, DescribeTopicPartitionsResponse<'a>;
            AddRaftVoter: AddRaftVoterRequest<'a>, AddRaftVoterResponse<'a>;
            RemoveRaftVoter: RemoveRaftVoterRequest<'a>, RemoveRaftVoterResponse<'a>;
        }
    };
}

use each_api;
