//! Bugs that can be planted, to see whether a simulation finds them.

/// One bug.
pub struct Bug {
    /// Its name: that of the function in the `bugs` module of the crate that has it.
    pub name: &'static str,
    /// What is wrong with it planted.
    pub what: &'static str,
}

macro_rules! table {
    ($($name:ident: $what:literal;)+) => {
        pub const TABLE: &[Bug] = &[$(Bug { name: stringify!($name), what: $what },)+];
    };
}

table! {
    leave_out_sync: "the journal reports a group durable without a sync";
    forget_facts: "journal files are recycled although the last flush fact of a log is in them";
    trust_the_page_cache: "what recovery read from the page cache counts as durable";
    replay_below_flushed: "replay ignores flush facts";
    recycle_unflushed: "journal files are recycled although a log has unflushed records in them";
    forget_vote: "the vote is not repeated at the head of a journal file";
    drop_truncations: "recovery ignores truncations";
    one_batch_sidecar: "the producer sidecar holds one batch for each producer";
    leave_out_segment_sync: "FLUSHED is journaled before the segments are synced";
    leave_out_directory_sync: "the directory entry of a new segment is not synced";
    keep_stale_files: "segments of a truncated past stay";
    unlink_before_start_is_durable: "segments are unlinked before the log start is durable";
}
