//! Commits rising offsets for a group of its own, and reads them back.

use std::rc::Rc;
use std::time::Duration;

use chronik_env::Rng;
use chronik_protocol::header::decode_response;
use chronik_protocol::messages::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use chronik_types::{ErrorCode, TopicPartition};

use super::{Stage, note, pause, some_partition};
use crate::simulation::cluster::Cluster;
use crate::simulation::trace;

const PATIENCE: Duration = Duration::from_secs(3);

pub async fn run(stage: Rc<Stage>, rng: Rng, group: String) {
    let mut cluster = stage.client(&rng, &group);
    while stage.works() {
        pause(&rng, Duration::from_millis(150)).await;
        // Offsets go with their topic, so that only topics that stay are of use.
        let fixed = |view: &str| view.starts_with("fixed-");
        let kept: Vec<_> = cluster.topics.iter().filter(|(_, view)| fixed(&view.name)).collect();
        let kept: Vec<_> = kept.into_iter().map(|(id, _)| *id).collect();
        let Some(tp) = some_partition(&cluster, |id| kept.contains(id)) else {
            cluster.refresh().await;
            continue;
        };
        let Some(node) = cluster.coordinator(&group).await else { continue };
        if rng.chance(0.5) {
            commit(&stage, &mut cluster, &group, tp, node).await;
        } else {
            fetch(&stage, &mut cluster, &group, tp, node).await;
        }
    }
}

async fn commit(stage: &Stage, cluster: &mut Cluster, group: &str, tp: TopicPartition, node: u64) {
    const VERSION: i16 = 9;
    let Some(name) = cluster.topics.get(&tp.topic_id.0).map(|view| view.name.clone()) else {
        return;
    };
    let offset = {
        let mut groups = stage.history.groups.borrow_mut();
        let committed = groups.entry((group.to_owned(), tp)).or_default();
        committed.sent += 1;
        committed.sent
    };
    let request = OffsetCommitRequest {
        group_id: group.into(),
        topics: vec![OffsetCommitRequestTopic {
            name: name.into(),
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: tp.partition,
                committed_offset: offset,
                ..OffsetCommitRequestPartition::default()
            }],
        }],
        ..OffsetCommitRequest::default()
    };
    let Ok(frame) = cluster.call(node, VERSION, &request, PATIENCE).await else { return };
    let (_, response) = decode_response::<OffsetCommitRequest<'_>>(&frame, VERSION)
        .expect("an answer to OffsetCommit can be read");
    let code = response.topics[0].partitions[0].error_code;
    let code = ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError);
    note(group, format_args!("commits {tp} {offset} at {node}: {code}"));
    if code == ErrorCode::None {
        trace::count("committed");
        let mut groups = stage.history.groups.borrow_mut();
        let committed = groups.entry((group.to_owned(), tp)).or_default();
        committed.acked = committed.acked.max(offset);
    }
}

/// Reads a committed offset back, and says whether somebody answered.
pub async fn fetch(
    stage: &Stage,
    cluster: &mut Cluster,
    group: &str,
    tp: TopicPartition,
    node: u64,
) -> bool {
    const VERSION: i16 = 9;
    let Some(name) = cluster.topics.get(&tp.topic_id.0).map(|view| view.name.clone()) else {
        return false;
    };
    let key = (group.to_owned(), tp);
    let before = stage.history.groups.borrow().get(&key).copied().unwrap_or_default();
    let request = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: group.into(),
            topics: Some(vec![OffsetFetchRequestTopics {
                name: name.into(),
                partition_indexes: vec![tp.partition],
            }]),
            ..OffsetFetchRequestGroup::default()
        }],
        ..OffsetFetchRequest::default()
    };
    let Ok(frame) = cluster.call(node, VERSION, &request, PATIENCE).await else { return false };
    let (_, response) = decode_response::<OffsetFetchRequest<'_>>(&frame, VERSION)
        .expect("an answer to OffsetFetch can be read");
    let found = &response.groups[0];
    if found.error_code != ErrorCode::None.code() {
        return false;
    }
    let partition = &found.topics[0].partitions[0];
    if partition.error_code != ErrorCode::None.code() {
        return false;
    }
    let offset = partition.committed_offset.max(0);
    note(group, format_args!("fetches {tp} at {node}: {offset}"));
    if offset < before.acked || offset > before.sent {
        trace::violation(format_args!(
            "{group} was told by {node} that it has committed {tp} {offset}, after {} was \
             acknowledged and {} sent",
            before.acked, before.sent
        ));
    }
    true
}
