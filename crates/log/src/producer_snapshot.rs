//! The producers of a log at one offset, as files beside its segments.
//!
//! An empty file `<offset>.noproducers` says that there was no producer up to there; it cannot be
//! torn, and is true whether or not the flush that left it counts. Otherwise two files, written
//! together, durable before the flush to that offset counts:
//! - `<offset>.producers`, ours: everything, so that a duplicate of any of the last five batches is
//!   still known after a restart. Big-endian:
//!   version 1 (i16), CRC-32C of the rest (u32), count (i32), then for each producer: id (i64),
//!   epoch (i16), last timestamp (i64), last seen (i64), coordinator epoch (i32), first offset of the open transaction
//!   or -1 (i64), count of batches (u8), and for each batch, oldest first: first sequence, last sequence
//!   (i32), last offset (i64), offset delta (i32), timestamp (i64).
//! - `<offset>.snapshot`, Kafka's, for its tools; never read here.

use std::path::Path;
use std::sync::Arc;

use chronik_types::{Offset, ProducerEpoch};

use crate::append::marker_of;
use crate::bugs;
use crate::error::DiskError;
use crate::producers::{BATCHES_KEPT, BatchMeta, EndedTransaction, Producer, Producers};
use crate::segment::scan::Scan;
use crate::segment::{Segment, Segments, index_entries, path_of};
use crate::storage::Shared;

const VERSION: i16 = 1;
/// Bytes of a sidecar: far beyond what the bound on producers allows.
const BYTES_MAX: u64 = 1 << 30;

/// The bytes of our sidecar.
pub(crate) fn encode(producers: &Producers) -> Vec<u8> {
    let mut body = Vec::new();
    put_i32(&mut body, producers.iter().len());
    for (id, producer) in producers.iter() {
        body.extend_from_slice(&id.to_be_bytes());
        body.extend_from_slice(&producer.epoch.0.to_be_bytes());
        body.extend_from_slice(&producer.last_timestamp.to_be_bytes());
        body.extend_from_slice(&producer.last_seen.to_be_bytes());
        body.extend_from_slice(&producer.coordinator_epoch.to_be_bytes());
        body.extend_from_slice(&transaction_start(producer).to_be_bytes());
        let keep = if bugs::one_batch_sidecar() { 1 } else { BATCHES_KEPT };
        let skip = producer.batches.len().saturating_sub(keep);
        body.push(producer.batches.len().saturating_sub(skip) as u8);
        for batch in producer.batches.iter().skip(skip) {
            body.extend_from_slice(&batch.first_sequence.to_be_bytes());
            body.extend_from_slice(&batch.last_sequence.to_be_bytes());
            body.extend_from_slice(&batch.last_offset.0.to_be_bytes());
            body.extend_from_slice(&batch.offset_delta.to_be_bytes());
            body.extend_from_slice(&batch.timestamp.to_be_bytes());
        }
    }
    framed(&body)
}

