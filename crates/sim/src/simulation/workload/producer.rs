//! Sends records, each of its own kind, and takes note of what became of them.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use chronik_env::Rng;
use chronik_protocol::batch::BatchBuilder;
use chronik_protocol::codec::Records;
use chronik_protocol::header::decode_response;
use chronik_protocol::messages::{
    InitProducerIdRequest, PartitionProduceData, ProduceRequest, TopicProduceData,
};
use chronik_types::{
    Acks, ErrorCode, Offset, ProducerEpoch, ProducerId, Timestamp, TopicPartition,
};

use super::{Stage, note, pause, some_partition};
use crate::simulation::client::Lost;
use crate::simulation::cluster::Cluster;
use crate::simulation::history::{Outcome, Token};
use crate::simulation::plan::{self, ProducerPlan, between};
use crate::simulation::trace;

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often an idempotent producer sends a batch before it gives up.
const TRIES_MAX: u32 = 12;
const VERSION: i16 = 13;

/// A producer id with the next sequence of each partition.
struct Session {
    id: i64,
    epoch: i16,
    next: BTreeMap<TopicPartition, i32>,
}

struct Producer {
    stage: Rc<Stage>,
    cluster: Cluster,
    name: String,
    plan: ProducerPlan,
    session: Option<Session>,
}

/// What one try came to.
enum Answer {
    Acked(Offset),
    AckedBefore,
    /// Nothing was written, and nothing ever will be of this try.
    Refused(ErrorCode),
    /// It may have been written.
    Unknown,
    /// The session is of no use any more; the records may have been written.
    SessionLost(ErrorCode),
}

pub async fn run(stage: Rc<Stage>, rng: Rng, name: String, plan: ProducerPlan) {
    let cluster = stage.client(&rng, &name);
    let mut producer = Producer { stage, cluster, name, plan, session: None };
    while producer.stage.works() {
        pause(&rng, plan.pause).await;
        let live = producer.stage.history.live_topics();
        let Some(tp) = some_partition(&producer.cluster, |id| live.contains(id)) else {
            producer.cluster.refresh().await;
            continue;
        };
        if producer.plan.idempotent && !producer.has_session().await {
            continue;
        }
        producer.produce(tp).await;
    }
}

impl Producer {
    /// Whether there is a session, begun now if there was none.
    async fn has_session(&mut self) -> bool {
        const VERSION: i16 = 5;
        if self.session.is_some() {
            return true;
        }
        let request = InitProducerIdRequest { transactional_id: None, ..Default::default() };
        let node = self.cluster.any_node();
        let Ok(frame) = self.cluster.call(node, VERSION, &request, PATIENCE).await else {
            return false;
        };
        let (_, response) = decode_response::<InitProducerIdRequest<'_>>(&frame, VERSION)
            .expect("an answer to InitProducerId can be read");
        if response.error_code != ErrorCode::None.code() {
            return false;
        }
        let (id, epoch) = (response.producer_id, response.producer_epoch);
        note(&self.name, format_args!("is producer {id}"));
        self.stage.history.begin_session(&self.name, id);
        self.session = Some(Session { id, epoch, next: BTreeMap::new() });
        true
    }

    async fn produce(&mut self, tp: TopicPartition) {
        let count = between(&self.cluster.rng, 1, self.plan.records_max) as i32;
        let sequence = self.session.as_mut().map(|session| {
            let next = session.next.entry(tp).or_default();
            *next += count;
            (session.id, session.epoch, *next - count)
        });
        let tokens: Vec<Token> = (0..count)
            .map(|at| {
                let sequence = sequence.map(|(id, _, first)| (id, first + at));
                self.stage.history.send(tp, self.plan.acks, sequence)
            })
            .collect();
        let batch = self.batch(&tokens, sequence);
        let mut outcome = Outcome::Unknown;
        let tries = if self.plan.idempotent { TRIES_MAX } else { 1 };
        for number in 1..=tries {
            match self.attempt(tp, &batch, &tokens).await {
                Answer::Acked(base) => {
                    self.settle(&tokens, Outcome::Acked(base));
                    return;
                }
                Answer::AckedBefore => {
                    self.settle(&tokens, Outcome::AckedBefore);
                    return;
                }
                // What an earlier try wrote may be there.
                Answer::Refused(code) => {
                    note(&self.name, format_args!("{tp} refused: {code}"));
                    let certain = number == 1 && !self.plan.idempotent;
                    outcome = if certain { Outcome::Refused } else { Outcome::Unknown };
                    self.cluster.refresh().await;
                }
                Answer::Unknown => {
                    self.cluster.refresh().await;
                }
                Answer::SessionLost(code) => {
                    note(&self.name, format_args!("{tp} session lost: {code}"));
                    break;
                }
            }
            if number < tries {
                tokio::time::sleep(Duration::from_millis(20 << number.min(6))).await;
            }
        }
        self.settle(&tokens, outcome);
        // Its sequences have a hole now.
        self.session = None;
    }

