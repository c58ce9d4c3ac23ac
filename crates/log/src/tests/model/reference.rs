//! What a log should be: a plain list of batches and a fold over it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use chronik_protocol::batch::BatchHeader;

/// A batch as it was appended.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch {
    pub base: i64,
    pub last: i64,
    pub bytes: Bytes,
    pub header: BatchHeader,
    /// One for each record.
    pub timestamps: Vec<i64>,
    /// For a marker: whether it commits.
    pub commits: Option<bool>,
}

/// A producer, folded from batches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Producer {
    pub epoch: i16,
    /// First sequence, last sequence, base offset, last offset; the last five.
    pub batches: Vec<(i32, i32, i64, i64)>,
    pub last_timestamp: i64,
    pub open: Option<i64>,
}

/// Ended transactions: producer, first offset, marker, committed.
pub type Ended = (i64, i64, i64, bool);

/// The state of a log after some operations.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub start: i64,
    pub end: i64,
    pub high_watermark: i64,
    /// Those at and above the start; the first may reach below it.
    pub batches: VecDeque<Arc<Batch>>,
    pub epochs: Vec<(i32, i64)>,
    /// What the batches that are gone below the start left of their producers.
    folded: BTreeMap<i64, Producer>,
    folded_ended: Vec<Ended>,
    pub written: bool,
}

impl State {
    pub fn append(&mut self, batch: Batch) {
        assert_eq!(batch.base, self.end);
        self.end = batch.last + 1;
        self.written = true;
        self.begin_epoch(batch.header.leader_epoch.0, batch.base);
        self.batches.push_back(Arc::new(batch));
    }

    pub fn latest_epoch(&self) -> i32 {
        self.epochs.last().map_or(-1, |(epoch, _)| *epoch)
    }

    pub fn begin_epoch(&mut self, epoch: i32, at: i64) {
        if epoch > self.latest_epoch() {
            self.epochs.retain(|(_, start)| *start < at);
            self.epochs.push((epoch, at));
        }
    }

    pub fn truncate(&mut self, end: i64) {
        let mut ends_at = end;
        while self.batches.back().is_some_and(|batch| batch.last >= end) {
            ends_at = ends_at.min(self.batches.pop_back().unwrap().base);
        }
        self.end = ends_at;
        self.high_watermark = self.high_watermark.min(ends_at);
        self.epochs.retain(|(_, start)| *start < self.end);
    }

    pub fn reset(&mut self, start: i64, epoch: i32) {
        *self = Self {
            start,
            end: start,
            high_watermark: start,
            epochs: vec![(epoch, start)],
            written: true,
            ..Self::default()
        };
    }

    pub fn set_start(&mut self, start: i64) {
        self.start = start;
        self.high_watermark = self.high_watermark.max(start);
        while self.batches.front().is_some_and(|batch| batch.last < start) {
            let batch = self.batches.pop_front().unwrap();
            fold(&mut self.folded, &mut self.folded_ended, &batch);
        }
        let in_force = self.epochs.iter().rposition(|(_, at)| *at <= start);
        if let Some(index) = in_force {
            self.epochs.drain(..index);
            self.epochs[0].1 = start;
        }
    }

    pub fn producers(&self) -> (BTreeMap<i64, Producer>, Vec<Ended>) {
        let (mut producers, mut ended) = (self.folded.clone(), self.folded_ended.clone());
        for batch in &self.batches {
            fold(&mut producers, &mut ended, batch);
        }
        (producers, ended)
    }

    pub fn last_stable(&self) -> i64 {
        let high_watermark = self.high_watermark;
        let (producers, ended) = self.producers();
        let open = producers.values().filter_map(|producer| producer.open);
        let undecided = ended.iter().filter(|(_, _, marker, _)| *marker >= high_watermark);
        open.chain(undecided.map(|(_, first, ..)| *first)).fold(high_watermark, i64::min)
    }

    /// What OffsetForLeaderEpoch should answer.
    pub fn end_of_epoch(&self, epoch: i32) -> (i32, i64) {
        let latest = self.latest_epoch();
        if latest < 0 || epoch < 0 || epoch > latest {
            return (-1, -1);
        }
        if epoch == latest {
            return (latest, self.end);
        }
        let known = self.epochs.iter().rev().find(|(known, _)| *known <= epoch);
        let next = self.epochs.iter().find(|(next, _)| *next > epoch).unwrap();
        (known.map_or(epoch, |(known, _)| *known), next.1)
    }

    /// The bytes from the batch that holds `from` on.
    pub fn bytes_from(&self, from: i64) -> Vec<u8> {
        let batches = self.batches.iter().filter(|batch| batch.last >= from);
        batches.map(|batch| &*batch.bytes).collect::<Vec<_>>().concat()
    }

    /// The first record at or after a time, below `end`.
    pub fn at_time(&self, target: i64, end: i64) -> Option<(i64, i64)> {
        let records = self.batches.iter().flat_map(|batch| {
            (batch.base..).zip(&batch.timestamps).map(|(offset, timestamp)| (offset, *timestamp))
        });
        let mut reachable = records.filter(|(offset, _)| *offset >= self.start && *offset < end);
        reachable.find(|(_, timestamp)| *timestamp >= target)
    }
}

fn fold(producers: &mut BTreeMap<i64, Producer>, ended: &mut Vec<Ended>, batch: &Batch) {
    let header = &batch.header;
    if header.producer_id.0 < 0 {
        return;
    }
    let producer = producers.entry(header.producer_id.0).or_default();
    if producer.epoch != header.producer_epoch.0 {
        producer.epoch = header.producer_epoch.0;
        producer.batches.clear();
    }
    producer.last_timestamp = producer.last_timestamp.max(header.max_timestamp);
    if let Some(commits) = batch.commits {
        if let Some(first) = producer.open.take() {
            ended.push((header.producer_id.0, first, batch.last, commits));
        }
        return;
    }
    let meta = (header.base_sequence, header.last_sequence(), batch.base, batch.last);
    producer.batches.push(meta);
    if producer.batches.len() > 5 {
        producer.batches.remove(0);
    }
    if header.attributes.is_transactional() {
        producer.open.get_or_insert(batch.base);
    }
}
