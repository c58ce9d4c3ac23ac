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
    count_any_acknowledgement: "an acknowledgement counts whatever subscription it was given in";
    forget_proposed_additions: "the high watermark ignores a replica whose addition is proposed";
    remove_before_commit: "a shrunk ISR counts before it is committed";
    forget_unknown_outcomes: "a proposal of unknown outcome is taken for refused";
    take_every_error_for_a_refusal: "every error that answers a proposal is taken for a refusal";
    forget_the_untold: "what is durable of records whose append was not told yet is forgotten";
    forget_own_disk: "the high watermark ignores what the leader's own disk has";
    ignore_min_isr: "the high watermark moves although fewer than `min.insync.replicas` are in sync";
    join_below_epoch_start: "a replica joins the ISR wherever the epoch began";
    skip_the_disconnected: "a member of the ISR without a subscription is not waited for";
    forget_high_watermark: "a new leader begins with the high watermark at its log start";
    skip_divergence_check: "the leader takes every follower's log for a prefix of its own";
    acknowledge_appended: "a follower acknowledges what is not on its disk";
    high_watermark_beyond_end: "a follower takes the leader's high watermark for its own";
    cut_at_leaders_word: "a follower cuts at the leader's end of the epoch without a look at its own";
    accept_any_data: "a follower takes data of a subscription that is over";
    subscribe_as_last_heard: "a follower subscribes with what it last heard of its log";
    overtake_catch_up: "what is sent live does not wait for what was sent by catch-up";
    acknowledge_before_high_watermark: "`acks=all` is answered on the leader's own sync";
    keep_epochs_over_a_restart: "a broker that begins anew leads on in the epoch that it led before";
    keep_places_without_data: "a broker whose disk was replaced keeps its places in the ISR";
    fence_on_stale_sessions: "brokers are fenced although the controller could not hear them";
    accept_stale_epochs: "a proposal of an ISR counts in whatever epoch it was made";
    answer_before_the_quorum: "topics are acknowledged before a quorum has them";
    lead_unregistered: "a broker serves followers of what an earlier incarnation led";
    activate_early: "the controller acts before the first entry of its term is applied";
    apply_gaps: "a batch of metadata is applied although it does not follow the last one";
    resume_term: "a restarted leader of the metadata resumes its term";
    vote_before_disk: "a vote is given before it is on the disk";
    vote_with_a_new_disk: "a voter whose disk was replaced votes at once";
}
