//! DescribeProducers: the idempotent producers a partition remembers.

use chronik_controller::validate_topic_name;
use chronik_log::ProducerSummary;
use chronik_protocol::messages::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState,
    TopicResponse,
};
use chronik_types::ErrorCode;

use crate::Broker;
use crate::api::error::Refusal;

/// Serves one request.
pub(crate) fn handle<'r>(
    broker: &Broker,
    request: DescribeProducersRequest<'r>,
) -> DescribeProducersResponse<'r> {
    let topics = request
        .topics
        .into_iter()
        .map(|topic| {
            let of = |&index: &i32| describe(broker, &topic.name, index);
            let partitions = topic.partition_indexes.iter().map(of).collect();
            TopicResponse { name: topic.name.clone(), partitions }
        })
        .collect();
    DescribeProducersResponse { topics, ..Default::default() }
}

fn describe(broker: &Broker, topic: &str, index: i32) -> PartitionResponse<'static> {
    let found = validate_topic_name(topic)
        .map_err(|error| Refusal::with_message(ErrorCode::InvalidTopicException, error.to_string()))
        .and_then(|()| match broker.committed.borrow().image.topic_named(topic) {
            Some(_) => Ok(()),
            None => Err(Refusal::with_message(
                ErrorCode::UnknownTopicOrPartition,
                "This server does not host this topic.",
            )),
        })
        .and_then(|()| broker.partitions.by_name(topic, index));
    let (code, message, active_producers) = match found {
        Ok(partition) => {
            let producers = partition.log.producers();
            (ErrorCode::None, None, producers.into_iter().map(state).collect())
        }
        Err(refusal) => (refusal.code, refusal.message, Vec::new()),
    };
    PartitionResponse {
        partition_index: index,
        error_code: code.code(),
        error_message: message,
        active_producers,
    }
}

fn state(producer: ProducerSummary) -> ProducerState {
    ProducerState {
        producer_id: producer.producer_id.0,
        producer_epoch: i32::from(producer.epoch.0),
        last_sequence: producer.last_sequence,
        last_timestamp: producer.last_timestamp,
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_start_offset: producer.transaction_start.map_or(-1, |offset| offset.0),
    }
}
