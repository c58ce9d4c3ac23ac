//! OffsetCommit, OffsetFetch and OffsetDelete.

use chronik_protocol::api::ApiKey;
use chronik_protocol::messages::*;

use super::groups::Member;
use super::setup::{coordinator, topic, versions};
use crate::session::{Failure, Session};

type Commit<'a> = (&'a str, i32, i64, Option<&'a str>);

fn commit(group: &str, commits: &[Commit<'_>]) -> OffsetCommitRequest<'static> {
    let topics = commits
        .iter()
        .map(|(topic, partition_index, committed_offset, metadata)| OffsetCommitRequestTopic {
            name: (*topic).to_owned().into(),
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: *partition_index,
                committed_offset: *committed_offset,
                committed_leader_epoch: -1,
                committed_metadata: metadata.map(|text| text.to_owned().into()),
            }],
        })
        .collect();
    OffsetCommitRequest { group_id: group.to_owned().into(), topics, ..Default::default() }
}

/// What is asked of one group; `None` is everything.
fn fetch(
    version: i16,
    group: &'static str,
    topics: Option<&[(&'static str, &[i32])]>,
) -> OffsetFetchRequest<'static> {
    if version < 8 {
        return OffsetFetchRequest {
            group_id: group.into(),
            topics: topics.map(|topics| {
                topics
                    .iter()
                    .map(|(name, partitions)| OffsetFetchRequestTopic {
                        name: (*name).into(),
                        partition_indexes: partitions.to_vec(),
                    })
                    .collect()
            }),
            ..Default::default()
        };
    }
    OffsetFetchRequest { groups: vec![fetch_group(group, topics)], ..Default::default() }
}

fn fetch_group(
    group: &'static str,
    topics: Option<&[(&'static str, &[i32])]>,
) -> OffsetFetchRequestGroup<'static> {
    OffsetFetchRequestGroup {
        group_id: group.into(),
        topics: topics.map(|topics| {
            topics
                .iter()
                .map(|(name, partitions)| OffsetFetchRequestTopics {
                    name: (*name).into(),
                    partition_indexes: partitions.to_vec(),
                })
                .collect()
        }),
        ..Default::default()
    }
}

/// Commits with and without a group.
pub fn commits(s: &mut Session) -> Result<(), Failure> {
    topic(s, "committed", 3, &[])?;
    coordinator(s, "committers")?;
    let long = "m".repeat(4097);
    let longest = "m".repeat(4096);
    for version in versions(ApiKey::OffsetCommit) {
        for (label, commits) in [
            ("one", &[("committed", 0, 5, Some("note"))][..]),
            ("no note", &[("committed", 1, 6, None)]),
            ("offset 0", &[("committed", 2, 0, Some(""))]),
            ("offset -1", &[("committed", 2, -1, Some(""))]),
            ("offset -5", &[("committed", 2, -5, Some(""))]),
            ("unknown partition", &[("committed", 3, 5, Some(""))]),
            ("partition -1", &[("committed", -1, 5, Some(""))]),
            ("unknown topic", &[("nowhere", 0, 5, Some(""))]),
            ("unnamed topic", &[("", 0, 5, Some(""))]),
            ("longest note", &[("committed", 0, 7, Some(&longest))]),
            ("note too long", &[("committed", 0, 8, Some(&long)), ("committed", 1, 8, Some(""))]),
            ("partition twice", &[("committed", 0, 9, Some("")), ("committed", 0, 10, Some(""))]),
            ("known and not", &[("nowhere", 0, 1, Some("")), ("committed", 0, 11, Some(""))]),
            ("nothing", &[]),
        ] {
            s.ask(&format!("{label} v{version}"), version, &commit("committers", commits))?;
        }
        let sound = [("committed", 0, 5, Some("note"))];
        s.ask(&format!("no group v{version}"), version, &commit("", &sound))?;
        for (generation, id) in [(-1, "somebody"), (0, ""), (1, ""), (1, "somebody"), (-2, "")] {
            for group in ["committers", "nobody-committed-here"] {
                let request = OffsetCommitRequest {
                    generation_id_or_member_epoch: generation,
                    member_id: id.into(),
                    ..commit(group, &sound)
                };
                let label = format!("{group} generation {generation} of {id:?} v{version}");
                s.ask(&label, version, &request)?;
            }
        }
        if (2..=4).contains(&version) {
            for retention_time_ms in [0, 5, -5, i64::MAX] {
                let request =
                    OffsetCommitRequest { retention_time_ms, ..commit("keepers", &sound) };
                s.ask(&format!("kept {retention_time_ms} ms v{version}"), version, &request)?;
            }
        }
        if version >= 6 {
            let mut request = commit("committers", &sound);
            request.topics[0].partitions[0].committed_leader_epoch = 4;
            s.ask(&format!("with an epoch v{version}"), version, &request)?;
        }
        s.ask(&format!("all of it v{version}"), 7, &fetch(7, "committers", None))?;
    }
    of_members(s)
}

/// Commits of a group with members.
fn of_members(s: &mut Session) -> Result<(), Failure> {
    coordinator(s, "members")?;
    let mut a = Member::fixed("members", "a");
    a.enter(s, 0, 9, "a")?;
    let sound = [("committed", 0, 5, Some("note"))];
    let by = |member: &Member| OffsetCommitRequest {
        generation_id_or_member_epoch: member.generation,
        member_id: member.id.clone().into(),
        group_instance_id: member.instance.clone().map(Into::into),
        ..commit("members", &sound)
    };
    s.ask("before sync", 9, &by(&a))?;
    let id = a.id.clone();
    s.ask("syncs", 5, &a.sync(&[(&id, &[1])]))?;
    for version in versions(ApiKey::OffsetCommit) {
        for (label, member) in [
            ("right", a.clone()),
            ("older", Member { generation: 0, ..a.clone() }),
            ("newer", Member { generation: 9, ..a.clone() }),
            ("nobody", Member { id: "nobody".into(), ..a.clone() }),
            ("without a group", Member { generation: -1, id: String::new(), ..a.clone() }),
            ("without generation", Member { generation: -1, ..a.clone() }),
            ("another instance", Member { instance: Some("z".into()), ..a.clone() }),
        ] {
            let mut request = by(&member);
            if version < 7 {
                request.group_instance_id = None;
            }
            s.ask(&format!("{label} of members v{version}"), version, &request)?;
        }
    }
    Ok(())
}

/// What was committed, in every version.
pub fn fetches(s: &mut Session) -> Result<(), Failure> {
    topic(s, "fetched", 3, &[])?;
    coordinator(s, "fetchers")?;
    let mut request = commit(
        "fetchers",
        &[("fetched", 0, 5, Some("note")), ("fetched", 1, 6, None), ("committed", 0, 1, Some(""))],
    );
    request.topics[0].partitions[0].committed_leader_epoch = 3;
    s.ask("committed", 8, &request)?;
    for version in versions(ApiKey::OffsetFetch) {
        for (label, topics) in [
            ("known", &[("fetched", &[0, 1, 2][..])][..]),
            ("unknown partition", &[("fetched", &[3, -1])]),
            ("unknown topic", &[("nowhere", &[0])]),
            ("unnamed topic", &[("", &[0])]),
            ("partition twice", &[("fetched", &[0, 0])]),
            ("topic twice", &[("fetched", &[0]), ("fetched", &[1])]),
            ("no partitions", &[("fetched", &[])]),
            ("nothing", &[]),
        ] {
            s.ask(
                &format!("{label} v{version}"),
                version,
                &fetch(version, "fetchers", Some(topics)),
            )?;
        }
        let known: &[(&'static str, &[i32])] = &[("fetched", &[0])];
        for group in ["no-such-group", "", "stable"] {
            let label = format!("of {group:?} v{version}");
            s.ask(&label, version, &fetch(version, group, Some(known)))?;
        }
        if version >= 2 {
            for group in ["fetchers", "no-such-group", ""] {
                s.ask(
                    &format!("all of {group:?} v{version}"),
                    version,
                    &fetch(version, group, None),
                )?;
            }
        }
        if version >= 7 {
            let request = OffsetFetchRequest {
                require_stable: true,
                ..fetch(version, "fetchers", Some(known))
            };
            s.ask(&format!("stable v{version}"), version, &request)?;
        }
        if version >= 8 {
            several_groups(s, version)?;
        }
    }
    Ok(())
}

fn several_groups(s: &mut Session, version: i16) -> Result<(), Failure> {
    let known: &[(&'static str, &[i32])] = &[("fetched", &[0])];
    let groups = vec![
        fetch_group("no-such-group", Some(known)),
        fetch_group("fetchers", None),
        fetch_group("committers", Some(known)),
    ];
    let request = OffsetFetchRequest { groups, ..Default::default() };
    s.ask(&format!("several groups v{version}"), version, &request)?;
    s.ask(&format!("no groups v{version}"), version, &OffsetFetchRequest::default())?;
    if version >= 9 {
        for (member, epoch) in [(Some("somebody"), -1), (Some("somebody"), 3), (None, 3)] {
            let group = OffsetFetchRequestGroup {
                member_id: member.map(Into::into),
                member_epoch: epoch,
                ..fetch_group("fetchers", Some(known))
            };
            let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
            s.ask(&format!("as {member:?} in {epoch} v{version}"), version, &request)?;
        }
    }
    Ok(())
}

/// Offsets that go.
pub fn deletion(s: &mut Session) -> Result<(), Failure> {
    topic(s, "deleted-from", 3, &[])?;
    coordinator(s, "deleters")?;
    let all = [0, 1, 2].map(|partition| ("deleted-from", partition, 5, Some("")));
    s.ask("committed", 8, &commit("deleters", &all))?;
    let request = |group: &'static str, topics: &[(&'static str, &[i32])]| OffsetDeleteRequest {
        group_id: group.into(),
        topics: topics
            .iter()
            .map(|(name, partitions)| OffsetDeleteRequestTopic {
                name: (*name).into(),
                partitions: partitions
                    .iter()
                    .map(|index| OffsetDeleteRequestPartition { partition_index: *index })
                    .collect(),
            })
            .collect(),
    };
    for (label, group, topics) in [
        ("one", "deleters", &[("deleted-from", &[0][..])][..]),
        ("again", "deleters", &[("deleted-from", &[0])]),
        ("unknown partition", "deleters", &[("deleted-from", &[7, -1])]),
        ("unknown topic", "deleters", &[("nowhere", &[0])]),
        ("nothing", "deleters", &[]),
        ("no partitions", "deleters", &[("deleted-from", &[])]),
        ("unknown group", "no-such-group", &[("deleted-from", &[0])]),
        ("no group", "", &[("deleted-from", &[0])]),
        ("of members", "members", &[("committed", &[0])]),
        ("of a stable group", "stable", &[("committed", &[0])]),
        ("twice", "deleters", &[("deleted-from", &[1, 1])]),
    ] {
        s.ask(label, 0, &request(group, topics))?;
    }
    s.ask("what is left", 7, &fetch(7, "deleters", None))?;
    s.ask("the last", 0, &request("deleters", &[("deleted-from", &[2])]))?;
    s.ask("nothing is left", 7, &fetch(7, "deleters", None))?;
    let described = DescribeGroupsRequest { groups: vec!["deleters".into()], ..Default::default() };
    s.ask("the group", 5, &described).map(|_| ())
}
