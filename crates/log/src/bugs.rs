//! Bugs planted on order, so that tests and simulations can show that they would be seen.

#[cfg(test)]
pub(crate) use chronik_types::planted::plant;

chronik_types::planted_bugs! {
    /// Recovery ignores TRUNCATE_TO.
    drop_truncations;
    /// The sidecar holds one batch for each producer, as Kafka's snapshot does.
    one_batch_sidecar;
    /// FLUSHED is journaled before the files are synced.
    leave_out_segment_sync;
    /// A new segment's directory entry is not synced.
    leave_out_directory_sync;
    /// Files of a truncated past stay where they are.
    keep_stale_files;
    /// Segments are unlinked before the start that allows it is durable.
    unlink_before_start_is_durable;
}
