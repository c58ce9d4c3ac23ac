//! Counters.

/// What has been written, and how full the journal is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Groups made durable.
    pub groups: u64,
    /// Syncs of group writes; equal to `groups`.
    pub syncs: u64,
    /// Records submitted and made durable.
    pub records: u64,
    /// Bytes of groups, with padding.
    pub bytes: u64,
    /// Bytes of live files in use.
    pub used_bytes: u64,
    /// Bytes reserved or queued, not yet written.
    pub queue_bytes: u64,
    /// Microseconds spent writing.
    pub write_micros: u64,
    /// Microseconds spent syncing.
    pub sync_micros: u64,
    /// The longest sync, in microseconds.
    pub sync_micros_max: u64,
    /// Flush facts repeated to free a file.
    pub facts_repeated: u64,
    /// Files taken into use.
    pub files_begun: u64,
    /// Files used again.
    pub files_recycled: u64,
    /// Files are written past the page cache: it was asked for, and not refused yet.
    pub direct: bool,
}