    fn settle(&self, tokens: &[Token], outcome: Outcome) {
        let first = tokens.first().copied().unwrap_or_default();
        note(&self.name, format_args!("{}+{} {outcome:?}", first, tokens.len()));
        for (at, token) in tokens.iter().enumerate() {
            let own = match outcome {
                Outcome::Acked(base) => Outcome::Acked(Offset(base.0 + at as i64)),
                other => other,
            };
            self.stage.history.settle(*token, own);
        }
    }

    fn batch(&self, tokens: &[Token], sequence: Option<(i64, i16, i32)>) -> BytesMut {
        let rng = &self.cluster.rng;
        let mut builder = BatchBuilder::new();
        if let Some((id, epoch, first)) = sequence {
            builder = builder.producer(ProducerId(id), ProducerEpoch(epoch), first);
        }
        for token in tokens {
            let value = vec![*token as u8; rng.below(self.plan.value_bytes_max + 1) as usize];
            let now = Timestamp(trace::wall());
            builder.append(now, Some(&token.to_be_bytes()), Some(&value), &[]).expect("is small");
        }
        builder.build().expect("is not empty")
    }

    async fn attempt(&mut self, tp: TopicPartition, batch: &BytesMut, tokens: &[Token]) -> Answer {
        let Some(leader) = self.cluster.leader(tp) else {
            return Answer::Refused(ErrorCode::LeaderNotAvailable);
        };
        let request = ProduceRequest {
            transactional_id: None,
            acks: plan::wire(self.plan.acks),
            timeout_ms: 2_000,
            topic_data: vec![TopicProduceData {
                topic_id: tp.topic_id.0,
                partition_data: vec![PartitionProduceData {
                    index: tp.partition,
                    records: Records::Borrowed(batch),
                }],
                ..TopicProduceData::default()
            }],
        };
        if self.plan.acks == Acks::None {
            return match self.cluster.send(leader, VERSION, &request).await {
                Err(Lost::NotSent) => Answer::Refused(ErrorCode::NetworkException),
                Ok(()) | Err(Lost::Unknown) => Answer::Unknown,
            };
        }
        let frame = match self.cluster.call(leader, VERSION, &request, PATIENCE).await {
            Ok(frame) => frame,
            Err(Lost::NotSent) => return Answer::Refused(ErrorCode::NetworkException),
            Err(Lost::Unknown) => return Answer::Unknown,
        };
        let (_, response) = decode_response::<ProduceRequest<'_>>(&frame, VERSION)
            .expect("an answer to Produce can be read");
        let partition = &response.responses[0].partition_responses[0];
        let code = ErrorCode::from_code(partition.error_code);
        match code.unwrap_or(ErrorCode::UnknownServerError) {
            ErrorCode::None if partition.base_offset < 0 => Answer::AckedBefore,
            ErrorCode::None => Answer::Acked(Offset(partition.base_offset)),
            ErrorCode::DuplicateSequenceNumber => Answer::AckedBefore,
            code @ (ErrorCode::NotEnoughReplicas | ErrorCode::UnknownTopicId) => {
                Answer::Refused(code)
            }
            code @ (ErrorCode::OutOfOrderSequenceNumber
            | ErrorCode::UnknownProducerId
            | ErrorCode::InvalidProducerEpoch) => Answer::SessionLost(code),
            code => {
                note(&self.name, format_args!("{tp} {}: {code}", tokens[0]));
                Answer::Unknown
            }
        }
    }
}
