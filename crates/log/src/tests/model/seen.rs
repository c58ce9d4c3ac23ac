//! How much of what a run is for it has seen.

/// How much of what a run is for it has seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub operations: u64,
    pub appends: u64,
    pub duplicates: u64,
    pub refused_sequences: u64,
    pub crashes: u64,
    pub crashes_inside: u64,
    pub crashes_in_recovery: u64,
    pub clean_stops: u64,
    pub lost_unacknowledged: u64,
    pub flushes: u64,
    pub flushed_bytes: u64,
    pub copies: u64,
    pub failed_writes: u64,
    pub failed_syncs: u64,
    pub truncations: u64,
    pub truncations_in_files: u64,
    pub resets: u64,
    pub starts_moved: u64,
    pub retention_moves: u64,
    pub segments_removed: u64,
    pub segment_reads: u64,
    pub memory_reads: u64,
    pub lookups: u64,
    pub deletions: u64,
    pub transactions: u64,
    pub refused_admissions: u64,
}

impl Seen {
    pub fn add(&mut self, more: &Self) {
        self.operations += more.operations;
        self.appends += more.appends;
        self.duplicates += more.duplicates;
        self.refused_sequences += more.refused_sequences;
        self.crashes += more.crashes;
        self.crashes_inside += more.crashes_inside;
        self.crashes_in_recovery += more.crashes_in_recovery;
        self.clean_stops += more.clean_stops;
        self.lost_unacknowledged += more.lost_unacknowledged;
        self.flushes += more.flushes;
        self.flushed_bytes += more.flushed_bytes;
        self.copies += more.copies;
        self.failed_writes += more.failed_writes;
        self.failed_syncs += more.failed_syncs;
        self.truncations += more.truncations;
        self.truncations_in_files += more.truncations_in_files;
        self.resets += more.resets;
        self.starts_moved += more.starts_moved;
        self.retention_moves += more.retention_moves;
        self.segments_removed += more.segments_removed;
        self.segment_reads += more.segment_reads;
        self.memory_reads += more.memory_reads;
        self.lookups += more.lookups;
        self.deletions += more.deletions;
        self.transactions += more.transactions;
        self.refused_admissions += more.refused_admissions;
    }
}
