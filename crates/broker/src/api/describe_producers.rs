//! DescribeProducers: the idempotent producers a partition remembers.

use chronik_log::ProducerSummary;
use chronik_protocol::messages::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState,
    TopicResponse,
};
use chronik_types::ErrorCode;

use crate::Broker;

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
    let found = broker.partitions.by_name(topic, index);
    let (error_code, active_producers) = match found {
        Ok(partition) => {
            (ErrorCode::None, partition.log.producers().into_iter().map(state).collect())
        }
        Err(refusal) => (refusal.code, Vec::new()),
    };
    PartitionResponse {
        partition_index: index,
        error_code: error_code.code(),
        error_message: None,
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
