//! Bugs planted on order, so that tests and simulations can show that they would be seen.

#[cfg(test)]
pub(crate) use chronik_types::planted::plant;

chronik_types::planted_bugs! {
    /// A group is reported durable without a sync.
    leave_out_sync;
    /// Files are recycled although the last flush fact of a log is in them.
    forget_facts;
    /// What recovery read counts as durable as it is.
    trust_the_page_cache;
    /// A recovered journal ignores flush facts when it replays.
    replay_below_flushed;
    /// A file is used again although a log has unflushed records in it.
    recycle_unflushed;
    /// The vote is not repeated at the head of a file.
    forget_vote;
}
