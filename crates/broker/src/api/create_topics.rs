//! CreateTopics, and the topics that are created because somebody asked for them by using them.

use std::sync::Arc;
use std::time::Duration;

use chronik_controller::{
    CONSUMER_OFFSETS, CreatableTopic, CreateTopicResult, CreateTopics, ReplicaAssignment, Request,
    Response,
};
use chronik_protocol::messages::{
    self, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use chronik_types::{BrokerId, ErrorCode, TopicId};

use crate::Broker;
use crate::controller_runtime::code_of;

/// How long an automatic creation may take; nobody waits for it longer than a client's timeout.
const AUTO_CREATE_PATIENCE: Duration = Duration::from_secs(15);

/// Serves one request.
pub(crate) async fn handle(
    broker: &Arc<Broker>,
    request: CreateTopicsRequest<'_>,
) -> CreateTopicsResponse<'static> {
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let names: Vec<String> = request.topics.iter().map(|topic| topic.name.to_string()).collect();
    let topics = request.topics.into_iter().map(|t| creatable(broker, t)).collect();
    let ask = CreateTopics { topics, validate_only: request.validate_only };
    let deadline = broker.env.clock.monotonic().after(timeout);
    let answered = broker.controller.ask(Request::CreateTopics(ask), deadline).await;
    let topics = match answered {
        Ok(Response::CreateTopics(Ok(results))) => results.into_iter().map(result).collect(),
        Ok(Response::CreateTopics(Err(error))) => {
            names.into_iter().map(|name| failed(name, error.code, error.message.clone())).collect()
        }
        other => {
            let code = code_of(&other);
            names.into_iter().map(|name| failed(name, code, None)).collect()
        }
    };
    CreateTopicsResponse { topics, ..Default::default() }
}

fn creatable(broker: &Broker, topic: messages::CreatableTopic<'_>) -> CreatableTopic {
    CreatableTopic {
        name: topic.name.into_owned(),
        topic_id: TopicId(broker.env.rng.uuid()),
        num_partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: topic
            .assignments
            .into_iter()
            .map(|a| ReplicaAssignment {
                partition: a.partition_index,
                brokers: a.broker_ids.into_iter().map(BrokerId).collect(),
            })
            .collect(),
        configs: topic
            .configs
            .into_iter()
            .map(|c| (c.name.into_owned(), c.value.map(|value| value.into_owned())))
            .collect(),
    }
}

fn result(result: CreateTopicResult) -> CreatableTopicResult<'static> {
    let created = match result.result {
        Ok(created) => created,
        Err(error) => return failed(result.name, error.code, error.message),
    };
    let configs = created.configs.iter().map(|config| CreatableTopicConfigs {
        name: config.name.into(),
        value: config.value.clone(),
        read_only: false,
        config_source: config.source,
        is_sensitive: config.is_sensitive,
    });
    CreatableTopicResult {
        name: result.name.into(),
        topic_id: created.topic_id.0,
        error_code: ErrorCode::None.code(),
        error_message: None,
        num_partitions: created.num_partitions,
        replication_factor: created.replication_factor,
        configs: Some(configs.collect()),
        ..Default::default()
    }
}

fn failed(name: String, code: ErrorCode, message: Option<String>) -> CreatableTopicResult<'static> {
    CreatableTopicResult {
        name: name.into(),
        error_code: code.code(),
        error_message: message.map(Into::into),
        ..Default::default()
    }
}

/// Creates topics that a client has asked for by name, with the broker's defaults. What fails is
/// told to the client when it asks again.
pub(crate) async fn auto_create(broker: &Arc<Broker>, names: Vec<String>) {
    let mut topics = Vec::with_capacity(names.len());
    for name in names {
        topics.push(match name.as_str() {
            CONSUMER_OFFSETS => offsets_topic(broker),
            _ => CreatableTopic {
                name,
                topic_id: TopicId(broker.env.rng.uuid()),
                num_partitions: -1,
                replication_factor: -1,
                ..Default::default()
            },
        });
    }
    create(broker, topics).await;
}

/// Creates the topic that holds the state of groups.
pub(crate) async fn create_offsets_topic(broker: &Arc<Broker>) {
    create(broker, vec![offsets_topic(broker)]).await;
}

fn offsets_topic(broker: &Broker) -> CreatableTopic {
    let image = broker.committed.borrow().image.clone();
    let topic_id = TopicId(broker.env.rng.uuid());
    chronik_controller::consumer_offsets(&broker.options.controller(), &image, topic_id)
}

async fn create(broker: &Arc<Broker>, topics: Vec<CreatableTopic>) {
    let deadline = broker.env.clock.monotonic().after(AUTO_CREATE_PATIENCE);
    let request = Request::CreateTopics(CreateTopics { topics, validate_only: false });
    match broker.controller.ask(request, deadline).await {
        Ok(Response::CreateTopics(Ok(results))) => {
            for result in results {
                if let Err(error) = result.result
                    && error.code != ErrorCode::TopicAlreadyExists
                {
                    tracing::warn!(topic = result.name, %error, "a topic was not created");
                }
            }
        }
        Ok(Response::CreateTopics(Err(error))) => {
            tracing::warn!(%error, "topics were not created");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "topics were not created"),
    }
}
