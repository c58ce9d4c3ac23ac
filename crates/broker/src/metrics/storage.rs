//! What the journal and the logs have done, and how full they are, read when it is asked for.

use std::fmt;

use chronik_log::Storage;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Reads the counters of the storage when it is asked for.
pub(crate) struct StorageMetrics {
    pub storage: Storage,
}

impl fmt::Debug for StorageMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StorageMetrics")
    }
}

impl Collector for StorageMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stats = self.storage.stats();
        let journal = &stats.journal;
        let counters = [
            ("journal_syncs", "Groups made durable, each with one sync", None, journal.syncs),
            ("journal_records", "Records made durable", None, journal.records),
            ("journal_written", "Bytes written, with padding", Some(Unit::Bytes), journal.bytes),
            ("journal_files_begun", "Journal files taken into use", None, journal.files_begun),
            ("journal_files_recycled", "Journal files used again", None, journal.files_recycled),
            ("flushed_logs", "Logs flushed to segments", None, stats.flushed_logs),
            ("flushed", "Bytes flushed to segments", Some(Unit::Bytes), stats.flushed_bytes),
        ];
        for (name, help, unit, value) in counters {
            let counter = ConstCounter::new(value);
            let kind = counter.metric_type();
            counter.encode(encoder.encode_descriptor(name, help, unit.as_ref(), kind)?)?;
        }
        let seconds = [
            ("journal_write", "Time spent writing groups", journal.write_micros),
            ("journal_sync", "Time spent syncing groups", journal.sync_micros),
        ];
        for (name, help, micros) in seconds {
            let counter = ConstCounter::new(micros as f64 / 1e6);
            let kind = counter.metric_type();
            counter.encode(encoder.encode_descriptor(name, help, Some(&Unit::Seconds), kind)?)?;
        }
        let bytes = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let gauges = [
            ("journal_used", "Bytes of journal files in use", journal.used_bytes),
            ("journal_queued", "Bytes reserved or queued, not written yet", journal.queue_bytes),
            ("unflushed", "Bytes that no segment has yet", bytes(stats.unflushed_bytes)),
            ("cached", "Flushed bytes kept in memory for readers", bytes(stats.cached_bytes)),
        ];
        for (name, help, value) in gauges {
            gauge(&mut encoder, name, help, Some(&Unit::Bytes), value)?;
        }
        let help = "Whether journal files are written past the page cache";
        gauge(&mut encoder, "journal_direct_io", help, None, u64::from(journal.direct))?;
        let help = "Logs that cannot be flushed, not being open, and keep a journal that is more than \
                    half full from dropping its oldest file";
        let holders = bytes(self.storage.journal_holders().len());
        gauge(&mut encoder, "journal_held_by_unopened_logs", help, None, holders)?;
        gauge(&mut encoder, "open_logs", "Logs that are open", None, bytes(stats.open_logs))?;
        let help = "Logs with records that no segment has yet";
        gauge(&mut encoder, "dirty_logs", help, None, bytes(stats.dirty_logs))
    }
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: u64,
) -> fmt::Result {
    let gauge = ConstGauge::new(value);
    gauge.encode(encoder.encode_descriptor(name, help, unit, gauge.metric_type())?)
}
