//! The handle through which the broker writes.

use std::sync::Arc;

use bytes::Bytes;
use chronik_types::TopicPartition;

use crate::crc::crc32c;
use crate::entry;
use crate::frame::BLOCK_BYTES;
use crate::shared::{Content, Phase, Shared};
use crate::{Class, LogId, Record, Refused, Reservation, Stats};

/// The running journal. Clones share it.
#[derive(Clone)]
pub struct Journal {
    pub(crate) shared: Arc<Shared>,
}

impl Journal {
    /// Reserves space for records with `bytes` of batches.
    ///
    /// # Errors
    ///
    /// See [`Refused`]; [`DurableSink::space_freed`](crate::DurableSink::space_freed) says when to
    /// try again.
    pub fn try_reserve(&self, class: Class, bytes: usize) -> Result<Reservation, Refused> {
        self.shared.try_reserve(class, bytes)
    }

    /// Reserves space for a `Flushed` or a `Drop`: never refused because the journal is full, since
    /// it is what empties it.
    ///
    /// # Errors
    ///
    /// [`Refused::TooLarge`] and [`Refused::Stopped`].
    pub fn reserve_to_free(&self, bytes: usize) -> Result<Reservation, Refused> {
        self.shared.reserve_to_free(bytes)
    }

    /// A new id for a replica of `partition`.
    #[must_use]
    pub fn new_log(&self, partition: TopicPartition) -> LogId {
        self.shared.table.lock().new_log(partition)
    }

    /// Queues records of one log, in order, as one unit: they become durable in one group. Returns
    /// a ticket; tickets increase. Never fails: after a stop, nothing is reported durable any more.
    ///
    /// The records of one log become durable in the order they were submitted within one class.
    ///
    /// # Panics
    ///
    /// When the records are larger than half a journal file, or a batch's CRC is missing and the
    /// batch is larger than 4 GiB: no reservation is granted for such.
    pub fn submit(
        &self,
        reservation: Reservation,
        class: Class,
        log: LogId,
        mut records: Vec<Record>,
    ) -> u64 {
        let mut bytes = 0;
        for record in &mut records {
            bytes += entry::entry_bytes(record) + entry::payload_bytes(record);
            // Here and not in the writer, so that as many threads compute as submit.
            if let Record::Append { batch, crc, .. } = record {
                crc.get_or_insert_with(|| crc32c(batch));
            }
        }
        assert!(
            bytes as u64 <= self.shared.submission_bytes_max(),
            "a submission of {bytes} bytes does not fit in half a journal file"
        );
        self.shared.submit(class, log, Content::Records(records), reservation.into_cost())
    }

    /// The most bytes of batches that one submission may have, and so one reservation.
    #[must_use]
    pub fn batch_bytes_max(&self) -> usize {
        let bytes = self.shared.submission_bytes_max().saturating_sub(u64::from(BLOCK_BYTES));
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// Queues a vote, before or after the records of the metadata log as they are submitted.
    pub fn save_vote(&self, vote: Bytes) -> u64 {
        self.shared.submit(Class::Metadata, LogId::JOURNAL, Content::Vote(vote), 0)
    }

    /// The oldest file that cannot be recycled, and the logs with unflushed records in it.
    #[must_use]
    pub fn oldest_unrecyclable(&self) -> Option<(u64, Vec<LogId>)> {
        let live: Vec<u64> = self.shared.live.lock().iter().copied().collect();
        let table = self.shared.table.lock();
        let file = live.into_iter().find(|file| table.has_unflushed(*file))?;
        Some((file, table.unflushed(file)))
    }

    /// What has been written so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let (used_bytes, queue_bytes) = {
            let queue = self.shared.queue.lock();
            (queue.used, queue.reserved)
        };
        Stats { used_bytes, queue_bytes, ..*self.shared.stats.lock() }
    }

    /// Writes what is queued, seals the journal and joins its threads. Later calls do nothing.
    /// Without a thread, the core's steps do it. Must not be called by the sink.
    pub fn shutdown(&self) {
        {
            let mut queue = self.shared.queue.lock();
            if queue.phase == Phase::Running {
                queue.phase = Phase::Stopping;
            }
            queue.asleep = false;
            if let Some(writer) = &queue.writer {
                writer.wake_by_ref();
            }
        }
        let joins = std::mem::take(&mut *self.shared.joins.lock());
        for join in joins {
            // A thread that panicked has nothing left to write.
            let _ = join.join();
        }
        #[cfg(chronik_sim)]
        crate::simulated::finish(&self.shared.driven.lock());
    }
}
