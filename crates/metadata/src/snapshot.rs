//! Snapshots of an image: the records that lead to it, in frames.
//!
//! ```text
//! "CHRIMAGE" | format u32 | frame, frame, …      frame = length u32 | SnapshotFrame (protobuf)
//! ```
//! Numbers are little-endian. The last frame says where the image stands among the batches and
//! what its hash is, so a snapshot that was cut off or damaged is never taken for whole.
//!
//! **Invariants:** what is read back is equal to what was written, or an error; reading holds one
//! frame in memory beside the image.
//!
//! **Not here:** the Raft position of a snapshot, its file and its transfer (`chronik-raft`).

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message as _;

use crate::image::{Applied, Image};
use crate::record::{self, Change, MetadataRecord};
use crate::replay::ReplayError;

const MAGIC: [u8; 8] = *b"CHRIMAGE";
const FORMAT: u32 = 1;
const HEADER_BYTES: usize = 12;
/// A frame is closed when it has this many bytes.
const FRAME_BYTES: usize = 256 * 1024;
/// A longer frame is not ours: one record is at most a configuration value and its names.
const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

#[derive(Clone, PartialEq, ::prost::Message)]
struct SnapshotFrame {
    #[prost(message, repeated, tag = "1")]
    records: Vec<MetadataRecord>,
    #[prost(message, optional, tag = "2")]
    end: Option<SnapshotEnd>,
}

#[derive(Clone, PartialEq, ::prost::Message)]
struct SnapshotEnd {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(uint64, tag = "2")]
    sequence: u64,
    #[prost(fixed64, tag = "3")]
    hash: u64,
}

/// Why bytes are not a snapshot that this version can read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum SnapshotError {
    #[error("not a metadata snapshot")]
    Magic,
    #[error("metadata snapshot of format {0}; this version reads format {FORMAT}")]
    Format(u32),
    #[error("a frame of {0} bytes in a metadata snapshot")]
    FrameTooLong(usize),
    #[error("malformed frame in a metadata snapshot: {0}")]
    Malformed(#[from] prost::DecodeError),
    #[error("a metadata snapshot has fields this version does not know; update this node")]
    UnknownField,
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error("bytes after the end of a metadata snapshot")]
    AfterEnd,
    #[error("a metadata snapshot is cut off")]
    CutOff,
    #[error("a metadata snapshot adds up to another image than was written")]
    Hash,
}

/// The bytes of a snapshot of `image`, in pieces of about 256 KiB.
pub fn write(image: &Image) -> impl Iterator<Item = Bytes> {
    let mut header = BytesMut::with_capacity(HEADER_BYTES);
    header.put_slice(&MAGIC);
    header.put_u32_le(FORMAT);
    let mut records = records(image).peekable();
    let mut ended = false;
    std::iter::once(header.freeze()).chain(std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let mut frame = SnapshotFrame { records: Vec::new(), end: None };
        let mut bytes = 0;
        while bytes < FRAME_BYTES
            && let Some(record) = records.next()
        {
            bytes += record.encoded_len();
            frame.records.push(record);
        }
        if records.peek().is_none() {
            ended = true;
            let Applied { term, sequence } = image.applied;
            frame.end = Some(SnapshotEnd { term, sequence, hash: image.hash() });
        }
        let len = frame.encoded_len();
        let mut bytes = Vec::with_capacity(4 + len);
        // A frame is far below 4 GiB: its records are bounded above.
        bytes.put_u32_le(u32::try_from(len).unwrap_or(u32::MAX));
        frame.encode_raw(&mut bytes);
        Some(bytes.into())
    }))
}

/// The image of a whole snapshot.
///
/// # Errors
/// See [`SnapshotReader`].
pub fn read(pieces: impl IntoIterator<Item = Bytes>) -> Result<Image, SnapshotError> {
    let mut reader = SnapshotReader::default();
    for piece in pieces {
        reader.push(&piece)?;
    }
    reader.finish()
}

/// Reads a snapshot that arrives in pieces, cut anywhere.
#[derive(Debug, Default)]
pub struct SnapshotReader {
    image: Image,
    /// What has arrived of the header or of the next frame.
    pending: BytesMut,
    header_read: bool,
    end: Option<SnapshotEnd>,
}

