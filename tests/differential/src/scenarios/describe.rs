//! DescribeProducers, DescribeLogDirs, DescribeQuorum and ListConfigResources.

use chronik_protocol::api::ApiKey;
use chronik_protocol::compression::Codec;
use chronik_protocol::messages::*;

use super::setup::{produce, topic, versions};
use crate::batches::{idempotent, records};
use crate::session::{Failure, Session};

/// Producers with state.
pub fn producers(s: &mut Session) -> Result<(), Failure> {
    topic(s, "produced", 2, &[])?;
    produce(s, "produced", 0, &idempotent(900, 3, 0, 5))?;
    produce(s, "produced", 0, &idempotent(901, 0, 7, 1))?;
    produce(s, "produced", 0, &records(1, Codec::None))?;
    let request = |topics: &[(&'static str, &[i32])]| DescribeProducersRequest {
        topics: topics
            .iter()
            .map(|(name, partitions)| DescribeProducersTopicRequest {
                name: (*name).into(),
                partition_indexes: partitions.to_vec(),
            })
            .collect(),
    };
    for (label, topics) in [
        ("known", &[("produced", &[0, 1][..])][..]),
        ("unknown partition", &[("produced", &[2, -1])]),
        ("unknown topic", &[("nowhere", &[0])]),
        ("invalid topic", &[("a/b", &[0])]),
        ("unnamed topic", &[("", &[0])]),
        ("no partitions", &[("produced", &[])]),
        ("partition twice", &[("produced", &[0, 0])]),
        ("topic twice", &[("produced", &[0]), ("produced", &[1])]),
        ("nothing", &[]),
    ] {
        s.ask(label, 0, &request(topics))?;
    }
    Ok(())
}

/// Directories and the partitions in them.
pub fn log_dirs(s: &mut Session) -> Result<(), Failure> {
    topic(s, "sized", 2, &[])?;
    produce(s, "sized", 0, &records(5, Codec::None))?;
    let request = |topics: &[(&'static str, &[i32])]| DescribeLogDirsRequest {
        topics: Some(
            topics
                .iter()
                .map(|(name, partitions)| DescribableLogDirTopic {
                    topic: (*name).into(),
                    partitions: partitions.to_vec(),
                })
                .collect(),
        ),
    };
    for version in versions(ApiKey::DescribeLogDirs) {
        for (label, topics) in [
            ("known", &[("sized", &[0, 1][..])][..]),
            ("unknown partition", &[("sized", &[2])]),
            ("unknown topic", &[("nowhere", &[0])]),
            ("no partitions", &[("sized", &[])]),
            ("twice", &[("sized", &[0, 0])]),
            ("nothing", &[]),
        ] {
            s.ask(&format!("{label} v{version}"), version, &request(topics))?;
        }
    }
    Ok(())
}

/// The quorum of the metadata log.
pub fn quorum(s: &mut Session) -> Result<(), Failure> {
    let request = |topics: &[(&'static str, &[i32])]| DescribeQuorumRequest {
        topics: topics
            .iter()
            .map(|(name, partitions)| DescribeQuorumRequestTopicData {
                topic_name: (*name).into(),
                partitions: partitions
                    .iter()
                    .map(|index| DescribeQuorumRequestPartitionData { partition_index: *index })
                    .collect(),
            })
            .collect(),
    };
    let name = "__cluster_metadata";
    for version in versions(ApiKey::DescribeQuorum) {
        for (label, topics) in [
            ("known", &[(name, &[0][..])][..]),
            ("another partition", &[(name, &[1])]),
            ("two partitions", &[(name, &[0, 1])]),
            ("another topic", &[("ordinary", &[0])]),
            ("unnamed topic", &[("", &[0])]),
            ("twice", &[(name, &[0]), (name, &[0])]),
            ("no partitions", &[(name, &[])]),
            ("nothing", &[]),
        ] {
            s.ask(&format!("{label} v{version}"), version, &request(topics))?;
        }
    }
    Ok(())
}

/// Resources that have configs.
pub fn resources(s: &mut Session) -> Result<(), Failure> {
    s.ask("all v0", 0, &ListConfigResourcesRequest::default())?;
    for types in [
        &[2][..],
        &[4],
        &[8],
        &[16],
        &[32],
        &[4, 8, 16, 32],
        &[4, 4],
        &[0],
        &[1],
        &[3],
        &[-1],
        &[127],
    ] {
        let request = ListConfigResourcesRequest { resource_types: types.to_vec() };
        s.ask(&format!("types {types:?} v1"), 1, &request)?;
    }
    Ok(())
}
