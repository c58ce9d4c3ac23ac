//! The shapes of OffsetFetch: one group up to version 7, several from 8 on.

use chronik_protocol::messages::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};

/// From this version on, a request names several groups.
const GROUPS_FROM: i16 = 8;
/// From this version on, a response has an error that is not a partition's.
const GROUP_ERROR_FROM: i16 = 2;

/// The groups that a request of `version` asks for.
#[must_use]
pub fn groups_of<'a>(
    request: OffsetFetchRequest<'a>,
    version: i16,
) -> Vec<OffsetFetchRequestGroup<'a>> {
    if version >= GROUPS_FROM {
        return request.groups;
    }
    let topics = request.topics.map(|topics| {
        let topics = topics.into_iter().map(|topic| OffsetFetchRequestTopics {
            name: topic.name,
            partition_indexes: topic.partition_indexes,
        });
        topics.collect()
    });
    vec![OffsetFetchRequestGroup { group_id: request.group_id, topics, ..Default::default() }]
}

/// The response of `version` with what was found for each group. Up to version 7 there is one
/// group; an error of the group in version 1 stands at each partition that `asked` names.
#[must_use]
pub fn response_of<'a>(
    mut groups: Vec<OffsetFetchResponseGroup<'a>>,
    asked: &[OffsetFetchRequestGroup<'a>],
    version: i16,
) -> OffsetFetchResponse<'a> {
    if version >= GROUPS_FROM {
        return OffsetFetchResponse { groups, ..Default::default() };
    }
    let Some(group) = groups.pop() else { return OffsetFetchResponse::default() };
    if group.error_code != 0 && version < GROUP_ERROR_FROM {
        let topics = asked.iter().filter_map(|group| group.topics.as_ref()).flatten();
        let topics = topics.map(|topic| OffsetFetchResponseTopic {
            name: topic.name.clone(),
            partitions: topic
                .partition_indexes
                .iter()
                .map(|index| OffsetFetchResponsePartition {
                    partition_index: *index,
                    committed_offset: -1,
                    error_code: group.error_code,
                    ..Default::default()
                })
                .collect(),
        });
        return OffsetFetchResponse { topics: topics.collect(), ..Default::default() };
    }
    let topics = group.topics.into_iter().map(|topic| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic
            .partitions
            .into_iter()
            .map(|partition| OffsetFetchResponsePartition {
                partition_index: partition.partition_index,
                committed_offset: partition.committed_offset,
                committed_leader_epoch: partition.committed_leader_epoch,
                metadata: partition.metadata,
                error_code: partition.error_code,
            })
            .collect(),
    });
    let topics = topics.collect();
    OffsetFetchResponse { topics, error_code: group.error_code, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use chronik_protocol::messages::{
        OffsetFetchRequestTopic, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
    };

    use super::*;

    #[test]
    fn one_group_of_old_versions_and_back() {
        let topic = OffsetFetchRequestTopic { name: "t".into(), partition_indexes: vec![3] };
        let request = OffsetFetchRequest {
            group_id: "g".into(),
            topics: Some(vec![topic]),
            ..Default::default()
        };
        let groups = groups_of(request, 5);
        assert_eq!(groups[0].group_id, "g");
        assert_eq!(groups[0].topics.as_ref().unwrap()[0].partition_indexes, [3]);
        let all = OffsetFetchRequest { topics: None, ..Default::default() };
        assert_eq!(groups_of(all, 2)[0].topics, None);

        let partition = OffsetFetchResponsePartitions {
            partition_index: 3,
            committed_offset: 9,
            committed_leader_epoch: 2,
            ..Default::default()
        };
        let found = OffsetFetchResponseGroup {
            group_id: "g".into(),
            topics: vec![OffsetFetchResponseTopics {
                name: "t".into(),
                partitions: vec![partition],
            }],
            error_code: 0,
        };
        let response = response_of(vec![found.clone()], &groups, 5);
        assert_eq!(response.topics[0].partitions[0].committed_leader_epoch, 2);
        assert_eq!(response_of(vec![found.clone()], &groups, 8).groups, [found]);
    }

    #[test]
    fn version_1_has_the_error_of_the_group_at_each_partition() {
        let asked = OffsetFetchRequestGroup {
            topics: Some(vec![OffsetFetchRequestTopics {
                name: "t".into(),
                partition_indexes: vec![3],
            }]),
            ..Default::default()
        };
        let failed = OffsetFetchResponseGroup { error_code: 16, ..Default::default() };
        let asked = [asked];
        let response = response_of(vec![failed.clone()], &asked, 1);
        assert_eq!((response.error_code, response.topics[0].partitions[0].error_code), (0, 16));
        assert_eq!(response_of(vec![failed], &asked, 2).error_code, 16);
    }
}