/// The bytes of Kafka's snapshot: one batch for each producer.
pub(crate) fn encode_kafka(producers: &Producers) -> Vec<u8> {
    let mut body = Vec::new();
    put_i32(&mut body, producers.iter().len());
    for (id, producer) in producers.iter() {
        let last = producer.batches.last();
        body.extend_from_slice(&id.to_be_bytes());
        body.extend_from_slice(&producer.epoch.0.to_be_bytes());
        body.extend_from_slice(&last.map_or(-1, |b| b.last_sequence).to_be_bytes());
        body.extend_from_slice(&last.map_or(-1, |b| b.last_offset.0).to_be_bytes());
        body.extend_from_slice(&last.map_or(0, |b| b.offset_delta).to_be_bytes());
        body.extend_from_slice(&producer.last_timestamp.to_be_bytes());
        body.extend_from_slice(&producer.coordinator_epoch.to_be_bytes());
        body.extend_from_slice(&transaction_start(producer).to_be_bytes());
    }
    framed(&body)
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut bytes = VERSION.to_be_bytes().to_vec();
    bytes.extend_from_slice(&crc_fast::crc32_iscsi(body).to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn put_i32(bytes: &mut Vec<u8>, count: usize) {
    bytes.extend_from_slice(&i32::try_from(count).unwrap_or(i32::MAX).to_be_bytes());
}

fn transaction_start(producer: &Producer) -> i64 {
    producer.transaction_start.map_or(-1, |offset| offset.0)
}

/// Reads our sidecar; the error says what is wrong with it.
pub(crate) fn decode(bytes: &[u8]) -> Result<Producers, &'static str> {
    let mut fields = Fields { rest: bytes };
    if fields.i16()? != VERSION {
        return Err("a version of the producers' state that this program does not know");
    }
    let crc = u32::from_be_bytes(fields.take()?);
    if crc != crc_fast::crc32_iscsi(fields.rest) {
        return Err("the producers' state does not match its checksum");
    }
    let count = fields.i32()?;
    let mut producers = Producers::default();
    for _ in 0..count {
        let (id, producer) = fields.producer()?;
        producers.insert(id, producer);
    }
    if fields.rest.is_empty() { Ok(producers) } else { Err("bytes follow the last producer") }
}

struct Fields<'a> {
    rest: &'a [u8],
}

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (field, rest) = self.rest.split_first_chunk().ok_or("it ends too early")?;
        self.rest = rest;
        Ok(*field)
    }

    fn i16(&mut self) -> Result<i16, &'static str> {
        self.take().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, &'static str> {
        self.take().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, &'static str> {
        self.take().map(i64::from_be_bytes)
    }

    fn producer(&mut self) -> Result<(i64, Producer), &'static str> {
        let id = self.i64()?;
        let mut producer = Producer {
            epoch: ProducerEpoch(self.i16()?),
            last_timestamp: self.i64()?,
            last_seen: self.i64()?,
            coordinator_epoch: self.i32()?,
            transaction_start: Some(self.i64()?).filter(|start| *start >= 0).map(Offset),
            batches: Vec::new(),
        };
        let [count] = self.take::<1>()?;
        if usize::from(count) > BATCHES_KEPT {
            return Err("a producer with too many batches");
        }
        for _ in 0..count {
            producer.batches.push(BatchMeta {
                first_sequence: self.i32()?,
                last_sequence: self.i32()?,
                last_offset: Offset(self.i64()?),
                offset_delta: self.i32()?,
                timestamp: self.i64()?,
            });
        }
        Ok((id, producer))
    }
}

/// Where the producers at some offset can be read from: a sidecar and the batches behind it.
pub(crate) struct ProducersSource {
    shared: Arc<Shared>,
    dir: Option<Arc<Path>>,
    /// Those that will do, the best one first.
    sidecars: Vec<Offset>,
    segments: Vec<Segment>,
    /// Where to begin without a sidecar.
    base: Option<Offset>,
    at: Offset,
}

/// The producers at an offset.
#[derive(Default)]
pub(crate) struct LoadedProducers {
    pub(crate) producers: Producers,
    /// Transactions that ended in the batches that were walked.
    pub(crate) ended: Vec<EndedTransaction>,
}

impl Segments {
    /// What the producers at `at`, at most the flushed end, are read from; beginning at a sidecar
    /// at or below `low`, so that whatever ended from there on is seen.
    pub(crate) fn producers_source(
        &self,
        shared: &Arc<Shared>,
        at: Offset,
        low: Offset,
    ) -> ProducersSource {
        let below = self.sidecars.partition_point(|sidecar| *sidecar <= at.min(low));
        let usable = self.sidecars.get(..below).unwrap_or_default();
        // Without any sidecar no flush has ever seen a producer. With later ones only, the batches
        // from the first segment on are all there is.
        let known = !self.sidecars.is_empty();
        ProducersSource {
            shared: Arc::clone(shared),
            dir: self.dir.clone(),
            sidecars: usable.iter().rev().copied().collect(),
            segments: if known { self.list().to_vec() } else { Vec::new() },
            base: self.list().first().map(|segment| segment.base),
            at,
        }
    }
}

impl ProducersSource {
    /// Reads. Blocks on the disk; nothing is read if there never was a producer.
    pub(crate) fn load(&self) -> Result<LoadedProducers, DiskError> {
        let mut loaded = LoadedProducers::default();
        let Some(dir) = &self.dir else { return Ok(loaded) };
        let sidecar = self.newest(dir)?;
        let from = sidecar.as_ref().map(|(at, _)| *at).or(self.base);
        loaded.producers = sidecar.map(|(_, producers)| producers).unwrap_or_default();
        let Some(from) = from else { return Ok(loaded) };
        let ends = self.segments.iter().skip(1).map(|next| next.base).chain([self.at]);
        for (segment, end) in self.segments.iter().zip(ends) {
            if segment.base < self.at && from < end {
                self.apply_segment(dir, segment, from, &mut loaded)?;
            }
        }
        Ok(loaded)
    }

