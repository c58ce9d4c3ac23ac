//! Answers of the controller, to their form between nodes and back.

use chronik_config::keys::topic_key;
use chronik_controller::{
    AlterConfigsResult, AlterPartitionResult, ApiError, BrokerHeartbeatReply, CreateTopicResult,
    CreatedTopic, DeleteTopicResult, EffectiveConfig, ElectLeaderResult, PartitionState,
    ReassignResult, ResourceName, Response, TopicReference,
};
use chronik_metadata::{BrokerList, ProducerIdBlock};
use chronik_types::{BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, ProducerId};

use super::request::{read_topic_reference, topic_reference};
use super::{NotUnderstood, wire};

type Decoded<T> = Result<T, NotUnderstood>;

pub(super) fn to_wire(response: &Response) -> wire::Response {
    match response {
        Response::Bootstrap => wire::Response::Bootstrap(wire::Nothing {}),
        Response::CreateTopics(result) => wire::Response::CreateTopics(wire::CreateTopicResults {
            error: error(result),
            topics: result.iter().flatten().map(create_result).collect(),
        }),
        Response::CreatePartitions(results) => {
            let result = |(name, result): &(String, Result<(), ApiError>)| wire::NamedResult {
                name: name.clone(),
                error: error(result),
            };
            let results = results.iter().map(result).collect();
            wire::Response::CreatePartitions(wire::NamedResults { results })
        }
        Response::DeleteTopics(result) => {
            let topic = |topic: &DeleteTopicResult| wire::DeleteTopicResult {
                topic: topic_reference(&TopicReference {
                    name: topic.name.clone(),
                    topic_id: topic.topic_id,
                }),
                error: error(&topic.result),
            };
            wire::Response::DeleteTopics(wire::DeleteTopicResults {
                error: error(result),
                topics: result.iter().flatten().map(topic).collect(),
            })
        }
        Response::AlterConfigs(results) => wire::Response::AlterConfigs(config_results(results)),
        Response::IncrementalAlterConfigs(results) => {
            wire::Response::IncrementalAlterConfigs(config_results(results))
        }
        Response::RegisterBroker(result) => {
            wire::Response::RegisterBroker(wire::BrokerEpochResult {
                error: error(result),
                broker_epoch: result.as_ref().map_or(BrokerEpoch::NONE, |epoch| *epoch).0,
            })
        }
        Response::BrokerHeartbeat(result) => {
            let is = |what: fn(&BrokerHeartbeatReply) -> bool| result.as_ref().is_ok_and(what);
            wire::Response::BrokerHeartbeat(wire::HeartbeatResult {
                error: error(result),
                is_caught_up: is(|reply| reply.is_caught_up),
                is_fenced: is(|reply| reply.is_fenced),
                should_shut_down: is(|reply| reply.should_shut_down),
            })
        }
        Response::UnregisterBroker(result) => wire::Response::UnregisterBroker(done(result)),
        Response::AllocateProducerIds(result) => {
            wire::Response::AllocateProducerIds(wire::ProducerIdsResult {
                error: error(result),
                first: result.as_ref().map_or(0, |block| block.first.0),
                len: result.as_ref().map_or(0, |block| block.len),
            })
        }
        Response::AlterPartition(result) => {
            wire::Response::AlterPartition(wire::AlterPartitionResults {
                error: error(result),
                partitions: result.iter().flatten().map(in_sync_result).collect(),
            })
        }
        Response::ElectLeaders(results) => {
            let results = results.iter().map(|r| of_partition(&r.topic, r.partition, &r.result));
            wire::Response::ElectLeaders(wire::PartitionResults { results: results.collect() })
        }
        Response::AlterPartitionReassignments(results) => {
            let results = results.iter().map(|r| of_partition(&r.topic, r.partition, &r.result));
            let results = wire::PartitionResults { results: results.collect() };
            wire::Response::AlterPartitionReassignments(results)
        }
        Response::UpdateFeatures(result) => wire::Response::UpdateFeatures(done(result)),
    }
}

