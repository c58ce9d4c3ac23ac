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
