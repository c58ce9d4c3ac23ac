//! After the faults: everything must be served again, and then everything is read once more.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use chronik_env::Rng;
use chronik_protocol::batch::BatchBuilder;
use chronik_protocol::codec::Records;
use chronik_protocol::header::decode_response;
use chronik_protocol::messages::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic, PartitionProduceData,
    ProduceRequest, TopicProduceData,
};
use chronik_types::{Acks, ErrorCode, Offset, Timestamp, TopicId, TopicPartition};

use super::consumer::Reader;
use super::{Phase, Stage, committer, note};
use crate::simulation::cluster::Cluster;
use crate::simulation::history::Outcome;
use crate::simulation::{plan, trace};

/// How long a cluster may take to serve everything after the last fault.
const PATIENCE_MILLIS: u64 = 60_000;
const CALL: Duration = Duration::from_secs(3);

pub async fn run(stage: &Rc<Stage>, rng: &Rng) {
    while stage.phase.get() < Phase::Healing {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let begin = trace::now();
    let mut cluster = stage.client(rng, "settle");
    let mut left = "everything".to_owned();
    while trace::now() < begin + PATIENCE_MILLIS {
        match converge(stage, &mut cluster).await {
            Ok(()) => {
                note("settle", format_args!("all is served after {} ms", trace::now() - begin));
                stage.phase.set(Phase::Reading);
                // What was under way when the workload ended.
                tokio::time::sleep(CALL * 2).await;
                read_everything(stage, rng).await;
                return;
            }
            Err(what) => left = what,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    trace::violation(format_args!("not served a minute after the last fault: {left}"));
}

/// Whether every broker knows the same topics and every partition takes records.
async fn converge(stage: &Stage, cluster: &mut Cluster) -> Result<(), String> {
    if !stage.all_up.get() {
        return Err("not every node serves".to_owned());
    }
    let mut known: Option<BTreeSet<_>> = None;
    for node in 1..=stage.plan.nodes {
        if !cluster.refresh_from(node).await {
            return Err(format!("node {node} does not answer"));
        }
        let topics: BTreeSet<_> = cluster.topics.keys().copied().collect();
        if known.as_ref().is_some_and(|known| *known != topics) {
            return Err(format!("node {node} knows other topics"));
        }
        known = Some(topics);
    }
    if let Some((_, topic)) = cluster.topics.iter().find(|(_, topic)| !topic.in_sync) {
        return Err(format!("not every replica of {} is in sync", topic.name));
    }
    let partitions = all_partitions(cluster);
    for tp in partitions {
        probe(stage, cluster, tp).await?;
    }
    Ok(())
}

fn all_partitions(cluster: &Cluster) -> Vec<TopicPartition> {
    let of = |(id, count): (TopicId, usize)| {
        (0..count).map(move |at| TopicPartition { topic_id: id, partition: at as i32 })
    };
    let topics = cluster.topics.iter().map(|(id, view)| (TopicId(*id), view.leaders.len()));
    topics.flat_map(of).collect()
}

/// One record to this partition.
async fn probe(stage: &Stage, cluster: &mut Cluster, tp: TopicPartition) -> Result<(), String> {
    const VERSION: i16 = 13;
    let leader = cluster.leader(tp).ok_or_else(|| format!("{tp} has no leader"))?;
    let token = stage.history.send(tp, Acks::All, None);
    let mut builder = BatchBuilder::new();
    builder
        .append(Timestamp(trace::wall()), Some(&token.to_be_bytes()), None, &[])
        .expect("is small");
    let batch = builder.build().expect("is not empty");
    let request = ProduceRequest {
        transactional_id: None,
        acks: plan::wire(Acks::All),
        timeout_ms: 2_000,
        topic_data: vec![TopicProduceData {
            topic_id: tp.topic_id.0,
            partition_data: vec![PartitionProduceData {
                index: tp.partition,
                records: Records::Borrowed(&batch),
            }],
            ..TopicProduceData::default()
        }],
    };
    let frame = cluster.call(leader, VERSION, &request, CALL).await;
    let frame = frame.map_err(|lost| format!("{tp} at {leader}: {lost:?}"))?;
    let (_, response) = decode_response::<ProduceRequest<'_>>(&frame, VERSION)
        .expect("an answer to Produce can be read");
    let partition = &response.responses[0].partition_responses[0];
    if partition.error_code != ErrorCode::None.code() {
        let code = ErrorCode::from_code(partition.error_code);
        return Err(format!("{tp} at {leader}: {code:?}"));
    }
    stage.history.settle(token, Outcome::Acked(Offset(partition.base_offset)));
    Ok(())
}

/// The end of what is visible of a partition.
async fn end_of(cluster: &mut Cluster, tp: TopicPartition, leader: u64) -> Option<i64> {
    const VERSION: i16 = 10;
    const LATEST: i64 = -1;
    let name = cluster.topics.get(&tp.topic_id.0)?.name.clone();
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: name.into(),
            partitions: vec![ListOffsetsPartition {
                partition_index: tp.partition,
                timestamp: LATEST,
                ..ListOffsetsPartition::default()
            }],
        }],
        ..ListOffsetsRequest::default()
    };
    let frame = cluster.call(leader, VERSION, &request, CALL).await.ok()?;
    let (_, response) = decode_response::<ListOffsetsRequest<'_>>(&frame, VERSION)
        .expect("an answer to ListOffsets can be read");
    let partition = &response.topics[0].partitions[0];
    (partition.error_code == ErrorCode::None.code()).then_some(partition.offset)
}

async fn read_everything(stage: &Rc<Stage>, rng: &Rng) {
    let begin = trace::now();
    let mut reader = Reader::new(
        stage.client(rng, "final reader"),
        Rc::clone(&stage.history),
        "final".to_owned(),
    );
    while !reader.cluster.refresh().await {}
    for tp in all_partitions(&reader.cluster) {
        loop {
            if trace::now() > begin + PATIENCE_MILLIS {
                trace::violation(format_args!("{tp} cannot be read to its end"));
                return;
            }
            let Some(leader) = reader.cluster.leader(tp) else {
                reader.cluster.refresh().await;
                continue;
            };
            let Some(end) = end_of(&mut reader.cluster, tp, leader).await else {
                reader.cluster.refresh().await;
                continue;
            };
            let next = reader.positions.entry(tp).or_default().next;
            if next >= end {
                stage.history.read_to_end(tp, end);
                break;
            }
            reader.read(leader, &[tp], 0).await;
        }
    }
    let mut cluster = reader.cluster;
    let groups: Vec<_> = stage.history.groups.borrow().keys().cloned().collect();
    for (group, tp) in groups {
        loop {
            if trace::now() > begin + PATIENCE_MILLIS {
                trace::violation(format_args!("the offsets of {group} cannot be read"));
                return;
            }
            let Some(node) = cluster.coordinator(&group).await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            if committer::fetch(stage, &mut cluster, &group, tp, node).await {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let names = cluster.topics.iter().map(|(id, view)| (*id, view.name.clone()));
    stage.history.final_names.replace(names.collect());
    stage.history.final_topics.replace(Some(cluster.topics.keys().copied().collect()));
    stage.phase.set(Phase::Done);
}