    /// The newest sidecar that can be read. One may be torn if the flush that wrote it never
    /// counted; an older one and the batches since say the same.
    fn newest(&self, dir: &Path) -> Result<Option<(Offset, Producers)>, DiskError> {
        let mut damaged = None;
        for at in &self.sidecars {
            let path = path_of(dir, *at, "producers");
            let bytes = match self.shared.env.disk.read(&path, BYTES_MAX) {
                Ok(bytes) => bytes,
                // `.noproducers` is there instead.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Ok(Some((*at, Producers::default())));
                }
                Err(error) => return Err(DiskError::io(&path)(error)),
            };
            match decode(&bytes) {
                Ok(producers) => return Ok(Some((*at, producers))),
                Err(why) => {
                    tracing::warn!(?path, why, "the producers' state is unreadable");
                    damaged.get_or_insert(DiskError::corrupt(&path, 0, why));
                }
            }
        }
        damaged.map_or(Ok(None), Err)
    }

    fn apply_segment(
        &self,
        dir: &Path,
        segment: &Segment,
        from: Offset,
        loaded: &mut LoadedProducers,
    ) -> Result<(), DiskError> {
        let path = path_of(dir, segment.base, "log");
        let file = self.shared.files.read(&path)?;
        let start = self.position_before(dir, segment, from)?;
        let now = self.shared.env.clock.wall().0;
        let mut scan = Scan::new(&file, &path, start, segment.bytes);
        while let Some((at, header)) = scan.next()? {
            if header.base_offset >= self.at {
                break;
            }
            if header.base_offset >= from && header.is_idempotent() {
                let control = header.attributes.is_control();
                let batch = if control { scan.batch(at, &header)? } else { Vec::new() };
                let ended = loaded.producers.apply(&header, marker_of(&header, &batch), now);
                loaded.ended.extend(ended);
            }
        }
        Ok(())
    }

    fn position_before(
        &self,
        dir: &Path,
        segment: &Segment,
        from: Offset,
    ) -> Result<u64, DiskError> {
        let (_, last) = index_entries::below(&self.shared.files, dir, segment, from)?;
        Ok(last.map_or(0, |entry| u64::try_from(entry.position).unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Producers {
        let batch = |n: i32| BatchMeta {
            first_sequence: n * 10,
            last_sequence: n * 10 + 9,
            last_offset: Offset(i64::from(n) * 10 + 9),
            offset_delta: 9,
            timestamp: 1_000 + i64::from(n),
        };
        let mut producers = Producers::default();
        let batches = (0..5).map(batch).collect();
        let producer = Producer {
            epoch: ProducerEpoch(2),
            batches,
            last_timestamp: 1_004,
            last_seen: 2_000,
            coordinator_epoch: -1,
            transaction_start: Some(Offset(30)),
        };
        producers.insert(77, producer);
        producers
    }

    #[test]
    fn all_five_batches_come_back() {
        let producers = sample();
        let bytes = encode(&producers);
        assert_eq!(bytes.len(), 10 + 39 + 5 * 28);
        assert_eq!(decode(&bytes), Ok(producers));
    }

    #[test]
    fn kafkas_snapshot_is_kafkas_bytes() {
        let bytes = encode_kafka(&sample());
        let mut golden: Vec<u8> = vec![0, 1];
        let mut body: Vec<u8> = vec![0, 0, 0, 1];
        body.extend_from_slice(&77_i64.to_be_bytes());
        body.extend_from_slice(&2_i16.to_be_bytes());
        body.extend_from_slice(&49_i32.to_be_bytes());
        body.extend_from_slice(&49_i64.to_be_bytes());
        body.extend_from_slice(&9_i32.to_be_bytes());
        body.extend_from_slice(&1_004_i64.to_be_bytes());
        body.extend_from_slice(&(-1_i32).to_be_bytes());
        body.extend_from_slice(&30_i64.to_be_bytes());
        golden.extend_from_slice(&crc_fast::crc32_iscsi(&body).to_be_bytes());
        golden.extend_from_slice(&body);
        assert_eq!(bytes, golden);
    }

    #[test]
    fn every_damaged_or_cut_byte_is_noticed() {
        let bytes = encode(&sample());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(decode(&damaged).is_err(), "byte {at}");
            assert!(decode(&bytes[..at]).is_err(), "cut at {at}");
        }
    }
}
