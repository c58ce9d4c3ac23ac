//! What a log knows of its producers and their transactions, against the reference.

use std::collections::BTreeMap;

use chronik_log::Origin;
use chronik_protocol::batch::BatchBuilder;
use chronik_types::{Offset, ProducerEpoch, ProducerId};

use super::world::{Outcome, World, said, same};

impl World {
    pub(super) fn check_producers(&self, at: usize) -> Outcome {
        let partition = &self.partitions[at];
        let state = partition.now();
        let (expected, ended) = state.producers();
        let found = partition.log().producers();
        let mut seen = BTreeMap::new();
        for summary in found {
            seen.insert(summary.producer_id.0, summary);
        }
        let same_ids = seen.keys().eq(expected.keys());
        let same_each = expected.iter().all(|(id, producer)| {
            seen.get(id).is_some_and(|summary| {
                summary.epoch.0 == producer.epoch
                    && summary.last_timestamp == producer.last_timestamp
                    && summary.last_sequence == producer.batches.last().map_or(-1, |b| b.1)
                    && summary.transaction_start.map(|o| o.0) == producer.open
            })
        });
        if !same_ids || !same_each {
            return Err(format!("producers of {}: {seen:?}, not {expected:?}", partition.name));
        }
        let offsets = partition.log().offsets();
        same("last stable offset", state.last_stable(), offsets.last_stable.0)?;
        let from = self.between(state.start, state.end);
        let log = partition.log();
        let aborted = log.aborted_transactions(Offset(from), Offset(state.end)).map_err(said)?;
        let aborted: Vec<_> =
            aborted.iter().map(|t| (t.first_offset.0, t.last_offset.0, t.producer_id.0)).collect();
        let mut known: Vec<_> = ended
            .iter()
            .filter(|(_, _, marker, committed)| !committed && *marker >= from)
            .map(|(id, first, marker, _)| (*first, *marker, *id))
            .collect();
        known.sort_unstable();
        if aborted != known {
            return Err(format!("aborted from {from}: {aborted:?}, not {known:?}"));
        }
        Ok(())
    }

    /// Every batch that is remembered is still known as a duplicate.
    pub(super) fn check_duplicates(&mut self, at: usize) -> Outcome {
        let (producers, _) = self.partitions[at].now().producers();
        let end = self.partitions[at].now().end;
        for (id, producer) in producers.into_iter().filter(|(id, _)| *id < 20) {
            for (first, last, base, _) in producer.batches {
                let count = (i64::from(last) - i64::from(first)).rem_euclid(1 << 31) + 1;
                let timestamps = self.timestamps(count as usize);
                let builder = BatchBuilder::new().producer(
                    ProducerId(id),
                    ProducerEpoch(producer.epoch),
                    first,
                );
                let bytes = self.build(builder, &timestamps);
                match self.lead(at, bytes, timestamps, Origin::Client, None) {
                    Ok(None) => {}
                    Ok(Some(appended)) if appended.duplicate && appended.base_offset.0 == base => {}
                    other => {
                        return Err(format!("the batch at {base} of {id} is forgotten: {other:?}"));
                    }
                }
            }
        }
        same("end after duplicates", end, self.partitions[at].log().end().0)
    }
}
