//! Topics come and go.

use std::rc::Rc;
use std::time::Duration;

use chronik_env::Rng;
use chronik_protocol::header::decode_response;
use chronik_protocol::messages::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, DeleteTopicState,
    DeleteTopicsRequest,
};
use chronik_types::{ErrorCode, Uuid};

use super::{Phase, Stage, note, pause};
use crate::simulation::cluster::Cluster;
use crate::simulation::history::Topic;
use crate::simulation::plan::{AdminPlan, TopicPlan, between};
use crate::simulation::trace;

/// How long the controller may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// What became of a creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    Yes,
    No,
    Unknown,
}

pub fn note_created(stage: &Stage, id: Uuid, plan: &TopicPlan) {
    trace::count("topics");
    let mut topics = stage.history.topics.borrow_mut();
    let topic = topics.entry(id).or_default();
    *topic = Topic { name: plan.name.clone(), created: Some(trace::now()), ..topic.clone() };
}

/// Asks some broker for a topic.
pub async fn create(stage: &Stage, cluster: &mut Cluster, who: &str, plan: &TopicPlan) -> Created {
    const VERSION: i16 = 7;
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: plan.name.as_str().into(),
            num_partitions: plan.partitions,
            replication_factor: plan.replication,
            configs: vec![CreatableTopicConfig {
                name: "min.insync.replicas".into(),
                value: Some(plan.min_isr.to_string().into()),
            }],
            ..CreatableTopic::default()
        }],
        timeout_ms: PATIENCE.as_millis() as i32 - 500,
        validate_only: false,
    };
    let node = cluster.any_node();
    let Ok(frame) = cluster.call(node, VERSION, &request, PATIENCE).await else {
        note(who, format_args!("creates {} at {node}: no answer", plan.name));
        return Created::Unknown;
    };
    let (_, response) = decode_response::<CreateTopicsRequest<'_>>(&frame, VERSION)
        .expect("an answer to CreateTopics can be read");
    let result = response.topics.first().expect("one topic was asked for");
    let code = ErrorCode::from_code(result.error_code).unwrap_or(ErrorCode::UnknownServerError);
    note(who, format_args!("creates {} at {node}: {code} {}", plan.name, result.topic_id));
    match code {
        ErrorCode::None => {
            note_created(stage, result.topic_id, plan);
            Created::Yes
        }
        ErrorCode::RequestTimedOut | ErrorCode::TopicAlreadyExists => Created::Unknown,
        _ => Created::No,
    }
}

async fn delete(stage: &Stage, cluster: &mut Cluster, who: &str, id: Uuid) {
    const VERSION: i16 = 6;
    if let Some(topic) = stage.history.topics.borrow_mut().get_mut(&id) {
        topic.delete_sent = true;
    }
    let request = DeleteTopicsRequest {
        topics: vec![DeleteTopicState { name: None, topic_id: id }],
        topic_names: Vec::new(),
        timeout_ms: PATIENCE.as_millis() as i32 - 500,
    };
    let node = cluster.any_node();
    let Ok(frame) = cluster.call(node, VERSION, &request, PATIENCE).await else {
        note(who, format_args!("deletes {id} at {node}: no answer"));
        return;
    };
    let (_, response) = decode_response::<DeleteTopicsRequest<'_>>(&frame, VERSION)
        .expect("an answer to DeleteTopics can be read");
    let result = response.responses.first().expect("one topic was named");
    let code = ErrorCode::from_code(result.error_code).unwrap_or(ErrorCode::UnknownServerError);
    note(who, format_args!("deletes {id} at {node}: {code}"));
    // Nobody has asked for its deletion before.
    if code == ErrorCode::UnknownTopicId && !stage.plan.fast_path {
        trace::violation(format_args!("topic {id}, acknowledged, is not there to be deleted"));
    }
    if code == ErrorCode::None
        && let Some(topic) = stage.history.topics.borrow_mut().get_mut(&id)
    {
        trace::count("topics_deleted");
        topic.deleted = true;
    }
}

pub async fn run(stage: Rc<Stage>, rng: Rng, who: String, admin: AdminPlan) {
    let mut cluster = stage.client(&rng, &who);
    let replication = stage.plan.nodes.min(3);
    let mut number = 0;
    let mut own: Vec<Uuid> = Vec::new();
    // Who is in a hurry would never leave a moment in which every topic that is there can be tried.
    let lasts = |phase| if admin.is_hasty { phase < Phase::Healing } else { stage.works() };
    while lasts(stage.phase.get()) {
        pause(&rng, admin.pause).await;
        if own.len() >= admin.topics_max || rng.chance(0.4) && !own.is_empty() {
            let id = own.swap_remove(rng.below(own.len() as u64) as usize);
            delete(&stage, &mut cluster, &who, id).await;
            continue;
        }
        // Some names are used again.
        number = if rng.chance(0.3) { number } else { number + 1 };
        let plan = TopicPlan {
            name: format!("{who}-{number}"),
            partitions: between(&rng, 1, 3) as i32,
            replication: replication as i16,
            min_isr: if stage.plan.wipes() { 2 } else { 1 },
        };
        let before: Vec<_> = stage.history.topics.borrow().keys().copied().collect();
        if create(&stage, &mut cluster, &who, &plan).await == Created::Yes {
            let topics = stage.history.topics.borrow();
            let new =
                topics.iter().filter(|(id, topic)| !before.contains(id) && topic.name == plan.name);
            own.extend(new.map(|(id, _)| *id));
        }
    }
}
