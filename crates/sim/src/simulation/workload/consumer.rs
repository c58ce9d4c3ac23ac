//! Reads every partition from its beginning, for as long as the run lasts.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use chronik_env::Rng;
use chronik_protocol::batch::{batches, records, verify_crc};
use chronik_protocol::header::decode_response;
use chronik_protocol::messages::{FetchPartition, FetchPartitionData, FetchRequest, FetchTopic};
use chronik_types::{ErrorCode, Offset, TopicPartition};

use super::{Stage, note, pause};
use crate::simulation::cluster::Cluster;
use crate::simulation::history::{History, NodeId};
use crate::simulation::trace;

const PATIENCE: Duration = Duration::from_secs(3);
const VERSION: i16 = 17;

/// Where a reader is in a partition.
#[derive(Clone, Copy, Debug, Default)]
pub struct Position {
    pub next: i64,
    /// The highest end of what is visible that this reader was told of.
    pub high_watermark: i64,
}

pub async fn run(stage: Rc<Stage>, rng: Rng, name: String) {
    let mut reader = Reader::new(stage.client(&rng, &name), Rc::clone(&stage.history), name);
    while stage.works() {
        pause(&rng, Duration::from_millis(40)).await;
        if rng.chance(0.1) || reader.cluster.topics.is_empty() {
            reader.cluster.refresh().await;
        }
        reader.read_some().await;
        // Some readers begin anew, and must be shown the same.
        if rng.chance(0.002) {
            reader.positions.values_mut().for_each(|position| position.next = 0);
        }
    }
}

/// Reads partitions from their leaders and tells the history of what it was shown.
pub struct Reader {
    pub cluster: Cluster,
    history: Rc<History>,
    name: String,
    pub positions: BTreeMap<TopicPartition, Position>,
}

impl Reader {
    pub fn new(cluster: Cluster, history: Rc<History>, name: String) -> Self {
        Self { cluster, history, name, positions: BTreeMap::new() }
    }

    /// All partitions with a leader that clients know of.
    fn led(&self) -> BTreeMap<NodeId, Vec<TopicPartition>> {
        let mut led: BTreeMap<NodeId, Vec<TopicPartition>> = BTreeMap::new();
        for (id, topic) in &self.cluster.topics {
            for (partition, leader) in topic.leaders.iter().enumerate() {
                let topic_id = chronik_types::TopicId(*id);
                let tp = TopicPartition { topic_id, partition: partition as i32 };
                if let Some(leader) = leader {
                    led.entry(*leader).or_default().push(tp);
                }
            }
        }
        led
    }

    /// One request to some leader.
    async fn read_some(&mut self) {
        let led = self.led();
        let leaders: Vec<_> = led.keys().copied().collect();
        let at = self.cluster.rng.below(leaders.len() as u64) as usize;
        if let Some(leader) = leaders.get(at)
            && !self.read(*leader, &led[leader], 200).await
        {
            self.cluster.refresh().await;
        }
    }

    /// Reads what there is of these partitions, and says whether they were served.
    pub async fn read(&mut self, leader: NodeId, wanted: &[TopicPartition], wait: i32) -> bool {
        let partition = |tp: &TopicPartition| FetchTopic {
            topic_id: tp.topic_id.0,
            partitions: vec![FetchPartition {
                partition: tp.partition,
                current_leader_epoch: self.cluster.epoch(*tp),
                fetch_offset: self.positions.get(tp).copied().unwrap_or_default().next,
                partition_max_bytes: 64 << 10,
                ..FetchPartition::default()
            }],
            ..FetchTopic::default()
        };
        let request = FetchRequest {
            max_wait_ms: wait,
            min_bytes: 1,
            max_bytes: 256 << 10,
            topics: wanted.iter().map(partition).collect(),
            ..FetchRequest::default()
        };
        let Ok(frame) = self.cluster.call(leader, VERSION, &request, PATIENCE).await else {
            return false;
        };
        let (_, response) = decode_response::<FetchRequest<'_>>(&frame, VERSION)
            .expect("an answer to Fetch can be read");
        let mut served = response.error_code == ErrorCode::None.code();
        for topic in &response.responses {
            for data in &topic.partitions {
                let topic_id = chronik_types::TopicId(topic.topic_id);
                let tp = TopicPartition { topic_id, partition: data.partition_index };
                served &= self.take(leader, tp, data);
            }
        }
        served
    }

    fn take(&mut self, leader: NodeId, tp: TopicPartition, data: &FetchPartitionData<'_>) -> bool {
        let code = ErrorCode::from_code(data.error_code).unwrap_or(ErrorCode::UnknownServerError);
        let position = self.positions.entry(tp).or_default();
        if code != ErrorCode::None {
            note(&self.name, format_args!("{tp} at {leader}: {code}"));
            if code == ErrorCode::OffsetOutOfRange {
                trace::violation(format_args!(
                    "{} was refused {tp} {} at {leader}, up to where it had read",
                    self.name, position.next
                ));
            }
            if code == ErrorCode::CorruptMessage || code == ErrorCode::UnknownServerError {
                trace::violation(format_args!("{} reads {tp} at {leader}: {code}", self.name));
            }
            return false;
        }
        // A new leader may not know yet, and says so.
        let is_known = data.high_watermark >= 0;
        if is_known && data.high_watermark < position.high_watermark {
            trace::violation(format_args!(
                "{} was told by {leader} that {tp} ends at {}, and before at {}",
                self.name, data.high_watermark, position.high_watermark
            ));
        }
        position.high_watermark = position.high_watermark.max(data.high_watermark);
        let chronik_protocol::codec::Records::Borrowed(bytes) = data.records else { return true };
        let before = position.next;
        for batch in batches(bytes) {
            // What is cut off at the limit comes with the next request.
            let Ok((header, batch)) = batch else { break };
            verify_crc(batch).expect("what a broker serves is sound");
            if header.next_offset().0 <= position.next {
                continue;
            }
            for record in &records(batch, 1 << 20).expect("what a broker serves is sound") {
                let record = record.expect("what a broker serves is sound");
                if record.offset.0 < position.next {
                    continue;
                }
                if record.offset.0 != position.next {
                    trace::violation(format_args!(
                        "{} wanted {tp} {} and was shown {} first",
                        self.name, position.next, record.offset
                    ));
                }
                if is_known && record.offset.0 >= data.high_watermark {
                    trace::violation(format_args!(
                        "{} was shown {tp} {} beyond its end {}",
                        self.name, record.offset, data.high_watermark
                    ));
                }
                let key = record.key.and_then(|key| key.try_into().ok()).map(u64::from_be_bytes);
                let token = key.expect("every record has a token");
                self.history.see(&self.name, tp, Offset(record.offset.0), token);
                position.next = record.offset.0 + 1;
            }
        }
        if position.next > before {
            let next = position.next;
            note(&self.name, format_args!("{tp} at {leader}: {before}..{next}"));
        }
        true
    }
}
