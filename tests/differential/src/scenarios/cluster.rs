//! Leaders, replicas, features, brokers and voters, as far as a cluster of one has them.

use chronik_protocol::api::ApiKey;
use chronik_protocol::messages::*;
use chronik_types::Uuid;

use super::setup::{topic, versions};
use crate::session::{Failure, Session};

const TOPIC: &str = "placed";

/// Partitions by topic.
type Named<'a> = &'a [(&'static str, &'a [i32])];

/// An election for these partitions.
pub fn elect(election_type: i8, topics: Named<'_>) -> ElectLeadersRequest<'static> {
    let named = |(topic, partitions): &(&'static str, &[i32])| ElectLeadersTopicPartitions {
        topic: (*topic).into(),
        partitions: partitions.to_vec(),
    };
    ElectLeadersRequest {
        election_type,
        topic_partitions: Some(topics.iter().map(named).collect()),
        timeout_ms: 5000,
    }
}

/// Elections that are not needed, and of what there is not.
pub fn elections(s: &mut Session) -> Result<(), Failure> {
    topic(s, TOPIC, 2, &[])?;
    for version in versions(ApiKey::ElectLeaders) {
        let kinds: &[i8] = if version >= 1 { &[0, 1, 2, -1] } else { &[0] };
        for kind in kinds {
            let cases: &[(&str, Named<'_>)] = &[
                ("known", &[(TOPIC, &[0, 1])]),
                ("unknown partition", &[(TOPIC, &[0, 7, -1])]),
                ("unknown topic", &[("nowhere", &[0])]),
                ("invalid topic", &[("a/b", &[0]), ("", &[0])]),
                ("internal", &[("__consumer_offsets", &[0])]),
                ("partition twice", &[(TOPIC, &[0, 0])]),
                ("topic twice", &[(TOPIC, &[0]), (TOPIC, &[1])]),
                ("no partitions", &[(TOPIC, &[])]),
                ("none", &[]),
            ];
            for (label, topics) in cases {
                let label = format!("{label}, kind {kind} v{version}");
                s.ask(&label, version, &elect(*kind, topics))?;
            }
            let all = ElectLeadersRequest { topic_partitions: None, ..elect(*kind, &[]) };
            s.ask(&format!("all, kind {kind} v{version}"), version, &all)?;
        }
        let late = ElectLeadersRequest { timeout_ms: 0, ..elect(0, &[(TOPIC, &[0])]) };
        s.ask(&format!("without time v{version}"), version, &late)?;
    }
    Ok(())
}

/// New replicas for partitions of one topic.
pub fn reassign(
    name: &'static str,
    partitions: &[(i32, Option<&[i32]>)],
) -> AlterPartitionReassignmentsRequest<'static> {
    let partition = |(partition_index, replicas): &(i32, Option<&[i32]>)| ReassignablePartition {
        partition_index: *partition_index,
        replicas: replicas.map(<[i32]>::to_vec),
    };
    let topic = ReassignableTopic {
        name: name.into(),
        partitions: partitions.iter().map(partition).collect(),
    };
    AlterPartitionReassignmentsRequest {
        timeout_ms: 5000,
        topics: vec![topic],
        ..Default::default()
    }
}

/// The moves of these partitions, or of all.
pub fn list(topics: Option<Named<'_>>) -> ListPartitionReassignmentsRequest<'static> {
    let named = |(name, partitions): &(&'static str, &[i32])| ListPartitionReassignmentsTopics {
        name: (*name).into(),
        partition_indexes: partitions.to_vec(),
    };
    ListPartitionReassignmentsRequest {
        timeout_ms: 5000,
        topics: topics.map(|topics| topics.iter().map(named).collect()),
    }
}

/// Moves to where the replicas are already, to nobody, and back.
pub fn reassignments(s: &mut Session) -> Result<(), Failure> {
    for version in versions(ApiKey::AlterPartitionReassignments) {
        let cases: &[(&str, &'static str, Option<&[i32]>)] = &[
            ("to where it is", TOPIC, Some(&[1])),
            ("to an unknown broker", TOPIC, Some(&[2])),
            ("to one more", TOPIC, Some(&[1, 2])),
            ("to nobody", TOPIC, Some(&[])),
            ("twice to one", TOPIC, Some(&[1, 1])),
            ("to broker -1", TOPIC, Some(&[-1])),
            ("back", TOPIC, None),
            ("of an unknown topic", "nowhere", Some(&[1])),
            ("back of an unknown topic", "nowhere", None),
            ("of an invalid topic", "a/b", Some(&[1])),
            ("of an unnamed topic", "", Some(&[1])),
            ("of an internal topic", "__consumer_offsets", Some(&[1])),
        ];
        for (label, name, replicas) in cases {
            let request = reassign(name, &[(0, *replicas)]);
            s.ask(&format!("{label} v{version}"), version, &request)?;
        }
        for (label, partitions) in [
            ("unknown partitions", &[(7, Some(&[1][..])), (-1, Some(&[1])), (7, None)][..]),
            ("partition twice", &[(0, Some(&[1])), (0, None)]),
            ("some good, some not", &[(0, Some(&[1])), (1, Some(&[2]))]),
            ("no partitions", &[]),
        ] {
            let request = reassign(TOPIC, partitions);
            s.ask(&format!("{label} v{version}"), version, &request)?;
        }
        let none = AlterPartitionReassignmentsRequest { topics: vec![], ..reassign(TOPIC, &[]) };
        s.ask(&format!("none v{version}"), version, &none)?;
        if version >= 1 {
            let request = reassign(TOPIC, &[(0, Some(&[1])), (1, Some(&[1, 2]))]);
            let fixed = AlterPartitionReassignmentsRequest {
                allow_replication_factor_change: false,
                ..request
            };
            s.ask(&format!("of as many replicas v{version}"), version, &fixed)?;
        }
        let late = reassign(TOPIC, &[(0, None)]);
        let late = AlterPartitionReassignmentsRequest { timeout_ms: 0, ..late };
        s.ask(&format!("without time v{version}"), version, &late)?;
    }
    for version in versions(ApiKey::ListPartitionReassignments) {
        let cases: &[(&str, Option<Named<'_>>)] = &[
            ("all", None),
            ("none", Some(&[])),
            ("known", Some(&[(TOPIC, &[0, 1])])),
            ("unknown partitions", Some(&[(TOPIC, &[7, -1])])),
            ("unknown topic", Some(&[("nowhere", &[0])])),
            ("invalid topic", Some(&[("a/b", &[0]), ("", &[0])])),
            ("twice", Some(&[(TOPIC, &[0, 0]), (TOPIC, &[0])])),
        ];
        for (label, topics) in cases {
            s.ask(&format!("{label} listed v{version}"), version, &list(*topics))?;
        }
    }
    Ok(())
}

/// Levels of features and the kind of each change: 1 upgrade, 2 safe and 3 unsafe downgrade.
pub fn update(features: &[(&'static str, i16, i8)]) -> UpdateFeaturesRequest<'static> {
    let update =
        |(feature, max_version_level, upgrade_type): &(&'static str, i16, i8)| FeatureUpdateKey {
            feature: (*feature).into(),
            max_version_level: *max_version_level,
            allow_downgrade: false,
            upgrade_type: *upgrade_type,
        };
    UpdateFeaturesRequest {
        timeout_ms: 5000,
        feature_updates: features.iter().map(update).collect(),
        validate_only: false,
    }
}

/// Levels that are there already, that nobody knows, and kinds of change that do not fit.
pub fn features(s: &mut Session) -> Result<(), Failure> {
    let (version_feature, elr) = ("metadata.version", "eligible.leader.replicas.version");
    for version in versions(ApiKey::UpdateFeatures) {
        // The kind is not said in version 0.
        let kinds: &[i8] = if version >= 1 { &[1, 2, 3, 0, 4, -1] } else { &[1] };
        for kind in kinds {
            for (name, level) in [
                (version_feature, 27),
                (version_feature, 28),
                (version_feature, 99),
                (version_feature, 6),
                (version_feature, 0),
                (version_feature, -1),
                (elr, 1),
                (elr, 2),
                ("no.such.feature", 1),
                ("no.such.feature", 0),
                ("", 1),
            ] {
                let request = update(&[(name, level, *kind)]);
                let request = UpdateFeaturesRequest { validate_only: version >= 1, ..request };
                s.ask(&format!("{name:?} {level} kind {kind} v{version}"), version, &request)?;
            }
        }
        let again = update(&[(version_feature, 27, 1)]);
        s.ask(&format!("really v{version}"), version, &again)?;
        let twice = update(&[(version_feature, 27, 1), (version_feature, 27, 1)]);
        s.ask(&format!("twice v{version}"), version, &twice)?;
        let mixed = update(&[(version_feature, 27, 1), ("no.such.feature", 1, 1)]);
        s.ask(&format!("one good, one not v{version}"), version, &mixed)?;
        s.ask(&format!("none v{version}"), version, &update(&[]))?;
        let late = UpdateFeaturesRequest { timeout_ms: 0, ..again };
        s.ask(&format!("without time v{version}"), version, &late)?;
    }
    Ok(())
}

/// Brokers that nobody can forget, since nobody knows them.
pub fn brokers(s: &mut Session) -> Result<(), Failure> {
    for version in versions(ApiKey::UnregisterBroker) {
        for broker_id in [7, 0, -1, i32::MAX] {
            let request = UnregisterBrokerRequest { broker_id };
            s.ask(&format!("broker {broker_id} v{version}"), version, &request)?;
        }
    }
    Ok(())
}

const DIRECTORY: Uuid = Uuid([9; 16]);

/// A voter with an endpoint where nobody listens.
pub fn add_voter(cluster_id: &'static str, voter_id: i32) -> AddRaftVoterRequest<'static> {
    let listener =
        AddRaftVoterListener { name: "CONTROLLER".into(), host: "127.0.0.1".into(), port: 1 };
    AddRaftVoterRequest {
        cluster_id: Some(cluster_id.into()),
        timeout_ms: 5000,
        voter_id,
        voter_directory_id: DIRECTORY,
        listeners: vec![listener],
    }
}

/// A voter that there is not.
pub fn remove_voter(cluster_id: &'static str, voter_id: i32) -> RemoveRaftVoterRequest<'static> {
    RemoveRaftVoterRequest {
        cluster_id: Some(cluster_id.into()),
        voter_id,
        voter_directory_id: DIRECTORY,
    }
}

/// Voters that cannot be added, and ones that cannot be removed.
pub fn voters(s: &mut Session) -> Result<(), Failure> {
    for version in versions(ApiKey::AddRaftVoter) {
        let here = |voter_id| AddRaftVoterRequest { cluster_id: None, ..add_voter("", voter_id) };
        for (label, request) in [
            ("of another cluster", add_voter("wrong", 2)),
            ("of an unnamed cluster", add_voter("", 2)),
            ("of number -1", here(-1)),
            (
                "without a directory",
                AddRaftVoterRequest { voter_directory_id: Uuid::ZERO, ..here(2) },
            ),
            ("without an endpoint", AddRaftVoterRequest { listeners: vec![], ..here(2) }),
            ("that is there", here(1)),
        ] {
            s.ask(&format!("added {label} v{version}"), version, &request)?;
        }
        let mut elsewhere = here(2);
        elsewhere.listeners[0].name = "PLAINTEXT".into();
        s.ask(&format!("added on another listener v{version}"), version, &elsewhere)?;
    }
    for version in versions(ApiKey::RemoveRaftVoter) {
        let here =
            |voter_id| RemoveRaftVoterRequest { cluster_id: None, ..remove_voter("", voter_id) };
        for (label, request) in [
            ("of another cluster", remove_voter("wrong", 2)),
            ("of number -1", here(-1)),
            (
                "without a directory",
                RemoveRaftVoterRequest { voter_directory_id: Uuid::ZERO, ..here(2) },
            ),
            ("that is not there", here(2)),
            ("with another directory", here(1)),
        ] {
            s.ask(&format!("removed {label} v{version}"), version, &request)?;
        }
    }
    Ok(())
}