impl SnapshotReader {
    /// Takes the next piece.
    ///
    /// # Errors
    /// [`SnapshotError`]; the reader is then of no further use.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), SnapshotError> {
        self.pending.extend_from_slice(piece);
        if !self.header_read {
            if self.pending.len() < HEADER_BYTES {
                return Ok(());
            }
            check_header(&self.pending.split_to(HEADER_BYTES))?;
            self.header_read = true;
        }
        while let Some(frame) = self.next_frame()? {
            self.apply(&frame)?;
        }
        Ok(())
    }

    /// The image, if the snapshot has arrived whole.
    ///
    /// # Errors
    /// [`SnapshotError::CutOff`] if it has not, [`SnapshotError::Hash`] if it is another image
    /// than was written.
    pub fn finish(mut self) -> Result<Image, SnapshotError> {
        let end = self.end.take().filter(|_| self.pending.is_empty());
        let end = end.ok_or(SnapshotError::CutOff)?;
        self.image.applied = Applied { term: end.term, sequence: end.sequence };
        if self.image.hash() != end.hash {
            return Err(SnapshotError::Hash);
        }
        Ok(self.image)
    }

    fn next_frame(&mut self) -> Result<Option<BytesMut>, SnapshotError> {
        if self.end.is_some() && !self.pending.is_empty() {
            return Err(SnapshotError::AfterEnd);
        }
        let Some(len) = self.pending.first_chunk::<4>() else { return Ok(None) };
        let len = u32::from_le_bytes(*len) as usize;
        if len > FRAME_BYTES_MAX {
            return Err(SnapshotError::FrameTooLong(len));
        }
        if self.pending.len() < 4 + len {
            return Ok(None);
        }
        let mut frame = self.pending.split_to(4 + len);
        Ok(Some(frame.split_off(4)))
    }

    fn apply(&mut self, frame: &[u8]) -> Result<(), SnapshotError> {
        let decoded = SnapshotFrame::decode(frame)?;
        for record in &decoded.records {
            self.image.replay(record)?;
        }
        if decoded.encoded_len() != frame.len() {
            return Err(SnapshotError::UnknownField);
        }
        self.end = decoded.end;
        Ok(())
    }
}

fn check_header(header: &[u8]) -> Result<(), SnapshotError> {
    let format = header.strip_prefix(&MAGIC).ok_or(SnapshotError::Magic)?;
    let format = format.first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    if format == FORMAT { Ok(()) } else { Err(SnapshotError::Format(format)) }
}

/// The records that lead from nothing to `image`, always the same ones in the same order.
fn records(image: &Image) -> impl Iterator<Item = MetadataRecord> {
    let counters = record::Counters {
        next_broker_epoch: image.next_broker_epoch,
        next_producer_id: image.next_producer_id,
    };
    let cluster_id = image.cluster_id().map(|cluster_id| {
        Change::ClusterId(record::ClusterId { cluster_id: cluster_id.to_owned() })
    });
    let features = image.features().map(|(name, level)| {
        Change::FeatureLevel(record::FeatureLevel { name: name.to_owned(), level: level.into() })
    });
    let brokers = image.brokers().map(|broker| Change::RegisterBroker(broker.to_record()));
    let configs = image.configured_resources().flat_map(|(resource, configs)| {
        let (wire_type, wire_name) = (resource.wire_type(), resource.wire_name());
        configs.iter().map(move |entry| config(wire_type, wire_name.clone(), entry))
    });
    std::iter::once(Change::Counters(counters))
        .chain(cluster_id)
        .chain(features)
        .chain(brokers)
        .chain(configs)
        .chain(image.topics().flat_map(|topic| topic_changes(topic)))
        .map(MetadataRecord::from)
}

fn topic_changes(topic: &crate::Topic) -> impl Iterator<Item = Change> {
    let topic_id = topic.id.into();
    let created = record::Topic { topic_id, name: topic.name.to_string() };
    let configs = topic.configs.iter().map(|entry| config(2, topic.name.to_string(), entry));
    let partitions = topic
        .partitions
        .iter()
        .map(move |(number, partition)| Change::Partition(partition.to_record(topic_id, number)));
    std::iter::once(Change::Topic(created)).chain(configs).chain(partitions)
}

fn config(resource_type: i8, resource_name: String, entry: (&String, &String)) -> Change {
    Change::Config(record::Config {
        resource_type: resource_type.into(),
        resource_name,
        name: entry.0.clone(),
        value: Some(entry.1.clone()),
    })
}

impl Image {
    /// A number that is the same for images of the same content, on every node and machine: the
    /// FNV-1a hash of the records of a snapshot. It tells images apart that should be the same;
    /// it is no protection against forgery. Takes time in proportion to the image.
    ///
    /// Where the image stands among the batches ([`Image::applied`]) is no part of it, so that a
    /// speculative image can be compared with a committed one.
    #[must_use]
    pub fn hash(&self) -> u64 {
        const OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
        const PRIME: u64 = 0x0000_0100_0000_01B3;
        let mut hash = OFFSET;
        let mut bytes = Vec::new();
        for record in records(self) {
            bytes.clear();
            record.encode_raw(&mut bytes);
            for byte in &bytes {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
            }
        }
        hash
    }
}

#[cfg(test)]
mod tests;