pub(super) fn from_wire(response: wire::Response) -> Decoded<Response> {
    Ok(match response {
        wire::Response::Bootstrap(_) => Response::Bootstrap,
        wire::Response::CreateTopics(r) => Response::CreateTopics(match r.error {
            Some(error) => Err(read_error(error)?),
            None => Ok(each(r.topics, read_create_result)?),
        }),
        wire::Response::CreatePartitions(r) => {
            let result = |r: wire::NamedResult| Ok((r.name, read_result(r.error, ())?));
            Response::CreatePartitions(each(r.results, result)?)
        }
        wire::Response::DeleteTopics(r) => Response::DeleteTopics(match r.error {
            Some(error) => Err(read_error(error)?),
            None => Ok(each(r.topics, |deleted| {
                let TopicReference { name, topic_id } = read_topic_reference(deleted.topic);
                Ok(DeleteTopicResult { name, topic_id, result: read_result(deleted.error, ())? })
            })?),
        }),
        wire::Response::AlterConfigs(r) => Response::AlterConfigs(read_config_results(r)?),
        wire::Response::IncrementalAlterConfigs(r) => {
            Response::IncrementalAlterConfigs(read_config_results(r)?)
        }
        wire::Response::RegisterBroker(r) => {
            Response::RegisterBroker(read_result(r.error, BrokerEpoch(r.broker_epoch))?)
        }
        wire::Response::BrokerHeartbeat(r) => {
            let reply = BrokerHeartbeatReply {
                is_caught_up: r.is_caught_up,
                is_fenced: r.is_fenced,
                should_shut_down: r.should_shut_down,
            };
            Response::BrokerHeartbeat(read_result(r.error, reply)?)
        }
        wire::Response::UnregisterBroker(r) => {
            Response::UnregisterBroker(read_result(r.error, ())?)
        }
        wire::Response::AllocateProducerIds(r) => {
            let block = ProducerIdBlock { first: ProducerId(r.first), len: r.len };
            Response::AllocateProducerIds(read_result(r.error, block)?)
        }
        wire::Response::AlterPartition(r) => Response::AlterPartition(match r.error {
            Some(error) => Err(read_error(error)?),
            None => Ok(each(r.partitions, read_in_sync_result)?),
        }),
        wire::Response::ElectLeaders(r) => Response::ElectLeaders(each(r.results, |r| {
            let result = read_result(r.error, ())?;
            Ok(ElectLeaderResult { topic: r.topic, partition: r.partition, result })
        })?),
        wire::Response::AlterPartitionReassignments(r) => {
            Response::AlterPartitionReassignments(each(r.results, |r| {
                let result = read_result(r.error, ())?;
                Ok(ReassignResult { topic: r.topic, partition: r.partition, result })
            })?)
        }
        wire::Response::UpdateFeatures(r) => Response::UpdateFeatures(read_result(r.error, ())?),
    })
}

fn each<T, U>(items: Vec<T>, read: impl FnMut(T) -> Decoded<U>) -> Decoded<Vec<U>> {
    items.into_iter().map(read).collect()
}

fn error<T>(result: &Result<T, ApiError>) -> Option<wire::Error> {
    let error = result.as_ref().err()?;
    Some(wire::Error { code: error.code.code().into(), message: error.message.clone() })
}

fn read_error(error: wire::Error) -> Decoded<ApiError> {
    // A code that this version does not know is an error all the same.
    let code = i16::try_from(error.code).ok().and_then(ErrorCode::from_code);
    match code.unwrap_or(ErrorCode::UnknownServerError) {
        ErrorCode::None => Err(NotUnderstood),
        code => Ok(ApiError { code, message: error.message }),
    }
}

fn read_result<T>(error: Option<wire::Error>, value: T) -> Decoded<Result<T, ApiError>> {
    Ok(match error {
        Some(error) => Err(read_error(error)?),
        None => Ok(value),
    })
}

fn done(result: &Result<(), ApiError>) -> wire::Done {
    wire::Done { error: error(result) }
}

