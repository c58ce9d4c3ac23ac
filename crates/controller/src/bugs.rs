//! Bugs planted on order, so that simulations can show that they would be seen.

chronik_types::planted_bugs! {
    /// A broker that begins anew leads on in the epoch that it led before.
    keep_epochs_over_a_restart;
    /// A broker whose disk was replaced keeps its places in in-sync sets.
    keep_places_without_data;
    /// Brokers are fenced although the controller could not hear them.
    fence_on_stale_sessions;
    /// A proposal of an in-sync set counts in whatever epoch it was made.
    accept_stale_epochs;
    /// Topics are acknowledged on the leader's own sync although a quorum was asked for.
    answer_before_the_quorum;
}

#[cfg(test)]
mod tests {
    use chronik_types::planted::is_seen_by;

    use crate::{alter_partition, broker_lifecycle, durability, sessions};

    #[test]
    fn each_bug_is_seen_by_a_test() {
        let seen_by: [(&str, fn()); 5] = [
            (
                "keep_epochs_over_a_restart",
                broker_lifecycle::tests::a_new_incarnation_leads_nothing_in_an_old_epoch,
            ),
            (
                "keep_places_without_data",
                broker_lifecycle::tests::storage_is_intact_only_on_the_same_disk_that_knows_the_registered_incarnation,
            ),
            (
                "fence_on_stale_sessions",
                sessions::tests::a_controller_that_was_paused_fences_nobody,
            ),
            (
                "accept_stale_epochs",
                alter_partition::tests::what_a_leader_must_not_propose_is_refused,
            ),
            (
                "answer_before_the_quorum",
                durability::tests::only_topics_come_and_go_on_the_leaders_sync_and_only_if_asked_for,
            ),
        ];
        assert!(super::ALL.iter().all(|bug| seen_by.iter().any(|(name, _)| name == bug)));
        for (bug, test) in seen_by {
            assert!(is_seen_by(bug, test), "{bug} goes unseen");
        }
    }
}
