//! Building the frame of one group. Pure.

use bytes::Bytes;
use chronik_types::TopicPartition;

use crate::crc::salted;
use crate::entry;
use crate::frame::{FRAME_BYTES, FrameHeader, padded};
use crate::{Completed, Flushed, LogId, Lsn, Record};

/// What a record changes in the table once its group is durable.
pub enum Effect {
    Flushed(Flushed),
    Drop,
}

/// A group being built for its place.
pub struct Builder {
    salt: u64,
    number: u64,
    file: u64,
    position: u32,
    /// Room for the header, then the directory.
    head: Vec<u8>,
    payloads: Vec<Bytes>,
    payload_bytes: usize,
    count: u32,
    last: u32,
    pub done: Vec<Completed>,
    pub effects: Vec<(LogId, Lsn, Effect)>,
    /// Reserved bytes of what was submitted.
    pub cost: u64,
    /// Flush facts written again.
    pub repeated: u64,
}

/// A group ready to be written.
pub struct Group {
    pub number: u64,
    pub position: u32,
    /// Header and directory.
    pub head: Vec<u8>,
    pub payloads: Vec<Bytes>,
    /// Bytes with padding.
    pub padded: u32,
    /// Zeros after the last payload.
    pub padding: usize,
    /// The position of the last record.
    pub lsn: Lsn,
    pub done: Vec<Completed>,
    pub effects: Vec<(LogId, Lsn, Effect)>,
    pub cost: u64,
    pub repeated: u64,
}

impl Builder {
    /// A group with this number, to be written at `position` of the file with this sequence.
    pub fn new(file: u64, salt: u64, position: u32, number: u64) -> Self {
        Self {
            salt,
            number,
            file,
            position,
            head: vec![0; FRAME_BYTES],
            payloads: Vec::new(),
            payload_bytes: 0,
            count: 0,
            last: position,
            done: Vec::new(),
            effects: Vec::new(),
            cost: 0,
            repeated: 0,
        }
    }

    /// Bytes so far, without padding.
    pub fn bytes(&self) -> usize {
        self.head.len() + self.payload_bytes
    }

    fn begin_entry(&mut self) -> Lsn {
        let at = u32::try_from(self.head.len()).unwrap_or(u32::MAX);
        self.last = self.position.saturating_add(at);
        self.count += 1;
        Lsn { file: self.file, position: self.last }
    }

    pub fn mapping(&mut self, log: LogId, partition: TopicPartition) {
        self.begin_entry();
        entry::put_mapping(&mut self.head, log, partition);
    }

    pub fn vote(&mut self, vote: Bytes) -> Lsn {
        let lsn = self.begin_entry();
        entry::put_vote(&mut self.head, &vote);
        self.payload_bytes += vote.len();
        self.payloads.push(vote);
        lsn
    }

    pub fn seal(&mut self) {
        self.begin_entry();
        entry::put_seal(&mut self.head);
    }

    pub fn record(&mut self, log: LogId, record: Record) -> Lsn {
        let lsn = self.begin_entry();
        entry::put_record(&mut self.head, log, &record);
        match record {
            Record::Append { batch, .. } => {
                self.payload_bytes += batch.len();
                self.payloads.push(batch);
            }
            Record::Flushed(flushed) => self.effects.push((log, lsn, Effect::Flushed(flushed))),
            Record::Drop => self.effects.push((log, lsn, Effect::Drop)),
            Record::TruncateTo { .. }
            | Record::ResetTo { .. }
            | Record::StartOffset { .. }
            | Record::EpochStart { .. } => {}
        }
        lsn
    }

    /// Puts the header in its place.
    pub fn finish(mut self) -> Group {
        // Never wraps: a group fits in a file, and a file's length in 32 bits.
        let bytes = u32::try_from(self.bytes()).unwrap_or(u32::MAX);
        let (place, directory) = self.head.split_at_mut(FRAME_BYTES);
        let header = FrameHeader {
            salt: self.salt,
            group: self.number,
            file: self.file,
            position: self.position,
            bytes,
            directory_bytes: u32::try_from(directory.len()).unwrap_or(u32::MAX),
            count: self.count,
            directory_crc: salted(self.salt, directory),
        };
        place.copy_from_slice(&header.encode());
        let padded = padded(bytes);
        Group {
            number: self.number,
            position: self.position,
            head: self.head,
            payloads: self.payloads,
            padded,
            padding: (padded - bytes) as usize,
            lsn: Lsn { file: self.file, position: self.last },
            done: self.done,
            effects: self.effects,
            cost: self.cost,
            repeated: self.repeated,
        }
    }
}