fn create_result(result: &CreateTopicResult) -> wire::CreateTopicResult {
    let config = |config: &EffectiveConfig| wire::EffectiveConfig {
        name: config.name.to_owned(),
        value: config.value.as_deref().map(str::to_owned),
        source: config.source.into(),
        is_sensitive: config.is_sensitive,
    };
    wire::CreateTopicResult {
        name: result.name.clone(),
        error: error(&result.result),
        created: result.result.as_ref().ok().map(|created| wire::CreatedTopic {
            topic_id: created.topic_id.into(),
            num_partitions: created.num_partitions,
            replication_factor: created.replication_factor.into(),
            configs: created.configs.iter().map(config).collect(),
        }),
    }
}

fn read_create_result(result: wire::CreateTopicResult) -> Decoded<CreateTopicResult> {
    let created = match (result.error, result.created) {
        (Some(error), _) => Err(read_error(error)?),
        (None, Some(created)) => Ok(CreatedTopic {
            topic_id: created.topic_id.into(),
            num_partitions: created.num_partitions,
            replication_factor: created.replication_factor.try_into().map_err(|_| NotUnderstood)?,
            // A key that this version does not know cannot be described by it.
            configs: created.configs.into_iter().filter_map(read_config).collect(),
        }),
        (None, None) => return Err(NotUnderstood),
    };
    Ok(CreateTopicResult { name: result.name, result: created })
}

fn read_config(config: wire::EffectiveConfig) -> Option<EffectiveConfig> {
    Some(EffectiveConfig {
        name: topic_key(&config.name)?.name,
        value: config.value.map(Into::into),
        source: config.source.try_into().ok()?,
        is_sensitive: config.is_sensitive,
    })
}

fn config_results(results: &[AlterConfigsResult]) -> wire::AlterConfigsResults {
    let result = |result: &AlterConfigsResult| wire::AlterConfigsResult {
        resource_type: result.resource.resource_type.into(),
        name: result.resource.name.clone(),
        error: error(&result.result),
    };
    wire::AlterConfigsResults { results: results.iter().map(result).collect() }
}

fn read_config_results(results: wire::AlterConfigsResults) -> Decoded<Vec<AlterConfigsResult>> {
    each(results.results, |result| {
        let resource_type = result.resource_type.try_into().map_err(|_| NotUnderstood)?;
        Ok(AlterConfigsResult {
            resource: ResourceName { resource_type, name: result.name },
            result: read_result(result.error, ())?,
        })
    })
}

fn in_sync_result(result: &AlterPartitionResult) -> wire::AlterPartitionResult {
    wire::AlterPartitionResult {
        topic_id: result.topic_id.into(),
        partition: result.partition,
        error: error(&result.result),
        state: result.result.as_ref().ok().map(|state| wire::PartitionState {
            leader: state.leader.0,
            leader_epoch: state.leader_epoch.0,
            isr: state.isr.to_wire(),
            recovering: state.recovering,
            partition_epoch: state.partition_epoch,
        }),
    }
}

fn read_in_sync_result(result: wire::AlterPartitionResult) -> Decoded<AlterPartitionResult> {
    let state = match (result.error, result.state) {
        (Some(error), _) => Err(read_error(error)?),
        (None, Some(state)) => Ok(PartitionState {
            leader: BrokerId(state.leader),
            leader_epoch: LeaderEpoch(state.leader_epoch),
            isr: BrokerList::from(state.isr.as_slice()),
            recovering: state.recovering,
            partition_epoch: state.partition_epoch,
        }),
        (None, None) => return Err(NotUnderstood),
    };
    Ok(AlterPartitionResult {
        topic_id: result.topic_id.into(),
        partition: result.partition,
        result: state,
    })
}

fn of_partition(
    topic: &str,
    partition: i32,
    result: &Result<(), ApiError>,
) -> wire::PartitionResult {
    wire::PartitionResult { topic: topic.to_owned(), partition, error: error(result) }
}
