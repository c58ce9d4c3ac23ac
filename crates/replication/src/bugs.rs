//! Bugs planted on order, so that tests and simulations can show that they would be seen.

#[cfg(test)]
pub(crate) use chronik_types::planted::{is, plant};

chronik_types::planted_bugs! {
    /// An acknowledgement counts whatever subscription it was given in.
    count_any_acknowledgement;
    /// The high watermark ignores a replica whose addition is proposed.
    forget_proposed_additions;
    /// A proposed removal is taken for done before it is committed.
    remove_before_commit;
    /// A proposal of unknown outcome is taken for refused.
    forget_unknown_outcomes;
    /// Every error that answers a proposal is taken to say that it is not committed.
    take_every_error_for_a_refusal;
    /// What is durable of records whose append was not told yet is forgotten.
    forget_the_untold;
    /// The high watermark ignores what the leader's own disk has.
    forget_own_disk;
    /// The high watermark moves although fewer replicas than required are in sync.
    ignore_min_isr;
    /// A replica joins the in-sync set at the high watermark, wherever the epoch began.
    join_below_epoch_start;
    /// A member of the in-sync set without a subscription is not waited for.
    skip_the_disconnected;
    /// A new leader begins with the high watermark at its log start.
    forget_high_watermark;
    /// The leader takes every follower's log for a prefix of its own.
    skip_divergence_check;
    /// A follower acknowledges what it has appended.
    acknowledge_appended;
    /// A follower takes the leader's high watermark for its own.
    high_watermark_beyond_end;
    /// A follower cuts at the leader's end of the epoch without a look at its own.
    cut_at_leaders_word;
    /// A follower takes data of a subscription that is over.
    accept_any_data;
    /// A follower subscribes with what it last heard of its log.
    subscribe_as_last_heard;
    /// What is sent live does not wait for what was sent by catch-up.
    overtake_catch_up;
}
